"""Stepping back: how much of the caps is used, after what the archive's latency and refusals tell.

Additive increase, multiplicative decrease: trouble halves, clean minutes add an eighth. Never above the caps.
"""

from dataclasses import dataclass, field
from typing import Final

from p2d.pacs.governor.port import Latency

LEAST: Final = 1 / 16
STEP: Final = 1 / 8
CLEAN_SECONDS: Final = 60.0
_HALVING_SECONDS: Final = 10.0
"""Trouble within this time of a halving is the same trouble."""
_RECENT: Final = 9
_ENOUGH: Final = 5
_LEARNED: Final = 20
_LEARNING: Final = 0.05
_FORGETTING: Final = 0.1
_ALL_DAY: Final = 24

FLOORS: Final = {Latency.ANSWER: 0.25, Latency.START: 0.5, Latency.ARRIVAL: 0.1}
"""Seconds above the baseline below which nothing counts as slow: a quick archive may vary."""


@dataclass(slots=True)
class Baseline:
    """The usual latency of each hour of the day, learned as a running median of what was seen when quiet.

    ``usual`` has 25 entries, the last for all hours together; an hour that is not known well enough is judged
    by that one.
    """

    usual: list[float] = field(default_factory=lambda: [0.0] * (_ALL_DAY + 1))
    seen: list[int] = field(default_factory=lambda: [0] * (_ALL_DAY + 1))

    def of(self, hour: int) -> float | None:
        """Return the usual seconds at *hour*; None: not known yet."""
        for index in (hour, _ALL_DAY):
            if self.seen[index] >= _LEARNED:
                return self.usual[index]
        return None

    def learn(self, hour: int, seconds: float, *, is_slow: bool) -> None:
        """Move towards *seconds*; what is slow counts little, so that trouble does not become usual soon."""
        for index in (hour, _ALL_DAY):
            seen, usual = self.seen[index], self.usual[index]
            if not seen:
                self.usual[index] = seconds
            else:
                # large steps at first, then such as settle at the median
                step = max(1 / (seen + 1), _LEARNING) * (_FORGETTING if is_slow else 1.0)
                self.usual[index] = usual * (1 + step) if seconds > usual else usual / (1 + step)
            self.seen[index] = min(seen + 1, 10 * _LEARNED)


@dataclass(slots=True)
class Adaptive:
    """``factor`` of the caps to use now; times are seconds on the governor's clock."""

    slow_factor: float = 2.0
    factor: float = 1.0
    halved_at: float = -1e9
    clean_since: float = 0.0
    baselines: dict[Latency, Baseline] = field(default_factory=lambda: {name: Baseline() for name in FLOORS})
    recent: dict[Latency, list[bool]] = field(default_factory=lambda: {name: [] for name in FLOORS})

    def saw(self, kind: Latency, seconds: float, hour: int, now: float) -> None:
        """Judge a latency and learn from it."""
        baseline, recent = self.baselines[kind], self.recent[kind]
        usual = baseline.of(hour)
        slow = None if usual is None else max(usual * self.slow_factor, usual + FLOORS[kind])
        baseline.learn(hour, seconds, is_slow=slow is not None and seconds > slow)
        recent.append(slow is not None and seconds > slow)
        del recent[:-_RECENT]
        if len(recent) >= _ENOUGH and 2 * sum(recent) > len(recent):
            recent.clear()
            self.trouble(now)

    def trouble(self, now: float) -> None:
        """Halve, unless that was done just now; clean time begins anew."""
        self.clean_since = now
        if not 0 <= now - self.halved_at < _HALVING_SECONDS:
            self.factor = max(LEAST, self.factor / 2)
            self.halved_at = now

    def recover(self, now: float) -> None:
        """Add a step for every clean minute."""
        self.clean_since = min(self.clean_since, now)
        while self.factor < 1 and now - self.clean_since >= CLEAN_SECONDS:
            self.factor = min(1.0, self.factor + STEP)
            self.clean_since += CLEAN_SECONDS
