"""Pseudonymise clinical data in the hospital zone: any format in, what the warehouse loads out.

Patients, cases and accession numbers become table pseudonyms, document and group keys derived ones, every
date moves with its patient, of the birth date the (shifted) year is left, free text loses this patient's own
values. What no column of the output is for is not written: names, addresses, further numbers, unread columns
and resources. A row that cannot be pseudonymised is left out, the text of a patient without a known name is
removed; both are counted by reason. Texts pass in chunks; what stays in memory is one small record a patient
with its case ids and accession numbers.
"""

import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from p2d.clinical.chunk import LESS_AND_MORE, Source
from p2d.flows.gateway.clinical_files import Cell, OutputFolder, Row, read_rows
from p2d.flows.gateway.clinical_person import Guard, Person
from p2d.flows.gateway.clinical_rows import Persons, rows_of
from p2d.identity.port import Ambiguous, Domain, Failure, Identity, Invalid
from p2d.model.errors import InvalidRequest
from p2d.model.identified import AccessionNumber, CaseStay, PatientId
from p2d.model.ids import Pseudonym
from p2d.model.level import Calendar
from p2d.warehouse.batch import SCHEMAS

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
    f"{table}.csv": tuple(SCHEMAS[table].names) for table in ("patient", "case", "document", "fact")
}
_OLDEST: Final = 90
_PARTIAL: Final = re.compile(r"[0-9]{4}(-[0-9]{2})?")  # a birth date without day, as FHIR may have it
_NAMELESS: Final = "text removed: the patient's name is not known"
_ROWS_PER_CHUNK: Final = 10_000
_CHARACTERS_PER_CHUNK: Final = 8 * 1024 * 1024
_CLEANERS: Final = 1024
_T = TypeVar("_T")
_Rows = Callable[[str, Callable[[str], None]], Iterator[Row]]
"""The rows of a file, and who is told why one is left out."""


@dataclass(frozen=True, slots=True)
class ClinicalReport:
    """Rows written by file, rows left out and texts removed by file and reason."""

    written: Mapping[str, int]
    quarantined: Mapping[str, Mapping[str, int]]
    removed: Mapping[str, Mapping[str, int]]


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
    check_apart(source, target)

    def rows(name: str, _refuse: Callable[[str], None]) -> Iterator[Row]:
        return read_rows(source / name, INPUT[name])

    return _pseudonymised(rows, target, identity, calendar, today)


def pseudonymise_source(
    source: Source,
    target: Path,
    identity: Identity,
    *,
    persons: Persons | None = None,
    calendar: Calendar = Calendar.SHIFTED,
    today: date | None = None,
) -> ClinicalReport:
    """Read identified data of any format, write the files of ``OUTPUT`` to *target*; else as above.

    *persons* adds names and contacts to clean texts with, where the format holds none. Malformed rows are
    left out and counted.

    Raises:
        InvalidRequest: a file is absent or not of its format; nothing is written.
        Unavailable, Refused, ProtocolViolation: identity did not serve; nothing is written.

    """

    def rows(name: str, refuse: Callable[[str], None]) -> Iterator[Row]:
        return rows_of(source, name.removesuffix(".csv"), persons or {}, refuse)

    return _pseudonymised(rows, target, identity, calendar, today)


def check_apart(source: Path, target: Path) -> None:
    """Return if the output does not go into the folder of the identified files.

    Raises:
        InvalidRequest: it would.

    """
    if source.resolve() == target.resolve():
        raise InvalidRequest("OUT", "is the folder of the identified files", "name another folder")


def _pseudonymised(
    rows: _Rows, target: Path, identity: Identity, calendar: Calendar, today: date | None
) -> ClinicalReport:
    with OutputFolder(target, OUTPUT) as output:
        run = _Run(rows, output, identity, calendar, today or datetime.now(UTC).date())
        run.patients()
        run.cases()
        run.accessions()
        run.documents()
        run.facts()
    left = {name: dict(by) for name, by in run.quarantined.items()}
    return ClinicalReport(dict(run.written), left, {name: dict(by) for name, by in run.removed.items()})


