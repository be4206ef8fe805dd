"""One resource as records of the four tables; a record is a field -> value mapping with its faults."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from p2d.clinical.fhir.codes import Codes
from p2d.clinical.fhir.elements import (
    at,
    attachment,
    birth,
    items,
    moment,
    number,
    text,
    without_markup,
)
from p2d.clinical.fhir.index import Index, key, label
from p2d.clinical.fhir.resources import Entry

_NO_PATIENT: Final = "names a patient that no Patient of the folder is"
_NO_CASE: Final = "names an encounter that no Encounter of the folder is"
_NO_DOCUMENT: Final = "names a report that no resource of the folder is"
_NO_DAY: Final = "is not a date, or not exact to the day"
_UNWANTED: Final = frozenset({"entered-in-error", "cancelled", "planned", "refuted", "not-done"})
_VALUES: Final = ("valueRange", "valueRatio", "valueSampledData", "valueTime", "valuePeriod")


class Skipped(Exception):  # noqa: N818 - not an error: the resource is counted by this reason
    """Why a resource makes no record."""


@dataclass(slots=True)
class Record:
    """Fields of one row, and what is wrong with it: field and problem."""

    fields: dict[str, Any] = field(repr=False)
    faults: list[tuple[str, str]] = field(default_factory=list)


class Records:
    """Makes records of resources, with what *index* knows of those they refer to."""

    def __init__(self, index: Index, codes: Codes) -> None:
        self._index = index
        self._codes = codes

    def of(self, entry: Entry) -> Iterator[Record]:
        """Yield the records of *entry*.

        Raises:
            Skipped: it makes none, and why.

        """
        maker = _MAKERS.get(entry.kind)
        if maker is None:
            raise Skipped(f"resource type {_shown(entry.kind)} is not taken")
        states = {
            text(entry.content, "status"),
            text(entry.content, "verificationStatus", "coding", 0, "code"),
        }
        if found := sorted(state for state in states if state in _UNWANTED):
            raise Skipped(f"status {found[0]}")
        yield from maker(self, entry)

    def patient(self, entry: Entry) -> Iterator[Record]:
        """Yield a Patient; names, addresses and further numbers go into the identifying columns."""
        c, own = entry.content, key(entry)
        born, is_odd = birth(c, "birthDate")
        fields = {
            "patient": own,
            "sex": self._codes.sex(text(c, "gender")),
            "birth": born,
            "names": [name for one in items(c, "name") if (name := _name(one))],
            "contacts": _contacts(c),
            "ids": sorted({v for one in items(c, "identifier") if (v := text(one, "value"))} - {own}),
        }
        yield _record(fields, ("birth", _NO_DAY, is_odd))

    def case(self, entry: Entry) -> Iterator[Record]:
        """Yield an Encounter; one that is part of another belongs to that."""
        c = entry.content
        if at(c, "partOf") is not None:
            raise Skipped("encounter within another")
        patient, is_held = self._index.patient(c)
        start, _, odd_start = moment(c, ("period", "start"))
        end, _, odd_end = moment(c, ("period", "end"))
        fields = {"patient": patient, "case": key(entry), "start": start, "end": end}
        fields["type"] = self._codes.type(at(c, "class"))
        yield _record(
            fields,
            ("patient", _NO_PATIENT, not is_held),
            ("start", _NO_DAY, odd_start),
            ("end", _NO_DAY, odd_end),
        )

    def report(self, entry: Entry) -> Iterator[Record]:
        """Yield a DiagnosticReport: its text as presented, else its conclusion, else its narrative."""
        c = entry.content
        told, problem = _presented([*items(c, "presentedForm")])
        if told is None:
            told = text(c, "conclusion") or _narrative(c)
            problem = None if told else problem
        day = (("effectiveDateTime",), ("effectivePeriod", "start"), ("issued",))
        yield self._document(entry, told, problem, day, at(c, "code"), *items(c, "category"))

    def reference(self, entry: Entry) -> Iterator[Record]:
        """Yield a DocumentReference with its inline text."""
        c = entry.content
        told, problem = _presented([at(one, "attachment") for one in items(c, "content")])
        day = (("context", "period", "start"), ("content", 0, "attachment", "creation"), ("date",))
        yield self._document(entry, told, problem, day, at(c, "type"), at(c, "category", 0))

    def composition(self, entry: Entry) -> Iterator[Record]:
        """Yield a Composition: titles and narratives of its sections, else its own narrative."""
        c = entry.content
        parts = [*_sections(c, 0)]
        told = "\n\n".join(parts) or _narrative(c)
        yield self._document(entry, told, None, (("date",),), at(c, "type"), at(c, "category", 0))

    def _document(
        self, entry: Entry, told: str | None, problem: str | None, days: Any, *concepts: Any
    ) -> Record:
        day, _, is_odd = moment(entry.content, *days)
        fields, faults = self._placed(entry)
        fields.update(
            document=key(entry),
            kind=self._codes.kind(*concepts),
            date=day,
            accession=self._index.accession(entry.content),
            text=told,
        )
        return _record(
            fields, *faults, ("date", _NO_DAY, is_odd), ("text", problem or "", problem is not None)
        )

    def coded(self, entry: Entry) -> Iterator[Record]:
        """Yield a Condition or Procedure: the code system is the attribute."""
        c = entry.content
        coded = self._codes.coded(at(c, "code"))
        if coded is None and text(c, "code", "text") is None:
            raise Skipped("without a code")
        paths: tuple[tuple[str | int, ...], ...] = (
            *(("recordedDate",), ("onsetDateTime",), ("onsetPeriod", "start")),
            *(("performedDateTime",), ("performedPeriod", "start")),
        )
        day, clock, is_odd = moment(c, *paths)
        fields, faults = self._placed(entry, is_fact=True)
        default = {"Condition": "DIAGNOSIS", "Procedure": "PROCEDURE"}[entry.kind]
        is_known = coded is not None and coded.is_known
        fields.update(
            attribute=coded.scheme if coded and is_known else default,
            code=coded.code if coded else None,
            text=coded.name if coded else text(c, "code", "text"),
            date=day,
            time=clock,
        )
        yield _record(fields, *faults, ("date", _NO_DAY, is_odd))

    def observation(self, entry: Entry) -> Iterator[Record]:
        """Yield the values of an Observation, its own and its components', as one group."""
        c = entry.content
        day, clock, is_odd = moment(
            c, ("effectiveDateTime",), ("effectivePeriod", "start"), ("effectiveInstant",), ("issued",)
        )
        made = 0
        for node in (c, *items(c, "component")):
            value, problem = self._value(node)
            if value is None and problem is None:
                continue
            fields, faults = self._placed(entry, is_fact=True)
            fields.update(
                value or {}, attribute=self._codes.attribute(at(node, "code")), date=day, time=clock
            )
            made += 1
            more = (("date", _NO_DAY, is_odd), ("number", problem or "", problem is not None))
            yield _record(fields, *faults, *more)
        if not made:
            raise Skipped("observation without a value")

    def _value(self, node: Any) -> tuple[dict[str, Any] | None, str | None]:
        """Return the fields of the value of *node*, or a problem, or neither where it has none."""
        quantity, concept = at(node, "valueQuantity"), at(node, "valueCodeableConcept")
        if isinstance(quantity, dict):
            size = number(quantity, "value")
            if size is None:
                return None, "is a quantity without a number"
            unit = text(quantity, "unit") or text(quantity, "code")
            return {"number": size, "unit": unit, "text": text(quantity, "comparator")}, None
        if isinstance(concept, dict):
            coded = self._codes.coded(concept)
            name = text(concept, "text") or (coded.name if coded else None)
            return {"code": coded.code if coded else None, "text": name}, None
        if (told := text(node, "valueString") or text(node, "valueDateTime")) is not None:
            return {"text": told}, None
        truth, whole = at(node, "valueBoolean"), number(node, "valueInteger")
        if isinstance(truth, bool) or whole is not None:
            return {"number": whole} if whole is not None else {"code": str(truth).lower()}, None
        strange = [name for name in _VALUES if at(node, name) is not None]
        return None, f"is a {strange[0]}, which is not taken" if strange else None

    def _placed(
        self, entry: Entry, *, is_fact: bool = False
    ) -> tuple[dict[str, Any], list[tuple[str, str, bool]]]:
        """Return patient and case of *entry*, of a fact its document and group, and what is not held."""
        patient, has_patient = self._index.patient(entry.content)
        case, has_case = self._index.case(entry.content)
        fields: dict[str, Any] = {"patient": patient, "case": case}
        faults = [("patient", _NO_PATIENT, not has_patient), ("case", _NO_CASE, not has_case)]
        if is_fact:
            document, has_document = self._index.document(entry)
            fields.update(document=document, group=label(entry))
            faults.append(("document", _NO_DOCUMENT, not has_document))
        return fields, faults


