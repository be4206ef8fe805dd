"""A slow, obvious evaluator of the cohort language over plain rows: what every engine is compared with.

It reads the rows that were loaded (one batch's worth, natural keys unique), links studies to reports and
cases by the rules of the documentation, and answers by going through every row for every key. It shares
parser and rewrite with the engines, nothing else.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final

from p2d.testing.warehouse_rows import Row, Rows
from p2d.warehouse.query.attributes import Attribute, Catalogue, Source, Type
from p2d.warehouse.query.frames import place
from p2d.warehouse.query.nodes import (
    All,
    Criterion,
    Frame,
    Node,
    NoneOf,
    Operator,
    Query,
    Reduce,
    Same,
    Value,
)
from p2d.warehouse.query.nodes import Any as AnyOf

Key = tuple[str, ...]
_KEYS: Final[Mapping[Frame, tuple[str, ...]]] = {
    Frame.PATIENT: ("patient",),
    Frame.CASE: ("patient", "case"),
    Frame.DOCUMENT: ("patient", "document"),
    Frame.STUDY: ("patient", "study"),
    Frame.SERIES: ("patient", "study", "series"),
    Frame.INSTANCE: ("patient", "study", "series", "instance"),
}
_IMAGING: Final = (Frame.STUDY, Frame.SERIES, Frame.INSTANCE)
_FIRST_DAY, _LAST_DAY = date(1, 1, 1), date(9999, 12, 31)


class CohortOracle:
    """Answers queries over *rows* by table name; missing columns are None."""

    def __init__(self, rows: Rows) -> None:
        self._rows: dict[str, Sequence[Row]] = {name: list(listed) for name, listed in rows.items()}
        known = {row["patient"] for row in self._table("patient")}
        stubs = {str(row["patient"]) for row in self._table("study")} - known
        self._rows["patient"] = [*self._table("patient"), *({"patient": psn} for psn in sorted(stubs))]
        self._universes = {frame: {_key(row, frame) for row in self._table(str(frame))} for frame in Frame}
        self._reports = {_key(study, Frame.STUDY): self._reports_of(study) for study in self._table("study")}
        self._cases = {_key(study, Frame.STUDY): self._case_of(study) for study in self._table("study")}
        self.catalogue = self._catalogue()

    def patients(self, query: Query) -> list[str]:
        """Return the pseudonyms of the cohort, in order."""
        return sorted(key[0] for key in self._keys(self._placed(query), Frame.PATIENT))

    def matching(self, query: Query, frame: Frame) -> list[Key]:
        """Return the matching cases, studies, series or instances of the cohort, in order."""
        patients = set(self.patients(query))
        if frame is Frame.PATIENT:
            return [(patient,) for patient in sorted(patients)]
        keys = self._universes[frame]
        found = self._witnesses(self._placed(query), Frame.PATIENT, frame) if frame.is_imaging else []
        return sorted(k for k in keys if k[0] in patients and (not found or any(k in f for f in found)))

    def table(self, query: Query) -> list[tuple[object, ...]]:
        """Return the rows of the result table, in order of their pseudonyms."""
        chosen = {frame: set(self.matching(query, frame)) for frame in _IMAGING}
        return [
            (*key, *(self._cell(query, index, key, chosen) for index in range(len(query.columns))))
            for key in self.matching(query, query.level)
        ]

    def _table(self, name: str) -> Sequence[Row]:
        return self._rows.get(name, [])

    def _placed(self, query: Query) -> Node:
        return place(query.where, Frame.PATIENT, self.catalogue)

    def _reports_of(self, study: Row) -> set[Key]:
        same = [
            d
            for d in self._table("document")
            if d["patient"] == study["patient"]
            and study.get("accession")
            and d.get("accession") == study["accession"]
        ]
        return {_key(document, Frame.DOCUMENT) for document in same}

    def _case_of(self, study: Row) -> Key | None:
        patient = str(study["patient"])
        reports = self._reports[_key(study, Frame.STUDY)]
        documents = [d for d in self._table("document") if _key(d, Frame.DOCUMENT) in reports]
        by_accession = {str(d["case"]) for d in documents if d.get("case")}
        if len(by_accession) == 1:
            return (patient, by_accession.pop())
        if study.get("case") and (patient, str(study["case"])) in self._universes[Frame.CASE]:
            return (patient, str(study["case"]))
        day = study.get("StudyDate")
        stays = [
            c
            for c in self._table("case")
            if c["patient"] == patient
            and isinstance(day, date)
            and _within(day, c.get("start"), c.get("end"))
        ]
        return _key(stays[0], Frame.CASE) if len(stays) == 1 else None

    def _catalogue(self) -> Catalogue:
        facts: dict[str, Attribute] = {}
        for name in {str(row["attribute"]) for row in self._table("fact")}:
            rows = [row for row in self._table("fact") if row["attribute"] == name]
            facts[name] = Attribute(
                name,
                Source.FACT,
                Frame.PATIENT,
                units=frozenset(str(row.get("unit") or "") for row in rows),
                has_number=any(row.get("number") is not None for row in rows),
            )
        headers: dict[str, Attribute] = {}
        for name in {str(row["keyword"]) for row in self._table("header")}:
            rows = [row for row in self._table("header") if row["keyword"] == name]
            has_number = any(row.get("number") is not None for row in rows)
            headers[name] = Attribute(name, Source.HEADER, Frame.SERIES, has_number=has_number)
        return Catalogue(facts, headers, frozenset(str(row["kind"]) for row in self._table("document")))

    def _keys(self, node: Node, frame: Frame) -> set[Key]:
        universe = self._universes[frame]
        match node:
            case All(nodes):
                return set.intersection(*(self._keys(n, frame) for n in nodes))
            case AnyOf(nodes):
                return set().union(*(self._keys(n, frame) for n in nodes))
            case NoneOf(nodes):
                return universe - set().union(*(self._keys(n, frame) for n in nodes))
            case Same(inner, where):
                found = self._keys(where, inner)
                return {key for key in universe if any(self._related(inner, f, frame, key) for f in found)}
            case Criterion():
                return self._criterion(node, frame)

    def _criterion(self, criterion: Criterion, frame: Frame) -> set[Key]:
        universe = self._universes[frame]
        attribute = None
        if criterion.subject == "attribute":
            attribute = self.catalogue.attribute(criterion.name, "attribute")
        holders = [row for row in self._holders(criterion, attribute) if _holds(criterion, attribute, row)]
        owners = [self._owner(attribute, row, frame) for row in holders]
        found = {
            key
            for key in universe
            if any(owner is not None and self._related(*owner, frame, key) for owner in owners)
        }
        if not criterion.is_absence:
            return found
        if attribute is not None and attribute.source is Source.HEADER:
            read = self._extracted()
            universe = {k for k in universe if any(self._related(Frame.SERIES, s, frame, k) for s in read)}
        return universe - found

    def _holders(self, criterion: Criterion, attribute: Attribute | None) -> Iterable[Row]:
        if attribute is None:
            return [row for row in self._table("document") if row["kind"] == criterion.name]
        if attribute.source is Source.COLUMN:
            return self._table(str(attribute.frame))
        if attribute.source is Source.FACT:
            return [row for row in self._table("fact") if row["attribute"] == criterion.name]
        return [row for row in self._table("header") if row["keyword"] == criterion.name]

    def _owner(self, attribute: Attribute | None, row: Row, frame: Frame) -> tuple[Frame, Key] | None:
        """Return to what the row belongs, as seen from *frame*."""
        if attribute is None:
            return Frame.DOCUMENT, _key(row, Frame.DOCUMENT)
        if attribute.source is Source.COLUMN:
            return attribute.frame, _key(row, attribute.frame)
        if attribute.source is Source.HEADER:
            owner = (
                Frame.INSTANCE if row.get("instance") else Frame.SERIES if row.get("series") else Frame.STUDY
            )
            return owner, _key(row, owner)
        home = Frame.DOCUMENT if frame.is_imaging else frame
        return (home, _key(row, home)) if row.get(_KEYS[home][-1]) else None

    def _related(self, left: Frame, a: Key, right: Frame, b: Key) -> bool:
        if a[0] != b[0] or Frame.PATIENT in {left, right}:
            return a[0] == b[0]
        if left is right or (left.is_imaging and right.is_imaging):
            return all(x == y for x, y in zip(a, b, strict=False))
        if left.is_imaging:
            return self._related(right, b, left, a)
        if right.is_imaging:
            return (self._cases[b[:2]] == a) if left is Frame.CASE else (a in self._reports[b[:2]])
        case, document = (a, b) if left is Frame.CASE else (b, a)
        return any(
            _key(d, Frame.DOCUMENT) == document and d.get("case") == case[1] for d in self._table("document")
        )

    def _extracted(self) -> set[Key]:
        read = [row for row in self._table("instance") if row["scope"] == "extended"]
        read += [row for row in self._table("header") if row.get("series")]
        return {_key(row, Frame.SERIES) for row in read}

    def _witnesses(self, node: Node, frame: Frame, level: Frame) -> list[set[Key]]:
        match node:
            case All(nodes) | AnyOf(nodes):
                return [found for n in nodes for found in self._witnesses(n, frame, level)]
            case Same(inner, where):
                own = self._keys(where, inner)
                at_level = {
                    key
                    for key in self._universes[level]
                    if any(self._related(inner, f, level, key) for f in own)
                }
                if inner.is_imaging:
                    return [at_level]
                return [found & at_level for found in self._witnesses(where, inner, level)]
            case _:
                return []

    def _cell(self, query: Query, index: int, key: Key, chosen: Mapping[Frame, set[Key]]) -> object:
        wanted = query.columns[index]
        attribute = self.catalogue.attribute(wanted.attribute, "attribute")
        criterion = Criterion("attribute", wanted.attribute, Operator.EXISTS, ("true",))
        home = Frame.CASE if query.level is Frame.CASE else Frame.PATIENT
        found: list[tuple[date | None, Any]] = []
        for row in self._holders(criterion, attribute):
            owner = self._owner(attribute, row, home)
            value = _cell_value(attribute, row)
            if owner is None or value is None or not self._related(*owner, query.level, key):
                continue
            if owner[0].is_imaging and owner[1] not in chosen[owner[0]]:
                continue
            found.append((self._day(owner, row, attribute), value))
        return _reduced(wanted.reduce, found)

    def _day(self, owner: tuple[Frame, Key], row: Row, attribute: Attribute) -> date | None:
        if attribute.source is Source.FACT:
            return _date(row.get("date"))
        if owner[0] is Frame.PATIENT:
            return None
        study = next(s for s in self._table("study") if _key(s, Frame.STUDY) == owner[1][:2])
        series = next((s for s in self._table("series") if _key(s, Frame.SERIES) == owner[1][:3]), {})
        return _date(series.get("SeriesDate")) or _date(study.get("StudyDate"))


def _key(row: Row, frame: Frame) -> Key:
    return tuple(str(row[column]) for column in _KEYS[frame])


def _date(value: object) -> date | None:
    return value if isinstance(value, date) else None


def _within(day: date, start: object, end: object) -> bool:
    return isinstance(start, date) and start <= day <= (end if isinstance(end, date) else _LAST_DAY)


def _holds(criterion: Criterion, attribute: Attribute | None, row: Row) -> bool:
    """Whether *row*, which carries the attribute, fulfils the criterion's operator."""
    if attribute is None:
        return criterion.operator is Operator.EXISTS or _text_holds(criterion, row.get("text"))
    if attribute.source is Source.COLUMN:
        return _typed_holds(criterion, attribute, row.get(attribute.name))
    return _row_holds(criterion, attribute, row)


