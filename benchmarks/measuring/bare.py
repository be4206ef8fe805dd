"""The ceiling: a DICOM client on a blocking socket that trusts its peer and checks nothing.

Made to measure against, not to use: no limits, no timeouts, no TLS. What P2D's own client costs more is the
price of its checks. TCP_NODELAY is set, TCP_QUICKACK set anew before every read.
"""

import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from p2d.testing.servers import RunningArchive

FIND: Final = "1.2.840.10008.5.1.4.1.2.1.1"  # Patient Root
GET: Final = "1.2.840.10008.5.1.4.1.2.1.3"
MOVE: Final = "1.2.840.10008.5.1.4.1.2.1.2"
IMPLICIT: Final = "1.2.840.10008.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
_APPLICATION: Final = "1.2.840.10008.3.1.1.1"
_PIXELS: Final = b"\xe0\x7f\x10\x00O"
_QUICKACK: Final = getattr(socket, "TCP_QUICKACK", None)
_PDU: Final = struct.Struct(">BxI")
_PDV: Final = struct.Struct(">IBB")
_ELEMENT: Final = struct.Struct("<HHI")
_PENDING: Final = frozenset({0xFF00, 0xFF01})
_MOST: Final = 1 << 17
_STORE, _STORE_RESPONSE = 0x0001, 0x8001
_IS_UID: Final = frozenset({0x0002, 0x0003, 0x1000})
_IS_TEXT: Final = frozenset({0x0600})

Command = dict[int, int | str]
Row = dict[int, bytes]


