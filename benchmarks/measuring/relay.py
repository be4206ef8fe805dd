"""A TCP relay before an archive, in a process of its own: it counts what comes back and delays retrieves."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from typing import Final

_PDU: Final = struct.Struct(">BxI")
_RETRIEVES: Final = (b"\0\0\0\1\2\0\0\0\x10\0", b"\0\0\0\1\2\0\0\0\x21\0")
"""CommandField (0000,0100) of C-GET-RQ and C-MOVE-RQ as encoded."""

_PIECE: Final = 1 << 16


class Relay:
    """A running relay: ``port`` to connect to, ``octets`` that came from the archive so far."""

    def __init__(self, port: int, counter: "Synchronized[int]") -> None:
        self.port = port
        self._counter = counter

    @property
    def octets(self) -> int:
        """Bytes from the archive, protocol included."""
        return self._counter.value


@contextlib.contextmanager
def relay(host: str, port: int, *, seconds: float = 0.0) -> Iterator[Relay]:
    """Run a relay to *host* and *port* that holds every C-GET and C-MOVE request back for *seconds*."""
    spawning = get_context("spawn")
    counter = spawning.Value("q", 0)
    listener = socket.create_server(("127.0.0.1", 0))
    process = spawning.Process(target=_serve, args=(listener, (host, port), seconds, counter), daemon=True)
    process.start()
    try:
        yield Relay(int(listener.getsockname()[1]), counter)
    finally:
        process.terminate()
        process.join()
        listener.close()


def _serve(
    listener: socket.socket, archive: tuple[str, int], seconds: float, counter: "Synchronized[int]"
) -> None:
    while True:
        inward, _ = listener.accept()
        outward = socket.create_connection(archive)
        for one in (inward, outward):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_asking, args=(inward, outward, seconds), daemon=True).start()
        threading.Thread(target=_answering, args=(outward, inward, counter), daemon=True).start()


def _asking(inward: socket.socket, outward: socket.socket, seconds: float) -> None:
    with contextlib.suppress(OSError):
        while head := _read(inward, 6):
            body = _read(inward, _PDU.unpack(head)[1])
            if seconds and any(command in body for command in _RETRIEVES):
                time.sleep(seconds)
            outward.sendall(head + body)
    _end(outward)


def _answering(outward: socket.socket, inward: socket.socket, counter: "Synchronized[int]") -> None:
    with contextlib.suppress(OSError):
        while some := outward.recv(_PIECE):
            with counter.get_lock():
                counter.value += len(some)
            inward.sendall(some)
    _end(inward)


def _read(source: socket.socket, count: int) -> bytes:
    content = b""
    while len(content) < count:
        some = source.recv(count - len(content))
        if not some:
            return b""
        content += some
    return content


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_WR)
