"""Walk the bytes of a data set (PS3.5 chapter 7): where each element begins, what it is, where it ends.

Values are never touched, so that a header of a hundred elements costs a hundred steps whatever it holds, and
untouched elements can be copied as they are. Lengths are believed only where the bytes are there: whatever
does not add up is ``Malformed``. Nothing is guessed, no element is skipped.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from mmap import mmap
from operator import itemgetter
from typing import Any, Final

from pydicom.datadict import private_dictionary_VR

from p2d.dicom.elements import standard_vr

Source = bytes | mmap
"""Bytes of a data set; slices of both are ``bytes``."""

Readable = bytes | mmap | bytearray | memoryview
"""Bytes that may still grow, or that belong to somebody else; slices are not to be kept."""

UNDEFINED: Final = 0xFFFFFFFF
MAX_DEPTH: Final = 32
MAX_ELEMENTS: Final = 500_000
LONG_VRS: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
SHORT_VRS: Final = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL"}
    | {b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_DELIMITERS: Final = frozenset({_ITEM, _ITEM_END, _SEQUENCE_END})
PIXELS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
"""Float, double float and integer pixel data (PS3.3 C.7.6.3, C.7.6.24, C.7.6.25)."""

_SHORT_NAMES: Final = {vr: vr.decode("ascii") for vr in SHORT_VRS}
_SHORT_TEXTS: Final = frozenset(_SHORT_NAMES.values())
_NAMES: Final = {vr: vr.decode("ascii") for vr in (*LONG_VRS, *SHORT_VRS)}


class Malformed(ValueError):  # noqa: N818 - says what is wrong, as p2d.model.errors do
    """Bytes that are no data set: a length beyond the end, an unknown VR, a stray delimiter; no value."""


class Truncated(Malformed):
    """More is announced than is there: who reads a stream waits for it."""


@dataclass(frozen=True, slots=True)
class Syntax:
    """How elements are encoded: PS3.5 A.1 (implicit), A.2 (explicit little endian), A.3 (big endian)."""

    is_implicit: bool
    is_little: bool = True


EXPLICIT_LITTLE: Final = Syntax(is_implicit=False)
IMPLICIT_LITTLE: Final = Syntax(is_implicit=True)
EXPLICIT_BIG: Final = Syntax(is_implicit=False, is_little=False)

Span = tuple[int, str, int, int, int, bool]
"""Tag, VR as encoded (the dictionary's where none is), begin of the element, begin and end of its value, and
whether its length was undefined. A value of undefined length ends before its delimiter."""

TAG: Final = 0
VR: Final = 1
BEGIN: Final = 2
VALUE: Final = 3
END: Final = 4
IS_UNDEFINED: Final = 5


def after(span: Span) -> int:
    """Return the position after the element *span*, its delimiter included."""
    return span[END] + 8 if span[IS_UNDEFINED] else span[END]


def spans(source: Source, syntax: Syntax, begin: int = 0, end: int | None = None) -> list[Span]:
    """Return the elements of *source* from *begin* to *end* in the order in which they stand.

    Sequences and encapsulated pixel data are one span each; ``items`` opens a sequence.

    Raises:
        Malformed: what stands there is no data set.

    """
    stop = len(source) if end is None else end
    if syntax == EXPLICIT_LITTLE:
        return _explicit_little(source, begin, stop)
    return list(_walk(source, syntax, begin, stop, 0))


def first_spans(source: Source, syntax: Syntax, begin: int, last: int) -> Iterator[Span]:
    """Yield the elements of a data set from *begin* on, up to tag *last*; what follows is not looked at.

    Raises:
        Malformed: as ``spans``.

    """
    position, stop = begin, len(source)
    unpack, is_plain = _EXPLICIT[True], syntax == EXPLICIT_LITTLE
    while position < stop:
        if is_plain and position + 8 <= stop:
            group, element, vr, length = unpack(source, position)
            end = position + 8 + length
            if vr in _SHORT_NAMES and end <= stop:
                if (tag := group << 16 | element) > last:
                    return
                yield tag, _SHORT_NAMES[vr], position, position + 8, end, False
                position = end
                continue
        span = span_at(source, syntax, position, stop)
        if span[TAG] > last:
            return
        yield span
        position = after(span)


def after_one(source: Readable, syntax: Syntax, position: int) -> int:
    """Return the position after the element of undefined length, or any other, that begins at *position*.

    Raises:
        Truncated: its end is not there.
        Malformed: as ``spans``.

    """
    return after(span_at(source, syntax, position, len(source)))


def span_at(source: Readable, syntax: Syntax, position: int, stop: int) -> Span:
    """Return the element that begins at *position* and must end before *stop*.

    Raises:
        Malformed: as ``spans``.

    """
    step = _implicit_step if syntax.is_implicit else _explicit_step
    if (span := step(source, syntax, position, stop, 0)) is None:
        raise Malformed("a delimiter where an element should be")
    return span


def has_short_length(syntax: Syntax, vr: str) -> bool:
    """Whether the length of an element of *vr* is two bytes, little endian (PS3.5 7.1.2)."""
    return syntax == EXPLICIT_LITTLE and vr in _SHORT_TEXTS


def items(source: Source, syntax: Syntax, span: Span) -> Iterator[tuple[Syntax, int, int]]:
    """Yield syntax, begin and end of each item of the sequence *span* (PS3.5 7.5).

    A sequence that was sent as UN is read as implicit VR little endian (PS3.5 6.2.2).

    Raises:
        Malformed: as ``spans``.

    """
    inner = inner_syntax(source, syntax, span)
    position, end = span[VALUE], span[END]
    header = _headers(inner)
    while position < end:
        tag, length = header(source, position, end)
        if tag != _ITEM:
            raise Malformed("no item where one should be")
        begin = position + 8
        if length == UNDEFINED:
            stop = _end_of_item(source, inner, begin, end, 1)
            yield inner, begin, stop
            position = stop + 8
        else:
            position = begin + length
            if position > end:
                raise Malformed("an item is longer than its sequence")
            yield inner, begin, position


def inner_syntax(source: Source, syntax: Syntax, span: Span) -> Syntax:
    """Return how the items of sequence *span* are encoded."""
    is_unknown = not syntax.is_implicit and source[span[BEGIN] + 4 : span[BEGIN] + 6] == b"UN"
    return IMPLICIT_LITTLE if is_unknown else syntax


def fragments(source: Source, syntax: Syntax, span: Span) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each fragment of encapsulated pixel data (PS3.5 A.4), the offset table first.

    Raises:
        Malformed: the fragments do not fill *span*.

    """
    position, end = span[VALUE], span[END]
    header = _headers(syntax)
    while position < end:
        tag, length = header(source, position, end)
        if tag != _ITEM or length == UNDEFINED or position + 8 + length > end:
            raise Malformed("fragments do not add up")
        yield position + 8, position + 8 + length
        position += 8 + length


def vr_at(tag: int, encoded: str, creator: str = "") -> str:
    """Return the VR to treat element *tag* as: *encoded*, or the dictionary's where that says UN.

    *creator* is the private creator of a private element; PS3.5 6.2.2 lets a writer that does not know an
    element send UN.
    """
    if encoded != "UN":
        return encoded
    if not tag >> 16 & 1:
        return standard_vr(tag)
    if 0x10 <= tag & 0xFFFF <= 0xFF:  # noqa: PLR2004 - private creators, PS3.5 7.8.1
        return "LO"
    if creator:
        try:
            vr = private_dictionary_VR(tag, creator)
        except KeyError:
            return "UN"
        return vr if len(vr) == 2 else "UN"  # noqa: PLR2004 - "OB or OW" says nothing certain
    return "UN"


_Header = Callable[[Readable, int, int], tuple[int, int]]


def _headers(syntax: Syntax) -> _Header:
    """Return a reader of item and delimiter headers: tag and length, 8 bytes (PS3.5 7.5.1)."""
    return _little_header if syntax.is_little else _big_header


def _unpack(form: str, source: Readable, position: int, end: int) -> tuple[Any, ...]:
    if position + 8 > end:
        raise Truncated("ends within an element")
    return struct.unpack_from(form, source, position)


def _little_header(source: Readable, position: int, end: int) -> tuple[int, int]:
    group, element, length = _unpack("<HHI", source, position, end)
    return group << 16 | element, length


def _big_header(source: Readable, position: int, end: int) -> tuple[int, int]:
    group, element, length = _unpack(">HHI", source, position, end)
    return group << 16 | element, length


def _walk(source: Source, syntax: Syntax, position: int, stop: int, depth: int) -> Iterator[Span]:
    """Yield the elements up to *stop*."""
    if depth > MAX_DEPTH:
        raise Malformed("sequences nested too deep")
    step = _implicit_step if syntax.is_implicit else _explicit_step
    count = 0
    while position < stop:
        span = step(source, syntax, position, stop, depth)
        if span is None:
            raise Malformed("a delimiter where an element should be")
        yield span
        position = span[END] + 8 if span[IS_UNDEFINED] else span[END]
        count += 1
        if count > MAX_ELEMENTS:
            raise Malformed("too many elements")


def _explicit_little(source: Source, position: int, stop: int) -> list[Span]:
    """Return what ``_walk`` yields: most data sets are encoded so, and short elements are most of them."""
    found: list[Span] = []
    unpack, names = _EXPLICIT[True], _SHORT_NAMES
    while position < stop:
        if position + 8 > stop:
            raise Truncated("ends within an element")
        group, element, vr, length = unpack(source, position)
        if vr in names:
            end = position + 8 + length
            found.append((group << 16 | element, names[vr], position, position + 8, end, False))
            position = end
            continue
        span = _explicit_step(source, EXPLICIT_LITTLE, position, stop, 0)
        if span is None:
            raise Malformed("a delimiter where an element should be")
        found.append(span)
        position = after(span)
    if position > stop or len(found) > MAX_ELEMENTS:
        raise Malformed("a value is longer than what is there, or too many elements")
    return found


_EXPLICIT: Final = {True: struct.Struct("<HH2sH").unpack_from, False: struct.Struct(">HH2sH").unpack_from}
_LENGTH: Final = {True: struct.Struct("<I").unpack_from, False: struct.Struct(">I").unpack_from}
_IMPLICIT: Final = struct.Struct("<HHI").unpack_from


def _explicit_step(source: Readable, syntax: Syntax, position: int, stop: int, depth: int) -> Span | None:
    """Return the element at *position*, or None where a delimiter stands there."""
    if position + 8 > stop:
        raise Truncated("ends within an element")
    group, element, vr, length = _EXPLICIT[syntax.is_little](source, position)
    tag = group << 16 | element
    if vr in SHORT_VRS:
        end = position + 8 + length
        if end > stop:
            raise Truncated("a value is longer than what is there")
        return (tag, _NAMES[vr], position, position + 8, end, False)
    if tag in _DELIMITERS:
        return None
    if vr not in LONG_VRS:
        raise Malformed("no value representation where one should be")
    if position + 12 > stop:
        raise Truncated("ends within an element")
    (length,) = _LENGTH[syntax.is_little](source, position + 8)
    value = position + 12
    if length != UNDEFINED:
        if value + length > stop:
            raise Truncated("a value is longer than what is there")
        return (tag, _NAMES[vr], position, value, value + length, False)
    return (tag, _NAMES[vr], position, value, _end(source, syntax, tag, vr, value, stop, depth), True)


def _implicit_step(source: Readable, syntax: Syntax, position: int, stop: int, depth: int) -> Span | None:
    if position + 8 > stop:
        raise Truncated("ends within an element")
    group, element, length = _IMPLICIT(source, position)
    tag = group << 16 | element
    value = position + 8
    if length != UNDEFINED:
        if tag in _DELIMITERS:
            return None
        if value + length > stop:
            raise Truncated("a value is longer than what is there")
        return (tag, "UN" if group & 1 else standard_vr(tag), position, value, value + length, False)
    if tag in _DELIMITERS:
        raise Malformed("a delimiter where an element should be")
    end = _end(source, syntax, tag, b"SQ", value, stop, depth)
    return (tag, "SQ", position, value, end, True)


def _end(source: Readable, syntax: Syntax, tag: int, vr: bytes, value: int, stop: int, depth: int) -> int:
    """Return where a value of undefined length ends: before its delimiter."""
    if tag in PIXELS and vr in {b"OB", b"OW", b"UN"}:
        return _end_of_fragments(source, syntax, value, stop)
    if vr not in {b"SQ", b"UN"}:
        raise Malformed("an undefined length where none may be")
    inner = IMPLICIT_LITTLE if vr == b"UN" else syntax
    header = _headers(inner)
    position = value
    while True:
        found, length = header(source, position, stop)
        if found == _SEQUENCE_END:
            return position
        if found != _ITEM:
            raise Malformed("no item where one should be")
        position += 8
        position = (
            _end_of_item(source, inner, position, stop, depth + 1) + 8
            if length == UNDEFINED
            else position + length
        )


def _end_of_item(source: Readable, syntax: Syntax, position: int, stop: int, depth: int) -> int:
    """Return where an item of undefined length ends: before its delimiter."""
    if depth > MAX_DEPTH:
        raise Malformed("sequences nested too deep")
    step = _implicit_step if syntax.is_implicit else _explicit_step
    header = _headers(syntax)
    while True:
        found, _ = header(source, position, stop)
        if found == _ITEM_END:
            return position
        span = step(source, syntax, position, stop, depth)
        if span is None:
            raise Malformed("a delimiter where an element should be")
        position = after(span)


def _end_of_fragments(source: Readable, syntax: Syntax, position: int, stop: int) -> int:
    header = _headers(syntax)
    while True:
        found, length = header(source, position, stop)
        if found == _SEQUENCE_END:
            return position
        if found != _ITEM or length == UNDEFINED:
            raise Malformed("fragments do not add up")
        position += 8 + length


def ordered(found: Sequence[Span]) -> Sequence[Span]:
    """Return *found* by ascending tag (PS3.5 7.1.1); writers that do not keep the order exist.

    Raises:
        Malformed: an element stands twice.

    """
    tags = [span[TAG] for span in found]
    placed = sorted(tags)
    if len(set(tags)) < len(tags):
        raise Malformed("an element stands twice")
    return found if tags == placed else sorted(found, key=itemgetter(TAG))
