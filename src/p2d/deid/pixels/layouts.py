"""Where a device writes text: learned in one run, used from the next, so that no result depends on order.

A layout only ever adds: its boxes are masked besides what the detector finds, and the further, slower looks
are left out; the first look is always taken. So text that moves is still found, and results do not
depend on the order of the files.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self

from p2d.model.header import Elements, text_of
from p2d.pixels.box import Box, without_covered

CONFIRMATIONS: Final = 5
"""Images of a layout in which a box must have been found to be used."""
_GRID: Final = 8
"""Pixels to which boxes are widened before they are counted, so that one line of text is one box."""


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """What decides where text stands: the device, its software and the form of its pictures."""

    manufacturer: str
    model: str
    software: str
    rows: str
    columns: str
    photometric: str
    image_type: str

    @classmethod
    def of(cls, elements: Elements) -> Self:
        """Return the key of the device that made the object with these original *elements*."""
        paths = ("00080070", "00081090", "00181020", "00280010", "00280011", "00280004", "00080008")
        return cls(*(text_of(elements, path).strip() for path in paths))


class Layouts:
    """Boxes by device: a fixed part that is used, and counts of what this run sees."""

    def __init__(self, known: Mapping[DeviceKey, tuple[Box, ...]] | None = None) -> None:
        self._known = dict(known or {})
        self._seen: dict[DeviceKey, Counter[Box]] = {}
        self._images: Counter[DeviceKey] = Counter()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the layouts in *text*, as ``to_json`` writes them.

        Raises:
            ValueError: *text* is no such file.

        """
        try:
            entries = json.loads(text)["layouts"]
            return cls({DeviceKey(**entry["device"]): _boxes(entry["boxes"]) for entry in entries})
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError("not a file of layouts") from error

    def boxes_of(self, device: DeviceKey) -> tuple[Box, ...]:
        """Return the boxes to mask on this device's pictures, from the fixed part."""
        return self._known.get(device, ())

    def observe(self, device: DeviceKey, found: Iterable[Box]) -> None:
        """Count what the detector *found* in one object of *device*."""
        self._images[device] += 1
        self._seen.setdefault(device, Counter()).update({_widened(box) for box in found})

    def learned(self) -> dict[DeviceKey, tuple[Box, ...]]:
        """Return the fixed part with boxes found often enough in this run: for the next."""
        learned = dict(self._known)
        for device, seen in self._seen.items():
            often = [box for box, times in seen.items() if times >= CONFIRMATIONS]
            boxes = without_covered((*learned.get(device, ()), *often))
            if boxes:
                learned[device] = boxes
        return learned

    def to_json(self) -> str:
        """Return ``learned`` as JSON; it holds device names and rectangles, nothing of a patient."""
        entries: list[dict[str, Any]] = [
            {"device": asdict(device), "boxes": [asdict(box) for box in boxes]}
            for device, boxes in sorted(self.learned().items(), key=lambda entry: _order(entry[0]))
        ]
        return json.dumps({"layouts": entries}, indent=1, sort_keys=True)


def _order(device: DeviceKey) -> tuple[str, ...]:
    return tuple(getattr(device, field.name) for field in fields(device))


def _boxes(forms: list[dict[str, int]]) -> tuple[Box, ...]:
    return tuple(Box(**form) for form in forms)


def _widened(box: Box) -> Box:
    return Box(
        box.left // _GRID * _GRID,
        box.top // _GRID * _GRID,
        -(-box.right // _GRID) * _GRID,
        -(-box.bottom // _GRID) * _GRID,
    )
