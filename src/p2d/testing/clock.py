"""A clock that stands until a test moves it."""

from dataclasses import dataclass


@dataclass(slots=True)
class Clock:
    """Seconds since the epoch; call it to read it."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def pass_(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self.now += seconds
