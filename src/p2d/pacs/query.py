"""What is asked at each level (PS3.4 C.6.1.1, C.6.2.1), and the checks before anything is sent."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Final

from p2d.model.errors import InvalidRequest
from p2d.model.identified import IdentifiedHeader
from p2d.model.level import Level
from p2d.pacs.port import Query

PATIENT_ID: Final = "00100020"
ACCESSION_NUMBER: Final = "00080050"
STUDY_DATE: Final = "00080020"
SOP_CLASS_UID: Final = "00080016"
UNIQUE: Final[Mapping[Level, str]] = {
    Level.PATIENT: PATIENT_ID,
    Level.STUDY: "0020000D",
    Level.SERIES: "0020000E",
    Level.INSTANCE: "00080018",
}

_PATIENT: Final = (PATIENT_ID, "00100010", "00100030", "00100040")
_STUDY: Final = (
    "0020000D",
    STUDY_DATE,
    "00080030",  # StudyTime
    ACCESSION_NUMBER,
    "00200010",  # StudyID
    "00081030",  # StudyDescription
    "00080061",  # ModalitiesInStudy
    "00080090",  # ReferringPhysicianName
    "00380010",  # AdmissionID
    "00201206",  # NumberOfStudyRelatedSeries
    "00201208",  # NumberOfStudyRelatedInstances
)
_SERIES: Final = (
    "0020000E",
    "00080060",  # Modality
    "00200011",  # SeriesNumber
    "0008103E",  # SeriesDescription
    "00080021",  # SeriesDate
    "00080031",  # SeriesTime
    "00180015",  # BodyPartExamined
    "00181030",  # ProtocolName
    "00080070",  # Manufacturer
    "00201209",  # NumberOfSeriesRelatedInstances
)
_INSTANCE: Final = (
    "00080018",
    SOP_CLASS_UID,
    "00200013",  # InstanceNumber
    "00280008",  # NumberOfFrames
    "00280010",  # Rows
    "00280011",  # Columns
)
KEYS: Final[Mapping[Level, tuple[str, ...]]] = {
    Level.PATIENT: (*_PATIENT, "00201200", "00201202", "00201204"),
    Level.STUDY: (*_PATIENT, *_STUDY),
    Level.SERIES: (PATIENT_ID, "0020000D", *_SERIES),
    Level.INSTANCE: (PATIENT_ID, "0020000D", "0020000E", *_INSTANCE),
}
"""Return keys by level; the connector joins the upper levels' answers, so keys are asked once."""

_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST_ID: Final = 64  # VR LO, PS3.5 6.2
_LONGEST_ACCESSION: Final = 16  # VR SH, PS3.5 6.2


def checked(query: Query) -> Query:
    r"""Return *query* when all its keys are safe to send.

    Raises:
        InvalidRequest: an empty PatientID, a key that holds ``*``, ``?``, a backslash or a control character
            (they would match other patients), one too long for its VR, or a UID that is none.

    """
    _exact(query.patient_id.value, "patient id", _LONGEST_ID)
    if query.accession_number:
        _exact(query.accession_number, "accession number", _LONGEST_ACCESSION)
    for uid in (query.study_instance_uid, query.series_instance_uid, query.sop_instance_uid):
        if uid and not is_uid(uid):
            raise InvalidRequest("uid", "is not a UID: digits and dots, at most 64 characters", "correct it")
    return query


def checked_study(study_instance_uid: str, accession_number: str) -> dict[str, str]:
    """Return the matching keys for one study by its UID or for studies by accession number, path → value.

    Raises:
        InvalidRequest: none or both given, or not safe to send (see ``checked``).

    """
    if bool(study_instance_uid) == bool(accession_number):
        raise InvalidRequest("query", "needs a study UID or an accession number", "give exactly one of them")
    if accession_number:
        _exact(accession_number, "accession number", _LONGEST_ACCESSION)
    elif not is_uid(study_instance_uid):
        raise InvalidRequest("uid", "is not a UID: digits and dots, at most 64 characters", "correct it")
    return {UNIQUE[Level.STUDY]: study_instance_uid, ACCESSION_NUMBER: accession_number}


def is_uid(text: str) -> bool:
    """Whether *text* has the form of a UID (PS3.5 9.1); leading zeros, which some devices write, pass."""
    return len(text) <= _LONGEST_ID and _UID.fullmatch(text) is not None


def _exact(value: str, field: str, longest: int) -> None:
    if not value.strip():
        raise InvalidRequest(field, "is empty and would match every patient", "send the exact value")
    if len(value) > longest:
        raise InvalidRequest(field, f"is longer than {longest} characters", "send the exact value")
    if any(character in "*?\\" or not character.isprintable() for character in value):
        raise InvalidRequest(
            field,
            "holds a wildcard, a backslash or a control character and could match other patients",
            "send the exact value",
        )


def date_range(first: date | None, last: date | None) -> str:
    """Return the range matching key for DA (PS3.4 C.2.2.2.5), empty without a bound."""
    if first is None and last is None:
        return ""
    return f"{_da(first)}-{_da(last)}"


def _da(day: date | None) -> str:
    return f"{day.year:04}{day.month:02}{day.day:02}" if day else ""


def is_within(header: IdentifiedHeader, query: Query) -> bool:
    """Whether a study-level *header* fits the days and accession number asked, whatever the archive matched.

    A header without a whole StudyDate is outside every stated range, as PS3.4 C.2.2.2.5 has it.
    """
    if query.accession_number:
        accession = header.elements.get(ACCESSION_NUMBER)
        if accession is None or accession.text.strip() != query.accession_number.strip():
            return False
    if query.first_day is None and query.last_day is None:
        return True
    element = header.elements.get(STUDY_DATE)
    day = day_of(element.text if element else "")
    if day is None:
        return False
    return (query.first_day or date.min) <= day <= (query.last_day or date.max)


def day_of(text: str) -> date | None:
    """Return the day of a whole DA value, None for any other text."""
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8])) if len(text) == len("YYYYMMDD") else None
    except ValueError:
        return None
