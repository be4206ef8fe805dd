"""Reproducible chance: only ``Random.random`` with a text seed, the one stream Python promises to keep."""

from collections.abc import Sequence
from datetime import date, timedelta
from random import Random
from statistics import NormalDist
from typing import TypeVar

_T = TypeVar("_T")


class Dice:
    """A named stream of chance: the same words give the same stream in every process and version."""

    def __init__(self, *words: object) -> None:
        self._random = Random("/".join(str(word) for word in words))

    def chance(self, probability: float) -> bool:
        """Whether an event of *probability* (0 to 1) happens."""
        return self._random.random() < probability

    def integer(self, low: int, high: int) -> int:
        """Return an integer from *low* to *high*, both included."""
        return low + int(self._random.random() * (high - low + 1))

    def number(self, low: float, high: float, decimals: int) -> float:
        """Return a number from *low* to *high* with at most *decimals* decimals."""
        return round(low + self._random.random() * (high - low), decimals)

    def one(self, items: Sequence[_T]) -> _T:
        """Return one of *items*, all equally likely."""
        return items[self.integer(0, len(items) - 1)]

    def weighted(self, items: Sequence[_T], weights: Sequence[float]) -> _T:
        """Return one of *items*, as likely as its weight."""
        rest = self._random.random() * sum(weights)
        for item, weight in zip(items, weights, strict=True):
            rest -= weight
            if rest < 0:
                return item
        return items[-1]

    def shuffled(self, items: Sequence[_T]) -> list[_T]:
        """Return *items* in random order."""
        rest = list(items)
        return [rest.pop(self.integer(0, len(rest) - 1)) for _ in items]

    def day(self, first: date, last: date) -> date:
        """Return a day from *first* to *last*, both included."""
        return first + timedelta(days=self.integer(0, (last - first).days))

    def skewed(self, median: float, upper_quartile: float, quantile: float, jitter: float = 0.0) -> float:
        """Return the log-normal value at *quantile*, moved by up to *jitter* quantiles."""
        moved = min(max(quantile + (self._random.random() - 0.5) * 2 * jitter, 1e-4), 1 - 1e-4)
        sigma = NormalDist().inv_cdf(0.75)
        ratio = upper_quartile / median
        return float(median * ratio ** (NormalDist().inv_cdf(moved) / sigma))
