"""Circuit breaker of one operation: closed, after failures in a row open for a while, then one probe."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_LONGEST: Final = 16


class State(StrEnum):
    """Whether operations pass."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(slots=True)
class Breaker:
    """Opens after *failures* in a row; each probe that fails doubles the time it stays open, up to 16 times.

    Times are seconds on the governor's clock. ``probe`` is the lease of the probe that is under way.
    """

    failures: int
    open_seconds: float
    failed: int = 0
    openings: int = 0
    until: float = 0.0
    probe: str = ""

    def state(self, now: float) -> State:
        """Return the state at *now*."""
        if not self.openings:
            return State.CLOSED
        return State.OPEN if now < self.until and not self.probe else State.HALF_OPEN

    def wait(self, now: float) -> float:
        """Return how long to wait before this breaker can let one operation pass; 0: it may pass."""
        state = self.state(now)
        if state is State.OPEN:
            return self.until - now
        return 0.5 if state is State.HALF_OPEN and self.probe else 0.0

    def ended(self, lease_id: str, now: float, *, well: bool | None) -> None:
        """Count how the operation under *lease_id* ended; None says nothing about the archive."""
        was_probe = bool(self.probe) and self.probe == lease_id
        if was_probe:
            self.probe = ""
        if well is None:
            return
        if well:
            if was_probe or not self.openings:
                self.failed = self.openings = 0
            return
        self.failed += 1
        if was_probe or (not self.openings and self.failed >= self.failures):
            self.until = now + self.open_seconds * min(2**self.openings, _LONGEST)
            self.openings += 1
