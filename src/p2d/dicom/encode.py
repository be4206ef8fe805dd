"""Bytes of a data element from its values (PS3.5 6.2, 7.1): the counterpart of ``walk`` and ``values_of``."""

import struct
from collections.abc import Sequence
from typing import Final

from p2d.dicom.walk import Syntax
from p2d.model.header import Value

_LONG: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
_NUMBERS: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_CODED: Final = frozenset({"SH", "LO", "ST", "LT", "UC", "UT", "PN"})
"""VRs whose text depends on SpecificCharacterSet (PS3.5 6.1.2.2)."""

_MAX_SHORT: Final = 0xFFFF
_MAX_DS: Final = 16


class Unencodable(ValueError):  # noqa: N818 - says what is wrong, as p2d.model.errors do
    """Values that a VR or character set cannot hold; holds no value."""


def element(tag: int, vr: str, value: bytes, syntax: Syntax) -> bytes:
    """Return the data element *tag* with the encoded *value*, which is padded to even length.

    Raises:
        Unencodable: longer than the VR allows.

    """
    if len(value) & 1:
        value += b"\0" if vr in {"UI", "OB", "UN"} else b" "
    order = "<" if syntax.is_little else ">"
    group, number = tag >> 16, tag & 0xFFFF
    if syntax.is_implicit:
        return struct.pack("<HHI", group, number, len(value)) + value
    if vr in _LONG:
        return struct.pack(f"{order}HH2sHI", group, number, vr.encode(), 0, len(value)) + value
    if len(value) > _MAX_SHORT:
        raise Unencodable("longer than its value representation allows")
    return struct.pack(f"{order}HH2sH", group, number, vr.encode(), len(value)) + value


def sequence(tag: int, encoded_items: Sequence[bytes], syntax: Syntax) -> bytes:
    """Return the sequence *tag* of *encoded_items*, each the bytes of an item's data set, lengths defined."""
    form = "<HHI" if syntax.is_little else ">HHI"
    value = b"".join(struct.pack(form, 0xFFFE, 0xE000, len(item)) + item for item in encoded_items)
    return element(tag, "SQ", value, syntax)


def encoded(vr: str, values: Sequence[Value], codec: str, syntax: Syntax) -> bytes:
    """Return *values* of one element as bytes, not padded; *codec* is that of coded text.

    Raises:
        Unencodable: *codec* lacks a character, or a number is out of range.

    """
    try:
        if form := _NUMBERS.get(vr):
            order = "<" if syntax.is_little else ">"
            return struct.pack(f"{order}{len(values)}{form}", *values)
        if vr == "AT":
            order = "<" if syntax.is_little else ">"
            pairs = [(int(str(v)[:4], 16), int(str(v)[4:], 16)) for v in values]
            return b"".join(struct.pack(f"{order}HH", *pair) for pair in pairs)
        text = "\\".join(_written(vr, value) for value in values)
        return text.encode(codec if vr in _CODED else "ascii")
    except (UnicodeError, struct.error, ValueError):
        raise Unencodable("not to be written in its value representation or character set") from None


def _written(vr: str, value: Value) -> str:
    if vr != "DS" or isinstance(value, str):
        return str(value)
    text = repr(value)
    return text if len(text) <= _MAX_DS else f"{value:.10g}"
