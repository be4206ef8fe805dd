"""The nightly sync of a serving gateway: each night once, on one of its machines, caught up after a pause."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from threading import Event
from typing import Final

from p2d.access.caller import Caller
from p2d.access.roles import Role
from p2d.flows.gateway.sync.claim import Busy, claims_of, only_one
from p2d.flows.gateway.sync.schedule import Schedule
from p2d.flows.gateway.sync.sync import Sync
from p2d.model.errors import P2DError, Unavailable

_LOG: Final = logging.getLogger(__name__)
_CALLER: Final = Caller("nightly", Role.OPERATOR, "schedule")
_POLL_SECONDS: Final = 30.0
_SHORTEST_PAUSE: Final = 600.0
_LONGEST_PAUSE: Final = 3600.0


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Nightly:
    """Runs *sync* by *schedule*; which night was done last is kept in the ledger's store.

    A night that fails is tried again after a while, the longer the more often in a row, until the next one.
    """

    sync: Sync
    schedule: Schedule
    clock: Callable[[], datetime] = _now
    _pause: float = field(default=0.0, init=False)
    _not_before: datetime | None = field(default=None, init=False)

    def work(self, ended: Event) -> None:
        """Look for a night that is due every half minute, until *ended* is set."""
        while not ended.is_set():
            self.turn()
            ended.wait(_POLL_SECONDS)

    def turn(self) -> bool:
        """Run the sync of the night that is due, if there is one; return whether it was done here and now."""
        now = self.clock()
        if self._not_before is not None and now < self._not_before:
            return False
        try:
            is_done = self._night(self.schedule.latest(now))
        except Busy:
            return False
        except P2DError as error:
            self._rest(str(error))
            return False
        except Exception as error:  # noqa: BLE001 - the thread's top: the next night goes on
            self._rest(type(error).__name__)
            return False
        self._pause, self._not_before = 0.0, None
        return is_done

    def _night(self, night: date) -> bool:
        gateway = self.sync.gateway
        claims = claims_of(gateway)
        noted = claims.noted()
        if noted >= night.isoformat():
            return False
        with only_one(gateway) as lost:
            noted = claims.noted()  # another machine may have been quicker
            if not noted:  # a schedule that is new begins with its next night
                claims.note(night.isoformat())
            if not noted or noted >= night.isoformat():
                return False
            done = date.fromisoformat(noted)
            report = self.sync.run_held(self.schedule.options(night, done), _CALLER, lost)
            if not report.is_whole:
                raise Unavailable("sync", "was stopped before its end")
            claims.note(night.isoformat())
            if not report.is_complete and report.run is not None:
                _LOG.error("the nightly sync ended incomplete: p2d runs report %s", report.run.run_id)
        return True

    def _rest(self, why: str) -> None:
        self._pause = min(max(self._pause * 2, _SHORTEST_PAUSE), _LONGEST_PAUSE)
        now = self.clock()
        self._not_before = datetime.fromtimestamp(now.timestamp() + self._pause, UTC)
        _LOG.error("the nightly sync failed and is tried again in %d minutes: %s", self._pause // 60, why)
        with suppress(P2DError):
            self.sync.gateway.audit.record("nightly sync failed", user=_CALLER.user)
