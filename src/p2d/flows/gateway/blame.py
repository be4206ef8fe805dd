"""Who is to blame for a failure: the patient, which costs it an attempt, or a peer that answers to nobody."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Event
from traceback import extract_tb
from typing import Final, TypeVar

from p2d.flows.gateway.gateway import Gateway
from p2d.jobs.lease import Lease
from p2d.model.errors import InvalidRequest, Misconfigured, P2DError, Refused, Unavailable, family_of
from p2d.pacs.governor.port import NotNow
from p2d.pacs.governor.retry import backoff

_T = TypeVar("_T")
_LONGEST_PAUSE: Final = 30.0


class Outage(Exception):  # noqa: N818 - a state of the world, caught where the worker waits
    """A peer answers to nobody: no patient is to blame."""


def attempted(step: Callable[[], _T]) -> _T | P2DError:
    """Return what *step* returns, or why it failed for the patients at hand.

    A fault in P2D itself is one of theirs too, named by its place: others can go on.

    Raises:
        Misconfigured, Refused: what nobody can go on with.

    """
    try:
        return step()
    except (Misconfigured, Refused):
        raise
    except P2DError as error:
        return error
    except Exception as error:  # noqa: BLE001 - one patient's data may be what P2D cannot cope with
        places = [f"{Path(f.filename).name}:{f.lineno}" for f in extract_tb(error.__traceback__)]
        return P2DError("patient", f"met a fault in P2D, {type(error).__name__} at {' > '.join(places[-3:])}")


@dataclass(slots=True)
class Blame:
    """The judge of one worker; ``drain``, once set, ends all waiting."""

    gateway: Gateway
    drain: Event
    _down_since: float | None = field(default=None, init=False)
    _rests: int = field(default=0, init=False)
    _dice: Random = field(default_factory=Random, init=False, repr=False)

    def failed(self, lease: Lease, patient: str, error: P2DError) -> None:
        """Count a failed attempt of *patient*; what is invalid stays so and is parked at once.

        Raises:
            Outage: the peer answers to nobody, may not be asked now, or we are to stop: nothing was counted.

        """
        is_none_s = isinstance(error, NotNow) or self.drain.is_set()
        if isinstance(error, Unavailable) and (is_none_s or self.is_outage()):
            raise Outage from error
        allowed = 1 if isinstance(error, InvalidRequest) else self.gateway.attempts
        self.count(lease, patient, f"{family_of(error)}: {error.field}: {error.problem}", allowed)

    def count(self, lease: Lease, patient: str, reason: str, allowed: int = 0) -> None:
        """Count a failed attempt of *patient*, given up after *allowed* (else the gateway's) of them."""
        self.gateway.ledger.fail(
            lease.run_id,
            patient,
            reason,
            attempts_allowed=allowed or self.gateway.attempts,
            pause_seconds=self._dice.uniform(0, self.gateway.retry_seconds),  # the ledger doubles it
            lease=lease,
        )

    def is_outage(self) -> bool:
        """Whether a peer is down, and has been for less time than this gateway waits."""
        if not self.gateway.outage_seconds:
            return False
        try:
            self.gateway.pacs.echo()
            self.gateway.identity.ping()
            self.gateway.warehouse.receipt("check")
        except P2DError:
            now = time.monotonic()
            self._down_since = self._down_since or now
            return now - self._down_since < self.gateway.outage_seconds
        self.went_well()
        return False

    def waits(self) -> bool:
        """Wait a little if a peer is down; whether what failed is to be tried once more."""
        if self.drain.is_set() or not self.is_outage():
            return False
        self.rest()
        return not self.drain.is_set()

    def rest(self) -> None:
        """Wait, the longer the more often in a row."""
        self._rests += 1
        self.drain.wait(
            backoff(self._rests, self._dice, base=self.gateway.retry_seconds, longest=_LONGEST_PAUSE)
        )

    def went_well(self) -> None:
        """Forget earlier outages."""
        self._down_since = None
        self._rests = 0
