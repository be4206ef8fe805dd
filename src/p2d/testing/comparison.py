"""Compare every imaging row of a warehouse with the synthetic hospital that was extracted.

The expectation is computed from the truth and identity's keys by obvious plain Python, not by the code under
test. Differences are returned as sentences without identifiers (pseudonyms and attribute names only).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final, Protocol

from p2d.dicom.dictionary import keyword_of
from p2d.dicom.elements import elements_of
from p2d.identity.keys import Keys
from p2d.identity.port import Domain
from p2d.identity.table import IdentityTable
from p2d.model.header import Element
from p2d.model.identified import AccessionNumber, PatientId
from p2d.model.ids import Pseudonym
from p2d.testing.hospital import Hospital, Instance, Patient, Series

_WORD: Final = re.compile(r"\w+")
_NUMERIC: Final = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "UL", "US"})
_WRITTEN: Final = ("0040A730[", "00120062", "00120063", "00120064", "00280303", "00080005")
"""Elements that de-identification itself writes (PS3.15 E.1.1), and content items of reports.

Of a report items may go (Table E.3.4-1), which moves the numbers of those behind them.
"""


@dataclass(frozen=True, slots=True)
class Truth:
    """The hospital with identity's keys: what each original becomes."""

    hospital: Hospital = field(repr=False)
    keys: Keys = field(repr=False)
    table: IdentityTable = field(repr=False)
    max_shift_days: int = 365
    _known: dict[str, Pseudonym] = field(default_factory=dict, repr=False)

    def patient(self, patient: Patient) -> Pseudonym:
        """Return the pseudonym of *patient*.

        Raises:
            LookupError: identity does not know the patient.

        """
        if patient.patient_id not in self._known:
            self._known[patient.patient_id] = self._asked(patient)
        return self._known[patient.patient_id]

    def _asked(self, patient: Patient) -> Pseudonym:
        (found,) = self.table.pseudonymise(Domain.PATIENT, [PatientId(patient.patient_id)], create=False)
        if not isinstance(found, Pseudonym):
            raise LookupError(type(found).__name__)  # noqa: TRY004 - an unknown patient, not a wrong type
        return found

    def accession(self, number: str) -> str | None:
        """Return the pseudonym of an accession number; None for an empty one."""
        if not number:
            return None
        (found,) = self.table.pseudonymise(Domain.ACCESSION, [AccessionNumber(number)], create=False)
        return str(found)

    def day(self, patient: Patient, day: date) -> date:
        """Return *day* in the patient's shifted calendar."""
        return day + timedelta(days=self.keys.shift_days(self.patient(patient), self.max_shift_days))

    def uid(self, uid: str) -> str:
        """Return the derived UID."""
        return self.keys.derive_uid(uid)


def picks(hospital: Hospital, *choices: str) -> dict[str, Instance]:
    """Return the instances that *choices* (first, middle, all) select, by original UID."""
    chosen: dict[str, Instance] = {}
    pick: Mapping[str, Callable[[Series], Iterable[Instance]]] = {
        "first": lambda series: [series.first()],
        "middle": lambda series: [series.middle()],
        "all": lambda series: series.instances,
    }
    for series in hospital.series():
        for choice in choices:
            chosen.update({i.sop_instance_uid: i for i in pick[choice](series)})
    return chosen


class Answer(Protocol):
    """What a statement yields."""

    @property
    def description(self) -> Sequence[Any] | None:
        """The columns, each with its name first."""
        ...

    def fetchall(self) -> list[Any]:
        """Return all rows."""
        ...


class Database(Protocol):
    """A warehouse opened to be looked at: a connection of DuckDB or of psycopg."""

    def execute(self, query: Any, /) -> Answer:
        """Run *query*."""
        ...


