"""An archive's own counts of what lies below a study or series, against the rows that it answered with."""

from collections.abc import Iterable
from typing import Final

from p2d.model.header import Element, count_of, text_of
from p2d.model.level import Level
from p2d.pacs.query import KEYS, UNIQUE

Row = dict[str, Element]

_COUNTED: Final = {
    Level.STUDY: "00201206",  # NumberOfStudyRelatedSeries
    Level.SERIES: "00201209",  # NumberOfSeriesRelatedInstances
}


def stated(row: Row, level: Level) -> int | None:
    """Return how many series (level STUDY) or instances (SERIES) *row* says there are below its entity."""
    return count_of(row, _COUNTED[level])


def incomplete(level: Level, rows: Iterable[Row], known: Iterable[Row]) -> list[Row]:
    """Return the entities at *level*, *known* or seen in *rows*, that count more below them than *rows* has.

    So are those of which *rows* has nothing. Elements of lower levels are left out.
    """
    is_study = level is Level.STUDY
    above = [Level.STUDY] if is_study else [Level.STUDY, Level.SERIES]
    below = UNIQUE[Level.SERIES if is_study else Level.INSTANCE]
    found: dict[tuple[str, ...], set[str]] = {}
    entities: dict[tuple[str, ...], Row] = {}
    for row in (*known, *rows):
        place = tuple(text_of(row, UNIQUE[one]) for one in above)
        entities.setdefault(place, row)
        found.setdefault(place, set()).add(text_of(row, below))
    paths = [path for one in above for path in KEYS[one]]
    return [
        {path: row[path] for path in paths if path in row}
        for place, row in entities.items()
        if all(place) and len(found[place] - {""}) < max(stated(row, level) or 0, 1)
    ]


def united(level: Level, rows: list[Row], more: list[Row]) -> list[Row]:
    """Return *rows* and *more*, each entity at *level* once, as it is in *more* where it is in both."""
    return list({text_of(row, UNIQUE[level]): row for row in [*rows, *more]}.values()) if more else rows
