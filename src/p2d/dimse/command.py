"""Command sets (PS3.7 6.3.1, E.1): always implicit VR little endian, a few elements of group 0000."""

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from p2d.model.errors import ProtocolViolation

LONGEST_COMMAND: Final = 16_384
"""Bytes of a command set at most; what the standard's elements can hold is a few hundred."""

NO_DATA_SET: Final = 0x0101
LAST_MESSAGE_ID: Final = 65_535
_HEAD: Final = struct.Struct("<HHI")
_SHORT: Final = struct.Struct("<HHIH")
_LENGTH_HEAD: Final = b"\0\0\0\0\x04\0\0\0"
_LENGTH_HEAD_SIZE: Final = len(_LENGTH_HEAD)


class Operation(IntEnum):
    """CommandField (0000,0100); a response is its request plus 0x8000 (PS3.7 E.1)."""

    C_STORE_RQ = 0x0001
    C_STORE_RSP = 0x8001
    C_GET_RQ = 0x0010
    C_GET_RSP = 0x8010
    C_FIND_RQ = 0x0020
    C_FIND_RSP = 0x8020
    C_MOVE_RQ = 0x0021
    C_MOVE_RSP = 0x8021
    C_ECHO_RQ = 0x0030
    C_ECHO_RSP = 0x8030
    C_CANCEL_RQ = 0x0FFF


class Priority(IntEnum):
    """Priority (0000,0700)."""

    MEDIUM = 0
    HIGH = 1
    LOW = 2


@dataclass(frozen=True, slots=True)
class Command:
    """A command set; None and the empty string stand for absent elements.

    ``has_data_set`` is CommandDataSetType (0000,0800); error comments are not kept, as they may quote values.
    """

    operation: int
    message_id: int | None = None
    responds_to: int | None = None
    has_data_set: bool = False
    status: int | None = None
    priority: int | None = None
    sop_class_uid: str = ""
    sop_instance_uid: str = field(default="", repr=False)
    destination: str = ""
    move_originator: str = ""
    move_originator_id: int | None = None
    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warned: int | None = None


_NUMBERS: Final = {
    0x0100: "operation",
    0x0110: "message_id",
    0x0120: "responds_to",
    0x0700: "priority",
    0x0800: "has_data_set",
    0x0900: "status",
    0x1020: "remaining",
    0x1021: "completed",
    0x1022: "failed",
    0x1023: "warned",
    0x1031: "move_originator_id",
}
_TEXTS: Final = {
    0x0002: "sop_class_uid",
    0x0600: "destination",
    0x1000: "sop_instance_uid",
    0x1030: "move_originator",
}
_AE_TITLES: Final = frozenset({0x0600, 0x1030})
_DATA_SET_TYPE: Final = 0x0800
_ELEMENTS: Final = tuple(sorted((*_NUMBERS.items(), *_TEXTS.items())))
_LONGEST_TEXT: Final = 64


def encode(command: Command) -> bytes:
    """Return *command* as bytes, CommandGroupLength (0000,0000) included."""
    parts = []
    for element, name in _ELEMENTS:
        value = getattr(command, name)
        if element == _DATA_SET_TYPE:
            parts.append(_SHORT.pack(0, element, 2, 0x0001 if value else NO_DATA_SET))
        elif element in _NUMBERS:
            if value is not None:
                parts.append(_SHORT.pack(0, element, 2, value))
        elif value:
            content = value.encode("ascii", "replace")
            if len(content) % 2:
                content += b" " if element in _AE_TITLES else b"\0"
            parts.append(_HEAD.pack(0, element, len(content)) + content)
    body = b"".join(parts)
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def parse(content: bytes) -> Command:
    """Return the command set *content*; what follows the end that its group length states is dropped.

    Orthanc puts FailedSOPInstanceUIDList (0008,0058) there when a C-GET did not bring everything.

    Raises:
        ProtocolViolation: broken lengths, another group, no operation, or longer than ``LONGEST_COMMAND``.

    """
    if len(content) > LONGEST_COMMAND:
        raise _violation("is longer than any")
    found: dict[str, int | str] = {}
    position, end = 0, _end(content)
    while position < end:
        if end - position < _HEAD.size:
            raise _violation("ends within an element")
        group, element, length = _HEAD.unpack_from(content, position)
        begin = position + _HEAD.size
        position = begin + length
        if group or position > end:
            raise _violation("holds an element of another group, or one longer than itself")
        if element in _NUMBERS and length == 2:  # noqa: PLR2004 - VR US
            found[_NUMBERS[element]] = content[begin] | content[begin + 1] << 8
        elif element in _TEXTS:
            found[_TEXTS[element]] = _text(content[begin:position])
    data_set_type = found.pop("has_data_set", None)
    if "operation" not in found or data_set_type is None:
        raise _violation("lacks CommandField or CommandDataSetType")
    return Command(**found, has_data_set=data_set_type != NO_DATA_SET)  # type: ignore[arg-type] # each name with its own type


def _end(content: bytes) -> int:
    """Return where the command set ends by CommandGroupLength (0000,0000), where it states one."""
    if content[:_LENGTH_HEAD_SIZE] != _LENGTH_HEAD or len(content) < _LENGTH_HEAD_SIZE + 4:
        return len(content)
    stated = int.from_bytes(content[_LENGTH_HEAD_SIZE : _LENGTH_HEAD_SIZE + 4], "little")
    end = _LENGTH_HEAD_SIZE + 4 + stated
    is_cut_short = end < len(content) and content[end : end + 2] != b"\0\0"
    return end if is_cut_short else len(content)


def _text(content: bytes) -> str:
    if len(content) > _LONGEST_TEXT + 1:
        raise _violation("holds a UID or AE title that is too long")
    return content.decode("latin-1").strip("\0 ")


def _violation(problem: str) -> ProtocolViolation:
    return ProtocolViolation("pacs", f"a command set {problem}", "see the peer's conformance statement")