def differences(
    db: Database,
    truth: Truth,
    basic: Mapping[str, Instance],
    extended: Mapping[str, Instance],
    unanswered: frozenset[str] = frozenset(),
) -> list[str]:
    """Compare all study, series, instance and header rows; an empty list means that every row is right.

    *unanswered* are optional keys (PS3.4 C.6.1.1) that the archive does not answer: their columns are empty
    until a header of the series was retrieved.
    """
    return [
        *_compared("study", _rows(db, _STUDIES), _studies(truth)),
        *_compared("series", _rows(db, _SERIES), _series(truth, extended, unanswered)),
        *_compared("instance", _rows(db, _INSTANCES), _instances(truth, basic, extended, unanswered)),
        *_headers(db, truth, extended),
    ]


_STUDIES: Final = """
    SELECT study, patient, accession, "StudyDate", "StudyDescription",
      "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"
    FROM study JOIN patient USING (patient_key)"""
_SERIES: Final = """
    SELECT series, patient, study, "Modality", "SeriesNumber", "SeriesDescription", "BodyPartExamined",
      "NumberOfSeriesRelatedInstances"
    FROM series s JOIN study t USING (study_key) JOIN patient p ON p.patient_key = s.patient_key"""
_INSTANCES: Final = """
    SELECT instance, patient, series, "InstanceNumber", "SOPClassUID", "Rows", "Columns",
      extended_run IS NOT NULL AS extended
    FROM (SELECT i.*, s.series FROM instance i JOIN series s USING (series_key)) x
    JOIN patient p ON p.patient_key = x.patient_key"""
_HEADERS: Final = """
    SELECT i.instance, h.path, h.item, h.vr, h.number, h.date, h.text
    FROM header h JOIN instance i USING (instance_key)"""


def _rows(db: Database, sql: str) -> dict[str, dict[str, Any]]:
    found = db.execute(sql)
    names = [column[0] for column in found.description or ()]
    listed = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    keyed = {str(row[names[0]]): row for row in listed}
    if len(keyed) != len(listed):
        raise AssertionError(f"{names[0]}: {len(listed) - len(keyed)} rows share a pseudonym")
    return keyed


def _compared(
    table: str, rows: Mapping[str, dict[str, Any]], expected: Mapping[str, dict[str, Any]]
) -> Iterator[str]:
    for key in sorted(expected.keys() - rows.keys()):
        yield f"{table} {key}: no row"
    for key in sorted(rows.keys() - expected.keys()):
        yield f"{table} {key}: row without truth"
    for key in sorted(rows.keys() & expected.keys()):
        for name, value in expected[key].items():
            got = rows[key][name]
            matches = value(got) if callable(value) else got == value
            if not matches:
                yield f"{table} {key}: {name} differs"


def cleaned(text: str, patient: Patient) -> Callable[[str | None], bool]:
    """Return a claim about *text* after cleaning: equal, unless it names the patient.

    Then the name is gone, and every other word of the original is there in order or was part of what was
    removed or shifted with it.
    """
    own = {part.casefold() for part in _WORD.findall(f"{patient.family} {patient.given}")}

    def claim(got: str | None) -> bool:
        words = _WORD.findall(text)
        if not own & {word.casefold() for word in words} and not re.search(r"\d{4}", text):
            return (got or "") == text
        left = iter(word.casefold() for word in _WORD.findall(got or ""))
        kept = [word.casefold() for word in words if word.casefold() not in own and not word.isdigit()]
        survivors = list(left)
        return all(word in survivors for word in kept)

    return claim


def _absent(got: str | None) -> bool:
    return got is None


def _studies(truth: Truth) -> dict[str, dict[str, Any]]:
    return {
        truth.uid(study.study_instance_uid): {
            "patient": truth.patient(study.patient),
            "accession": truth.accession(study.accession_number),
            "StudyDate": truth.day(study.patient, study.date),
            "StudyDescription": cleaned(study.description, study.patient),
            "NumberOfStudyRelatedSeries": _one_of(len(study.series)),
            "NumberOfStudyRelatedInstances": _one_of(sum(len(s.instances) for s in study.series)),
        }
        for study in truth.hospital.studies()
    }


