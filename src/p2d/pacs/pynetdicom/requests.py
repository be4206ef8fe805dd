"""DIMSE messages that P2D sends, as P-DATA-TF PDUs ready for the socket (PS3.7 9.3, PS3.8 9.3.5)."""

import struct
from collections.abc import Mapping
from typing import Final

FIND_REQUEST: Final = 0x0020
GET_REQUEST: Final = 0x0010
MOVE_REQUEST: Final = 0x0021
ECHO_REQUEST: Final = 0x0030
STORE_RESPONSE: Final = 0x8001

SOP_CLASS_UID: Final = 0x0002
COMMAND: Final = 0x0100
MESSAGE_ID: Final = 0x0110
RESPONDS_TO: Final = 0x0120
DESTINATION: Final = 0x0600
PRIORITY: Final = 0x0700
STATUS: Final = 0x0900
SOP_INSTANCE_UID: Final = 0x1000
MEDIUM: Final = 0
LOW: Final = 2

_DATA_SET_TYPE: Final = 0x0800
_NO_DATA_SET: Final = 0x0101
_HEAD: Final = struct.Struct("<HHI")
_PDV_HEAD: Final = 6
_UNLIMITED: Final = 131_072


def message(context_id: int, command: Mapping[int, int | str], content: bytes, limit: int) -> bytes:
    """Return the PDUs of one message: *command* (element → value) and its data set, empty for none.

    *limit* is the peer's maximum PDU length, 0 for unlimited.
    """
    fields = {**command, _DATA_SET_TYPE: 1 if content else _NO_DATA_SET}
    body = b"".join(_element(element, fields[element]) for element in sorted(fields))
    body = _HEAD.pack(0, 0, 4) + struct.pack("<I", len(body)) + body
    step = (limit or _UNLIMITED) - _PDV_HEAD
    pdus = _fragments(context_id, 0x01, body, step)
    return pdus + _fragments(context_id, 0x00, content, step) if content else pdus


def _element(element: int, value: int | str) -> bytes:
    if isinstance(value, int):
        content = struct.pack("<H", value)
    else:
        content = value.encode("ascii", "replace")
        if len(content) % 2:
            content += b" " if element == DESTINATION else b"\0"
    return _HEAD.pack(0, element, len(content)) + content


def _fragments(context_id: int, kind: int, content: bytes, step: int) -> bytes:
    pdus = b""
    for start in range(0, len(content), step):
        part = content[start : start + step]
        control = kind | (0x02 if start + step >= len(content) else 0)
        item = struct.pack(">IBB", len(part) + 2, context_id, control) + part
        pdus += struct.pack(">BBI", 4, 0, len(item)) + item
    return pdus
