"""A TCP proxy that breaks, delays, throttles or swallows what passes it, and counts it.

It knows nothing of DICOM but the frames of PDUs (PS3.8 9.3.1), which it counts by type.
"""

import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Final, Self

_CHUNK: Final = 16_384
_PDU_HEAD: Final = 6
_JOIN_SECONDS: Final = 5.0


class Direction(StrEnum):
    """Which way bytes pass."""

    TO_SERVER = auto()
    TO_CLIENT = auto()


@dataclass(frozen=True, slots=True)
class Path:
    """How one direction of every connection behaves; by default it passes all.

    After ``reset_after`` bytes both ends are reset, after ``swallow_after`` bytes all more is taken and lost,
    after ``close_after`` bytes this direction is closed and the other stays open. ``delay_seconds`` is waited
    before each piece, ``bytes_per_second`` at most pass.
    """

    reset_after: int | None = None
    swallow_after: int | None = None
    close_after: int | None = None
    delay_seconds: float = 0.0
    bytes_per_second: float | None = None


class FaultProxy:
    """Listens on a loopback ``port`` and passes connections on to *target*; a context manager.

    ``paths`` may be changed at any time and hold for the connections made from then on; the counts of
    bytes start at 0 with each connection. ``bytes``, ``pdus`` (by type) and ``connections`` count what came.
    """

    def __init__(self, target: tuple[str, int], **paths: Path) -> None:
        self.target = target
        self.host = "127.0.0.1"
        self.port = 0
        self.paths = {direction: paths.get(str(direction), Path()) for direction in Direction}
        self.bytes: Counter[Direction] = Counter()
        self.pdus: Counter[tuple[Direction, int]] = Counter()
        self.connections = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((self.host, 0), backlog=128)

    def __enter__(self) -> Self:
        self.port = self._listener.getsockname()[1]
        self._begin(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)

    def cut(self) -> None:
        """End every connection that is open now."""
        with self._lock:
            connections = list(self._open)
        for one in connections:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _begin(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        with self._lock:
            self._threads = [one for one in self._threads if one.is_alive() or one.ident is None]
            self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._begin(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self.connections += 1
        try:
            server = socket.create_connection(self.target, timeout=10)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        paths = dict(self.paths)
        with self._lock:
            self._open |= {client, server}
        back = threading.Thread(
            target=self._pump, args=(server, client, Direction.TO_CLIENT, paths), daemon=True
        )
        back.start()
        self._pump(client, server, Direction.TO_SERVER, paths)
        back.join()
        with self._lock:
            self._open -= {client, server}
        client.close()
        server.close()

    def _pump(
        self,
        source: socket.socket,
        sink: socket.socket,
        direction: Direction,
        paths: dict[Direction, Path],
    ) -> None:
        """Pass bytes one way until either end closes."""
        path, frames, passed = paths[direction], Frames(), 0
        for one in (source, sink):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError):
            while piece := source.recv(_CHUNK):
                with self._lock:
                    self.bytes[direction] += len(piece)
                    self.pdus.update((direction, kind) for kind in frames.kinds(piece))
                self._wait(path, len(piece))
                if path.swallow_after is not None:
                    piece = piece[: max(path.swallow_after - passed, 0)]
                limit = path.reset_after if path.reset_after is not None else path.close_after
                if limit is not None and passed + len(piece) >= limit:
                    sink.sendall(piece[: limit - passed])
                    if path.reset_after is not None:
                        _reset(source, sink)
                        return
                    break
                passed += len(piece)
                sink.sendall(piece)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _wait(self, path: Path, count: int) -> None:
        seconds = path.delay_seconds
        if path.bytes_per_second:
            seconds += count / path.bytes_per_second
        if seconds:
            self._closing.wait(seconds)


def _reset(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.shutdown(socket.SHUT_RD)
            end.close()


class Frames:
    """Finds the PDUs of one direction of one connection as its bytes pass."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._left = 0

    def kinds(self, piece: bytes) -> list[int]:
        """Return the types of the PDUs that begin in *piece*."""
        found = []
        position = 0
        while position < len(piece):
            if self._left:
                step = min(self._left, len(piece) - position)
                self._left -= step
                position += step
                continue
            need = _PDU_HEAD - len(self._head)
            self._head += piece[position : position + need]
            position += need
            if len(self._head) == _PDU_HEAD:
                found.append(self._head[0])
                self._left = int.from_bytes(self._head[2:], "big")
                self._head.clear()
        return found


def until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Return whether *condition* became true within some *seconds*; asked every few milliseconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
