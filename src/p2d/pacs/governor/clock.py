"""The two clocks that the governor goes by, to be replaced in tests."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


def _utc() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """``seconds`` never runs back and measures limits; ``date`` tells windows and the hour of day."""

    seconds: Callable[[], float] = time.monotonic
    date: Callable[[], datetime] = _utc
    pause: Callable[[float], None] = time.sleep
