"""Numbers that the engine counts, with the set of patients behind them."""

from collections.abc import Mapping

import sqlglot
from sqlglot import exp

from p2d.warehouse.query.compile import Compiler
from p2d.warehouse.query.holders import ROW
from p2d.warehouse.query.nodes import Frame, Value
from p2d.warehouse.query.relations import column, key_of
from p2d.warehouse.query.session import Session
from p2d.warehouse.query.tally import SUMS, Tally, of_sums


def read_tally(session: Session, compiler: Compiler, things: exp.Select, level: Frame) -> Tally:
    """Return how many *things* (rows *v* of the table of *level*) there are, and of which patients."""
    patient = column(key_of(Frame.PATIENT), ROW)
    number: exp.Expr = exp.Count(this=exp.Star())
    if level is Frame.GROUP:
        number = exp.Count(this=exp.Distinct(expressions=[column(key_of(level), ROW)]))
    each = things.select(exp.alias_(patient, "patient_key"), exp.alias_(number, "n"), copy=False)
    each.group_by(patient.copy(), copy=False)
    return tally_of_each(session, each, compiler.parameters)


def tally_of_each(session: Session, each: exp.Select, parameters: Mapping[str, Value]) -> Tally:
    """Return the tally of *each*, rows of ``patient_key`` and ``n``, one a patient."""
    (row,) = session.rows(summed(f"SELECT {SUMS} FROM each", each), parameters)  # noqa: S608 - a constant
    return of_sums(*row)  # type: ignore[arg-type]  # sums of whole numbers


def summed(text: str, each: exp.Select) -> exp.Expr:
    """Return the statement *text*, a constant, with *each* for the table it calls ``each``."""
    found = sqlglot.parse_one(text, dialect="duckdb")
    next(iter(found.find_all(exp.Table))).replace(each.subquery("each", copy=False))
    return found
