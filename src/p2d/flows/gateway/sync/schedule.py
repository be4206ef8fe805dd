"""When the nightly sync is due: once for each night, by the clock of the site, whatever its offset does."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from p2d.flows.gateway.sync.options import SyncOptions
from p2d.model.level import Choice, Scope


@dataclass(frozen=True, slots=True)
class Schedule:
    """A time of day in a zone, and what each night looks at: *days_back* days before it, and its own.

    A time that the clock skips in spring comes an hour later, one that it shows twice in autumn the first
    time.
    """

    at: time
    zone: ZoneInfo
    days_back: int = 7
    modalities: frozenset[str] = field(default=frozenset())
    scope: Scope = Scope.BASIC
    choice: Choice = Choice.ALL

    def begins(self, night: date) -> datetime:
        """Return when *night* is due, in UTC."""
        return datetime.combine(night, self.at, self.zone).astimezone(UTC)

    def latest(self, now: datetime) -> date:
        """Return the night that was due last at *now*, an instant with its offset."""
        night = now.astimezone(self.zone).date()
        return night if self.begins(night) <= now else night - timedelta(days=1)

    def options(self, night: date, done: date) -> SyncOptions:
        """Return what to look at in *night*, after *done* was the last one: missed nights are caught up."""
        first = min(night, done + timedelta(days=1)) - timedelta(days=self.days_back)
        return SyncOptions(first, night, self.modalities, self.scope, self.choice)
