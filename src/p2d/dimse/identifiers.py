"""C-FIND, C-GET and C-MOVE identifiers as bytes, in implicit VR little endian, without pydicom's objects."""

import struct
from collections.abc import Mapping
from enum import Enum, auto
from io import BytesIO
from typing import Final, NoReturn

from pydicom.filereader import read_dataset

from p2d.dicom.charset import DEFAULT, UndecodableText, character_set
from p2d.dicom.elements import UndecodableHeader, elements_of, may_be_signed, standard_vr, values_of
from p2d.model.header import Element

Row = dict[str, Element]

_HEAD: Final = struct.Struct("<HHI")
_TAG_AND_LENGTH: Final = struct.Struct("<II").unpack_from
_UNDEFINED: Final = 0xFFFFFFFF
_LEVEL: Final = "00080052"
_SOP_INSTANCE_UID: Final = 0x00080018
_LONG: Final = frozenset(
    {b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN", b"SQ", b"UT", b"UC", b"UR", b"SV", b"UV"}
)
_CHARACTER_SET: Final = "00080005"
_DELIMITER_GROUP: Final = 0xFFFE
_MOST_KNOWN: Final = 4096
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


class Answers:
    """Reads the answers to one query, which mostly repeat each other's values; not shared between threads."""

    def __init__(self) -> None:
        self._codecs = DEFAULT
        self._character_set = b""
        self._latest: dict[int, tuple[bytes, Element]] = {}

    def row(self, content: bytes) -> Row:
        """Return the elements of one C-FIND answer; text outside its character set is guessed.

        Raises:
            UndecodableHeader: broken lengths.
            UndecodableText: never for text, as it is guessed.

        """
        row: Row = {}
        position, end = 0, len(content)
        latest, known = self._latest, _KNOWN
        declared = b""
        while position + 8 <= end:
            tag, length = _TAG_AND_LENGTH(content, position)
            start = position + 8
            position = start + length
            if position > end:
                return _nested(content) if length == _UNDEFINED else _too_long()
            value = content[start:position]
            seen = latest.get(tag)
            if seen is not None and seen[0] == value and declared == self._character_set:
                element = seen[1]
                row[element.path] = element
                continue
            path, vr, kind = known.get(tag) or _learned(tag)
            if kind is _Kind.PLAIN:
                if declared != self._character_set:
                    self._declare(declared)
                element = Element(path, vr, values_of(vr, value, self._codecs, little=True, guess=True))
                latest[tag] = value, element
                row[path] = element
            elif kind is _Kind.NESTED or (kind is _Kind.CHARACTER_SET and row):
                return _nested(content)
            elif kind is _Kind.CHARACTER_SET:
                declared = value
        if position != end:
            raise UndecodableHeader("answer ends within an element")
        return row

    def _declare(self, value: bytes) -> None:
        self._character_set, self._codecs = value, _codecs(value)
        self._latest.clear()


def answer(content: bytes) -> Row:
    """Return the elements of one C-FIND answer by itself; see ``Answers.row``."""
    return Answers().row(content)


class _Kind(Enum):
    """What a tag asks of the reader of answers."""

    PLAIN = auto()
    TRANSPORT = auto()
    CHARACTER_SET = auto()
    NESTED = auto()  # a sequence, or US or SS as another element has it: pydicom reads the whole answer


_KNOWN: Final[dict[int, tuple[str, str, _Kind]]] = {}
"""By tag as four bytes little endian give it: path, VR, kind. Never more than ``_MOST_KNOWN``."""


def _learned(swapped: int) -> tuple[str, str, _Kind]:
    tag = (swapped & 0xFFFF) << 16 | swapped >> 16
    path, vr = f"{tag:08X}", standard_vr(tag)
    if vr == "SQ" or tag >> 16 == _DELIMITER_GROUP or may_be_signed(tag):
        kind = _Kind.NESTED
    elif path == _CHARACTER_SET:
        kind = _Kind.CHARACTER_SET
    elif path in _TRANSPORT:
        kind = _Kind.TRANSPORT
    else:
        kind = _Kind.PLAIN
    if len(_KNOWN) < _MOST_KNOWN:
        _KNOWN[swapped] = path, vr, kind
    return path, vr, kind


def _too_long() -> NoReturn:
    raise UndecodableHeader("element longer than its answer")


def _codecs(value: bytes) -> tuple[str, ...]:
    try:
        return character_set(value)
    except UndecodableText:
        return DEFAULT


def _nested(content: bytes) -> Row:
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