def _one_of(count: int) -> Callable[[int | None], bool]:
    return lambda got: got is None or got == count  # optional keys (PS3.4 C.6.1.1): not every archive answers


def _text(text: str) -> Callable[[str | None], bool]:
    return lambda got: (got or "") in {"", text}  # as above


def _series(
    truth: Truth, extended: Mapping[str, Instance], unanswered: frozenset[str]
) -> dict[str, dict[str, Any]]:
    retrieved = {instance.series.series_instance_uid for instance in extended.values()}
    without = {
        uid: unanswered
        for series in truth.hospital.series()
        if (uid := series.series_instance_uid) not in retrieved
    }
    return {
        truth.uid(series.series_instance_uid): {
            "patient": truth.patient(series.study.patient),
            "study": truth.uid(series.study.study_instance_uid),
            "Modality": series.modality,
            "SeriesNumber": series.number,
            "SeriesDescription": _absent
            if "SeriesDescription" in without.get(series.series_instance_uid, ())
            else cleaned(series.description, series.study.patient),
            "BodyPartExamined": _text(series.body_part),
            "NumberOfSeriesRelatedInstances": _one_of(len(series.instances)),
        }
        for series in truth.hospital.series()
    }


def _instances(
    truth: Truth,
    basic: Mapping[str, Instance],
    extended: Mapping[str, Instance],
    unanswered: frozenset[str],
) -> dict[str, dict[str, Any]]:
    return {
        truth.uid(uid): {
            "patient": truth.patient(instance.series.study.patient),
            "series": truth.uid(instance.series.series_instance_uid),
            "InstanceNumber": instance.number,
            "SOPClassUID": _absent
            if "SOPClassUID" in unanswered and uid not in extended
            else instance.sop_class_uid,
            "Rows": _one_of(instance.rows),
            "Columns": _one_of(instance.columns),
            "extended": uid in extended,
        }
        for uid, instance in {**basic, **extended}.items()
    }


def _headers(db: Database, truth: Truth, extended: Mapping[str, Instance]) -> Iterator[str]:
    rows: dict[str, dict[tuple[str, int], tuple[Any, ...]]] = {}
    for instance, path, item, *value in db.execute(_HEADERS).fetchall():
        rows.setdefault(instance, {})[path, item] = tuple(value)
    expected = {truth.uid(uid): instance for uid, instance in extended.items()}
    for key in sorted(rows.keys() ^ expected.keys()):
        yield f"header {key}: {'no rows' if key in expected else 'rows without truth'}"
    for key in sorted(rows.keys() & expected.keys()):
        yield from _header(key, rows[key], expected[key], truth)


def _header(
    key: str, rows: Mapping[tuple[str, int], tuple[Any, ...]], instance: Instance, truth: Truth
) -> Iterator[str]:
    true = elements_of(instance.render())
    patient = instance.series.study.patient
    for (path, item), value in rows.items():
        if path.startswith(_WRITTEN):
            continue
        element = true.get(path)
        if element is None:
            yield f"header {key}: {path} {keyword_of(path)} is not in the object"
        elif element.values and not _agrees(element, item, value, truth, patient):
            yield f"header {key}: {path} {keyword_of(path)} differs"
    for path, element in true.items():
        if path.startswith(_WRITTEN):
            continue
        if element.vr in _NUMERIC and element.values and (path, 0) not in rows and int(path[:4], 16) % 2 == 0:
            yield f"header {key}: {path} {keyword_of(path)} was lost"


def _agrees(element: Element, item: int, row: tuple[Any, ...], truth: Truth, patient: Patient) -> bool:
    vr, number, day, text = row
    if text is None:
        return True  # emptied by the profile
    original = element.values[item] if item < len(element.values) else None
    if vr in _NUMERIC:
        return number is not None and float(number) == float(original or 0)
    if vr == "DA":
        return bool(day == truth.day(patient, date.fromisoformat(str(original))))
    if vr == "UI":
        return bool(text == truth.uid(str(original)))
    return True  # texts are the privacy suite's and the unit tests' matter
