"""Counts of what became of attributes and objects; never a value, never a name that could hold one.

An attribute is counted by its tags without item numbers (``00081140.00081155``). A private one is counted by its
private creator where PS3.15 Table E.3.10-1 lists that creator, else by its group: a creator that nobody listed
is free text and could identify.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from p2d.deid.profile.private import safe_blocks
from p2d.model.released import Reason

OTHER: Final = "other"
"""Where attributes are counted that have no row of their own any more."""
_MOST_PATHS: Final = 20_000
_MOST_STEPS: Final = 12
_TAG: Final = re.compile(r"[0-9A-F]{8}")
_SAFE_STEP: Final = re.compile(r"([0-9A-F]{4})xx[0-9A-F]{2}\[([^\[\]]{1,64})\]")
_STEP: Final = re.compile(r"[0-9A-F]{4}[0-9A-Fx]{4}(?:\[[^\[\]]{1,64}\])?")


class Outcome(StrEnum):
    """What became of an attribute of one object.

    REPLACED is a dummy, a pseudonym or a derived UID, SHIFTED a moved date, CLEANED a text without what
    identified, ADDED what de-identification wrote itself.
    """

    REMOVED = "removed"
    EMPTIED = "emptied"
    REPLACED = "replaced"
    SHIFTED = "shifted"
    CLEANED = "cleaned"
    KEPT = "kept"
    ADDED = "added"


def private_step(tag: str, creator: str) -> str:
    """Return how the private *tag* of *creator* is counted: ``0019xx0C[SIEMENS MR HEADER]`` or ``0019xxxx``."""
    name = creator.strip(" \0")
    if (int(tag[:4], 16), name) in safe_blocks():
        return f"{tag[:4]}xx{tag[6:]}[{name}]"
    return f"{tag[:4]}xxxx"


@dataclass(frozen=True, slots=True)
class PixelCounts:
    """What the text detector did: objects screened and masked, boxes masked, frames looked at."""

    screened: int = 0
    masked: int = 0
    boxes: int = 0
    frames: int = 0


class DeidTally:
    """A mutable count of outcomes; not for use by several threads at once."""

    __slots__ = ("_attributes", "_objects", "_reasons")

    def __init__(self) -> None:
        self._attributes: Counter[tuple[str, Outcome]] = Counter()
        self._reasons: Counter[Reason] = Counter()
        self._objects: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"DeidTally({self._objects['released']} released, {sum(self._reasons.values())} withheld)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DeidTally) and self.as_counts() == other.as_counts()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def count(self, path: str, outcome: Outcome, times: int = 1) -> None:
        """Count *times* objects in which the attribute at *path* came to *outcome*.

        Steps of *path* are tags, or what ``private_step`` returns. What is no such step counts as OTHER.
        """
        key = (_counted_path(path), outcome)
        if key not in self._attributes and len(self._attributes) >= _MOST_PATHS:
            key = (OTHER, outcome)  # a hostile object may nest without end
        self._attributes[key] += times

    def released(self, times: int = 1) -> None:
        """Count objects that were released."""
        self._objects["released"] += times

    def withheld(self, reason: Reason, times: int = 1) -> None:
        """Count objects that were withheld for *reason*."""
        self._reasons[reason] += times

    def masked(self, boxes: int, frames: int) -> None:
        """Count one object whose pixels were screened: *boxes* masked, *frames* looked at."""
        self._objects["screened"] += 1
        self._objects["masked"] += boxes > 0
        self._objects["boxes"] += boxes
        self._objects["frames"] += frames

    def recognisable(self, times: int = 1) -> None:
        """Count released objects from which a face could be drawn, as (0028,0302) says."""
        self._objects["recognisable"] += times

    def merge(self, other: "DeidTally") -> None:
        """Add what *other* counted."""
        for (path, outcome), times in other._attributes.items():
            self.count(path, outcome, times)
        self._reasons.update(other._reasons)
        self._objects.update(other._objects)

    @property
    def attributes(self) -> Iterator[tuple[str, Mapping[Outcome, int]]]:
        """Each path with its counts by outcome, by path; OTHER comes last."""
        rows: dict[str, dict[Outcome, int]] = {}
        for (path, outcome), times in self._attributes.items():
            rows.setdefault(path, {})[outcome] = times
        for path in sorted(rows, key=lambda path: (path == OTHER, path)):
            yield path, rows[path]

    @property
    def reasons(self) -> Mapping[Reason, int]:
        """Withheld objects by reason."""
        return {reason: self._reasons[reason] for reason in sorted(self._reasons) if self._reasons[reason]}

    @property
    def objects_released(self) -> int:
        """Objects that were released."""
        return self._objects["released"]

    @property
    def objects_recognisable(self) -> int:
        """Released objects from which a face could be drawn."""
        return self._objects["recognisable"]

    @property
    def pixels(self) -> PixelCounts:
        """What the text detector did."""
        return PixelCounts(*(self._objects[name] for name in ("screened", "masked", "boxes", "frames")))

    def as_counts(self) -> dict[str, int]:
        """Return all of it as numbers by name, for JSON and for a ledger that adds them up."""
        counts = {
            f"attribute:{outcome}:{path}": times for (path, outcome), times in sorted(self._attributes.items())
        }
        counts |= {f"withheld:{reason}": times for reason, times in self.reasons.items()}
        counts |= {f"object:{name}": times for name, times in sorted(self._objects.items())}
        return {name: times for name, times in counts.items() if times}

    @classmethod
    def of_counts(cls, counts: Mapping[str, int]) -> Self:
        """Return the tally that ``as_counts`` gave *counts* of; names of another version are left out."""
        tally = cls()
        for name, times in counts.items():
            kind, _, rest = name.partition(":")
            if kind == "attribute":
                outcome, _, path = rest.partition(":")
                if outcome in list(Outcome):
                    tally.count(path, Outcome(outcome), times)
            elif kind == "withheld" and rest in list(Reason):
                tally.withheld(Reason(rest), times)
            elif kind == "object":
                tally._objects[rest] += times
        return tally


def steps_of(path: str) -> list[str]:
    """Return the steps of a counted *path*; a private creator may hold a full stop."""
    return _STEP.findall(path)


def _counted_path(path: str) -> str:
    if _TAG.fullmatch(path) and not _is_odd(path):  # what nearly every path is
        return path
    steps = steps_of(path)
    if not steps or ".".join(steps) != path:
        return OTHER
    counted = [_counted_step(step) for step in steps[:_MOST_STEPS]]
    return OTHER if OTHER in counted else ".".join(counted)


def _counted_step(step: str) -> str:
    if not _is_odd(step):
        return step if _TAG.fullmatch(step) else OTHER
    safe = _SAFE_STEP.fullmatch(step)
    return step if safe and (int(safe[1], 16), safe[2]) in safe_blocks() else f"{step[:4]}xxxx"


def _is_odd(step: str) -> bool:
    return int(step[3], 16) % 2 == 1
