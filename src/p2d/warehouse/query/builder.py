"""Write queries in Python, for notebooks and tests.

An example::

    from p2d.warehouse.query.builder import attribute, document, query, query_json, same

    thin = same("series", attribute("Modality") == "CT", attribute("SliceThickness") <= 1)
    failing = (attribute("LVEF") < 45) & document("discharge_letter").regex(r"NYHA (III|IV)")
    body = query_json(query(failing & thin, "sex", level="study"))

Conditions are combined with ``&``, ``|`` and ``~``; a comparison needs its own brackets beside these. Wrong
operands are refused where they are written, the rest by ``query``; a warehouse is never asked here.
"""

from collections.abc import Iterable

from p2d.model.ids import Pseudonym
from p2d.warehouse.query import nodes as language
from p2d.warehouse.query.as_json import column_json, node_json, query_json
from p2d.warehouse.query.building_blocks import Condition, EventCondition, Per, Subject, counted
from p2d.warehouse.query.criterion_form import read_count
from p2d.warehouse.query.json_fields import read_member
from p2d.warehouse.query.nodes import VERSION, Column, Frame, Node, Query, Reduce
from p2d.warehouse.query.parse import parse

__all__ = [
    "all_of",
    "any_of",
    "attribute",
    "branch",
    "cohort",
    "column",
    "document",
    "event",
    "everything",
    "none_of",
    "patients",
    "query",
    "query_json",
    "same",
    "some",
]


def attribute(name: str) -> Subject:
    """Return the attribute called *name*."""
    return Subject("attribute", name)


def branch(name: str) -> Subject:
    """Return all attributes of the catalogue branch called *name*."""
    return Subject("branch", name)


def document(kind: str) -> Subject:
    """Return the texts of documents of *kind*."""
    return Subject("document", kind)


def all_of(*conditions: Condition) -> Condition:
    """Return the condition that each of *conditions* holds."""
    return Condition(language.All(_nodes(conditions)))


def any_of(*conditions: Condition) -> Condition:
    """Return the condition that one of *conditions* holds."""
    return Condition(language.Any(_nodes(conditions)))


def none_of(*conditions: Condition) -> Condition:
    """Return the condition that none of *conditions* holds."""
    return Condition(language.NoneOf(_nodes(conditions)))


def some(least: int, *conditions: Condition, most: int | None = None) -> Condition:
    """Return the condition that at least *least*, and at most *most*, of *conditions* hold."""
    return Condition(language.Some(_nodes(conditions), least, most))


def everything() -> Condition:
    """Return the condition that always holds."""
    return Condition(language.All(()))


def same(
    frame: str,
    *conditions: Condition,
    at_least: int | None = None,
    at_most: int | None = None,
    within_days: int | None = None,
    per: Per | None = None,
) -> Condition:
    """Return the condition that one thing of *frame* fulfils all *conditions*; or so many things do."""
    given = counted(at_least, at_most, within_days, per)
    where = conditions[0].node if len(conditions) == 1 else language.All(_nodes(conditions))
    count = read_count(given, frame) if given else None
    return Condition(language.Same(read_member(Frame, frame, "frame"), where, count))


def event(condition: Condition, *, frame: str | None = None) -> EventCondition:
    """Return a dated thing that fulfils *condition*; *frame* is inferred from it unless given."""
    found = None if frame is None else read_member(Frame, frame, "frame")
    return EventCondition.of(language.Event(found, condition.node))


def patients(pseudonyms: Iterable[str]) -> Condition:
    """Return the patients of a list.

    Raises:
        InvalidRequest: one is not a pseudonym.

    """
    return Condition(language.Patients(frozenset(Pseudonym.parse(p, "patients") for p in pseudonyms)))


def cohort(name: str) -> Condition:
    """Return the patients of the saved cohort called *name*."""
    return Condition(language.Cohort(name))


def column(name: str, reduce: str = "last", *, top: int | None = None) -> Column:
    """Return a column of the result table; with *top* of up to so many values, the reduction's first."""
    return Column(name, read_member(Reduce, reduce, "reduce"), top)


def query(condition: Condition, *columns: Column | str, level: str = "patient") -> Query:
    """Return the query for *condition*, checked as a whole.

    Raises:
        InvalidRequest: parts that cannot hold together, such as an event inside a series.

    """
    shown = [column_json(c) if isinstance(c, Column) else c for c in columns]
    return parse({"version": VERSION, "where": node_json(condition.node), "columns": shown, "level": level})


def _nodes(conditions: Iterable[Condition]) -> tuple[Node, ...]:
    return tuple(condition.node for condition in conditions)