_MAKERS: Final[Mapping[str, Callable[[Records, Entry], Iterator[Record]]]] = {
    "Patient": Records.patient,
    "Encounter": Records.case,
    "DiagnosticReport": Records.report,
    "DocumentReference": Records.reference,
    "Composition": Records.composition,
    "Condition": Records.coded,
    "Procedure": Records.coded,
    "Observation": Records.observation,
}


def _record(fields: dict[str, Any], *faults: tuple[str, str, bool]) -> Record:
    return Record(fields, [(name, problem) for name, problem, is_so in faults if is_so])


def _shown(kind: str) -> str:
    return kind if kind.isascii() and kind.isalpha() and len(kind) <= 40 else "of another form"  # noqa: PLR2004 - the longest is 33


def _name(node: Any) -> str:
    """Return a HumanName as Family^Given, or as its text says."""
    given = at(node, "given")
    first = [one.strip() for one in given if isinstance(one, str)] if isinstance(given, list) else []
    parts = [text(node, "family") or "", " ".join(one for one in first if one)]
    return "^".join(parts) if any(parts) else text(node, "text") or ""


def _contacts(content: Any) -> list[str]:
    found = [text(one, "value") for one in items(content, "telecom")]
    for address in items(content, "address"):
        lines = at(address, "line")
        found += [one for one in lines if isinstance(one, str)] if isinstance(lines, list) else []
        place = " ".join(filter(None, (text(address, "postalCode"), text(address, "city"))))
        found += [place or None, text(address, "text")]
    for contact in items(content, "contact"):
        found += [text(one, "value") for one in items(contact, "telecom")]
    return sorted({one for one in found if one})


def _presented(attachments: list[Any]) -> tuple[str | None, str | None]:
    """Return the text of the first attachment that is text, or why there is none."""
    problem = None
    for one in attachments:
        told, why = attachment(one)
        if told is not None:
            return told, None
        problem = problem or why
    return None, problem


def _narrative(node: Any) -> str | None:
    """Return the narrative of a resource as text."""
    markup = text(node, "text", "div")
    return (without_markup(markup) or None) if markup else None


def _sections(node: Any, depth: int) -> Iterator[str]:
    for section in items(node, "section"):
        markup = text(section, "text", "div")
        parts = [text(section, "title") or "", without_markup(markup) if markup else ""]
        if any(parts):
            yield "\n".join(part for part in parts if part)
        if depth < 8:  # noqa: PLR2004 - sections of sections; untrusted depth
            yield from _sections(section, depth + 1)
