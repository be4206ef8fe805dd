"""Weekly windows of each class of work, in the site's local time."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from p2d.pacs.governor.port import WorkClass
from p2d.settings.governor import Span, Windows, parse_span

_SUNDAY: Final = 6
_AHEAD: Final = timedelta(days=15)
_HOUR: Final = timedelta(hours=1)
_QUARTERS: Final = (0, 15, 30, 45)
_DAY_MINUTES: Final = 24 * 60
_WEEK_MINUTES: Final = 7 * _DAY_MINUTES


class Timetable:
    """Answers whether a class may ask at a time, and when that changes; times are aware, any zone."""

    def __init__(self, windows: Windows) -> None:
        self._zone = ZoneInfo(windows.time_zone or "UTC")
        self._holidays = windows.holidays
        self._spans: dict[WorkClass, tuple[Span, ...]] = {
            WorkClass.INTERACTIVE: tuple(map(parse_span, windows.interactive)),
            WorkClass.EXPORT: tuple(map(parse_span, windows.export)),
            WorkClass.BULK: tuple(map(parse_span, windows.bulk)),
        }
        self._known: dict[WorkClass, tuple[datetime, datetime, datetime | None]] = {}

    def hour(self, at: datetime) -> int:
        """Return the local hour of day."""
        return at.astimezone(self._zone).hour

    def is_open(self, work_class: WorkClass, at: datetime) -> bool:
        """Whether *work_class* may ask at *at*: by what a clock on the wall shows then."""
        local = at.astimezone(self._zone)
        minute = local.hour * 60 + local.minute
        today, yesterday = self._day(local.date()), self._day(local.date() - timedelta(days=1))
        return any(
            (today in span.days and span.start <= minute < span.start + span.minutes)
            or (yesterday in span.days and minute + _DAY_MINUTES < span.start + span.minutes)
            for span in self._spans[work_class]
        )

    def changes_at(self, work_class: WorkClass, at: datetime) -> datetime | None:
        """Return when the window of *work_class* next opens or closes; None: not within 15 days."""
        known = self._known.get(work_class)
        if known is None or not known[0] <= at < known[1]:
            change = self._change(work_class, at)
            known = (at, min(change or at + _HOUR, at + _HOUR), change)
            self._known[work_class] = known
        return known[2]

    def _change(self, work_class: WorkClass, at: datetime) -> datetime | None:
        spans = self._spans[work_class]
        if not spans or any(span.minutes == _DAY_MINUTES and len(span.days) == 7 for span in spans):  # noqa: PLR2004 - days of a week
            return None
        now = self.is_open(work_class, at)
        return next(
            (one for one in self._moments(work_class, at) if self.is_open(work_class, one) is not now), None
        )

    def _moments(self, work_class: WorkClass, at: datetime) -> Iterator[datetime]:
        """Yield all times after *at* at which a window may change.

        Zones differ from UTC, and change, by quarters of an hour.
        """
        bounds = {0} | {edge for s in self._spans[work_class] for edge in (s.start, s.start + s.minutes)}
        minutes = sorted({(edge + quarter) % 60 for edge in bounds for quarter in _QUARTERS})
        hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        while hour < at + _AHEAD:
            for minute in minutes:
                moment = hour + timedelta(minutes=minute)
                if moment > at:
                    yield moment
            hour += _HOUR

    def _day(self, day: date) -> int:
        return _SUNDAY if day in self._holidays else day.weekday()