class BareAssociation:
    """One association; what *classes* name is asked for with the role of a storage SCP."""

    def __init__(self, archive: RunningArchive, calling: str, classes: Sequence[str] = ()) -> None:
        self._socket = socket.create_connection((archive.host, archive.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._content = bytearray()
        self._classes = {number * 2 + 7: name for number, name in enumerate(classes)}
        contexts = {1: (FIND, IMPLICIT), 3: (GET, IMPLICIT), 5: (MOVE, IMPLICIT)}
        contexts |= {number: (name, EXPLICIT) for number, name in self._classes.items()}
        body = struct.pack(">HH", 1, 0) + archive.ae_title.ljust(16).encode() + calling.ljust(16).encode()
        body += bytes(32) + _item(0x10, _APPLICATION.encode())
        for number, (abstract, transfer) in contexts.items():
            body += _item(
                0x20,
                bytes((number, 0, 0, 0)) + _item(0x30, abstract.encode()) + _item(0x40, transfer.encode()),
            )
        user = _item(0x51, struct.pack(">I", _MOST)) + _item(0x52, b"2.25.1")
        for name in classes:
            user += _item(0x54, struct.pack(">H", len(name)) + name.encode() + b"\0\1")
        body += _item(0x50, user)
        self._socket.sendall(_PDU.pack(1, len(body)) + body)
        kind, _ = self._pdu()
        if kind != 2:
            raise ConnectionError("the archive refuses the association")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._socket.sendall(_PDU.pack(5, 4) + bytes(4))
            self._pdu()
        self._socket.close()

    def find(self, level: str, keys: Mapping[int, str]) -> list[Row]:
        """Return the rows of a C-FIND, tag to value."""
        self._send(1, {0x0100: 0x0020, 0x0002: FIND}, identifier(level, keys))
        rows: list[Row] = []
        for _, command, content in self._messages():
            if command[0x0900] not in _PENDING:
                return rows
            rows.append(_row(content))
        raise ConnectionError("the association ended")

    def get(self, level: str, keys: Mapping[int, str], *, cut: bool) -> Iterator[tuple[str, str, bytes]]:
        """Yield SOP class, SOP instance and data set of each object of a C-GET.

        With *cut* each ends before its pixel data, which are dropped as they arrive.
        """
        self._send(3, {0x0100: 0x0010, 0x0002: GET}, identifier(level, keys))
        for context, command, content in self._messages(cut=cut):
            if command[0x0100] == _STORE:
                answer: Command = {
                    **{tag: command[tag] for tag in (0x0002, 0x1000)},
                    0x0100: _STORE_RESPONSE,
                    0x0120: command[0x0110],
                    0x0900: 0,
                }
                self._command(context, answer, is_alone=True)
                yield str(command[0x0002]), str(command[0x1000]), content
            elif command[0x0900] not in _PENDING:
                return

    def move(self, level: str, keys: Mapping[int, str], destination: str) -> int:
        """Return how many objects a C-MOVE to *destination* sent, by its final answer."""
        request: Command = {0x0100: 0x0021, 0x0002: MOVE, 0x0600: destination}
        self._send(5, request, identifier(level, keys))
        done = 0
        for _, command, _ in self._messages():
            done = max(done, int(command.get(0x1021, 0)))
            if command[0x0900] not in _PENDING:
                break
        return done

    def _send(self, context: int, command: Command, content: bytes) -> None:
        self._command(context, {**command, 0x0110: 1, 0x0700: 0}, content)

    def _command(
        self, context: int, command: Command, content: bytes = b"", *, is_alone: bool = False
    ) -> None:
        command[0x0800] = 0x0101 if is_alone else 0x0001
        parts = b"".join(_element(tag, command[tag]) for tag in sorted(command))
        pdu = _data(context, 3, _ELEMENT.pack(0, 0, 4) + struct.pack("<I", len(parts)) + parts)
        self._socket.sendall(pdu if is_alone else pdu + _data(context, 2, content))

    def _messages(self, *, cut: bool = False) -> Iterator[tuple[int, Command, bytes]]:
        """Yield context, command set and data set of every message."""
        command: Command = {}
        is_expected = is_whole = False
        content = bytearray()
        while True:
            kind, body = self._pdu()
            if kind != 4:
                raise ConnectionError("the archive ended the association")
            position = 0
            while position < len(body):
                length, context, control = _PDV.unpack_from(body, position)
                begin, position = position + 6, position + 4 + length
                if control & 1:
                    command = _parsed(body[begin:position])
                    is_expected = command[0x0800] != 0x0101
                    is_whole = not is_expected
                    content = bytearray()
                else:
                    if not cut or _PIXELS not in content:
                        content += memoryview(body)[begin:position]
                    is_whole = bool(control & 2)
                if is_whole:
                    place = content.find(_PIXELS) if cut else -1
                    yield context, command, bytes(content[:place] if place >= 0 else content)

    def _pdu(self) -> tuple[int, bytes]:
        kind, length = _PDU.unpack(self._read(6))
        return kind, self._read(length)

    def _read(self, count: int) -> bytes:
        while len(self._content) < count:
            if _QUICKACK is not None:
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
            some = self._socket.recv(_MOST)
            if not some:
                raise ConnectionError("the archive closed the connection")
            self._content += some
        taken = bytes(memoryview(self._content)[:count])
        del self._content[:count]
        return taken


def identifier(level: str, keys: Mapping[int, str]) -> bytes:
    """Return *keys* (tag to value, empty for a return key) at *level* in implicit VR little endian."""
    values = {0x00080052: level, **keys}
    parts = []
    for tag in sorted(values):
        value = values[tag].encode()
        value += (b"\0" if "." in values[tag] else b" ") * (len(value) % 2)
        parts.append(_ELEMENT.pack(tag >> 16, tag & 0xFFFF, len(value)) + value)
    return b"".join(parts)


def _row(content: bytes) -> Row:
    row: Row = {}
    position = 0
    while position < len(content):
        group, element, length = _ELEMENT.unpack_from(content, position)
        begin, position = position + 8, position + 8 + length
        row[group << 16 | element] = content[begin:position]
    return row


def _parsed(content: bytes) -> Command:
    command: Command = {}
    position = 0
    while position < len(content):
        _, element, length = _ELEMENT.unpack_from(content, position)
        begin, position = position + 8, position + 8 + length
        value = content[begin:position]
        if element in _IS_UID | _IS_TEXT:
            command[element] = value.rstrip(b"\0 ").decode()
        else:
            command[element] = int.from_bytes(value, "little")
    return command


def _element(tag: int, value: int | str) -> bytes:
    if isinstance(value, str):
        content = value.encode()
        content += (b"\0" if tag in _IS_UID else b" ") * (len(content) % 2)
    else:
        content = struct.pack("<H", value)
    return _ELEMENT.pack(0, tag, len(content)) + content


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(content)) + content


def _data(context: int, control: int, content: bytes) -> bytes:
    return _PDU.pack(4, len(content) + 6) + _PDV.pack(len(content) + 2, context, control) + content
