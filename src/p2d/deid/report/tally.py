"""Counts of what became of attributes and objects; never a value, never a name that could hold one.

An attribute is counted by its tags without item numbers (``00081140.00081155``). A private one is counted by
its private creator where PS3.15 Table E.3.10-1 lists that creator, else by its group: a creator that nobody
listed is free text and could identify.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Self

from p2d.deid.profile.private import safe_blocks
from p2d.model.released import Reason

OTHER: Final = "other"
"""Where attributes are counted that have no row of their own any more."""
_MOST_PATHS: Final = 20_000
_MOST_STEPS: Final = 12
_TAG: Final = re.compile(r"[0-9A-F]{8}")
_SAFE_STEP: Final = re.compile(r"([0-9A-F]{4})xxxx\[([^\[\]]{1,64})\]")
_STEP: Final = re.compile(r"[0-9A-F]{4}(?:[0-9A-F]{4}|xxxx)(?:\[[^\[\]]{1,64}\])?")
_OBJECTS: Final = ("objects", "screened", "frames", "masked_objects", "masks", "recognisable_objects")
Rows = Iterator[tuple[str, Mapping["Outcome", int]]]


class Outcome(StrEnum):
    """What became of one occurrence of an attribute.

    EMPTIED is one left without a value, REPLACED one with a dummy, a pseudonym or a derived UID, SHIFTED a
    moved date, CLEANED a text without what identified, ADDED what de-identification wrote itself.
    """

    REMOVED = "removed"
    EMPTIED = "emptied"
    REPLACED = "replaced"
    SHIFTED = "shifted"
    CLEANED = "cleaned"
    KEPT = "kept"
    ADDED = "added"


def private_step(tag: str, creator: str) -> str:
    """Return how a private *tag* of *creator* is counted: ``0019xxxx[SIEMENS MR HEADER]`` or ``0019xxxx``."""
    name = creator.strip(" \0")
    if (int(tag[:4], 16), name) in safe_blocks():
        return f"{tag[:4]}xxxx[{name}]"
    return f"{tag[:4]}xxxx"


@dataclass(slots=True)
class DeidTally:
    """Counts that grow while objects are released; those of several patients add up. Not for several threads.

    ``attributes`` is by path and outcome, changed by ``count`` alone. ``objects`` were released. The detector
    saw ``frames`` frames of the ``screened`` ones; ``masks`` boxes were masked in ``masked_objects``.
    ``recognisable_objects`` were released marked as such (0028,0302).
    """

    attributes: Counter[tuple[str, Outcome]] = field(default_factory=Counter)
    reasons: Counter[Reason] = field(default_factory=Counter)
    objects: int = 0
    screened: int = 0
    frames: int = 0
    masked_objects: int = 0
    masks: int = 0
    recognisable_objects: int = 0

    def count(self, path: str, outcome: Outcome, times: int = 1) -> None:
        """Count *times* occurrences of the attribute at *path*.

        Steps of *path* are tags, or what ``private_step`` returns. What is no such step counts as OTHER.
        """
        key = (_counted_path(path), outcome)
        if key not in self.attributes and len(self.attributes) >= _MOST_PATHS:
            key = (OTHER, outcome)  # a hostile object may nest without end
        self.attributes[key] += times

    def withheld(self, reason: Reason) -> None:
        """Count an object that did not leave."""
        self.reasons[reason] += 1

    def released(self) -> None:
        """Count an object that left."""
        self.objects += 1

    def masked(self, boxes: int, frames: int) -> None:
        """Count an object of which *frames* were looked at and in which *boxes* were masked on all frames."""
        self.screened += frames > 0
        self.frames += frames
        self.masked_objects += boxes > 0
        self.masks += boxes

    def recognisable(self) -> None:
        """Count an object that left and from which a face could be drawn."""
        self.recognisable_objects += 1

    def merge(self, other: "DeidTally") -> None:
        """Add the counts of *other*."""
        for (path, outcome), times in other.attributes.items():
            self.count(path, outcome, times)
        self.reasons.update(other.reasons)
        for name in _OBJECTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def rows(self) -> Rows:
        """Yield each path with its counts by outcome, in the order of tags; OTHER comes last."""
        rows: dict[str, dict[Outcome, int]] = {}
        for (path, outcome), times in self.attributes.items():
            rows.setdefault(path, {})[outcome] = times
        for path in sorted(rows, key=lambda path: (path == OTHER, path)):
            yield path, rows[path]

    def as_json(self) -> dict[str, Any]:
        """Return the counts as JSON-like data that ``from_json`` reads back."""
        return {
            "attributes": {
                path: {str(outcome): n for outcome, n in row.items()} for path, row in self.rows()
            },
            "withheld": {reason.name: times for reason, times in sorted(self.reasons.items())},
            **{name: getattr(self, name) for name in _OBJECTS},
        }

    @classmethod
    def from_json(cls, source: Mapping[str, Any]) -> Self:
        """Return the counts that ``as_json`` gave.

        Raises:
            KeyError, ValueError: *source* is not of that form.

        """
        tally = cls(reasons=Counter({Reason[name]: times for name, times in source["withheld"].items()}))
        for path, outcomes in source["attributes"].items():
            for outcome, times in outcomes.items():
                tally.count(path, Outcome(outcome), times)
        for name in _OBJECTS:
            setattr(tally, name, int(source[name]))
        return tally

    def as_counters(self) -> dict[str, int]:
        """Return the counts as numbers by name, for a ledger that adds them up without knowing them."""
        counters = {f"attribute {o} {path}": times for (path, o), times in self.attributes.items()}
        counters |= {f"withheld {reason.name}": times for reason, times in self.reasons.items()}
        counters |= {name: getattr(self, name) for name in _OBJECTS}
        return {name: times for name, times in counters.items() if times}

    @classmethod
    def of_counters(cls, counters: Mapping[str, int]) -> Self:
        """Return the tally that ``as_counters`` gave *counters* of; names of other versions are left out."""
        tally = cls()
        for name, times in counters.items():
            kind, _, rest = name.partition(" ")
            outcome, _, path = rest.partition(" ")
            if kind == "attribute" and outcome in set(Outcome):
                tally.count(path, Outcome(outcome), times)
            elif kind == "withheld" and rest in Reason.__members__:
                tally.reasons[Reason[rest]] += times
            elif name in _OBJECTS:
                setattr(tally, name, times)
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
