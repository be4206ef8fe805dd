"""Pseudonymise clinical data in the hospital zone: identified CSV files in, what the warehouse loads out.

Patients, cases and accession numbers become table pseudonyms, document and group keys derived ones, every
date moves with its patient, of the birth date the (shifted) year is left, free text loses this patient's own
values. A row that cannot be pseudonymised is left out and counted by reason. Texts pass in chunks; what stays
in memory is one small record a patient with its case ids and accession numbers.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from p2d.flows.gateway.clinical_files import Cell, OutputFolder, Row, read_rows
from p2d.flows.gateway.clinical_person import Guard, Person
from p2d.identity.port import Ambiguous, Domain, Failure, Identity, Invalid
from p2d.model.errors import InvalidRequest
from p2d.model.identified import AccessionNumber, CaseStay, PatientId
from p2d.model.ids import Pseudonym
from p2d.model.level import Calendar

INPUT: Final[Mapping[str, tuple[str, ...]]] = {
    "patient.csv": ("patient_id", "name", "sex", "birth_date"),
    "case.csv": ("patient_id", "case_id", "start", "end", "type"),
    "document.csv": ("patient_id", "case_id", "document_id", "kind", "date", "accession_number", "text"),
    "fact.csv": (
        *("patient_id", "case_id", "document_id", "group_id", "attribute", "date"),
        *("number", "code", "text", "unit"),
    ),
}
OUTPUT: Final[Mapping[str, tuple[str, ...]]] = {
    "patient.csv": ("patient", "sex", "birth_year"),
    "case.csv": ("patient", "case", "start", "end", "type"),
    "document.csv": ("patient", "case", "document", "kind", "date", "accession", "text"),
    "fact.csv": (
        *("patient", "case", "document", "group", "attribute", "date", "number", "code", "text", "unit"),
    ),
}
_OLDEST: Final = 90
_ROWS_PER_CHUNK: Final = 10_000
_CHARACTERS_PER_CHUNK: Final = 8 * 1024 * 1024
_CLEANERS: Final = 1024
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ClinicalReport:
    """Rows written by file, and rows left out by file and reason."""

    written: Mapping[str, int]
    quarantined: Mapping[str, Mapping[str, int]]


class _Unfit(Exception):  # noqa: N818 - not an error: the row is counted and left out
    """Why a row cannot be pseudonymised."""


def pseudonymise_clinical(
    source: Path,
    target: Path,
    identity: Identity,
    *,
    calendar: Calendar = Calendar.SHIFTED,
    today: date | None = None,
) -> ClinicalReport:
    """Read the identified files of ``INPUT`` in *source*, write those of ``OUTPUT`` to *target*.

    Nobody's birth year is more than 90 years before *today*. With *calendar* TRUE dates stay as they are.

    Raises:
        InvalidRequest: a file is absent or malformed; names file, line and column; nothing is written.
        Unavailable, Refused, ProtocolViolation: identity did not serve; nothing is written.

    """
    if source.resolve() == target.resolve():
        raise InvalidRequest("OUT", "is the folder of the identified files", "name another folder")
    with OutputFolder(target, OUTPUT) as output:
        run = _Run(source, output, identity, calendar, today or datetime.now(UTC).date())
        run.patients()
        run.cases()
        run.accessions()
        run.documents()
        run.facts()
    return ClinicalReport(dict(run.written), {name: dict(by) for name, by in run.quarantined.items()})


class _Run:
    def __init__(
        self, source: Path, output: OutputFolder, identity: Identity, calendar: Calendar, today: date
    ) -> None:
        self._source = source
        self._output = output
        self._identity = identity
        self._calendar = calendar
        self._oldest_year = today.year - _OLDEST
        self._people: dict[str, Person] = {}
        self._guards: OrderedDict[str, Guard] = OrderedDict()
        self.written: Counter[str] = Counter()
        self.quarantined: dict[str, Counter[str]] = {}

    def patients(self) -> None:
        for chunk in self._chunks("patient.csv"):
            ids = [PatientId(row.required("patient_id")) for row in chunk]
            answers = self._identity.pseudonymise(Domain.PATIENT, ids, create=True)
            shifts = self._shifts([answer for answer in answers if isinstance(answer, Pseudonym)])
            pairs = list(zip(chunk, answers, strict=True))
            self._write("patient.csv", pairs, partial(self._patient, shifts=shifts))

    def _patient(self, pair: tuple[Row, Pseudonym | Failure], shifts: Mapping[Pseudonym, int]) -> list[Cell]:
        row, answer = pair
        patient_id, born = row.text("patient_id"), row.day("birth_date")
        psn = _value("patient id", answer)
        if patient_id in self._people:
            raise _Unfit("patient stands in the file twice")
        person = Person(psn, shifts[psn], patient_id, row.text("name"), born)
        day = _moved(person, born)
        year = max(day.year, self._oldest_year) if day else None
        cells: list[Cell] = [psn, _word(Guard(person), row, "sex"), year]
        self._people[patient_id] = person
        return cells

    def cases(self) -> None:
        for chunk in self._chunks("case.csv"):
            stays = [_stay(row) for row in chunk]
            fit = [stay for stay in stays if stay.patient_id.value in self._people and not _is_reversed(stay)]
            answers = self._identity.pseudonymise(Domain.CASE, fit, create=True)
            known = dict(zip(fit, answers, strict=True))
            self._write("case.csv", list(zip(chunk, stays, strict=True)), partial(self._case, known=known))

    def _case(self, pair: tuple[Row, CaseStay], known: Mapping[CaseStay, Pseudonym | Failure]) -> list[Cell]:
        row, stay = pair
        person = self._person(row)
        if _is_reversed(stay):
            raise _Unfit("case ends before it begins")
        psn = _value("case id", known[stay])
        if stay.admission_id in person.cases:
            raise _Unfit("case stands in the file twice")
        days = [_iso(_moved(person, day)) for day in (stay.start, stay.end)]
        cells: list[Cell] = [person.pseudonym, psn, *days, _word(Guard(person), row, "type")]
        person.cases[stay.admission_id] = psn
        return cells

    def accessions(self) -> None:
        """Learn every patient's accession numbers: a letter may name another report's."""
        for row in read_rows(self._source / "document.csv", INPUT["document.csv"]):
            person = self._people.get(row.text("patient_id"))
            if person and row.text("accession_number"):
                person.accessions.add(row.text("accession_number"))

    def documents(self) -> None:
        for chunk in self._chunks("document.csv"):
            keys = self._identity.derive([f"document:{row.required('document_id')}" for row in chunk])
            numbers = list({row.text("accession_number") for row in chunk} - {""})
            asked = [AccessionNumber(number) for number in numbers]
            answers = self._identity.pseudonymise(Domain.ACCESSION, asked, create=True)
            accessions = dict(zip(numbers, answers, strict=True))
            self._write("document.csv", chunk, partial(self._document, keys=keys, accessions=accessions))

    def _document(
        self, row: Row, keys: Mapping[str, str], accessions: Mapping[str, Pseudonym | Failure]
    ) -> list[Cell]:
        day, person, number = row.day("date"), self._person(row), row.text("accession_number")
        guard = self._guard(person)
        return [
            person.pseudonym,
            _case_of(person, row),
            keys[f"document:{row.text('document_id')}"],
            _word(guard, row, "kind"),
            _iso(_moved(person, day)),
            _value("accession number", accessions[number]) if number else None,
            guard.clean(row.raw("text")),
        ]

    def facts(self) -> None:
        for chunk in self._chunks("fact.csv"):
            sources = {f"document:{row.text('document_id')}" for row in chunk}
            sources |= {f"group:{row.text('group_id')}" for row in chunk}
            keys = self._identity.derive(sorted(sources - {"document:", "group:"}))
            self._write("fact.csv", chunk, partial(self._fact, keys=keys))

    def _fact(self, row: Row, keys: Mapping[str, str]) -> list[Cell]:
        day, number, person = row.day("date"), row.number("number"), self._person(row)
        guard = self._guard(person)
        return [
            person.pseudonym,
            _case_of(person, row),
            keys.get(f"document:{row.text('document_id')}"),
            keys.get(f"group:{row.text('group_id')}"),
            _word(guard, row, "attribute"),
            _iso(_moved(person, day)),
            number,
            _word(guard, row, "code"),
            guard.clean(row.raw("text")),
            _word(guard, row, "unit"),
        ]

    def _shifts(self, patients: Sequence[Pseudonym]) -> Mapping[Pseudonym, int]:
        if self._calendar is Calendar.TRUE:
            return dict.fromkeys(patients, 0)
        return dict(zip(patients, self._identity.date_shift(patients), strict=True))

    def _person(self, row: Row) -> Person:
        person = self._people.get(row.required("patient_id"))
        if person is None:
            raise _Unfit("patient not in patient.csv, or without pseudonym")
        return person

    def _guard(self, person: Person) -> Guard:
        guard = self._guards.get(person.pseudonym) or Guard(person)
        self._guards[person.pseudonym] = guard
        self._guards.move_to_end(person.pseudonym)
        if len(self._guards) > _CLEANERS:
            self._guards.popitem(last=False)
        return guard

    def _write(self, name: str, items: Iterable[_T], write: Callable[[_T], list[Cell]]) -> None:
        rows = []
        for item in items:
            try:
                rows.append(write(item))
            except _Unfit as reason:
                self.quarantined.setdefault(name, Counter())[str(reason)] += 1
        self._output.write(name, rows)
        self.written[name] += len(rows)

    def _chunks(self, name: str) -> Iterator[list[Row]]:
        self.written[name] = 0
        chunk: list[Row] = []
        characters = 0
        for row in read_rows(self._source / name, INPUT[name]):
            chunk.append(row)
            characters += sum(map(len, row.cells.values()))
            if len(chunk) == _ROWS_PER_CHUNK or characters > _CHARACTERS_PER_CHUNK:
                yield chunk
                chunk, characters = [], 0
        if chunk:
            yield chunk


def _value(what: str, answer: Pseudonym | Failure) -> Pseudonym:
    if isinstance(answer, Pseudonym):
        return answer
    reasons = {Invalid: "not in a form that can be asked", Ambiguous: "ambiguous"}
    raise _Unfit(f"{what} {reasons.get(type(answer), 'unknown to identity management')}")


def _stay(row: Row) -> CaseStay:
    patient_id = PatientId(row.required("patient_id"))
    return CaseStay(row.required("case_id"), patient_id, row.day("start"), row.day("end"))


def _is_reversed(stay: CaseStay) -> bool:
    return bool(stay.start and stay.end and stay.end < stay.start)


def _case_of(person: Person, row: Row) -> Pseudonym | None:
    case_id = row.text("case_id")
    if case_id and case_id not in person.cases:
        raise _Unfit("case not in case.csv, or without pseudonym")
    return person.cases[case_id] if case_id else None


def _word(guard: Guard, row: Row, column: str) -> str:
    word = row.text(column)
    if guard.finds_in(word):
        raise _Unfit(f"{column} holds an identifying value")
    return word


def _moved(person: Person, day: date | None) -> date | None:
    try:
        return day + timedelta(days=person.shift_days) if day else None
    except OverflowError:
        raise _Unfit("date outside the calendar") from None


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None
