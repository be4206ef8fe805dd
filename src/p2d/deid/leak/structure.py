"""Take a file apart into its elements, as far as it is DICOM; what is not becomes parts of their own.

Written apart from the reader that releases objects, and more patient: it finds the place of a value in files
that no reader would accept, and stops only at limits.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from p2d.deid.leak.streams import Budget, Unsearchable
from p2d.dicom.charset import DEFAULT, CharacterSet, UndecodableText, character_set
from p2d.dicom.elements import standard_vr

PREAMBLE: Final = "preamble"
TRAILING: Final = "behind the last element"
BROKEN: Final = "bytes that are no elements"
PIXEL_TAGS: Final = frozenset({"7FE00008", "7FE00009", "7FE00010"})

_PREFIX: Final = 132
_META: Final = 2
_LONG_VRS: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_SHORT_VRS: Final = frozenset(
    {
        b"AE",
        b"AS",
        b"AT",
        b"CS",
        b"DA",
        b"DS",
        b"DT",
        b"FL",
        b"FD",
        b"IS",
        b"LO",
        b"LT",
        b"PN",
        b"SH",
        b"SL",
        b"SS",
    }
    | {b"ST", b"TM", b"UI", b"UL", b"US"}
)
_UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = 0xFFFEE000
_CHARACTER_SET: Final = 0x00080005
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_MAX_DEPTH: Final = 48
_MAX_INFLATED: Final = 1 << 27
_MAX_PARTS: Final = 500_000
_DEFLATED: Final = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
_IMPLICIT: Final = "1.2.840.10008.1.2"
_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"


@dataclass(frozen=True, slots=True)
class Part:
    """The value of an element, or another part of a file; ``place`` is a path as in ``Element`` or a name."""

    place: str
    vr: str
    value: memoryview = field(repr=False)
    codecs: CharacterSet = DEFAULT
    is_little: bool = True

    @property
    def tag(self) -> str:
        """The tag of an element; the name of another part."""
        return self.place[-8:]


@dataclass(slots=True)
class _Reading:
    """Where the reading of one data set stands."""

    view: memoryview
    is_explicit: bool
    order: str
    parts: int = 0


def is_dicom(content: bytes | memoryview) -> bool:
    """Whether *content* is a DICOM file, or a data set without preamble."""
    head = bytes(content[:_PREFIX])
    if head[128:] == b"DICM":
        return True
    group, vr = head[:2], head[4:6]
    return group in {b"\x02\0", b"\x08\0"} and (vr in _SHORT_VRS or vr in _LONG_VRS or head[6:8] == b"\0\0")


def parts_of(content: bytes | memoryview) -> Iterator[Part]:
    """Yield the parts of a DICOM file in their order, elements of sequence items included.

    Raises:
        Unsearchable: a deflated data set that is too large, or torn: what of it could be read was yielded.

    """
    view = memoryview(content)
    begin = 0
    if bytes(view[128:_PREFIX]) == b"DICM":
        yield Part(PREAMBLE, "", view[:128])
        begin = _PREFIX
    syntax = ""
    for part, end in _meta(view, begin):
        begin = max(begin, end)
        if part is not None:
            if part.place == "00020010":
                syntax = bytes(part.value).rstrip(b"\0 ").decode("ascii", "replace")
            yield part
    yield from _data_set(view, begin, syntax)


def _data_set(view: memoryview, begin: int, syntax: str) -> Iterator[Part]:
    """Yield the parts of the data set that begins at *begin*."""
    is_torn = False
    if syntax in _DEFLATED:
        budget = Budget(_MAX_INFLATED)
        view, begin = memoryview(budget.inflated(bytes(view[begin:]), -zlib.MAX_WBITS)), 0
        if budget.rest:
            yield Part(TRAILING, "", memoryview(budget.rest))
        is_torn = budget.is_torn
    reading = _Reading(view, _is_explicit(view, begin), ">" if syntax == _BIG_ENDIAN else "<")
    for part, end in _elements(reading, begin, len(view), "", DEFAULT, 0):
        begin = end
        if part is not None:
            yield part
    if begin < len(view):
        yield Part(TRAILING, "", view[begin:])
    if is_torn:
        raise Unsearchable


def _meta(view: memoryview, begin: int) -> Iterator[tuple[Part | None, int]]:
    if bytes(view[begin : begin + 2]) == b"\x02\0":
        meta = _Reading(view, _is_explicit(view, begin), "<")
        yield from _elements(meta, begin, len(view), "", DEFAULT, 0, only_meta=True)


def _is_explicit(view: memoryview, begin: int) -> bool:
    vr = bytes(view[begin + 4 : begin + 6])
    return vr in _SHORT_VRS or vr in _LONG_VRS


def _elements(
    reading: _Reading,
    position: int,
    end: int,
    prefix: str,
    codecs: CharacterSet,
    depth: int,
    *,
    only_meta: bool = False,
) -> Iterator[tuple[Part | None, int]]:
    """Yield each element and where it ends; None for the parts of a sequence that are no values."""
    view, order = reading.view, reading.order
    while position + 8 <= end:
        group, element = struct.unpack_from(order + "HH", view, position)
        tag = group << 16 | element
        if only_meta and group != _META:
            return
        if tag in {_ITEM_END, _SEQUENCE_END}:
            yield None, position + 8
            return
        vr, start, length = _head(reading, position, tag)
        reading.parts += 1
        if reading.parts > _MAX_PARTS:
            raise Unsearchable
        path = f"{prefix}{tag:08X}"
        if tag == _ITEM or (length != _UNDEFINED and start + length > end):
            yield Part(prefix + BROKEN if prefix else TRAILING, "", view[position:end]), end
            return
        if vr == "SQ" or (length == _UNDEFINED and not path.startswith("7FE0")):
            inner = _Reading(view, reading.is_explicit and vr != "UN", order, reading.parts)
            stop = end if length == _UNDEFINED else start + length
            position = start
            for part, position in _items(inner, start, stop, path, codecs, depth + 1):
                yield part, position
            reading.parts = inner.parts
            if length != _UNDEFINED:
                position = stop
            yield None, position
            continue
        stop = start + length if length != _UNDEFINED else _encapsulated_end(view, start, end)
        value = view[start:stop]
        if tag == _CHARACTER_SET:
            codecs = _declared(bytes(value[:256]))
        position = stop
        yield Part(path, vr, value, codecs, order == "<"), stop


def _head(reading: _Reading, position: int, tag: int) -> tuple[str, int, int]:
    """Return VR, where the value begins and its length."""
    view, order = reading.view, reading.order
    vr = bytes(view[position + 4 : position + 6])
    if not reading.is_explicit or (vr not in _SHORT_VRS and vr not in _LONG_VRS):
        return standard_vr(tag), position + 8, struct.unpack_from(order + "I", view, position + 4)[0]
    if vr in _LONG_VRS:
        if position + 12 > len(view):
            return "UN", position + 8, len(view)
        return vr.decode("ascii"), position + 12, struct.unpack_from(order + "I", view, position + 8)[0]
    return vr.decode("ascii"), position + 8, struct.unpack_from(order + "H", view, position + 6)[0]


def _items(
    reading: _Reading, position: int, end: int, path: str, codecs: CharacterSet, depth: int
) -> Iterator[tuple[Part | None, int]]:
    view, order = reading.view, reading.order
    index = 0
    while position + 8 <= end:
        group, element, length = struct.unpack_from(order + "HHI", view, position)
        tag = group << 16 | element
        if tag == _SEQUENCE_END:
            yield None, position + 8
            return
        if tag != _ITEM or depth > _MAX_DEPTH:
            yield Part(f"{path}[{index}].{BROKEN}", "", view[position:end]), end
            return
        stop = end if length == _UNDEFINED else min(end, position + 8 + length)
        begin = position = position + 8
        for part, position in _elements(reading, begin, stop, f"{path}[{index}].", codecs, depth):
            yield part, position
        if length != _UNDEFINED:
            if position < stop:
                yield Part(f"{path}[{index}].{BROKEN}", "", view[position:stop]), stop
            position = stop
        index += 1
    yield None, position


def _encapsulated_end(view: memoryview, position: int, end: int) -> int:
    """Return where the encapsulated Pixel Data that begin at *position* end, delimiter included."""
    while position + 8 <= end:
        group, element, length = struct.unpack_from("<HHI", view, position)
        position += 8
        if (group << 16 | element) != _ITEM:
            return position if (group << 16 | element) == _SEQUENCE_END else position - 8
        position += length
    return min(position, end)


def _declared(value: bytes) -> CharacterSet:
    try:
        return character_set(value)
    except UndecodableText:
        return DEFAULT
