"""Where an ultrasound image shows its examination: SequenceOfUltrasoundRegions, PS3.3 C.8.5.5."""

from collections.abc import Iterator
from itertools import count
from typing import Final

from p2d.model.header import Elements
from p2d.pixels.box import Box

_SEQUENCE: Final = "00186011"
_CORNERS: Final = ("00186018", "0018601A", "0018601C", "0018601E")  # min x, min y, max x, max y; inclusive
_DATA_TYPE: Final = "00186014"
_NOTHING: Final = 0
"""RegionDataType None: no data of the examination."""
_MAX_REGIONS: Final = 64
_SMALLEST: Final = 8
"""Rows and columns below which a region is a mark of some kind and no picture."""


def regions_of(elements: Elements) -> tuple[Box, ...]:
    """Return the regions of the examination, clipped to the image; none where nothing usable is said.

    A region that is incomplete, turned inside out, outside the image, tiny, or of data type None is passed
    over, so that what it covers is masked with the rest.
    """
    rows, columns = _whole(elements, "00280010"), _whole(elements, "00280011")
    if not rows or not columns:
        return ()
    regions = []
    for item in _items(elements):
        corners = [_whole(elements, item + path) for path in _CORNERS]
        left, top, right, bottom = (-1 if corner is None else corner for corner in corners)
        if min(left, top, right, bottom) < 0 or _whole(elements, item + _DATA_TYPE) == _NOTHING:
            continue
        box = Box(left, top, right + 1, bottom + 1).clipped(rows, columns)
        if min(box.width, box.height) >= min(_SMALLEST, rows, columns):
            regions.append(box)
    return tuple(regions)


def _items(elements: Elements) -> Iterator[str]:
    for index in count():
        item = f"{_SEQUENCE}[{index}]."
        if index >= _MAX_REGIONS or not any(item + path in elements for path in (*_CORNERS, _DATA_TYPE)):
            return
        yield item


def _whole(elements: Elements, path: str) -> int | None:
    element = elements.get(path)
    if element is None or len(element.values) != 1:
        return None
    value = element.values[0]
    return value if isinstance(value, int) else None
