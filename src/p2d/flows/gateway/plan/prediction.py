"""The arithmetic of a plan: from counts of sampled patients and timed ones to totals with an interval.

Two samples, as in double sampling: many patients are *counted* (one cheap query each), few are *timed*.
Seconds and queries of an approach are taken as linear in series and images, fitted to the timed patients and
applied to the counted.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from p2d.flows.gateway.plan.fitting import FloatArray, fitted
from p2d.model.level import Choice, Scope
from p2d.settings.governor import Limits, Windows, weekly_minutes

_RESAMPLES: Final = 400
_TAIL: Final = 0.05
"""Left out on either side of the interval: it covers 90 %."""

_NORMAL: Final = 1.645
"""The quantile of the normal distribution that leaves out as much."""

_LEAST_VALUES: Final = 2


@dataclass(frozen=True, slots=True)
class Approach:
    """A scope and a choice of images."""

    scope: Scope
    choice: Choice

    @property
    def name(self) -> str:
        """As written in reports, such as ``basic/first``."""
        return f"{self.scope}/{self.choice}"


APPROACHES: Final = (
    Approach(Scope.BASIC, Choice.FIRST),
    Approach(Scope.BASIC, Choice.ALL),
    Approach(Scope.EXTENDED, Choice.FIRST),
    Approach(Scope.EXTENDED, Choice.ALL),
)


@dataclass(frozen=True, slots=True)
class Counted:
    """One sampled patient by the archive's own counts."""

    studies: int
    series: int
    images: int

    def taken(self, choice: Choice) -> int:
        """Return how many images *choice* takes of this patient."""
        return self.images if choice is Choice.ALL else self.series


@dataclass(frozen=True, slots=True)
class Timed:
    """One patient run through one approach: what it held, seconds, queries and octets moved."""

    counted: Counted
    seconds: float
    finds: int
    octets: int


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 90 % interval."""

    estimate: float
    low: float
    high: float

    def as_json(self) -> dict[str, float]:
        """Return the three numbers."""
        return {"estimate": self.estimate, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one approach comes to for all patients asked for.

    ``rows`` are images whose headers reach the warehouse; ``moved`` images that the archive has to send,
    ``octets`` their size. ``hours`` is working time within limits and windows of none; ``days`` is calendar
    time at the allowed rate and windows.
    """

    approach: Approach
    rows: Interval
    moved: Interval
    octets: Interval
    queries: Interval
    hours: Interval
    days: Interval

    def as_json(self) -> dict[str, object]:
        """Return the prediction as JSON-like data."""
        return {
            "approach": self.approach.name,
            "rows": self.rows.as_json(),
            "images_moved": self.moved.as_json(),
            "octets": self.octets.as_json(),
            "queries": self.queries.as_json(),
            "hours": self.hours.as_json(),
            "days": self.days.as_json(),
        }


@dataclass(frozen=True, slots=True)
class Pace:
    """What the archive's operators allow; 0 is no limit, 168 ``hours_per_week`` of bulk windows is always."""

    queries_per_minute: float = 0.0
    images_per_minute: float = 0.0
    octets_per_second: float = 0.0
    hours_per_week: float = 168.0

    @classmethod
    def of(cls, limits: Limits, windows: Windows) -> "Pace":
        """Return the pace that an archive's governor keeps for bulk work."""
        return cls(
            queries_per_minute=limits.queries_per_minute,
            images_per_minute=limits.images_per_minute,
            octets_per_second=limits.megabytes_per_second * 1e6,
            hours_per_week=weekly_minutes(windows.bulk) / 60,
        )

    def hours(self, working: float, queries: float, images: float, octets: float) -> float:
        """Return the hours that *working* hours become when the limits hold."""
        bounds = [
            working,
            queries / self.queries_per_minute / 60 if self.queries_per_minute else 0.0,
            images / self.images_per_minute / 60 if self.images_per_minute else 0.0,
            octets / self.octets_per_second / 3600 if self.octets_per_second else 0.0,
        ]
        return max(bounds)

    def days(self, hours: float) -> float:
        """Return calendar days for *hours* of work within the weekly windows."""
        return hours / self.hours_per_week * 7 if self.hours_per_week else float("inf")


