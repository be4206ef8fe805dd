"""How long to wait before another attempt: for the one layer that retries."""

import random
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
