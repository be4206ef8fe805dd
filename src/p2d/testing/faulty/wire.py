"""A plain DICOM upper layer for the faulty archive, on blocking sockets (PS3.8 9.3, PS3.7 9.3).

Written apart from ``p2d.dimse`` and without pynetdicom, so that a mistake there is not repeated here. It does
not defend itself: the peer is the program under test.
"""

import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

RQ, AC, RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
NO_DATA_SET: Final = 0x0101
_CONTEXT_NAME: Final = b"1.2.840.10008.3.1.1.1"
_IMPLEMENTATION: Final = b"1.2.826.0.1.3680043.8.498.7"
_PDV_HEAD: Final = 6
_UIDS: Final = frozenset({0x0002, 0x1000})
_WORDS: Final = frozenset({0x0600, 0x1030})
_LONG: Final = frozenset({0x0000})

SOP_CLASS, COMMAND, MESSAGE_ID, RESPONDS_TO = 0x0002, 0x0100, 0x0110, 0x0120
DESTINATION, PRIORITY, DATA_SET_TYPE, STATUS, SOP_INSTANCE = 0x0600, 0x0700, 0x0800, 0x0900, 0x1000
REMAINING, COMPLETED, FAILED, WARNING = 0x1020, 0x1021, 0x1022, 0x1023
ORIGINATOR, ORIGINATOR_MESSAGE = 0x1030, 0x1031
Command = dict[int, int | str]


class GoneError(ConnectionError):
    """The peer closed, aborted or released."""


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context: its id, abstract syntax, and the transfer syntaxes proposed or chosen."""

    number: int
    abstract: str
    syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What an A-ASSOCIATE-RQ or -AC states; ``longest`` is the PDU length, ``roles`` raw role items."""

    called: str
    calling: str
    contexts: tuple[Context, ...]
    roles: tuple[bytes, ...] = field(default=(), repr=False)
    longest: int = 16_384


@dataclass(frozen=True, slots=True)
class Received:
    """One DIMSE message."""

    context: int
    command: Command
    content: bytes = field(default=b"", repr=False)


def item(kind: int, content: bytes) -> bytes:
    """Return one item of an association PDU."""
    return struct.pack(">BBH", kind, 0, len(content)) + content


def pdu(kind: int, content: bytes) -> bytes:
    """Return one PDU."""
    return struct.pack(">BBI", kind, 0, len(content)) + content


