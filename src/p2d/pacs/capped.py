"""Answers that an archive cut short: how they show, and how the rest is asked for in smaller pieces.

An archive may say so in its final status or not. Then its own counts of what lies below a study or series
tell, or a number of rows that looks like a limit.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Final

from p2d.model.errors import P2DError
from p2d.model.header import Element, text_of
from p2d.model.level import Level
from p2d.pacs.query import UNIQUE

Row = dict[str, Element]

SUSPICIOUS: Final = frozenset(
    {50, 64, 100, 128, 200, 250, 256, 300, 400, 500, 512, 1000, 1024, 2000, 2048, 4096, 5000, 8192, 10_000}
)
"""Numbers of rows that limits are set to; an answer of just so many may have been cut without a word."""

CAPPED: Final = frozenset({0xA700, 0xFE00, 0xC001})
"""Final statuses of C-FIND by which archives say that they sent no more: out of resources, cancelled."""

_COUNTED: Final[Mapping[Level, str]] = {
    Level.STUDY: "00201206",  # NumberOfStudyRelatedSeries
    Level.SERIES: "00201209",  # NumberOfSeriesRelatedInstances
}
_FIRST: Final = date(1900, 1, 1)
_LAST: Final = date(2099, 12, 31)


class CappedError(Exception):
    """A C-FIND that ended with one of ``CAPPED``; ``error`` is what to raise where it cannot be split."""

    def __init__(self, error: P2DError) -> None:
        super().__init__(str(error))
        self.error = error


def short(upper: Sequence[Row], rows: Sequence[Row], level: Level) -> list[Row]:
    """Return the rows of *upper*, at *level*, below which *rows* has none, or fewer than are counted."""
    path = UNIQUE[level]
    found = Counter(text_of(row, path) for row in rows)
    return [one for one in upper if found[text_of(one, path)] < max(_stated(one, level), 1)]


def _stated(row: Row, level: Level) -> int:
    text = text_of(row, _COUNTED[level])
    return int(text) if text.isdigit() else 0


def by_days(ask: Callable[[date, date], list[Row]], first: date | None, last: date | None) -> list[Row]:
    """Return what *ask* finds in halves of the days from *first* to *last*, halved again while they are cut.

    Raises:
        CappedError: the answer for one day was.

    """
    begin, end = first or _FIRST, last or _LAST
    if begin >= end:
        return ask(begin, end)
    middle = begin + (end - begin) // 2
    return _half(ask, begin, middle) + _half(ask, middle + timedelta(days=1), end)


def _half(ask: Callable[[date, date], list[Row]], first: date, last: date) -> list[Row]:
    try:
        rows = ask(first, last)
    except CappedError:
        if first == last:
            raise
    else:
        if first == last or len(rows) not in SUSPICIOUS:
            return rows
    return by_days(ask, first, last)
