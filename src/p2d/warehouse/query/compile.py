"""A query as SQL sets of surrogate keys. SQL text comes from this package, values go in as parameters.

Every node becomes a SELECT of one column ``k``: the keys of its frame it holds for. ``all`` intersects,
``any`` unites, ``none`` is what the frame's universe has beside. A frame inside another is mapped along
``RELATIONS``.
"""

from functools import reduce
from typing import Final

import sqlglot
from sqlglot import exp

from p2d.warehouse.query.attributes import Attribute, Catalogue, Source
from p2d.warehouse.query.conditions import column, condition
from p2d.warehouse.query.nodes import All, Any, Criterion, Frame, Node, NoneOf, Same, Value

TABLES: Final = {
    Frame.PATIENT: "patient",
    Frame.CASE: "clinical_case",
    Frame.DOCUMENT: "document",
    Frame.STUDY: "study",
    Frame.SERIES: "series",
    Frame.INSTANCE: "instance",
}
# What two frames have to do with each other: rows with the keys of both. Clinical facts and documents belong
# to a study where they stand in a report linked to it by its accession number.
RELATIONS: Final[dict[frozenset[Frame], str]] = {
    frozenset({Frame.PATIENT, Frame.CASE}): "SELECT patient_key, case_key FROM clinical_case",
    frozenset({Frame.PATIENT, Frame.DOCUMENT}): "SELECT patient_key, document_key FROM document",
    frozenset({Frame.PATIENT, Frame.STUDY}): "SELECT patient_key, study_key FROM study",
    frozenset({Frame.PATIENT, Frame.SERIES}): "SELECT patient_key, series_key FROM series",
    frozenset({Frame.PATIENT, Frame.INSTANCE}): "SELECT patient_key, instance_key FROM instance",
    frozenset({Frame.CASE, Frame.DOCUMENT}): "SELECT case_key, document_key FROM document",
    frozenset({Frame.CASE, Frame.STUDY}): "SELECT case_key, study_key FROM study",
    frozenset({Frame.CASE, Frame.SERIES}): (
        "SELECT case_key, series_key FROM series JOIN study USING (study_key)"
    ),
    frozenset({Frame.CASE, Frame.INSTANCE}): (
        "SELECT case_key, instance_key FROM instance JOIN study USING (study_key)"
    ),
    frozenset({Frame.DOCUMENT, Frame.STUDY}): "SELECT document_key, study_key FROM study_document",
    frozenset({Frame.DOCUMENT, Frame.SERIES}): (
        "SELECT document_key, series_key FROM study_document JOIN series USING (study_key)"
    ),
    frozenset({Frame.DOCUMENT, Frame.INSTANCE}): (
        "SELECT document_key, instance_key FROM study_document JOIN instance USING (study_key)"
    ),
    frozenset({Frame.STUDY, Frame.SERIES}): "SELECT study_key, series_key FROM series",
    frozenset({Frame.STUDY, Frame.INSTANCE}): "SELECT study_key, instance_key FROM instance",
    frozenset({Frame.SERIES, Frame.INSTANCE}): "SELECT series_key, instance_key FROM instance",
}


def key_of(frame: Frame) -> str:
    """Return the name of the surrogate key of *frame*."""
    return f"{frame}_key"