def _row_holds(criterion: Criterion, attribute: Attribute, row: Row) -> bool:
    if criterion.unit is not None and (row.get("unit") or "") != criterion.unit:
        return False
    texts = [row.get("text"), row.get("code")]
    if criterion.operator is Operator.EXISTS:
        parts = (row.get("number"), row.get("date"), row.get("text") or None)
        return attribute.source is Source.FACT or any(part is not None for part in parts)
    if criterion.operator in {Operator.CONTAINS, Operator.REGEX}:
        return any(_text_holds(criterion, text) for text in texts)
    if criterion.operator in {Operator.EQUALS, Operator.IN}:
        return any(
            row.get("number") == value if isinstance(value, float) else value in texts
            for value in criterion.values
        )
    is_date = isinstance(criterion.values[0], date)
    return _compares(criterion, row.get("date" if is_date else "number"))


def _typed_holds(criterion: Criterion, attribute: Attribute, value: object) -> bool:
    if criterion.operator is Operator.EXISTS:
        return value is not None and value != ""
    if criterion.operator in {Operator.CONTAINS, Operator.REGEX}:
        return _text_holds(criterion, value)
    if criterion.operator in {Operator.EQUALS, Operator.IN}:
        values = str(value).split("\\") if attribute.type is Type.MULTI and value is not None else [value]
        wanted: list[Value] = list(criterion.values)
        if attribute.type is Type.DATE:
            wanted = [date.fromisoformat(str(operand)) for operand in wanted]
        return any(v in wanted for v in values)
    return _compares(criterion, value)


