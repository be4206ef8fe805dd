"""A token bucket that can lend: what is lent still counts, what was overdrawn is paid first."""

from dataclasses import dataclass
from typing import Final

_TINY: Final = 1e-6
_SHORTEST_SECONDS: Final = 0.001
_CLOCK_SET: Final = 60.0
"""A clock that is further back than this was set; otherwise two machines spoke at once."""


@dataclass(slots=True)
class Bucket:
    """*rate* a second, at most *burst* saved up; begins empty, so that a restart gives nothing away.

    ``level + lent`` never exceeds ``burst``: in any T seconds no more than ``rate * T + burst`` is used, and
    what single users overdraw. A ``level`` below zero is a debt.
    """

    rate: float
    burst: float
    level: float = 0.0
    lent: float = 0.0
    at: float = 0.0

    def refill(self, now: float, factor: float = 1.0) -> None:
        """Let the seconds until *now* count, at *factor* of the rate, and each but once."""
        elapsed = max(0.0, now - self.at)
        if elapsed or self.at - now > _CLOCK_SET:
            self.at = now
        self.level = min(self.level + elapsed * self.rate * factor, self.burst - self.lent)

    def lacks(self, need: float, reserve: float = 0.0) -> float:
        """Return what is missing to lend *need* and leave *reserve*; 0 when it can be lent.

        A need beyond the burst is lent from a full bucket and leaves a debt.
        """
        missing = min(need + reserve, self.burst) - self.level
        return missing if missing > _TINY else 0.0

    def lend(self, amount: float) -> None:
        """Set *amount* aside for one user."""
        self.level -= amount
        self.lent += amount

    def use(self, amount: float, from_lent: float) -> None:
        """Take *amount* as used, *from_lent* of it from what was lent before."""
        self.lent = max(0.0, self.lent - from_lent)
        self.level -= amount - from_lent

    def give_back(self, amount: float) -> None:
        """Take back what was lent and not used."""
        self.lent = max(0.0, self.lent - amount)
        self.level += amount

    def forfeit(self, amount: float) -> None:
        """Take what was lent as used: its user died and cannot tell."""
        self.lent = max(0.0, self.lent - amount)

    def debt_seconds(self, factor: float = 1.0) -> float:
        """Return the time after which no debt is left, 0 without one."""
        return max(_SHORTEST_SECONDS, -self.level / (self.rate * factor)) if self.level < -_TINY else 0.0
