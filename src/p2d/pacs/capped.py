"""Answers that an archive cut short: how they show, and how the rest is asked for in smaller pieces.

An archive may say so in its final status or not. Then a number of rows that looks like a limit makes us
compare with the archive's own counts. What cannot be split any further stays an error, or as short as it is.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from typing import Final

from p2d.dimse.status import CutShort, OutOfResources
from p2d.model.errors import ProtocolViolation, Unavailable
from p2d.model.header import Element, count_of, text_of
from p2d.model.level import Level
from p2d.pacs.counted import Row, stated
from p2d.pacs.hierarchy import Ask, Question
from p2d.pacs.query import ACCESSION_NUMBER, KEYS, PATIENT_ID, STUDY_DATE, UNIQUE, date_range, day_of

SUSPICIOUS: Final = frozenset(
    {50, 64, 100, 128, 200, 250, 256, 300, 400, 500, 512, 1000, 1024, 2000, 2048, 4096, 5000, 8192, 10_000}
)
"""Numbers of rows that limits are set to; an answer of just so many may have been cut without a word."""

_UPPER: Final = {Level.INSTANCE: Level.SERIES, Level.SERIES: Level.STUDY}
_STUDIES: Final = "00201200"  # NumberOfPatientRelatedStudies
_FIRST, _LAST = date(1900, 1, 1), date(2099, 12, 31)
_BEFORE_ALL: Final = date_range(_FIRST, date(1949, 12, 31))
_SINCE: Final = date_range(date(1950, 1, 1), _LAST)


class Capped(Unavailable):
    """An answer ends where this archive is known to cut answers off, and cannot be split."""


class Whole:
    """An ``Ask`` that asks again, in pieces, for what *ask* brought cut short.

    An answer of *most_rows*, or more, is known to be.

    Raises (when called):
        CutShort, OutOfResources, Capped: of what cannot be split.
        Unavailable, ProtocolViolation: as *ask*.
    """

    def __init__(self, ask: Ask, most_rows: int | None = None) -> None:
        self._ask = ask
        self._most_rows = most_rows

    def __call__(self, questions: Sequence[Question]) -> list[list[Row]]:
        """Return all answers to each of *questions*."""
        try:
            found = self._ask(questions)
        except (CutShort, OutOfResources):
            if len(questions) > 1:
                return [self([one])[0] for one in questions]
            pieces = self._pieces(questions[0])
            if pieces is None:
                raise
            return [pieces]
        return [self._judged(one, rows) for one, rows in zip(questions, found, strict=True)]

    def _judged(self, question: Question, rows: list[Row]) -> list[Row]:
        """Return *rows*, or what they are the beginning of."""
        if self._most_rows is not None and len(rows) >= self._most_rows:
            pieces = self._pieces(question)
            if pieces is None:
                raise Capped("pacs", f"C-FIND ended at {len(rows)} rows, where this archive cuts answers off")
            return _merged(question.level, rows, pieces)
        return self._compared(question, rows) if len(rows) in SUSPICIOUS else rows

    def _pieces(self, question: Question) -> list[Row] | None:
        """Return the answers to *question* entity by entity or by days; None where that is not possible."""
        if question.level is Level.STUDY:
            return self._by_days(question)
        upper = _upper(question)
        return None if upper is None else self._below(question, self([upper])[0])

    def _compared(self, question: Question, rows: list[Row]) -> list[Row]:
        """Return *rows* and what the archive holds beyond them, as its counts or smaller pieces show it."""
        if question.level is Level.STUDY:
            more = self._around(question, rows)
        elif (upper := _upper(question)) is None or question.keys.get(UNIQUE[question.level]):
            return rows
        else:
            more = self._below(question, _short(self([upper])[0], rows, upper.level))
        return _merged(question.level, rows, more)

    def _around(self, question: Question, rows: Sequence[Row]) -> list[Row]:
        """Return the studies of *question* up to the middle day of *rows*, and after it."""
        days = [day for row in rows if (day := day_of(text_of(row, STUDY_DATE)))]
        if question.keys.get(UNIQUE[Level.STUDY]) or len(set(days)) == len(days[:1]):
            return []
        first, last = _bounds(question.keys.get(STUDY_DATE, ""))
        middle = sorted(set(days))[(len(set(days)) - 1) // 2]
        halves = [
            _of_days(question, half)
            for half in (date_range(first, middle), date_range(middle + timedelta(days=1), last))
        ]
        with suppress(CutShort, OutOfResources):
            found = [row for some in self._ask(halves) for row in some]
            if len(found) == len(days):
                return []
        return [row for some in self(halves) for row in some]

    def _below(self, question: Question, upper: Sequence[Row]) -> list[Row]:
        """Return the answers to *question* below each of *upper* by itself."""
        pieces = [
            {path: text_of(row, path) for path in _ABOVE[question.level] if text_of(row, path)}
            for row in upper
        ]
        asked = [replace(question, keys={**question.keys, **keys}) for keys in pieces]
        answers = self(asked) if asked else []
        return [
            {**_elements(keys), **row} for keys, rows in zip(pieces, answers, strict=True) for row in rows
        ]

    def _by_days(self, question: Question) -> list[Row] | None:
        """Return the studies of *question* by halves of its days; None for one study or one day.

        What is older than any examination is asked for first: an archive that cuts even that answer short has
        another trouble than its size.
        """
        if question.keys.get(UNIQUE[Level.STUDY]):
            return None
        days = question.keys.get(STUDY_DATE, "")
        if not days:
            (rows,) = self._ask([_of_days(question, _BEFORE_ALL)])
            rows = _merged(Level.STUDY, rows, self([_of_days(question, _SINCE)])[0])
            self._check(question, len(rows))
            return rows
        first, last = _bounds(days)
        if first >= last:
            return None
        middle = first + (last - first) // 2
        halves = (date_range(first, middle), date_range(middle + timedelta(days=1), last))
        return [row for half in halves for row in self([_of_days(question, half)])[0]]

    def _check(self, question: Question, found: int) -> None:
        """Raise ProtocolViolation when the archive counts more studies than were found by their days."""
        patient = question.keys.get(PATIENT_ID, "")
        if question.keys.get(ACCESSION_NUMBER) or not patient:
            return
        keys = {PATIENT_ID: patient}
        (rows,) = self._ask([Question(Level.PATIENT, keys, KEYS[Level.PATIENT], patient_root=True)])
        counted = count_of(rows[0], _STUDIES) if len(rows) == 1 else None
        if counted is not None and counted > found:
            raise ProtocolViolation(
                "pacs",
                f"C-FIND is cut short, and {counted - found} studies are not found by their dates",
                "raise the archive's limit of results",
            )


_ABOVE: Final = {
    Level.SERIES: (UNIQUE[Level.STUDY],),
    Level.INSTANCE: (UNIQUE[Level.STUDY], UNIQUE[Level.SERIES]),
}


def _short(upper: Sequence[Row], rows: Sequence[Row], level: Level) -> list[Row]:
    """Return the rows of *upper*, at *level*, that count more below them than *rows* has, or do not count."""
    path = UNIQUE[level]
    found = Counter(text_of(row, path) for row in rows)
    return [
        one for one in upper if (count := stated(one, level)) is None or found[text_of(one, path)] < count
    ]


def _upper(question: Question) -> Question | None:
    """Return what lists the entities above those of *question*; None where it names one."""
    level = _UPPER.get(question.level)
    if level is None or question.keys.get(UNIQUE[level]):
        return None
    keys = {path: value for path, value in question.keys.items() if path != UNIQUE[question.level]}
    return Question(level, keys, KEYS[level], question.patient_root)


def _elements(keys: Mapping[str, str]) -> Row:
    return {path: Element(path, "UI", (uid,)) for path, uid in keys.items()}


def _merged(level: Level, *found: list[Row]) -> list[Row]:
    """Return the rows of *found*, each entity at *level* once."""
    return list({text_of(row, UNIQUE[level]): row for rows in found for row in rows}.values())


def _of_days(question: Question, days: str) -> Question:
    return replace(question, keys={**question.keys, STUDY_DATE: days})


def _bounds(days: str) -> tuple[date, date]:
    first, _, last = days.partition("-")
    return (
        date.fromisoformat(first) if first else _FIRST,
        date.fromisoformat(last) if last else _LAST,
    )