class Compiler:
    """Turns placed nodes into SQL and collects the parameters on the way."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.parameters: dict[str, Value] = {}

    def keys(self, node: Node, frame: Frame) -> exp.Select:
        """Return the keys of *frame* that *node* holds for; *node* comes from ``frames.place``.

        Raises:
            InvalidRequest: an operator or operand that does not fit its attribute.

        """
        match node:
            case All(nodes):
                return reduce(_intersect, [self.keys(n, frame) for n in nodes])
            case Any(nodes):
                return reduce(_unite, [self.keys(n, frame) for n in nodes])
            case NoneOf(nodes):
                return _except(universe(frame), reduce(_unite, [self.keys(n, frame) for n in nodes]))
            case Same(inner, where):
                return mapped(self.keys(where, inner), inner, frame)
            case Criterion():
                return self._criterion(node, frame)

    def witnesses(self, node: Node, frame: Frame, level: Frame) -> list[exp.Select]:
        """Return, for each imaging frame that speaks for a match, the keys of *level* that fulfil it."""
        match node:
            case All(nodes) | Any(nodes):
                return [found for n in nodes for found in self.witnesses(n, frame, level)]
            case Same(inner, where) if inner.is_imaging:
                return [mapped(self.keys(where, inner), inner, level)]
            case Same(inner, where):
                within = self.witnesses(where, inner, level)
                return [_intersect(w, mapped(self.keys(where, inner), inner, level)) for w in within]
            case _:
                return []

    def bind(self, value: Value) -> exp.Expr:
        """Return a parameter that stands for *value*."""
        name = f"p{len(self.parameters) + 1}"
        self.parameters[name] = value
        return exp.Parameter(this=exp.Var(this=name))

    def _criterion(self, criterion: Criterion, frame: Frame) -> exp.Select:
        attribute = None
        if criterion.subject == "attribute":
            attribute = self._catalogue.attribute(criterion.name, "attribute")
        rows = condition(criterion, attribute, self.bind)
        found = _rows_to_frame(attribute, rows, frame)
        if not criterion.is_absence:
            return found
        is_header = attribute is not None and attribute.source is Source.HEADER
        return _except(_extracted(frame) if is_header else universe(frame), found)


def universe(frame: Frame) -> exp.Select:
    """Return all keys of *frame*."""
    return _select(column(key_of(frame), "u")).from_(exp.to_table(TABLES[frame], alias="u"), copy=False)


def mapped(keys: exp.Select, source: Frame, target: Frame) -> exp.Select:
    """Return the keys of *target* that have to do with *keys* of *source*."""
    if source is target:
        return keys
    relation = sqlglot.parse_one(RELATIONS[frozenset({source, target})], dialect="duckdb")
    assert isinstance(relation, exp.Select)  # noqa: S101 - RELATIONS holds SELECTs only
    place = column(key_of(target), "r")
    return (
        _select(place)
        .from_(relation.subquery("r", copy=False), copy=False)
        .where(
            exp.In(this=column(key_of(source), "r"), query=keys.subquery(copy=False)),
            exp.Not(this=exp.Is(this=place.copy(), expression=exp.Null())),
            copy=False,
        )
    )


def unite(sets: list[exp.Select]) -> exp.Select:
    """Return the union of at least one set."""
    return reduce(_unite, sets)


def _rows_to_frame(attribute: Attribute | None, rows: exp.Expr, frame: Frame) -> exp.Select:
    if attribute is None:
        return mapped(_from("document", Frame.DOCUMENT, rows), Frame.DOCUMENT, frame)
    if attribute.source is Source.COLUMN:
        native = attribute.frame
        return mapped(_from(TABLES[native], native, rows), native, frame)
    if attribute.source is Source.FACT:
        if frame.is_imaging:
            return mapped(_from("fact", Frame.DOCUMENT, rows), Frame.DOCUMENT, frame)
        return _from("fact", frame, rows)
    return _header_rows(rows, frame)


def _header_rows(rows: exp.Expr, frame: Frame) -> exp.Select:
    """Headers lie at the study, the series or the instance; finer frames inherit, coarser ones contain."""
    if not frame.is_imaging:
        return mapped(_from("header", Frame.STUDY, rows), Frame.STUDY, frame)
    if frame is Frame.STUDY:
        return _from("header", Frame.STUDY, rows)
    of_study = mapped(
        _from("header", Frame.STUDY, exp.and_(rows.copy(), _is_null("series_key"), copy=False)),
        Frame.STUDY,
        frame,
    )
    if frame is Frame.SERIES:
        return _unite(_from("header", Frame.SERIES, rows.copy()), of_study)
    above = exp.and_(rows.copy(), _is_null("instance_key"), copy=False)
    of_series = mapped(_from("header", Frame.SERIES, above), Frame.SERIES, frame)
    return _unite(_unite(_from("header", Frame.INSTANCE, rows.copy()), of_series), of_study)


def _extracted(frame: Frame) -> exp.Select:
    """Keys whose extended headers were read: only of those can it be said that an element is absent."""
    read = exp.Not(this=_is_null("extended_run"))
    return mapped(_from("series", Frame.SERIES, read), Frame.SERIES, frame)


def _from(table: str, frame: Frame, rows: exp.Expr) -> exp.Select:
    place = column(key_of(frame))
    present = exp.Not(this=exp.Is(this=place.copy(), expression=exp.Null()))
    return _select(place).from_(exp.to_table(table, alias="v"), copy=False).where(rows, present, copy=False)


def _is_null(name: str) -> exp.Expr:
    return exp.Is(this=column(name), expression=exp.Null())


def _select(place: exp.Expr) -> exp.Select:
    return exp.select(exp.alias_(place, "k", copy=False), copy=False)


def _combined(combination: exp.Query) -> exp.Select:
    return exp.select(exp.column("k", table="c"), copy=False).from_(
        combination.subquery("c", copy=False), copy=False
    )


def _intersect(left: exp.Select, right: exp.Select) -> exp.Select:
    return _combined(exp.intersect(left, right, copy=False))


def _unite(left: exp.Select, right: exp.Select) -> exp.Select:
    return _combined(exp.union(left, right, copy=False))


def _except(left: exp.Select, right: exp.Select) -> exp.Select:
    return _combined(exp.except_(left, right, copy=False))
