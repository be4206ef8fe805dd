"""The studies of one true day, of all patients (PS3.4 C.6.2 by StudyDate alone): asked, checked, made whole.

What is asked of people who may be unknown to the warehouse is the least that a comparison needs: whose the
study is, when it was, what it counts. No name, no birth date.
"""

import logging
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Final

from p2d.dimse.status import CutShort, OutOfResources
from p2d.model.errors import InvalidRequest
from p2d.model.header import text_of
from p2d.model.identified import IdentifiedHeader
from p2d.model.level import Level
from p2d.model.modality import MODALITIES
from p2d.pacs.capped import SUSPICIOUS, Capped
from p2d.pacs.counted import Row
from p2d.pacs.hierarchy import Ask, Question
from p2d.pacs.query import ACCESSION_NUMBER, PATIENT_ID, STUDY_DATE, UNIQUE, date_range, day_of, is_uid

_LOG: Final = logging.getLogger(__name__)
MOST_DAYS: Final = 31
"""Days of one call at most."""

MODALITIES_IN_STUDY: Final = "00080061"
_STUDY_TIME: Final = "00080030"
DAY_KEYS: Final = (
    PATIENT_ID,
    UNIQUE[Level.STUDY],
    STUDY_DATE,
    _STUDY_TIME,
    ACCESSION_NUMBER,
    MODALITIES_IN_STUDY,
    "00201206",  # NumberOfStudyRelatedSeries
    "00201208",  # NumberOfStudyRelatedInstances
)
"""What is asked of each study, and all that is kept of an answer."""

_SECONDS: Final = 24 * 60 * 60
_SHORTEST: Final = 60
"""A minute that an archive cuts short is not split any further."""


def checked_days(first_day: date, last_day: date, modality: str) -> list[date]:
    """Return the days from *first_day* to *last_day*.

    Raises:
        InvalidRequest: none or more than MOST_DAYS of them, or *modality* is no code of PS3.3 C.7.3.1.1.1.

    """
    number = (last_day - first_day).days + 1
    if not 0 < number <= MOST_DAYS:
        raise InvalidRequest("days", f"are not 1 to {MOST_DAYS}", "ask for a bounded range, first day first")
    if modality and modality not in MODALITIES:
        raise InvalidRequest("modality", "is not a modality code", "use a defined term such as CT, MR, DX")
    return [first_day + timedelta(days=number) for number in range(number)]


def day_keys(day: date, modality: str) -> dict[str, str]:
    """Return the matching keys for the studies of *day*, path → value.

    A range of one day, as archives that take no single value take ranges.
    """
    keys = {STUDY_DATE: date_range(day, day)}
    return {**keys, MODALITIES_IN_STUDY: modality} if modality else keys


def taken(rows: Iterable[Row], day: date, modality: str, archive: str) -> Iterator[IdentifiedHeader]:
    """Yield those of *rows* that are studies of *day*, each once, as headers of DAY_KEYS.

    A row of another day, or without PatientID or a StudyInstanceUID, is not taken; their number is logged.
    Where an archive does not match *modality*, studies that state others alone are left out here.
    """
    seen: set[tuple[str, str]] = set()
    strange = 0
    for row in rows:
        place = text_of(row, PATIENT_ID).strip(), text_of(row, UNIQUE[Level.STUDY])
        if not place[0] or not is_uid(place[1]) or day_of(text_of(row, STUDY_DATE)) != day:
            strange += 1
        elif place not in seen and _may_hold(row, modality):
            seen.add(place)
            yield IdentifiedHeader(Level.STUDY, {path: row[path] for path in DAY_KEYS if path in row})
    if strange:
        _LOG.warning("archive %s: %d row(s) of a day were of another, or lacked an id", archive, strange)


def _may_hold(row: Row, modality: str) -> bool:
    element = row.get(MODALITIES_IN_STUDY)
    stated = [str(value).strip() for value in element.values] if element else []
    return not modality or not any(stated) or modality in stated


def studies_of_day(
    ask: Ask, day: date, modality: str, archive: str, unsupported: frozenset[str] = frozenset()
) -> Iterator[IdentifiedHeader]:
    """Yield the studies of *day* that C-FIND answers, after its final status 0x0000; see ``taken``.

    An archive that cuts a day short is asked for parts of the day, *unsupported* keys are left out.

    Raises:
        Unavailable, ProtocolViolation: as ``Pacs.find``; also where a minute is cut short.

    """
    always = (PATIENT_ID, UNIQUE[Level.STUDY], STUDY_DATE)
    returns = tuple(path for path in DAY_KEYS if path in always or path not in unsupported)
    question = Question(Level.STUDY, day_keys(day, modality), returns)
    return taken(_whole(ask, question, (0, _SECONDS), archive), day, modality, archive)


def _whole(ask: Ask, question: Question, span: tuple[int, int], archive: str) -> list[Row]:
    """Return the answers to *question* within *span*, seconds of its day; in halves where they are cut short.

    A study without StudyTime is in no part of a day (PS3.4 C.2.2.2.5), so that the log says when it is split.
    """
    first, last = span
    try:
        (rows,) = ask([_within(question, span)])
    except (CutShort, OutOfResources, Capped):
        if last - first <= _SHORTEST:
            raise
        if last - first == _SECONDS:
            _LOG.warning("archive %s cuts a day short; its studies without StudyTime are not seen", archive)
        rows = []
    else:
        if len(rows) not in SUSPICIOUS or last - first <= _SHORTEST:
            return rows
    middle = (first + last) // 2
    halves = [(first, middle), (middle, last)]
    return [*rows, *(row for half in halves for row in _whole(ask, question, half, archive))]


def _within(question: Question, span: tuple[int, int]) -> Question:
    first, last = span
    if last - first == _SECONDS:
        return question
    times = f"{_time(first)}-{_time(last - 1)}.999999"
    return Question(question.level, {**question.keys, _STUDY_TIME: times}, question.returns)


def _time(seconds: int) -> str:
    return f"{seconds // 3600:02}{seconds // 60 % 60:02}{seconds % 60:02}"
