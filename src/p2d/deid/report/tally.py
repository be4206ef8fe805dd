"""Stub."""

from collections import Counter
from enum import StrEnum
from p2d.model.released import Reason


class Outcome(StrEnum):
    REMOVED = "removed"
    EMPTIED = "emptied"
    REPLACED = "replaced"
    SHIFTED = "shifted"
    CLEANED = "cleaned"
    KEPT = "kept"
    ADDED = "added"


class DeidTally:
    def __init__(self) -> None:
        self.counts: Counter[tuple[str, Outcome]] = Counter()
        self.reasons: Counter[Reason] = Counter()
        self.n = 0

    def count(self, path: str, outcome: Outcome, times: int = 1) -> None:
        self.counts[path, outcome] += times

    def withheld(self, reason: Reason) -> None:
        self.reasons[reason] += 1

    def released(self) -> None:
        self.n += 1

    def masked(self, boxes: int, frames: int) -> None: ...
