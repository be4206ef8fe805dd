"""Plain rows as the things and values that the cohort language speaks of: no keys, no indices, no engine.

Every thing and every value knows where it lies; ``related`` is all that decides what belongs to what. A study
finds its reports by its accession number, and its case by the first of: its reports, where they name exactly
one case; its admission id; its date, where it lies in exactly one stay.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from p2d.testing.warehouse_rows import Row, Rows
from p2d.warehouse.query.attributes import Attribute, Catalogue, Source, Type
from p2d.warehouse.query.nodes import Criterion, Frame

NaturalKey = tuple[str | None, ...]
_IMAGING: Final = (Frame.STUDY, Frame.SERIES, Frame.INSTANCE)
_LAST_DAY: Final = date(9999, 12, 31)


@dataclass(frozen=True, slots=True)
class Thing:
    """A patient, case, document, group, study, series or instance; or, with ``frame`` None, one fact.

    ``key`` is natural (pseudonyms), but for a group that is a lone fact: there its row number stands in for
    the missing name. A thing lies in ``cases`` and ``documents``, a fact in the group ``group``.
    """

    frame: Frame | None
    key: NaturalKey
    day: date | None = field(default=None, compare=False)
    end: date | None = field(default=None, compare=False)
    cases: frozenset[str] = field(default=frozenset(), compare=False)
    documents: frozenset[str] = field(default=frozenset(), compare=False)
    group: NaturalKey = field(default=(), compare=False)

    @property
    def patient(self) -> str:
        """Pseudonym of the patient it belongs to."""
        return str(self.key[0])

    @property
    def natural(self) -> NaturalKey:
        """The key as a result table shows it: without the number of a lone fact."""
        return tuple(None if part and part.startswith("#") else part for part in self.key)


@dataclass(frozen=True, slots=True)
class Value:
    """What one row says of an attribute, or one document's text: up to a number, a date and texts.

    ``day`` orders values and decides their period; ``moment`` is a date as value (for a fact both are its
    day). ``members`` are what ``equals`` compares with, several where a text joins them by backslashes.
    """

    owner: Thing
    day: date | None
    number: float | None = None
    moment: date | None = None
    texts: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    unit: str = ""
    is_present: bool = True


class World:
    """The warehouse as *rows* describe it; ``branches`` names the attributes of catalogue branches."""

    def __init__(self, rows: Rows, branches: Mapping[str, frozenset[str]] | None = None) -> None:
        self._rows: dict[str, Sequence[Row]] = {name: list(listed) for name, listed in rows.items()}
        known = {row["patient"] for row in self._table("patient")}
        stubs = {str(row["patient"]) for row in self._table("study")} - known
        self._rows["patient"] = [*self._table("patient"), *({"patient": psn} for psn in sorted(stubs))]
        self.branches = dict(branches or {})
        self.birth_years = {str(row["patient"]): row.get("birth_year") for row in self._table("patient")}
        self._made: dict[tuple[str, NaturalKey], Thing] = {}
        self.things: dict[Frame, list[Thing]] = {
            frame: [self._thing(frame, row) for row in self._table(str(frame))]
            for frame in Frame
            if frame is not Frame.GROUP
        }
        self._facts = [self._fact(number, row) for number, row in enumerate(self._table("fact"))]
        self.things[Frame.GROUP] = self._groups()
        self.catalogue = self._catalogue()
        self._values: dict[tuple[str, str], list[Value]] = {}

    def attribute(self, name: str) -> Attribute:
        """Return the attribute *name*: demographics and DICOM columns first, then facts, then headers."""
        return self.catalogue.attribute(name, "attribute")

    def named(self, criterion: Criterion) -> list[Attribute]:
        """Return the attributes that *criterion* is about; none where it is about texts."""
        if criterion.subject == "branch":
            return [self.attribute(name) for name in sorted(self.branches[criterion.name])]
        return [self.attribute(criterion.name)] if criterion.subject == "attribute" else []

    def values(self, attribute: Attribute) -> list[Value]:
        """Return everything the warehouse says of *attribute*, of whatever patient."""
        key = (str(attribute.source), attribute.name)
        if key not in self._values:
            self._values[key] = list(self._attribute_values(attribute))
        return self._values[key]

    def documents(self, kind: str) -> list[Value]:
        """Return the documents of *kind* as values of their text; the empty text is none."""
        owners = zip(self.things[Frame.DOCUMENT], self._table("document"), strict=True)
        found = [(owner, str(row.get("text") or "")) for owner, row in owners if row["kind"] == kind]
        return [Value(owner, owner.day, texts=(text,) if text else ()) for owner, text in found]

    def extracted(self) -> list[Thing]:
        """Return the series of which extended headers were read."""
        read = [row for row in self._table("instance") if row["scope"] == "extended"]
        read += [row for row in self._table("header") if row.get("series")]
        keys = {(row["patient"], row["study"], row["series"]) for row in read}
        return [thing for thing in self.things[Frame.SERIES] if thing.key in keys]

    def _table(self, name: str) -> Sequence[Row]:
        return self._rows.get(name, [])

    def _thing(self, frame: Frame, row: Row) -> Thing:
        key = _key(row, frame)
        if (frame, key) not in self._made:
            self._made[frame, key] = self._new_thing(frame, key, row)
        return self._made[frame, key]

    def _new_thing(self, frame: Frame, key: NaturalKey, row: Row) -> Thing:
        if frame is Frame.PATIENT:
            return Thing(frame, key)
        if frame is Frame.CASE:
            return Thing(frame, key, _date(row.get("start")), _date(row.get("end")))
        if frame is Frame.DOCUMENT:
            return Thing(frame, key, _date(row.get("date")), cases=_names(row.get("case")))
        study = next(s for s in self._table("study") if _key(s, Frame.STUDY) == key[:2])
        series = [s for s in self._table("series") if _key(s, Frame.SERIES) == key[:3]]
        days = [_date(s.get("SeriesDate")) for s in series] + [_date(study.get("StudyDate"))]
        day = next((d for d in days if d), None)
        if frame is Frame.STUDY:
            day = _date(study.get("StudyDate"))
        reports = self._reports(study)
        documents = frozenset(str(report["document"]) for report in reports)
        return Thing(frame, key, day, cases=self._case(study, reports), documents=documents)

    def _reports(self, study: Row) -> list[Row]:
        if not study.get("accession"):
            return []
        own = [row for row in self._table("document") if row["patient"] == study["patient"]]
        return [row for row in own if row.get("accession") == study["accession"]]

    def _case(self, study: Row, reports: Sequence[Row]) -> frozenset[str]:
        cases = [row for row in self._table("case") if row["patient"] == study["patient"]]
        by_report = {str(report["case"]) for report in reports if report.get("case")}
        if len(by_report) == 1:
            return frozenset(by_report)
        if study.get("case") in {row["case"] for row in cases}:
            return _names(study["case"])
        day = _date(study.get("StudyDate"))
        stays = [row for row in cases if day and _is_within(day, row.get("start"), row.get("end"))]
        return _names(stays[0]["case"]) if len(stays) == 1 else frozenset()

    def _fact(self, number: int, row: Row) -> Thing:
        patient, document = str(row["patient"]), _text(row.get("document"))
        group = (patient, document, _text(row.get("group")) or f"#{number}")
        return Thing(
            None,
            (patient, f"#{number}"),
            _date(row.get("date")),
            cases=_names(row.get("case")),
            documents=_names(document),
            group=group,
        )

    def _groups(self) -> list[Thing]:
        found = []
        for key in dict.fromkeys(fact.group for fact in self._facts):
            facts = [fact for fact in self._facts if fact.group == key]
            day = min((fact.day for fact in facts if fact.day), default=None)
            cases = frozenset[str]().union(*(fact.cases for fact in facts))
            found.append(Thing(Frame.GROUP, key, day, cases=cases, documents=facts[0].documents))
        return found

    def _attribute_values(self, attribute: Attribute) -> Iterator[Value]:
        name = attribute.name
        if attribute.source is Source.COLUMN:
            for thing, row in zip(
                self.things[attribute.frame], self._table(str(attribute.frame)), strict=True
            ):
                yield from _column_value(attribute, thing, row.get(name))
        elif attribute.source is Source.FACT:
            for fact, row in zip(self._facts, self._table("fact"), strict=True):
                if row["attribute"] == name:
                    texts = tuple(str(row[part]) for part in ("code", "text") if row.get(part))
                    unit = str(row.get("unit") or "")
                    yield Value(fact, fact.day, _number(row.get("number")), fact.day, texts, texts, unit)
        else:
            for row in self._table("header"):
                if row["keyword"] == name:
                    yield self._header_value(row)

    def _header_value(self, row: Row) -> Value:
        owner = Frame.INSTANCE if row.get("instance") else Frame.SERIES if row.get("series") else Frame.STUDY
        thing, day = self._thing(owner, row), _date(row.get("date"))
        texts = (str(row["text"]),) if row.get("text") else ()
        number = _number(row.get("number"))
        members = (*texts, *([day.isoformat()] if day else []))
        is_present = bool(texts) or number is not None or day is not None
        return Value(thing, thing.day, number, day, texts, members, is_present=is_present)

    def _catalogue(self) -> Catalogue:
        facts, headers = {}, {}
        for name in {str(row["attribute"]) for row in self._table("fact")}:
            rows = [row for row in self._table("fact") if row["attribute"] == name]
            units = frozenset(str(row.get("unit") or "") for row in rows)
            facts[name] = Attribute(
                name, Source.FACT, Frame.PATIENT, units=units, has_number=_has_number(rows)
            )
        for name in {str(row["keyword"]) for row in self._table("header")}:
            rows = [row for row in self._table("header") if row["keyword"] == name]
            headers[name] = Attribute(name, Source.HEADER, Frame.SERIES, has_number=_has_number(rows))
        return Catalogue(facts, headers, frozenset(str(row["kind"]) for row in self._table("document")))


def related(one: Thing, other: Thing) -> bool:  # noqa: C901, PLR0911 - one for each pair of kinds
    """Whether the two have to do with each other; a thing has to do with itself.

    Patients with everything of theirs. Studies, series and instances along their hierarchy. A case with its
    documents, facts, groups and studies; a group with a case that one of its facts names. A document with its
    facts and groups, and with the studies whose report it is. Facts and groups with a study through the
    document they stand in; facts with their group.
    """
    if one.patient != other.patient:
        return False
    frames = (one.frame, other.frame)
    if Frame.PATIENT in frames:
        return True
    if one.frame in _IMAGING and other.frame in _IMAGING:
        return all(a == b for a, b in zip(one.key, other.key, strict=False))
    if one.frame is other.frame:
        return one.key == other.key
    for outer, inner in ((one, other), (other, one)):
        if outer.frame is Frame.CASE:
            return outer.key[1] in inner.cases
    for outer, inner in ((one, other), (other, one)):
        if outer.frame is Frame.DOCUMENT:
            return outer.key[1] in inner.documents
    for outer, inner in ((one, other), (other, one)):
        if outer.frame is Frame.GROUP and inner.frame is None:
            return outer.key == inner.group
    return bool(one.documents & other.documents)


_PATHS: Final[Mapping[Frame, tuple[str, ...]]] = {
    Frame.PATIENT: ("patient",),
    Frame.CASE: ("patient", "case"),
    Frame.DOCUMENT: ("patient", "document"),
    Frame.STUDY: ("patient", "study"),
    Frame.SERIES: ("patient", "study", "series"),
    Frame.INSTANCE: ("patient", "study", "series", "instance"),
}


def _key(row: Row, frame: Frame) -> NaturalKey:
    return tuple(str(row[column]) for column in _PATHS[frame])


def _column_value(attribute: Attribute, thing: Thing, value: object) -> Iterator[Value]:
    if value is None or value == "":
        return
    if attribute.type is Type.NUMBER:
        yield Value(thing, thing.day, number=_number(value))
    elif attribute.type is Type.DATE:
        yield Value(thing, thing.day, moment=_date(value))
    else:
        text = str(value)
        members = tuple(text.split("\\")) if attribute.type is Type.MULTI else (text,)
        yield Value(thing, thing.day, texts=(text,), members=members)


def _has_number(rows: Sequence[Row]) -> bool:
    return any(row.get("number") is not None for row in rows)


def _names(value: object) -> frozenset[str]:
    return frozenset([str(value)]) if value else frozenset()


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _date(value: object) -> date | None:
    return value if isinstance(value, date) else None


def _is_within(day: date, start: object, end: object) -> bool:
    return isinstance(start, date) and start <= day <= (end if isinstance(end, date) else _LAST_DAY)
