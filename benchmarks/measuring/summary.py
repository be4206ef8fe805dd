"""What a benchmark ends with: the statistics of the paper's tables, and one line of JSON."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

Texts = Sequence[str]


@dataclass(frozen=True, slots=True)
class Summary:
    """Mean, median, quartiles (inclusive, by linear interpolation), minimum and maximum of a sample."""

    mean: float
    median: float
    lower: float
    upper: float
    minimum: float
    maximum: float

    @classmethod
    def of(cls, sample: Sequence[float]) -> Self:
        """Return the summary of *sample*, which holds at least one number."""
        ordered = sorted(sample)
        quartiles = (
            statistics.quantiles(ordered, n=4, method="inclusive") if len(ordered) > 1 else ordered * 3
        )
        lower, median, upper = quartiles
        return cls(statistics.fmean(ordered), median, lower, upper, ordered[0], ordered[-1])

    def cells(self, digits: int) -> tuple[str, str, str, str]:
        """Return mean, median (quartiles), minimum and maximum as texts with *digits* decimals."""
        mean, median, lower, upper, least, most = (
            _number(value, digits)
            for value in (self.mean, self.median, self.lower, self.upper, self.minimum, self.maximum)
        )
        return mean, f"{median} ({lower}-{upper})", least, most


def _number(value: float, digits: int) -> str:
    """Return *value* rounded, or ``<0.01`` and the like where rounding would leave nothing of it."""
    smallest = 10**-digits
    return f"<{smallest:.{digits}f}" if 0 < value < smallest / 2 else f"{value:,.{digits}f}"


def table(heading: Texts, rows: Sequence[Texts], *, left: int) -> str:
    """Return *rows* as text under *heading*; the first *left* columns are flush left, the others right."""
    widths = [max(len(row[column]) for row in (heading, *rows)) for column in range(len(heading))]

    def line(row: Texts) -> str:
        cells = (
            f"{cell:<{width}}" if column < left else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    return "\n".join([line(heading), "  ".join("-" * width for width in widths), *map(line, rows)])


@dataclass(slots=True)
class Verdict:
    """The measured ratios of a benchmark and the least each must reach; ratios without target inform only."""

    benchmark: str
    ratios: dict[str, float] = field(default_factory=dict)
    targets: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, ratio: float, target: float) -> None:
        """Add a ratio that has to be at least *target*."""
        self.ratios[name] = ratio
        self.targets[name] = target

    @property
    def passed(self) -> bool:
        """Whether every target is reached."""
        return all(self.ratios[name] >= target for name, target in self.targets.items())

    def line(self) -> str:
        """Return the one line of JSON; ratios are cut, not rounded, so that none looks better than it is."""
        ratios: Mapping[str, float] = {name: int(ratio * 100) / 100 for name, ratio in self.ratios.items()}
        ends = {"benchmark": self.benchmark, "ratios": ratios, "targets": self.targets, "pass": self.passed}
        return json.dumps(ends)
