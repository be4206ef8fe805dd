"""Why a patient is in a cohort: the values that fulfil its criteria, with their days."""

from collections.abc import Iterator
from datetime import date
from typing import Final

from sqlglot import exp

from p2d.model.ids import Pseudonym
from p2d.warehouse.query.attributes import inner_nodes
from p2d.warehouse.query.compile import Compiler
from p2d.warehouse.query.evaluation import Evaluation
from p2d.warehouse.query.nodes import Criterion, Frame, Node, NoneOf
from p2d.warehouse.query.relations import rows_of
from p2d.warehouse.query.results import Label, Reason
from p2d.warehouse.query.session import Keys

MOST_REASONS: Final = 10
"""Values shown of one criterion for one patient, the earliest."""
LONGEST_EXCERPT: Final = 200
"""Characters shown of a text."""


def read_reasons(asked: Evaluation, where: Node, patients: Keys) -> tuple[Reason, ...]:
    """Return the values of *patients* that fulfil the criteria of *where*, which is not placed.

    Criteria under ``none`` give no reason, nor does the absence of values. Each value is shown by itself:
    that some of them lie in one series was asked, but is not shown.
    """
    only = asked.restricted(patients, "shown")
    found = [
        reason
        for place, criterion in _speaking(where, "where")
        for reason in _of_criterion(asked, asked.compiler(only), criterion, place)
    ]
    return tuple(sorted(found, key=lambda r: (r.patient, r.place, r.day is None, r.day or date.min)))


def _speaking(node: Node, place: str) -> Iterator[tuple[str, Criterion]]:
    if isinstance(node, Criterion):
        if not node.is_absence:
            yield place, node
    elif not isinstance(node, NoneOf):
        for path, inner in inner_nodes(node, place):
            yield from _speaking(inner, path)


def _of_criterion(
    asked: Evaluation, compiler: Compiler, criterion: Criterion, place: str
) -> Iterator[Reason]:
    rows = compiler.criteria.rows(criterion, Frame.PATIENT, with_day=True, with_value=True)
    key, day, value = (exp.column(name, table="n") for name in ("k", "day", "val"))
    order = exp.Order(expressions=[exp.Ordered(this=p.copy(), nulls_first=False) for p in (day, value)])
    number = exp.Window(this=exp.RowNumber(), partition_by=[key.copy()], order=order)
    numbered = exp.select(key, day, value, exp.alias_(number, "place")).from_(rows.subquery("n", copy=False))
    few = exp.LTE(this=exp.column("place", table="m"), expression=exp.Literal.number(MOST_REASONS))
    names = exp.select(exp.column("patient", table="p"), *(exp.column(c, table="m") for c in ("val", "day")))
    names = names.from_(numbered.subquery("m", copy=False)).where(few)
    on = exp.EQ(this=exp.column("patient_key", table="p"), expression=exp.column("k", table="m"))
    names = names.join(rows_of("patient", "p"), on=on)
    for patient, shown, of_day in asked.session.rows(names, compiler.parameters):
        assert of_day is None or isinstance(of_day, date)  # noqa: S101 - what sessions return
        yield Reason(Pseudonym(str(patient)), place, _written(shown), of_day)


def _written(value: object) -> Label:
    if isinstance(value, str):
        return value if len(value) <= LONGEST_EXCERPT else f"{value[:LONGEST_EXCERPT]}…"
    if isinstance(value, date):
        return value.isoformat()
    assert value is None or isinstance(value, float | int)  # noqa: S101 - what sessions return
    return value
