"""What pynetdicom's sockets lack: no Nagle delay, prompt acknowledgement, caps and a deadline per PDU."""

import contextlib
import socket
import struct
import time
from collections.abc import Callable
from typing import Any, Final

LONGEST_PDU: Final = 131_072
"""Maximum PDU length that P2D offers, in bytes (PS3.8 D.1)."""

LONGEST_OBJECT: Final = 2 << 30
"""Bytes of one object at most; it is held in memory, so an archive that sends more is cut off."""

_P_DATA: Final = 4
_LAST: Final = 0x02
_SLACK: Final = 65_536
_CHUNK: Final = 262_144


def hardened(seconds: float) -> Callable[[Any], None]:
    """Return a handler for pynetdicom's EVT_CONN_OPEN; *seconds* bound the reading of one PDU."""

    def opened(event: Any) -> None:
        wrapper = event.assoc.dul.socket
        plain: socket.socket = wrapper.socket
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wrapper.recv = bounded(receiver(plain, seconds), LONGEST_OBJECT)
        close_surely(wrapper)

    return opened


def bounded(receive: Callable[[int], bytearray], most: int) -> Callable[[int], bytearray]:
    """Return *receive* with a cap of *most* bytes on the fragments of one message, its command set included.

    pynetdicom reads head and body of PDUs in turn and gathers fragments until one says that it is the last
    (PS3.8 E.2), however many come. Past the cap ``ConnectionError`` is raised, and it closes the connection.
    """
    head: bytearray | None = None
    gathered = 0

    def bounded_receive(count: int) -> bytearray:
        nonlocal head, gathered
        content = receive(count)
        if head is None:
            head = content
            return content
        is_data, head = head[:1] == bytes([_P_DATA]), None
        position = 0
        while is_data and position + 6 <= len(content):  # length, context id, control header
            length, _, control = struct.unpack_from(">IBB", content, position)
            gathered = 0 if control & _LAST else gathered + length
            position += 4 + max(length, 2)
        if gathered > most:
            raise ConnectionError("object longer than any limit")
        return content

    return bounded_receive


def close_surely(wrapper: Any) -> None:
    """Make pynetdicom's socket *wrapper* close its socket even where the peer has closed first."""
    plain: socket.socket = wrapper.socket

    def shut() -> None:
        with contextlib.suppress(OSError):
            plain.shutdown(socket.SHUT_RDWR)
        plain.close()

    wrapper._shutdown_socket = shut  # noqa: SLF001 - there, a failing shutdown leaves the socket open


def receiver(plain: socket.socket, seconds: float) -> Callable[[int], bytearray]:
    """Return a function that reads exactly *count* bytes, or fewer when the peer has closed.

    It raises ``OSError``, upon which pynetdicom closes the connection, when a PDU claims more than P2D has
    offered (plus slack for association items) or does not arrive whole in *seconds*.
    """
    acknowledge = getattr(socket, "TCP_QUICKACK", None)

    def receive(count: int) -> bytearray:
        if count > LONGEST_PDU + _SLACK:
            raise ConnectionError("PDU longer than offered")
        deadline = time.monotonic() + seconds
        content = bytearray(count)
        view = memoryview(content)
        done = 0
        while done < count:
            if acknowledge is not None:
                plain.setsockopt(socket.IPPROTO_TCP, acknowledge, 1)
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("PDU did not arrive in time")
            plain.settimeout(left)
            got = plain.recv_into(view[done : done + _CHUNK])
            if not got:
                view.release()
                return content[:done]
            done += got
        plain.settimeout(seconds)
        view.release()
        return content

    return receive
