"""Counts what was asked of the archive: the last minute, the last quarter of an hour, and in all."""

from dataclasses import dataclass, field
from typing import Final

from p2d.pacs.governor.port import Amounts, Resource, WorkClass

_SLOT_SECONDS: Final = 5
_MINUTE: Final = 60
_QUARTER: Final = 900
_ORDER: Final = tuple(Resource)


@dataclass(slots=True)
class Meter:
    """Sums of slots of 5 seconds, and totals by work class."""

    slots: dict[int, list[float]] = field(default_factory=dict)
    totals: dict[WorkClass, list[float]] = field(
        default_factory=lambda: {one: [0.0] * len(_ORDER) for one in WorkClass}
    )

    def add(self, work_class: WorkClass, used: Amounts, now: float) -> None:
        """Count *used* at *now*."""
        slot = self.slots.setdefault(int(now // _SLOT_SECONDS), [0.0] * len(_ORDER))
        for index, resource in enumerate(_ORDER):
            slot[index] += used.get(resource, 0.0)
            self.totals[work_class][index] += used.get(resource, 0.0)
        oldest = int((now - _QUARTER) // _SLOT_SECONDS)
        for gone in [one for one in self.slots if one < oldest]:
            del self.slots[gone]

    def last(self, resource: Resource, now: float) -> tuple[float, float]:
        """Return the amount of the last minute and of the last 15, to 5 seconds."""
        index, current = _ORDER.index(resource), int(now // _SLOT_SECONDS)
        minute = quarter = 0.0
        for slot, sums in self.slots.items():
            age = current - slot
            if 0 <= age < _QUARTER // _SLOT_SECONDS:
                quarter += sums[index]
                if age < _MINUTE // _SLOT_SECONDS:
                    minute += sums[index]
        return minute, quarter

    def total(self, work_class: WorkClass, resource: Resource) -> float:
        """Return the amount since the beginning."""
        return self.totals[work_class][_ORDER.index(resource)]
