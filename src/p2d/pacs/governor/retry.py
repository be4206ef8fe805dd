"""How long to wait before another attempt, and whether one is allowed: for the one layer that retries."""

import random
import threading
from typing import Final

BASE_SECONDS: Final = 2.0
LONGEST_SECONDS: Final = 60.0


def backoff(
    attempt: int, rng: random.Random, *, base: float = BASE_SECONDS, longest: float = LONGEST_SECONDS
) -> float:
    """Return the seconds to wait before *attempt* (1 is the first repetition): exponential, full jitter.

    Uniform between 0 and ``base * 2 ** (attempt - 1)``, at most *longest*, so that workers whose attempts
    failed together do not come back together.
    """
    return rng.uniform(0.0, min(longest, base * 2.0 ** min(max(attempt, 1) - 1, 32)))


class RetryBudget:
    """Allows repetitions up to *share* of what went well, and a few before anything did; for all threads."""

    def __init__(self, share: float = 0.1, reserve: int = 10) -> None:
        self._share = share
        self._most = float(reserve) * 10
        self._left = float(reserve)
        self._lock = threading.Lock()

    def earned(self, successes: int = 1) -> None:
        """Count what went well."""
        with self._lock:
            self._left = min(self._most, self._left + successes * self._share)

    def spend(self) -> bool:
        """Take one repetition from the budget; False: there is none left, give up."""
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True