def predict(
    approach: Approach, patients: int, counted: Sequence[Counted], timed: Sequence[Timed], pace: Pace
) -> Prediction:
    """Predict *approach* for *patients* from the two samples; the interval is a bootstrap's over both.

    Where all patients were counted, totals of images are the archive's own and only times have an interval.

    Raises:
        ValueError: a sample is empty.

    """
    if not counted or not timed:
        raise ValueError("a prediction needs counted and timed patients")
    dice = np.random.default_rng(len(counted) * 1_000_003 + len(timed))  # a plan is repeatable
    is_census = len(counted) >= patients
    some = _drawn(dice, len(counted), _RESAMPLES if not is_census else 0)
    timings = _drawn(dice, len(timed), _RESAMPLES)
    totals = _sizes(counted)[some].sum(axis=1)
    sizes = _sizes([one.counted for one in timed])[timings]
    moving = 1 if approach.choice is Choice.ALL else 0
    share = patients / len(counted)

    def fit(values: Sequence[float]) -> FloatArray:
        return share * fitted(sizes, np.array(values, np.float64)[timings], len(counted), totals)

    rows = np.broadcast_to(share * totals[:, moving], len(timings))
    moved = rows if approach.scope is Scope.EXTENDED else np.zeros(len(timings))
    taken = sizes[:, :, moving].sum(axis=1)
    sent = np.array([one.octets for one in timed], np.float64)[timings].sum(axis=1)
    octets = moved * sent / np.maximum(taken, 1.0)
    queries = fit([one.finds for one in timed])
    working = fit([one.seconds for one in timed]) / 3600
    hours = [pace.hours(*one) for one in zip(working, queries, moved, octets, strict=True)]
    return Prediction(
        approach,
        rows=_interval(rows),
        moved=_interval(moved),
        octets=_interval(octets),
        queries=_interval(queries),
        hours=_interval(hours),
        days=_interval([pace.days(one) for one in hours]),
    )


def _drawn(dice: np.random.Generator, size: int, times: int) -> npt.NDArray[np.intp]:
    """Return the places of a sample of *size* as it is, then *times* drawn from it with putting back."""
    redrawn = dice.integers(0, size, (times, size))
    return np.concatenate([np.arange(size)[None, :], redrawn]).astype(np.intp)


def _sizes(patients: Sequence[Counted]) -> FloatArray:
    """Return what each patient costs by: its series and images, whichever of them an approach moves."""
    return np.array([(one.series, one.images) for one in patients], np.float64)


def spread_of(values: Sequence[float], population: int) -> float:
    """Return how far the 90 % interval of the mean of *values* reaches on either side, relative to the mean.

    *values* are drawn from *population* without putting back: all of them known, it is 0. Fewer than two
    values, or only zeros, tell nothing: infinity.
    """
    n = len(values)
    if n >= population:
        return 0.0
    mean = sum(values) / n if n else 0.0
    if n < _LEAST_VALUES or not mean:
        return math.inf
    variance = sum((value - mean) ** 2 for value in values) / (n - 1)
    return _NORMAL * math.sqrt(variance / n * (1 - n / population)) / mean


def _interval(values: Iterable[float]) -> Interval:
    """Return the first of *values* as the estimate, with the quantiles of the others around it."""
    estimate, *others = map(float, values)
    ordered = sorted(others)
    low = ordered[int(len(ordered) * _TAIL)]
    high = ordered[min(len(ordered) - 1, int(len(ordered) * (1 - _TAIL)))]
    return Interval(estimate, min(low, estimate), max(high, estimate))