class _Run:
    def __init__(
        self, rows: _Rows, output: OutputFolder, identity: Identity, calendar: Calendar, today: date
    ) -> None:
        self._rows = rows
        self._output = output
        self._identity = identity
        self._calendar = calendar
        self._oldest_year = today.year - _OLDEST
        self._people: dict[str, Person] = {}
        self._guards: OrderedDict[str, Guard] = OrderedDict()
        self.written: Counter[str] = Counter()
        self.quarantined: dict[str, Counter[str]] = {}
        self.removed: dict[str, Counter[str]] = {}

    def patients(self) -> None:
        for chunk in self._chunks("patient.csv"):
            ids = [PatientId(row.required("patient_id")) for row in chunk]
            answers = self._identity.pseudonymise(Domain.PATIENT, ids, create=True)
            shifts = self._shifts([answer for answer in answers if isinstance(answer, Pseudonym)])
            pairs = list(zip(chunk, answers, strict=True))
            self._write("patient.csv", pairs, partial(self._patient, shifts=shifts))

    def _patient(self, pair: tuple[Row, Pseudonym | Failure], shifts: Mapping[Pseudonym, int]) -> list[Cell]:
        row, answer = pair
        patient_id, written = row.text("patient_id"), row.text("birth_date")
        only_year = int(written[:4]) if _PARTIAL.fullmatch(written) else None
        born = row.day("birth_date") if only_year is None else None
        psn = _value("patient id", answer)
        if patient_id in self._people:
            raise _Unfit("patient stands in the file twice")
        person = Person(
            *(psn, shifts[psn], patient_id, row.several("name"), born),
            contacts=row.several("contacts"),
            more_ids=row.several("ids"),
        )
        day = _moved(person, born)
        year = day.year if day else only_year
        cells = _ordered(
            "patient.csv",
            patient=psn,
            sex=_word(Guard(person), row, "sex"),
            birth_year=None if year is None else max(year, self._oldest_year),
        )
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
        start, end = (_iso(_moved(person, day)) for day in (stay.start, stay.end))
        kind = _word(Guard(person), row, "type")
        cells = _ordered("case.csv", patient=person.pseudonym, case=psn, start=start, end=end, type=kind)
        person.cases[stay.admission_id] = psn
        return cells

    def accessions(self) -> None:
        """Learn every patient's accession numbers: a letter may name another report's."""
        for row in self._rows("document.csv", _unheard):
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
        return _ordered(
            "document.csv",
            patient=person.pseudonym,
            case=_case_of(person, row),
            document=keys[f"document:{row.text('document_id')}"],
            kind=_word(guard, row, "kind"),
            date=_iso(_moved(person, day)),
            accession=_value("accession number", accessions[number]) if number else None,
            text=self._cleaned("document.csv", person, row),
            source=_word(guard, row, "source"),
        )

    def facts(self) -> None:
        for chunk in self._chunks("fact.csv"):
            sources = {f"document:{row.text('document_id')}" for row in chunk}
            sources |= {f"group:{row.text('group_id')}" for row in chunk}
            keys = self._identity.derive(sorted(sources - {"document:", "group:"}))
            self._write("fact.csv", chunk, partial(self._fact, keys=keys))

    def _fact(self, row: Row, keys: Mapping[str, str]) -> list[Cell]:
        day, number, person = row.day("date"), row.number("number"), self._person(row)
        guard = self._guard(person)
        return _ordered(
            "fact.csv",
            patient=person.pseudonym,
            case=_case_of(person, row),
            document=keys.get(f"document:{row.text('document_id')}"),
            group=keys.get(f"group:{row.text('group_id')}"),
            attribute=_word(guard, row, "attribute"),
            date=_iso(_moved(person, day)),
            time=row.clock("time"),
            number=number,
            code=_word(guard, row, "code"),
            text=self._cleaned("fact.csv", person, row),
            unit=_word(guard, row, "unit"),
            source=_word(guard, row, "source"),
        )

    def _cleaned(self, name: str, person: Person, row: Row) -> str:
        """Return the row's text without what identifies the patient; none where the name is not known."""
        text = row.raw("text")
        if not text.strip() or text in LESS_AND_MORE:
            return text
        if not person.names:
            self.removed.setdefault(name, Counter())[_NAMELESS] += 1
            return ""
        return self._guard(person).clean(text)

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
                self._leave_out(name, str(reason))
        self._output.write(name, rows)
        self.written[name] += len(rows)

    def _leave_out(self, name: str, reason: str) -> None:
        self.quarantined.setdefault(name, Counter())[reason] += 1

    def _chunks(self, name: str) -> Iterator[list[Row]]:
        self.written[name] = 0
        chunk: list[Row] = []
        characters = 0
        for row in self._rows(name, lambda reason: self._leave_out(name, reason)):
            chunk.append(row)
            characters += sum(map(len, row.cells.values()))
            if len(chunk) == _ROWS_PER_CHUNK or characters > _CHARACTERS_PER_CHUNK:
                yield chunk
                chunk, characters = [], 0
        if chunk:
            yield chunk


def _unheard(reason: str) -> None:
    """Leave out once more what the reading that writes will count."""


def _ordered(name: str, **cells: Cell) -> list[Cell]:
    """Return *cells* in the order of the columns of the file *name*; those without a column are dropped."""
    return [cells.get(column) for column in OUTPUT[name]]


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
