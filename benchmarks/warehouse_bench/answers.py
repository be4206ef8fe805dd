"""What the ways to answer a question took and said: medians, ratios, and whether all said the same."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

Row = tuple[object, ...]
_T = TypeVar("_T")


@dataclass(slots=True)
class Answers:
    """Seconds by question and way, round by round; ``wrong`` lists what differs from the first answer."""

    seconds: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    found: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    _first: dict[str, Sequence[Row]] = field(default_factory=dict)

    def take(
        self, question: str, way: str, ask: Callable[[], Sequence[Row | str]], *, is_timed: bool = True
    ) -> None:
        """Ask, keep what it took, and compare what was said; a text is a row of one."""
        said = self.time(question, way, ask, is_timed=is_timed)
        told = [tuple(map(_plain, (row,) if isinstance(row, str) else row)) for row in said]
        first = self._first.setdefault(question, told)
        self.found.setdefault(question, len(told))
        if told != first:
            self.wrong.append(f"{question}: {way} gives {len(told)} rows, others {len(first)}")

    def time(self, question: str, way: str, ask: Callable[[], _T], *, is_timed: bool = True) -> _T:
        """Ask, keep what it took, and return what was said."""
        began = time.perf_counter()
        said = ask()
        if is_timed:
            self.seconds.setdefault((question, way), []).append(time.perf_counter() - began)
        return said

    def median(self, question: str, way: str) -> float | None:
        """Return the median seconds, or None where it was not asked that way."""
        taken = self.seconds.get((question, way))
        return statistics.median(taken) if taken else None

    def ratio(self, question: str, slow: str, fast: str) -> float | None:
        """Return the median over the rounds of how many times as long *slow* took as *fast*."""
        pairs = zip(
            self.seconds.get((question, slow), ()), self.seconds.get((question, fast), ()), strict=False
        )
        ratios = [one / other for one, other in pairs]
        return statistics.median(ratios) if ratios else None


def _plain(cell: object) -> object:
    """Return numbers of all engines as one type: a count may be an int, a Decimal or a float."""
    if isinstance(cell, str) or cell is None:
        return cell
    return float(str(cell))