def _items(content: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + 4 <= len(content):
        kind, _, length = struct.unpack_from(">BBH", content, position)
        yield kind, content[position + 4 : position + 4 + length]
        position += 4 + length


def _text(value: bytes) -> str:
    return value.decode("latin-1").strip("\0 ")


def read_proposal(body: bytes) -> Proposal:
    """Return what the association PDU *body* (without its header) states."""
    called, calling = _text(body[4:20]), _text(body[20:36])
    contexts: list[Context] = []
    roles: list[bytes] = []
    longest = 16_384
    for kind, content in _items(body[68:]):
        if kind == 0x20:
            parts = list(_items(content[4:]))
            abstract = next((_text(value) for sub, value in parts if sub == 0x30), "")
            syntaxes = tuple(_text(value) for sub, value in parts if sub == 0x40)
            contexts.append(Context(content[0], abstract, syntaxes))
        elif kind == 0x21 and content[2] == 0:
            syntaxes = tuple(_text(value) for sub, value in _items(content[4:]) if sub == 0x40)
            contexts.append(Context(content[0], "", syntaxes))
        elif kind == 0x50:
            for sub, value in _items(content):
                if sub == 0x51:
                    (longest,) = struct.unpack(">I", value)
                elif sub == 0x54:
                    roles.append(value)
    return Proposal(called, calling, tuple(contexts), tuple(roles), longest)


def association_pdu(kind: int, stated: Proposal, longest: int) -> bytes:
    """Return an A-ASSOCIATE-RQ or -AC; in an -AC a context without transfer syntax is rejected (result 3)."""
    items = item(0x10, _CONTEXT_NAME)
    for one in stated.contexts:
        chosen = b"".join(item(0x40, uid.encode()) for uid in one.syntaxes)
        if kind == RQ:
            body = bytes((one.number, 0, 0, 0)) + item(0x30, one.abstract.encode()) + chosen
            items += item(0x20, body)
        else:
            refused = item(0x40, b"1.2.840.10008.1.2")
            body = bytes((one.number, 0, 0 if chosen else 3, 0)) + (chosen or refused)
            items += item(0x21, body)
    user = item(0x51, struct.pack(">I", longest)) + item(0x52, _IMPLEMENTATION)
    user += b"".join(item(0x54, role) for role in stated.roles)
    head = struct.pack(">HH", 1, 0) + stated.called.ljust(16).encode() + stated.calling.ljust(16).encode()
    return pdu(kind, head + bytes(32) + items + item(0x50, user))


def encode_command(fields: Mapping[int, int | str]) -> bytes:
    """Return a command set (implicit VR little endian, group length first)."""
    body = b""
    for element in sorted(fields):
        value = fields[element]
        content = struct.pack("<H", value) if isinstance(value, int) else value.encode("ascii")
        if len(content) % 2:
            content += b" " if element in _WORDS else b"\0"
        body += struct.pack("<HHI", 0, element, len(content)) + content
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def decode_command(content: bytes) -> Command:
    """Return the elements of a command set: text of UIDs and AE titles, numbers of the rest."""
    found: Command = {}
    position = 0
    while position + 8 <= len(content):
        _, element, length = struct.unpack_from("<HHI", content, position)
        value = content[position + 8 : position + 8 + length]
        position += 8 + length
        if element in _UIDS or element in _WORDS:
            found[element] = _text(value)
        elif element not in _LONG:
            found[element] = int.from_bytes(value, "little")
    return found


def fragments(context: int, kind: int, content: bytes, limit: int) -> bytes:
    """Return the P-DATA-TF PDUs of *content*; *kind* is 1 for a command, 0 for a data set."""
    step = max((limit or 131_072) - _PDV_HEAD, 2)
    pdus = []
    for start in range(0, max(len(content), 1), step):
        part = content[start : start + step]
        control = kind | (0x02 if start + step >= len(content) else 0)
        pdus.append(pdu(P_DATA, struct.pack(">IBB", len(part) + 2, context, control) + part))
    return b"".join(pdus)


class Wire:
    """One connection: messages in and out, and bytes as they are. Belongs to one thread."""

    def __init__(self, plain: socket.socket, limit: int = 16_384) -> None:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.plain = plain
        self.limit = limit
        self._unread: list[Received] = []

    def raw(self, content: bytes) -> None:
        """Send *content* as it is.

        Raises:
            GoneError: the peer has closed.

        """
        try:
            self.plain.sendall(content)
        except OSError as error:
            raise GoneError from error

    def exactly(self, count: int) -> bytes:
        """Return the next *count* bytes.

        Raises:
            GoneError: the peer has closed.

        """
        parts = bytearray()
        while len(parts) < count:
            try:
                got = self.plain.recv(count - len(parts))
            except OSError as error:
                raise GoneError from error
            if not got:
                raise GoneError
            parts += got
        return bytes(parts)

    def next_pdu(self) -> tuple[int, bytes]:
        """Return kind and body of the next PDU.

        Raises:
            GoneError: the peer has closed.

        """
        head = self.exactly(6)
        return head[0], self.exactly(int.from_bytes(head[2:], "big"))

    def receive(self) -> Received:
        """Return the next message; a release is answered.

        Raises:
            GoneError: released, aborted or closed.

        """
        if self._unread:
            return self._unread.pop(0)
        parts = {0: bytearray(), 1: bytearray()}
        command: Command | None = None
        while True:
            kind, body = self.next_pdu()
            if kind == RELEASE_RQ:
                self.raw(pdu(RELEASE_RP, bytes(4)))
            if kind != P_DATA:
                raise GoneError
            position = 0
            while position < len(body):
                length, context, control = struct.unpack_from(">IBB", body, position)
                parts[control & 1] += body[position + 6 : position + 4 + length]
                position += 4 + length
                if control == 3:
                    command = decode_command(bytes(parts[1]))
                    if command.get(DATA_SET_TYPE) == NO_DATA_SET:
                        return Received(context, command)
                elif control == 2 and command is not None:
                    return Received(context, command, bytes(parts[0]))

    def unread(self, received: Received) -> None:
        """Keep *received* for whoever receives next."""
        self._unread.append(received)

    def send(self, context: int, command: Mapping[int, int | str], content: bytes = b"") -> None:
        """Send one message; an empty *content* means no data set.

        Raises:
            GoneError: the peer has closed.

        """
        kind = {DATA_SET_TYPE: 1 if content else NO_DATA_SET}
        sent = fragments(context, 1, encode_command({**command, **kind}), self.limit)
        self.raw(sent + (fragments(context, 0, content, self.limit) if content else b""))

    def abort(self) -> None:
        """Send A-ABORT of the service user."""
        self.raw(pdu(ABORT, bytes(4)))

    def reset(self) -> None:
        """Close with a TCP reset instead of a farewell."""
        self.plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.plain.close()