def _text_holds(criterion: Criterion, text: object) -> bool:
    if not isinstance(text, str):
        return False
    sought = str(criterion.values[0])
    if criterion.operator is Operator.REGEX:
        return re.search(sought, text, re.IGNORECASE if criterion.ignore_case else re.ASCII) is not None
    return all(word.lower() in text.lower() for word in sought.split())


_COMPARISONS: Final[Mapping[Operator, Callable[[Any, Sequence[Any]], bool]]] = {
    Operator.LESS: lambda value, operands: value < operands[0],
    Operator.AT_MOST: lambda value, operands: value <= operands[0],
    Operator.GREATER: lambda value, operands: value > operands[0],
    Operator.AT_LEAST: lambda value, operands: value >= operands[0],
    Operator.BETWEEN: lambda value, operands: operands[0] <= value <= operands[1],
}


def _compares(criterion: Criterion, value: object) -> bool:
    return value is not None and _COMPARISONS[criterion.operator](value, criterion.values)


def _cell_value(attribute: Attribute, row: Row) -> object:
    if attribute.source is Source.COLUMN:
        return row.get(attribute.name) if row.get(attribute.name) != "" else None
    if attribute.has_number:
        return row.get("number")
    if attribute.source is Source.FACT:
        return row.get("code") if row.get("code") is not None else row.get("text")
    day = _date(row.get("date"))
    return row.get("text") if row.get("text") is not None else day.isoformat() if day else None


def _reduced(reduce: Reduce, found: list[tuple[date | None, Any]]) -> object:
    if reduce is Reduce.COUNT:
        return len(found)
    if not found:
        return None
    if reduce is Reduce.FIRST:
        return min(found, key=lambda pair: (pair[0] or _LAST_DAY, pair[1]))[1]
    if reduce is Reduce.LAST:
        return max(found, key=lambda pair: (pair[0] or _FIRST_DAY, pair[1]))[1]
    values = [value for _, value in found]
    return max(values) if reduce is Reduce.MAX else min(values)
