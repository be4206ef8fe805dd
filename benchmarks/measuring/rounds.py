"""The rounds of a benchmark: every way measured in each, the order rotating, so that load meets all alike."""

import statistics
import sys
import time
from dataclasses import dataclass, field

from measuring.works import Taken


def say(text: str) -> None:
    """Tell on the terminal what is being measured."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@dataclass(slots=True)
class Rounds:
    """What each way took for each row of the table, round by round; ``wrong`` counts are not the truth."""

    taken: dict[tuple[str, str], list[Taken]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def add(self, row: str, way: str, expected: int, taken: Taken) -> None:
        """Keep *taken* and compare its count."""
        self.taken.setdefault((row, way), []).append(taken)
        if taken.images != expected or not taken.is_complete:
            self.wrong.append(f"{row}, {way}: {taken.images} of {expected} images")

    def seconds(self, row: str, way: str) -> float:
        """Return the median seconds; 0 where the way was not measured."""
        found = self.taken.get((row, way))
        return statistics.median(one.seconds for one in found) if found else 0.0

    def ratio(self, row: str, slow: str, fast: str) -> float | None:
        """Return the median over the rounds of how many times as long *slow* took an image as *fast*."""
        pairs = list(zip(self.taken.get((row, slow), ()), self.taken.get((row, fast), ()), strict=False))
        if not pairs or not all(one.images for pair in pairs for one in pair):
            return None
        return statistics.median((a.seconds / a.images) / (b.seconds / b.images) for a, b in pairs)

    def scaled(self, row: str, way: str, taken: Taken, share: float, images: int) -> None:
        """Keep what *way* would take for all *images*, of whose requests *taken* sent this *share*."""
        self.taken.setdefault((row, f"{way}, all"), []).append(Taken(images, taken.seconds / share))
