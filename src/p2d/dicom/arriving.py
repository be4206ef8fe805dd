"""Walk a data set that is still arriving: up to its pixel data, or as far as its bytes go.

The counterpart of ``walk`` for streams. Only little endian encodings (PS3.5 A.1, A.2) are walked; values are
jumped over, never looked at.
"""

import struct
from dataclasses import dataclass
from typing import Final

from p2d.dicom.walk import (
    LONG_VRS,
    PIXELS,
    SHORT_VRS,
    UNDEFINED,
    Malformed,
    Readable,
    Syntax,
    Truncated,
    after_one,
)

_EXPLICIT: Final = struct.Struct("<HH2sH").unpack_from
_IMPLICIT: Final = struct.Struct("<HHI").unpack_from
_LENGTH: Final = struct.Struct("<I").unpack_from
_PIXEL_GROUP: Final = 0x7FE0
_ITEM_GROUP: Final = 0xFFFE


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a walk came: *position* is where an element begins.

    ``tag`` is that of the pixel data beginning there, or 0 where bytes are missing; then ``needed`` is the
    number of bytes that takes the walk further, or 0 where nobody can say.
    """

    position: int
    tag: int = 0
    needed: int = 0


def up_to_pixels(source: Readable, syntax: Syntax, begin: int = 0) -> Reached:
    """Walk the elements of *source* from *begin*, where one begins, to the pixel data at top level.

    Raises:
        Malformed: what stands there is no data set however it goes on.

    """
    if syntax.is_implicit:
        return _implicit(source, syntax, begin)
    return _explicit(source, syntax, begin)


def _explicit(source: Readable, syntax: Syntax, position: int) -> Reached:
    stop, unpack, short = len(source), _EXPLICIT, SHORT_VRS
    while position + 8 <= stop:
        group, element, vr, length = unpack(source, position)
        if group == _PIXEL_GROUP and (group << 16 | element) in PIXELS:
            return Reached(position, group << 16 | element)
        if vr in short:
            end = position + 8 + length
        elif vr not in LONG_VRS:
            raise Malformed("no value representation where one should be")
        elif position + 12 > stop:
            return Reached(position, needed=position + 12)
        else:
            (length,) = _LENGTH(source, position + 8)
            if length == UNDEFINED:
                try:
                    position = after_one(source, syntax, position)
                except Truncated:
                    return Reached(position)
                continue
            end = position + 12 + length
        if end > stop:
            return Reached(position, needed=end)
        position = end
    return Reached(position, needed=position + 8)


def _implicit(source: Readable, syntax: Syntax, position: int) -> Reached:
    stop = len(source)
    while position + 8 <= stop:
        group, element, length = _IMPLICIT(source, position)
        if group == _PIXEL_GROUP and (group << 16 | element) in PIXELS:
            return Reached(position, group << 16 | element)
        if group == _ITEM_GROUP:
            raise Malformed("a delimiter where an element should be")
        if length == UNDEFINED:
            try:
                position = after_one(source, syntax, position)
            except Truncated:
                return Reached(position)
            continue
        end = position + 8 + length
        if end > stop:
            return Reached(position, needed=end)
        position = end
    return Reached(position, needed=position + 8)


def first_values(source: Readable, syntax: Syntax, last: int) -> dict[int, tuple[int, int]]:
    """Return tag → begin and end of the value of each element up to tag *last*; broken ones end the walk.

    Elements of undefined length are left out. What stands behind *last*, or out of order, is not looked at.
    """
    found: dict[int, tuple[int, int]] = {}
    position, stop, unpack, short = 0, len(source), _EXPLICIT, SHORT_VRS
    while position + 8 <= stop:
        group, element, vr, length = unpack(source, position)
        tag = group << 16 | element
        if tag > last:
            break
        begin = position + 8
        if syntax.is_implicit:
            (length,) = _LENGTH(source, position + 4)
        elif vr not in short:
            if vr not in LONG_VRS or position + 12 > stop:
                break
            (length,) = _LENGTH(source, position + 8)
            begin = position + 12
        if length == UNDEFINED:
            try:
                position = after_one(source, syntax, position)
            except Malformed:
                break
            continue
        position = begin + length
        if position > stop:
            break
        found[tag] = (begin, position)
    return found
