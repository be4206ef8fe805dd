"""C-FIND (PS3.4 C.4.1): one query asked to its final status, and the hierarchy joined from few of them."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Final

from p2d.model.errors import ProtocolViolation, Unavailable
from p2d.model.header import Element, text_of
from p2d.model.identified import IdentifiedHeader, PatientId
from p2d.model.level import Level
from p2d.pacs.capped import CAPPED, SUSPICIOUS, CappedError, by_days, short
from p2d.pacs.port import Query
from p2d.pacs.pynetdicom.association import Association
from p2d.pacs.pynetdicom.contexts import FIND
from p2d.pacs.pynetdicom.identifiers import answer, encoded
from p2d.pacs.pynetdicom.messages import FIND_RESPONSE
from p2d.pacs.pynetdicom.requests import COMMAND, FIND_REQUEST, MEDIUM, PRIORITY
from p2d.pacs.query import ACCESSION_NUMBER, KEYS, PATIENT_ID, STUDY_DATE, UNIQUE, date_range, is_within

Row = dict[str, Element]

_SUCCESS: Final = 0x0000
_STUDIES: Final = "00201200"  # NumberOfPatientRelatedStudies
_PENDING: Final = frozenset({0xFF00, 0xFF01})  # 0xFF01: some optional keys were not matched
_MOST_OWNERS: Final = 10
MOST_ROWS: Final = 1_000_000
"""Answers to one C-FIND at most; they are held in memory, and an archive could send them without end."""
_WORDS: Final = {
    Level.PATIENT: "PATIENT",
    Level.STUDY: "STUDY",
    Level.SERIES: "SERIES",
    Level.INSTANCE: "IMAGE",
}


def refusal(status: int, operation: str) -> Unavailable | ProtocolViolation:
    """Return the error for a final *status* that is no success; 0xA7xx and 0xCxxx are worth another try."""
    problem = f"{operation} ended with status 0x{status:04X}"
    if status >> 8 == 0xA7 or status >> 12 == 0xC:  # noqa: PLR2004 - PS3.4 C.4.1.1.4 and C.4.2.1.5
        return Unavailable("pacs", problem, "try again later")
    return ProtocolViolation("pacs", problem, "see the archive's conformance statement")


def ask(association: Association, level: Level, keys: Mapping[str, str], *, patient_root: bool) -> list[Row]:
    """Return all answers at *level* to *keys*, the level's return keys added.

    Raises:
        CappedError: a final status by which archives say that there is more.
        Unavailable: no final status 0x0000 was received.
        ProtocolViolation: another final status, an answer that is none, or more than MOST_ROWS of them.

    """
    context = association.context(*(reversed(FIND) if patient_root else FIND))
    identifier = encoded(_WORDS[level], {**dict.fromkeys(KEYS[level], ""), **keys})
    message_id = association.send({COMMAND: FIND_REQUEST, PRIORITY: MEDIUM}, context, identifier)
    rows: list[Row] = []
    while True:
        response = association.response(FIND_RESPONSE, message_id, association.receive())
        status = response.status
        if status in _PENDING and response.content:
            if len(rows) == MOST_ROWS:
                raise ProtocolViolation("pacs", f"C-FIND brought more than {MOST_ROWS:,} rows")
            rows.append(_row(response.content))
        elif status == _SUCCESS:
            return rows
        elif status in CAPPED:
            raise CappedError(refusal(status, "C-FIND"))
        else:
            raise refusal(status, "C-FIND")


def _row(content: bytes) -> Row:
    try:
        return answer(content)
    except ValueError as error:
        raise ProtocolViolation("pacs", f"an answer is not readable: {type(error).__name__}") from None


@dataclass(frozen=True, slots=True)
class Finder:
    """The entities of one query, over one association, level by level."""

    association: Association
    query: Query
    relational: bool

    def headers(self) -> list[IdentifiedHeader]:
        """Return what the query asks for, each entity once, upper levels joined.

        What an archive cut short is asked for again in smaller pieces; what cannot be split is an error.
        """
        try:
            return self._headers()
        except CappedError as capped:
            raise capped.error from None

    def _headers(self) -> list[IdentifiedHeader]:
        level = self.query.level
        if level is Level.PATIENT:
            rows = self._asked(Level.PATIENT, {}, patient_root=True)
        else:
            rows = self._studies()
            if rows and level is not Level.STUDY:
                series = self._series(rows)
                rows = series if level is Level.SERIES else self._instances(rows, series)
        return [IdentifiedHeader(level, row) for row in rows]

    @property
    def _is_narrowed(self) -> bool:
        query = self.query
        return bool(query.study_instance_uid or query.accession_number or query.first_day or query.last_day)

    def _studies(self) -> list[Row]:
        keys = {
            UNIQUE[Level.STUDY]: self.query.study_instance_uid,
            STUDY_DATE: date_range(self.query.first_day, self.query.last_day),
            ACCESSION_NUMBER: self.query.accession_number,
        }
        try:
            rows = self._asked(Level.STUDY, keys)
        except CappedError:
            rows = self._studies_by_days(keys)
            self._check_studies(rows)
        else:
            if len(rows) in SUSPICIOUS:
                rows = _merged(Level.STUDY, rows, self._studies_by_days(keys))
        return [row for row in rows if is_within(IdentifiedHeader(Level.STUDY, row), self.query)]

    def _studies_by_days(self, keys: Mapping[str, str]) -> list[Row]:
        def of_days(first: date, last: date) -> list[Row]:
            return self._asked(Level.STUDY, {**keys, STUDY_DATE: date_range(first, last)})

        return _merged(Level.STUDY, by_days(of_days, self.query.first_day, self.query.last_day))

    def _check_studies(self, rows: list[Row]) -> None:
        """Raise ProtocolViolation when the archive counts more studies than were found by their days."""
        if self._is_narrowed:
            return
        of_patient = self._asked(Level.PATIENT, {}, patient_root=True)
        counted = text_of(of_patient[0], _STUDIES) if of_patient else ""
        if counted.isdigit() and int(counted) > len(rows):
            raise ProtocolViolation(
                "pacs",
                f"C-FIND is cut short, and {int(counted) - len(rows)} studies are not found by their dates",
                "raise the archive's limit of results",
            )

    def _series(self, studies: list[Row]) -> list[Row]:
        own = {UNIQUE[Level.SERIES]: self.query.series_instance_uid}
        rows: list[Row] = []
        left = studies
        if self.relational and not self._is_narrowed:
            with suppress(CappedError):
                rows = _joined(self._asked(Level.SERIES, own, patient_root=True), studies, Level.STUDY)
                left = [] if self.query.series_instance_uid else short(studies, rows, Level.STUDY)
        for study in left:
            keys = {**_upper(study, Level.STUDY), **own}
            some = _joined(self._asked(Level.SERIES, keys), [study], Level.STUDY)
            rows = _merged(Level.SERIES, rows, some)
        return rows

    def _instances(self, studies: list[Row], series: list[Row]) -> list[Row]:
        own = {UNIQUE[Level.INSTANCE]: self.query.sop_instance_uid}
        rows: list[Row] = []
        left = series
        if self.relational:
            with suppress(CappedError):
                rows = self._related(studies, series, own)
                left = [] if self.query.sop_instance_uid else short(series, rows, Level.SERIES)
        found = [rows]
        for one in left:
            keys = {**_upper(one, Level.STUDY, Level.SERIES), **own}
            found.append(_joined(self._asked(Level.INSTANCE, keys), [one], Level.SERIES))
        return _merged(Level.INSTANCE, *found) if left else rows

    def _related(self, studies: list[Row], series: list[Row], own: dict[str, str]) -> list[Row]:
        """Return the instances of all *series* by as few queries as can be."""
        if self.query.series_instance_uid:
            own = {**own, UNIQUE[Level.SERIES]: self.query.series_instance_uid}
        above = [_upper(study, Level.STUDY) for study in studies] if self._is_narrowed else [{}]
        found = [
            row for keys in above for row in self._asked(Level.INSTANCE, {**keys, **own}, patient_root=True)
        ]
        return _joined(found, series, Level.SERIES)

    def _asked(self, level: Level, keys: Mapping[str, str], *, patient_root: bool = False) -> list[Row]:
        """Ask for this patient alone and return the answers that were checked, each entity once."""
        stated = {PATIENT_ID: self.query.patient_id.value, **keys}
        rows = ask(self.association, level, stated, patient_root=patient_root)
        self._check(rows, level, stated, must_name_patient=patient_root or level is Level.STUDY)
        unique = UNIQUE[level]
        return list({text_of(row, unique): row for row in reversed(rows)}.values())[::-1]

    def _check(
        self, rows: Iterable[Row], level: Level, stated: Mapping[str, str], *, must_name_patient: bool
    ) -> None:
        """Raise ProtocolViolation when an answer is about something else than was *stated*."""
        uids = {path: stated[path] for path in UNIQUE.values() if stated.get(path)}
        asked = uids.pop(PATIENT_ID).strip()
        foreign = strange = nameless = 0
        for row in rows:
            patient = text_of(row, PATIENT_ID)
            foreign += patient != asked if patient or must_name_patient else 0
            strange += any(text_of(row, path) not in {"", uid} for path, uid in uids.items())
            nameless += not text_of(row, UNIQUE[level])
        if foreign or strange or nameless:
            raise ProtocolViolation(
                "pacs",
                f"C-FIND at {_WORDS[level]} level answered with {foreign} row(s) of another patient, "
                f"{strange} of another study or series, {nameless} without unique key",
                'use query = "hierarchical" and see the archive\'s conformance statement',
            )


def _upper(row: Row, *levels: Level) -> dict[str, str]:
    return {UNIQUE[level]: text_of(row, UNIQUE[level]) for level in levels}


def _merged(level: Level, *found: list[Row]) -> list[Row]:
    """Return the rows of *found*, each entity at *level* once."""
    return list({text_of(row, UNIQUE[level]): row for rows in found for row in rows}.values())


def _joined(rows: list[Row], upper: list[Row], level: Level) -> list[Row]:
    """Return *rows* with the elements of their entity at *level*; rows outside *upper* are left out."""
    path = UNIQUE[level]
    by_uid = {text_of(one, path): one for one in upper}
    only = upper[0] if len(upper) == 1 else None
    joined = []
    for row in rows:
        uid = text_of(row, path)
        parent = by_uid.get(uid) if uid else only
        if parent is not None:
            joined.append({**row, **parent})
    return joined


def owners(association: Association, keys: Mapping[str, str]) -> list[PatientId]:
    """Return the patients of the studies that match *keys*, each once, in the archive's order.

    Raises:
        ProtocolViolation: an answer without PatientID, or more patients than one examination can have.

    """
    stated = {path: value.strip() for path, value in keys.items() if value}
    try:
        answered = ask(association, Level.STUDY, keys, patient_root=False)
    except CappedError as capped:
        raise capped.error from None
    rows = [row for row in answered if all(text_of(row, path) == value for path, value in stated.items())]
    patients = list(dict.fromkeys(text_of(row, PATIENT_ID) for row in rows))
    if "" in patients or len(patients) > _MOST_OWNERS:
        raise ProtocolViolation(
            "pacs",
            f"one study or accession number led to {len(patients)} patients, or to one without PatientID",
            "see the archive's conformance statement",
        )
    return [PatientId(patient) for patient in patients]
