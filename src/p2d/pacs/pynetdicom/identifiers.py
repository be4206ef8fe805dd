"""C-FIND, C-GET and C-MOVE identifiers as bytes, in implicit VR little endian, without pydicom's objects."""

import struct
from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from typing import Final

from pydicom.filereader import read_dataset

from p2d.dicom.charset import DEFAULT, UndecodableText, character_set
from p2d.dicom.elements import UndecodableHeader, elements_of, standard_vr, values_of
from p2d.model.header import Element

_HEAD: Final = struct.Struct("<HHI")
_UNDEFINED: Final = 0xFFFFFFFF
_LEVEL: Final = "00080052"
_SOP_INSTANCE_UID: Final = 0x00080018
_LONG: Final = frozenset(
    {b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN", b"SQ", b"UT", b"UC", b"UR", b"SV", b"UV"}
)
_TRANSPORT: Final = frozenset({"00080005", "00080052", "00080054", "00080055", "00080056", "00080001"})
"""SpecificCharacterSet, level, retrieve AE and URL, availability: of the answer, not of the entity."""


def encoded(level: str, keys: Mapping[str, str]) -> bytes:
    """Return the identifier asking at *level* ("IMAGE") with *keys*: path → value, empty for a return key."""
    values = {_LEVEL: level, **keys}
    if not all(value.isascii() for value in values.values()):
        values["00080005"] = "ISO_IR 192"
    parts = []
    for path in sorted(values):
        tag = int(path, 16)
        content = values[path].encode("utf-8")
        if len(content) % 2:
            content += b"\0" if standard_vr(tag) == "UI" else b" "
        parts.append(_HEAD.pack(tag >> 16, tag & 0xFFFF, len(content)) + content)
    return b"".join(parts)


@lru_cache(maxsize=4096)
def _known(group: int, element: int) -> tuple[str, str]:
    tag = group << 16 | element
    return f"{tag:08X}", standard_vr(tag)


def answer(content: bytes) -> dict[str, Element]:
    """Return the elements of one C-FIND answer; text outside its character set is guessed.

    Raises:
        UndecodableHeader: broken lengths.
        UndecodableText: never for text, as it is guessed.

    """
    flat: dict[str, Element] = {}
    codecs = DEFAULT
    position, end = 0, len(content)
    while position < end:
        if end - position < _HEAD.size:
            raise UndecodableHeader("answer ends within an element")
        group, element, length = _HEAD.unpack_from(content, position)
        path, vr = _known(group, element)
        if vr == "SQ" or length == _UNDEFINED:
            return _nested(content)
        start = position + _HEAD.size
        position = start + length
        if position > end:
            raise UndecodableHeader("element longer than its answer")
        value = content[start:position]
        if path == "00080005":
            codecs = _codecs(value)
        elif path not in _TRANSPORT:
            flat[path] = Element(path, vr, values_of(vr, value, codecs, little=True, guess=True))
    return flat


def _codecs(value: bytes) -> tuple[str, ...]:
    try:
        return character_set(value)
    except UndecodableText:
        return DEFAULT


def _nested(content: bytes) -> dict[str, Element]:
    try:
        dataset = read_dataset(BytesIO(content), is_implicit_VR=True, is_little_endian=True)
    except Exception as error:  # noqa: BLE001 - pydicom raises many types on hostile bytes
        raise UndecodableHeader(f"answer not readable: {type(error).__name__}") from None
    return {path: one for path, one in elements_of(dataset, guess=True).items() if path not in _TRANSPORT}


def sop_instance_uid(content: bytes, *, implicit: bool) -> str:
    """Return SOPInstanceUID (0008,0018) of a little endian data set, empty where it is absent or broken."""
    position, end = 0, len(content)
    while position + _HEAD.size <= end:
        group, element, length = _HEAD.unpack_from(content, position)
        start = position + _HEAD.size
        if not implicit:
            vr = content[position + 4 : position + 6]
            if vr in _LONG:
                if start + 4 > end:
                    return ""
                (length,) = struct.unpack_from("<I", content, start)
                start += 4
            else:
                (length,) = struct.unpack_from("<H", content, position + 6)
        tag = group << 16 | element
        if tag > _SOP_INSTANCE_UID or length == _UNDEFINED or start + length > end:
            return ""
        if tag == _SOP_INSTANCE_UID:
            return content[start : start + length].rstrip(b"\0 ").decode("latin-1")
        position = start + length
    return ""
