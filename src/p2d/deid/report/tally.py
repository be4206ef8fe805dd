"""Counts of what became of attributes and objects: by tag and outcome, never by value."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from p2d.model.released import Reason


class Outcome(StrEnum):
    """What became of one occurrence of an attribute."""

    REMOVED = "removed"
    EMPTIED = "emptied"
    REPLACED = "replaced"
    SHIFTED = "shifted"
    CLEANED = "cleaned"
    KEPT = "kept"
    ADDED = "added"


@dataclass(slots=True)
class DeidTally:
    """Counts that grow while objects are released; those of several patients add up.

    ``attributes`` is by path of tags without item numbers (``00081115.0020000E``) and outcome. ``objects``
    were released, ``masks`` boxes were drawn in ``masked_objects`` of ``screened`` objects.
    """

    attributes: Counter[tuple[str, Outcome]] = field(default_factory=Counter)
    reasons: Counter[Reason] = field(default_factory=Counter)
    objects: int = 0
    screened: int = 0
    masked_objects: int = 0
    masks: int = 0

    def count(self, path: str, outcome: Outcome, times: int = 1) -> None:
        """Count *times* occurrences of the attribute at *path*."""
        self.attributes[path, outcome] += times

    def withheld(self, reason: Reason) -> None:
        """Count an object that did not leave."""
        self.reasons[reason] += 1

    def released(self) -> None:
        """Count an object that left."""
        self.objects += 1

    def masked(self, boxes: int, frames: int) -> None:
        """Count an object of which *frames* were looked at and in which *boxes* were masked on all frames."""
        self.screened += frames > 0
        self.masked_objects += boxes > 0
        self.masks += boxes

    def merge(self, other: Self) -> None:
        """Add the counts of *other*."""
        self.attributes.update(other.attributes)
        self.reasons.update(other.reasons)
        self.objects += other.objects
        self.screened += other.screened
        self.masked_objects += other.masked_objects
        self.masks += other.masks

    def as_json(self) -> dict[str, Any]:
        """Return the counts as JSON-like data that ``from_json`` reads back."""
        attributes: dict[str, dict[str, int]] = {}
        for (path, outcome), times in sorted(self.attributes.items()):
            attributes.setdefault(path, {})[str(outcome)] = times
        return {
            "attributes": attributes,
            "withheld": {reason.name: times for reason, times in sorted(self.reasons.items())},
            "released": self.objects,
            "screened": self.screened,
            "masked": self.masked_objects,
            "masks": self.masks,
        }

    @classmethod
    def from_json(cls, source: Mapping[str, Any]) -> Self:
        """Return the counts that ``as_json`` gave.

        Raises:
            KeyError, ValueError: *source* is not of that form.

        """
        return cls(
            attributes=Counter(
                {
                    (path, Outcome(outcome)): times
                    for path, outcomes in source["attributes"].items()
                    for outcome, times in outcomes.items()
                }
            ),
            reasons=Counter({Reason[name]: times for name, times in source["withheld"].items()}),
            objects=source["released"],
            screened=source["screened"],
            masked_objects=source["masked"],
            masks=source["masks"],
        )
