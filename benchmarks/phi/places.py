"""Places in a data set: ``00400275[0].00080050``, private elements as ``0029[CREATOR]10``.

Items of SR content are named by concept, value type and turn, as in ``0040A730[121106~TEXT~0].0040A160``: a
tool may remove some of them.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

_STEP: Final = re.compile(
    r"(?P<tag>[0-9A-F]{8})(?:\[(?P<item>[^\]]+)\])?|(?P<group>[0-9A-F]{4})\[(?P<creator>.+)\](?P<low>..)"
)
_DOT: Final = re.compile(r"\.(?![^\[]*\])")
_CONTENT: Final = "0040A730"
_BYTES_SHOWN: Final = 1 << 20


def element_at(dataset: Dataset, path: str) -> DataElement | None:
    """Return the element at *path*, or None where a step of it is missing or cannot be read."""
    place: Dataset = dataset
    steps = _DOT.split(path)
    for number, step in enumerate(steps):
        found = _STEP.fullmatch(step)
        if found is None:
            return None
        element = _step(place, found)
        if element is None or number == len(steps) - 1:
            return element
        if not isinstance(element.value, Sequence):
            return None
        item = dict(named_items(found["tag"], element.value)).get(found["item"] or "0")
        if item is None:
            return None
        place = item
    return None


def _step(place: Dataset, found: re.Match[str]) -> DataElement | None:
    try:
        if found["tag"]:
            tag = int(found["tag"], 16)
            holder = place
            if tag >> 16 == 2:
                holder = getattr(place, "file_meta", None) or Dataset()
            return holder.get(tag)
        block = place.private_block(int(found["group"], 16), found["creator"])
        return block[int(found["low"], 16)]
    except (KeyError, ValueError, TypeError, IndexError, NotImplementedError, AttributeError):
        return None


def named_items(tag: str, sequence: Sequence) -> Iterator[tuple[str, Dataset]]:
    """Yield the items of a sequence with their names in a path."""
    turns: Counter[str] = Counter()
    for number, item in enumerate(sequence):
        if tag != _CONTENT:
            yield str(number), item
            continue
        name = content_name(item)
        yield f"{name}~{turns[name]}", item
        turns[name] += 1


def content_name(item: Dataset) -> str:
    """Return concept and value type of an SR content item."""
    concepts = item.get("ConceptNameCodeSequence") or [Dataset()]
    return f"{concepts[0].get('CodeValue', '')}~{item.get('ValueType', '')}".replace("]", "")


def text_of(element: DataElement | None) -> str:
    """Return all that an element says, items and bytes included; values are joined by a backslash."""
    if element is None:
        return ""
    try:
        return _text(element.value)
    except (ValueError, TypeError, UnicodeError, NotImplementedError, AttributeError):
        return ""


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Sequence):
        return "\\".join(text_of(element) for item in value for element in item)
    if isinstance(value, MultiValue | list | tuple):
        return "\\".join(_text(one) for one in value)
    if isinstance(value, bytes):
        shown = value[:_BYTES_SHOWN]
        return shown.decode("utf-8", "ignore") + "\\" + shown.decode("latin-1")
    return str(value).rstrip("\0 ")


def walk(dataset: Dataset, prefix: str = "") -> Iterator[tuple[str, DataElement]]:
    """Yield every element with its place, depth first; elements that cannot be read are left out."""
    for tag in sorted(dataset.keys()):
        try:
            element = dataset[tag]
        except (KeyError, ValueError, TypeError, NotImplementedError, AttributeError, EOFError):
            continue
        path = f"{prefix}{int(tag):08X}"
        yield path, element
        if isinstance(element.value, Sequence):
            for name, item in named_items(path[-8:], element.value):
                yield from walk(item, f"{path}[{name}].")
