"""A picture archive that misbehaves by script, at the level of bytes: query, C-GET, C-MOVE, all faults.

Its upper layer is its own (``p2d.testing.faulty.wire``), so that it can break every rule. What the script
does not name is answered as the standard has it. ``DimseArchiveServer`` is the archive for demonstrations.
"""

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Self

from p2d.testing.archive_index import ArchiveIndex
from p2d.testing.faulty.conversation import Conversation
from p2d.testing.faulty.script import (
    CALLED_AE_UNKNOWN,
    CALLING_AE_UNKNOWN,
    Behaviour,
    DeflateBomb,
    Fault,
    Operation,
    Reject,
)
from p2d.testing.faulty.wire import Wire
from p2d.testing.holdings import HeldInstance

_JOIN_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request that came: its operation, query level and matching keys."""

    operation: Operation
    level: str = ""
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)


class FaultyArchive:
    """A scripted archive on a loopback port; a context manager that serves while it is open.

    ``peers`` maps AE titles to the address of their Storage SCP; ``callers`` are the AE titles accepted,
    empty for all. ``script`` may be replaced at any time; requests are counted from 1 anew when it is.
    ``requests`` are those that came, ``statuses`` the answers to objects sent, ``cancels`` the C-CANCELs.
    """

    def __init__(
        self,
        held: Iterable[HeldInstance],
        *script: Fault,
        ae_title: str = "ARCHIVE",
        peers: Mapping[str, tuple[str, int]] | None = None,
        callers: Sequence[str] = (),
    ) -> None:
        self.ae_title = ae_title
        self.host = "127.0.0.1"
        self.port = 0
        self.peers = dict(peers or {})
        self.requests: list[Request] = []
        self.statuses: list[int] = []
        self.cancels = 0
        self._script = script
        self._callers = tuple(callers)
        self._held = {one["SOPInstanceUID"]: one for one in held}
        self.index = ArchiveIndex(self._held.values())
        self._numbers: Counter[tuple[Operation, str]] = Counter()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._listener: socket.socket | None = None
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._silence()
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)

    @property
    def script(self) -> tuple[Fault, ...]:
        """What goes wrong, and when."""
        return self._script

    @script.setter
    def script(self, faults: Sequence[Fault]) -> None:
        with self._lock:
            self._script = tuple(faults)
            self._numbers.clear()

    def count(self, operation: Operation, level: str = "") -> int:
        """Return how many requests of *operation* came, at *level* or at any."""
        return sum(one.operation is operation and level in {"", one.level} for one in self.requests)

    @property
    def is_listening(self) -> bool:
        """Whether connections are taken: not amid a restart."""
        with self._lock:
            return self._listener is not None

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        with self._lock:
            return len(self._connections)

    @property
    def deflates(self) -> bool:
        """Whether the script wants the deflated transfer syntax taken where it is proposed."""
        return any(isinstance(fault.what, DeflateBomb) for fault in self._script)

    def change(self, added: Iterable[HeldInstance] = (), removed: Iterable[str] = ()) -> None:
        """Hold *added* from now on, and no longer the SOP Instance UIDs *removed*."""
        with self._lock:
            self._held.update({one["SOPInstanceUID"]: one for one in added})
            for uid in removed:
                self._held.pop(uid, None)
            self.index = ArchiveIndex(self._held.values())

    # What conversations ask --------------------------------------------------------------------------------

    def faults_of(
        self, operation: Operation, level: str = "", keys: Mapping[str, str] | None = None
    ) -> list[Behaviour]:
        """Count a request and return what the script has for it."""
        with self._lock:
            self.requests.append(Request(operation, level, dict(keys or {})))
            self._numbers[operation, ""] += 1
            if level:
                self._numbers[operation, level] += 1
            return [
                fault.what
                for fault in self._script
                if fault.when.operation is operation
                and fault.when.level in {"", level}
                and fault.when.matches(self._numbers[operation, fault.when.level])
            ]

    def rejection(self, called: str, calling: str) -> Reject | None:
        """Return why this pair of AE titles is rejected, or None."""
        if called != self.ae_title:
            return CALLED_AE_UNKNOWN
        return CALLING_AE_UNKNOWN if self._callers and calling not in self._callers else None

    def wait(self, seconds: float) -> None:
        """Wait, or until the archive ends."""
        self._closing.wait(seconds)

    def cut(self, wire: Wire) -> None:
        """Remember that the script ended *wire*'s connection."""
        with self._lock:
            self._connections.discard(wire.plain)

    def was_cut(self, wire: Wire) -> bool:
        """Whether the script, or the end of the archive, ended *wire*'s connection."""
        with self._lock:
            return wire.plain not in self._connections

    def restart(self, seconds: float) -> None:
        """Cut every connection, and listen again on the same port after *seconds*."""
        self._silence()
        self._closing.wait(seconds)
        if not self._closing.is_set():
            self._listen()

    # Connections -------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        listener = socket.create_server((self.host, self.port), backlog=128)
        self.port = listener.getsockname()[1]
        with self._lock:
            self._listener = listener
        self._begin(self._accept, listener)

    def _begin(self, work: Callable[[socket.socket], None], plain: socket.socket) -> None:
        thread = threading.Thread(target=work, args=(plain,), daemon=True)
        with self._lock:
            self._threads = [one for one in self._threads if one.is_alive() or not one.ident]
            self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._connections.add(plain)
            self._begin(self._converse, plain)

    def _converse(self, plain: socket.socket) -> None:
        with plain:
            Conversation(self, Wire(plain)).run()
        with self._lock:
            self._connections.discard(plain)

    def _silence(self) -> None:
        with self._lock:
            listener, self._listener = self._listener, None
            connections, self._connections = self._connections, set()
        for one in [listener, *connections]:
            if one is not None:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        if listener is not None:
            listener.close()
