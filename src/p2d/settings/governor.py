"""How gently an archive is asked: the tables below ``[pacs.governor]``."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from p2d.settings.file import FilePath, Strict

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEK: Final = frozenset(range(7))
_SPAN: Final = re.compile(r"(\S+) (\d\d):(\d\d)-(\d\d):(\d\d)")
_DAY_MINUTES: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class Span:
    """Local times of a week: on each of *days* (0 is Monday) from minute *start* on, for *minutes*."""

    days: frozenset[int]
    start: int
    minutes: int


def parse_span(text: str) -> Span:
    """Return a span such as ``mon-fri 19:00-06:30``, ``sat,sun 00:00-24:00``, ``daily 12:00-13:00``.

    A span that ends before it begins ends on the next day. Local time as the clock on the wall shows it: an
    hour that occurs twice counts twice.

    Raises:
        ValueError: no days, or no times of day.

    """
    found = _SPAN.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError("is not DAYS HH:MM-HH:MM, such as: mon-fri 19:00-06:30")
    start, end = (int(found[i]) * 60 + int(found[i + 1]) for i in (2, 4))
    if start >= _DAY_MINUTES or end > _DAY_MINUTES or max(int(found[3]), int(found[5])) >= 60 or start == end:  # noqa: PLR2004 - minutes of an hour
        raise ValueError("has times that are not of one day: 00:00 to 24:00, different from each other")
    return Span(_days(found[1]), start, end - start if end > start else end - start + _DAY_MINUTES)


def weekly_minutes(spans: Iterable[str]) -> int:
    """Return how many minutes of a week lie in one of *spans* or more."""
    minutes: set[int] = set()
    week = 7 * _DAY_MINUTES
    for span in map(parse_span, spans):
        for day in span.days:
            start = day * _DAY_MINUTES + span.start
            minutes.update(minute % week for minute in range(start, start + span.minutes))
    return len(minutes)


def _days(text: str) -> frozenset[int]:
    if text == "daily":
        return _WEEK
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first not in _DAYS or (last or first) not in _DAYS:
            raise ValueError("has days that are not mon, tue, wed, thu, fri, sat, sun or daily")
        one, end = _DAYS.index(first), _DAYS.index(last or first)
        days |= {day % 7 for day in range(one, (end if end >= one else end + 7) + 1)}
    return frozenset(days)


def _span(text: str) -> str:
    parse_span(text)
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ValueError("is not a time zone such as Europe/Berlin") from None
    return text


SpanText = Annotated[str, AfterValidator(_span)]
ALWAYS: Final = ("daily 00:00-24:00",)


class Limits(Strict):
    """`[pacs.governor.limits]`: what all of P2D together may ask of the archive; never exceeded.

    ``associations`` is how many operations run at once. Of each rate, ``burst_seconds`` worth may be saved up
    while the archive is not asked. ``images_per_request`` is the longest list in one retrieve.
    """

    queries_per_minute: float = Field(1200.0, gt=0)
    studies_per_minute: float = Field(600.0, gt=0)
    images_per_minute: float = Field(12_000.0, gt=0)
    megabytes_per_second: float = Field(50.0, gt=0)
    associations: int = Field(3, ge=1, le=64)
    burst_seconds: float = Field(5.0, ge=0, le=60)
    images_per_request: int = Field(200, ge=1, le=4000)


class Windows(Strict):
    """`[pacs.governor.windows]`: when each class of work may ask, in ``time_zone``; an empty list is never.

    A day in ``holidays`` counts as a Sunday.
    """

    interactive: tuple[SpanText, ...] = ALWAYS
    export: tuple[SpanText, ...] = ALWAYS
    bulk: tuple[SpanText, ...] = ALWAYS
    time_zone: Annotated[str, AfterValidator(_zone)] | None = None
    holidays: frozenset[date] = frozenset()

    @model_validator(mode="after")
    def _in_a_zone(self) -> Self:
        spans = {*self.interactive, *self.export, *self.bulk}
        if self.time_zone is None and spans - {*ALWAYS}:
            raise ValueError("time_zone is missing: state the site's, such as Europe/Berlin")
        return self


class Governing(Strict):
    """`[pacs.governor]`: how an archive's limits are shared and what makes P2D step back.

    ``shared`` over processes of one machine (a socket in ``state_dir``) or over machines by PostgreSQL, whose
    connection string is in the file ``database``. ``reserved_share`` of every saved-up amount, and one
    association where there are several, are kept for interactive work. ``slow_factor`` times the usual
    latency makes P2D step back; ``failures`` in a row open the circuit breaker for ``open_seconds``.
    """

    shared: Literal["machine", "database"] = "machine"
    database: FilePath | None = None
    stop_file: FilePath | None = None
    reserved_share: float = Field(0.25, ge=0, le=0.9)
    slow_factor: float = Field(2.0, gt=1, le=20)
    failures: int = Field(5, ge=1, le=100)
    open_seconds: float = Field(30.0, gt=0, le=3600)
    limits: Limits = Limits()
    windows: Windows = Windows()

    @model_validator(mode="after")
    def _with_a_database(self) -> Self:
        if self.shared == "database" and self.database is None:
            raise ValueError("database is missing: name a file with PostgreSQL's connection string")
        return self
