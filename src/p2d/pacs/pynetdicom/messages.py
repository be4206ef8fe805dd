"""DIMSE messages from P-DATA (PS3.7 6.3, PS3.8 9.3.5), put into a queue that only the caller reads.

pynetdicom's own way costs most of a millisecond for each answer, and offers it to two readers at once: its
reactor thread may take an answer that the caller waits for, whereupon the row is lost and the final status
still says success. Here P-DATA never reaches that queue.
"""

import queue
import select
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from p2d.pacs.pynetdicom.sockets import LONGEST_OBJECT, LONGEST_PDU, receiver

FIND_RESPONSE: Final = 0x8020
GET_RESPONSE: Final = 0x8010
MOVE_RESPONSE: Final = 0x8021
ECHO_RESPONSE: Final = 0x8030
STORE_REQUEST: Final = 0x0001

_P_DATA: Final = 4
_PDU_HEAD: Final = 6
_NO_DATA_SET: Final = 0x0101
_LONGEST_COMMAND: Final = 65_536
_LONGEST_IDENTIFIER: Final = 4 << 20
_COMMAND, _LAST = 0x01, 0x02
_HEAD: Final = struct.Struct("<HHI")
_SHORT: Final = {
    0x0100: "command",
    0x0110: "message_id",
    0x0120: "responds_to",
    0x0800: "data_set_type",
    0x0900: "status",
    0x1021: "completed",
    0x1023: "warned",
}
_UIDS: Final = {0x0002: "sop_class_uid", 0x1000: "sop_instance_uid"}


@dataclass(slots=True)
class Message:
    """One DIMSE message: what P2D reads of its command set, and its data set."""

    context_id: int = 0
    command: int = 0
    message_id: int = 0
    responds_to: int = 0
    data_set_type: int = _NO_DATA_SET
    status: int = -1
    completed: int = 0
    warned: int = 0
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    content: bytes = field(default=b"", repr=False)


class BrokenPduError(ValueError):
    """P-DATA that is not as PS3.8 9.3.5 has it, or longer than any limit; holds no value."""


def command_of(context_id: int, content: bytes) -> Message:
    """Return the message that the command set *content* announces.

    Raises:
        BrokenPduError: broken lengths.

    """
    message = Message(context_id)
    position, end = 0, len(content)
    while position + _HEAD.size <= end:
        group, element, length = _HEAD.unpack_from(content, position)
        position += _HEAD.size
        if group or position + length > end:
            raise BrokenPduError("command set")
        value = content[position : position + length]
        position += length
        if element in _SHORT and length == 2:  # noqa: PLR2004 - VR US
            setattr(message, _SHORT[element], int.from_bytes(value, "little"))
        elif element in _UIDS:
            setattr(message, _UIDS[element], value.rstrip(b"\0 ").decode("latin-1"))
    if position != end:
        raise BrokenPduError("command set")
    return message


class Assembler:
    """Builds messages from the presentation data values of P-DATA-TF PDUs."""

    def __init__(self, deliver: Callable[[Message], None]) -> None:
        self._deliver = deliver
        self._parts = bytearray()
        self._message: Message | None = None

    def take(self, body: bytes | bytearray) -> None:
        """Add the *body* of one PDU.

        Raises:
            BrokenPduError: lengths that do not add up, fragments out of order, or too long a message.

        """
        position, end = 0, len(body)
        while position < end:
            if end - position < 6:  # noqa: PLR2004 - length, context id, control header
                raise BrokenPduError("presentation data value")
            length, context_id, control = struct.unpack_from(">IBB", body, position)
            stop = position + 4 + length
            if length < 2 or stop > end:  # noqa: PLR2004 - context id, control header
                raise BrokenPduError("presentation data value")
            self._fragment(context_id, control, body[position + 6 : stop])
            position = stop

    def _fragment(self, context_id: int, control: int, fragment: bytes | bytearray) -> None:
        is_command = bool(control & _COMMAND)
        if is_command != (self._message is None):
            raise BrokenPduError("order of fragments")
        self._parts += fragment
        if len(self._parts) > self._longest():
            raise BrokenPduError("message too long")
        if not control & _LAST:
            return
        content = bytes(self._parts)
        self._parts = bytearray()
        message = command_of(context_id, content) if self._message is None else self._message
        if is_command and message.data_set_type != _NO_DATA_SET:
            self._message = message
            return
        if not is_command:
            message.content = content
        self._message = None
        self._deliver(message)

    def _longest(self) -> int:
        if self._message is None:
            return _LONGEST_COMMAND
        return LONGEST_OBJECT if self._message.command == STORE_REQUEST else _LONGEST_IDENTIFIER


def reader(
    association: Any, messages: "queue.Queue[Message | None]", broken: threading.Event, seconds: float
) -> Callable[[], None]:
    """Return what replaces the PDU reader of pynetdicom's upper layer thread: P-DATA goes to *messages*.

    *broken* is set when the peer broke the protocol and pynetdicom is about to abort on its own account.
    All other PDUs take pynetdicom's own way, where associations are negotiated, released and aborted.
    """
    upper = association.dul
    plain: socket.socket = upper.socket.socket
    own_way: Callable[[], None] = upper._read_pdu_data  # noqa: SLF001 - no public hook before PDUs are decoded
    receive = receiver(plain, seconds)
    assembler = Assembler(messages.put)

    def read() -> None:
        try:
            while True:
                if plain.recv(1, socket.MSG_PEEK) != bytes([_P_DATA]) or not association.is_established:
                    own_way()
                    return
                assembler.take(_body(receive))
                if not select.select([plain], [], [], 0)[0]:
                    return
        except BrokenPduError:
            broken.set()
            upper.event_queue.put("Evt19")  # PS3.8 9.2.2: unrecognised or invalid PDU
            messages.put(None)
        except (OSError, ValueError):
            upper.event_queue.put("Evt17")  # transport connection closed
            messages.put(None)

    return read


def _body(receive: Callable[[int], bytearray]) -> bytearray:
    """Return the next PDU without its header."""
    head = receive(_PDU_HEAD)
    length = int.from_bytes(head[2:], "big")
    if length > LONGEST_PDU:
        raise BrokenPduError("PDU longer than offered")
    body = receive(length)
    if len(head) < _PDU_HEAD or len(body) < length:
        raise ConnectionError("closed within a PDU")
    return body
