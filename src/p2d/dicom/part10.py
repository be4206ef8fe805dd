"""Find the data set in a DICOM file (PS3.10 7.1): after preamble, prefix and file meta information."""

import struct
from dataclasses import dataclass
from typing import Final

from p2d.dicom.walk import Source

_PREFIX_END: Final = 132
_LONG: Final = frozenset({b"OB", b"OW", b"OF", b"SQ", b"UN", b"UT"})
_EXPLICIT: Final = "1.2.840.10008.1.2.1"
_IMPLICIT: Final = "1.2.840.10008.1.2"
_SOP_CLASS: Final = 0x02
_TRANSFER_SYNTAX: Final = 0x10
_TOLD: Final = frozenset({_SOP_CLASS, _TRANSFER_SYNTAX})
_HEADER: Final = struct.Struct("<2xH2sH").unpack_from
_LENGTH: Final = struct.Struct("<I").unpack_from
_MAX_META: Final = 1 << 20
_FIRST_GROUPS: Final = frozenset({0x0008, 0x0010})


class NotDicom(ValueError):  # noqa: N818 - says what it is, no fault of the program
    """Bytes that do not begin like a DICOM file or data set; holds no value."""


@dataclass(frozen=True, slots=True)
class Part10:
    """Where the data set begins and how it is encoded; ``sop_class_uid`` is the file meta information's."""

    offset: int
    transfer_syntax_uid: str
    sop_class_uid: str


def open_part10(source: Source) -> Part10:
    """Return where the data set of the DICOM file *source* begins.

    A file without preamble is read as a bare data set in explicit or implicit VR little endian, whichever its
    first element fits.

    Raises:
        NotDicom: it begins like neither.

    """
    if source[128:_PREFIX_END] != b"DICM":
        return _bare(source)
    meta: dict[int, bytes] = {}
    position, end = _PREFIX_END, len(source)
    while position < _MAX_META and source[position : position + 2] == b"\x02\x00":
        begin = position + 8
        if begin > end:
            raise NotDicom("file meta information ends within an element")
        element, vr, size = _HEADER(source, position)
        if vr in _LONG:
            begin += 4
            if begin > end:
                raise NotDicom("file meta information ends within an element")
            (size,) = _LENGTH(source, position + 8)
        if begin + size > end:
            raise NotDicom("file meta information is longer than the file")
        if element in _TOLD:
            meta[element] = source[begin : begin + min(size, 256)]
        position = begin + size
    syntax = _uid(meta.get(_TRANSFER_SYNTAX, b""))
    return Part10(position, syntax or _guessed(source, position), _uid(meta.get(_SOP_CLASS, b"")))


def _bare(source: Source) -> Part10:
    head = source[:8]
    if len(head) < 8 or struct.unpack_from("<H", head)[0] not in _FIRST_GROUPS:  # noqa: PLR2004 - an element's header
        raise NotDicom("begins like no DICOM file")
    return Part10(0, _guessed(source, 0), "")


def _guessed(source: Source, position: int) -> str:
    vr = source[position + 4 : position + 6]
    return _EXPLICIT if vr.isalpha() and vr.isupper() else _IMPLICIT


def _uid(value: bytes) -> str:
    return value.rstrip(b"\0 ").decode("ascii", "replace")
