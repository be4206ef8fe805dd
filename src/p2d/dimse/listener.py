"""Our Storage SCP for C-MOVE (PS3.4 Annex B): for the configured archive only, and for what was asked of it.

One thread accepts, one serves each connection, TLS handshake included: nobody has to wait for another.
An object goes to the open retrieve that lacks its UID; where several do, to the one whose C-MOVE it names.
"""

import contextlib
import ipaddress
import logging
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from p2d.dimse.acceptor import Acceptor, Rules
from p2d.dimse.admission import Admission, Caps
from p2d.dimse.awaited import Awaited, ObjectWriter
from p2d.dimse.command import Command, Operation
from p2d.dimse.delivery import Delivery
from p2d.dimse.pdu import Context
from p2d.dimse.status import MISMATCH, NOT_AUTHORISED
from p2d.dimse.tls import Tls, cause
from p2d.dimse.wire import Wire
from p2d.model.errors import Misconfigured, P2DError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LOG: Final = logging.getLogger(__name__)
_LATE_RETRIEVES: Final = 16
_LATE_SECONDS: Final = 60.0
_TICK_SECONDS: Final = 0.25
_QUIET_SECONDS: Final = 60.0
_BACKLOG: Final = 128


@dataclass(frozen=True, slots=True)
class Door:
    """Where we listen and whom we let in: ``networks`` are the archive's addresses, none means any."""

    host: str
    port: int
    networks: tuple[Network, ...] = ()
    caps: Caps = field(default_factory=Caps)

    def opened(self) -> socket.socket:
        """Return a socket that listens; on ``::`` for both versions of IP.

        Raises:
            OSError: there cannot be one.

        """
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        both = self.host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server(
            (self.host, self.port), family=family, backlog=_BACKLOG, dualstack_ipv6=both
        )

    def admits(self, address: str) -> bool:
        """Whether connections from *address* are looked at at all."""
        one = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(one, ipaddress.IPv6Address) and one.ipv4_mapped is not None:
            one = one.ipv4_mapped
        return not self.networks or any(one in network for network in self.networks)


class Connection:
    """A connection at the door; other threads may only end it."""

    def __init__(self, plain: socket.socket) -> None:
        self.socket = plain
        self.why = ""

    def end(self, why: str) -> None:
        """Make its thread stop, for the reason *why*."""
        self.why = self.why or why
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)  # below TLS, whose state its thread owns


class StoreScp:
    """Listens from ``start`` to ``stop``; safe to share between threads.

    ``refusals`` counts by cause what was not let in; ``unasked`` objects that belong to no open retrieve.
    """

    def __init__(self, door: Door, rules: Rules, tls: Tls | None = None) -> None:
        self._door = door
        self._rules = rules
        self._tls = tls
        self._admission: Admission[Connection] = Admission(door.caps)
        self._lock = threading.Lock()
        self._open: list[Delivery] = []
        self._late: deque[tuple[float, Awaited]] = deque(maxlen=_LATE_RETRIEVES)
        self._listening: socket.socket | None = None
        self._accepting: threading.Thread | None = None
        self._threads: set[threading.Thread] = set()
        self._stopping = threading.Event()
        self._logged: dict[str, float] = {}
        self.refusals: Counter[str] = Counter()
        self.unasked = 0

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._door.port if self._listening is None else int(self._listening.getsockname()[1])

    @property
    def connections(self) -> int:
        """How many connections there are, associated or not."""
        return len(self._admission.all())

    def start(self) -> None:
        """Open the port; does nothing when it is open.

        Raises:
            Misconfigured: it cannot be opened.

        """
        with self._lock:
            if self._listening is not None:
                return
            try:
                self._listening = self._door.opened()
            except OSError as error:
                raise Misconfigured(
                    "pacs.store_port",
                    f"cannot be opened: {type(error).__name__}",
                    "choose a free port on store_host",
                ) from None
            self._listening.settimeout(_TICK_SECONDS)
            self._stopping = threading.Event()
            self._accepting = threading.Thread(
                target=self._accept, args=(self._listening, self._stopping), name="storage-scp", daemon=True
            )
            self._accepting.start()

    def stop(self) -> None:
        """Close the port, abort all associations and wait for their threads."""
        with self._lock:
            listening, self._listening = self._listening, None
            accepting, self._accepting = self._accepting, None
            deliveries = list(self._open)
            self._late.clear()
        if listening is None or accepting is None:
            return
        self._stopping.set()
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)  # wakes the thread at once where the system does so
        accepting.join()
        listening.close()
        for delivery in deliveries:
            delivery.close()
        for one in self._admission.all():
            one.end("stopped")
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join()

    @contextmanager
    def expecting(self, awaited: Awaited) -> Iterator[Delivery]:
        """Accept the objects of *awaited* while the context lasts; those that come later are refused.

        Raises:
            Misconfigured: the port cannot be opened.

        """
        self.start()
        delivery = Delivery(awaited)
        with self._lock:
            self._open.append(delivery)
        try:
            yield delivery
        finally:
            with self._lock:
                self._open.remove(delivery)
                self._late.append((time.monotonic(), awaited))
            delivery.close()

    def writer(self, context: Context, command: Command) -> ObjectWriter:
        """Return what takes an object, by the retrieve it belongs to; refuses what belongs to none."""
        if command.operation != Operation.C_STORE_RQ:
            return ObjectWriter(NOT_AUTHORISED)
        uid = command.sop_instance_uid
        with self._lock:
            # the title is optional, and there are archives that name themselves
            own = command.move_originator in {"", self._rules.ae_title, *self._rules.calling_ae_titles}
            held = [one for one in self._open if one.awaited.holds(uid)] if own else []
            late = any(one.holds(uid) for _, one in self._recent())
            bystanders = self._open[:1]
            self.unasked += not held
        lacking = [one for one in held if one.awaited.lacks(uid)] or held
        named = [one for one in lacking if one.message_id == command.move_originator_id]
        for one in named or lacking:
            return one.awaited.writer(context, command, one.put)
        if late and own:
            return ObjectWriter(MISMATCH)
        for one in bystanders:
            one.awaited.count("refused")
        return ObjectWriter(NOT_AUTHORISED)

    def _recent(self) -> list[tuple[float, Awaited]]:
        since = time.monotonic() - _LATE_SECONDS
        while self._late and self._late[0][0] < since:
            self._late.popleft()
        return list(self._late)

    def _accept(self, listening: socket.socket, stopping: threading.Event) -> None:
        while not stopping.is_set():
            for late in self._admission.overdue():
                late.end("no association in time")
            try:
                plain, (address, *_) = listening.accept()
            except TimeoutError:
                continue
            except OSError:  # no file descriptors left, or the peer was gone already
                stopping.wait(_TICK_SECONDS)
                continue
            if not self._door.admits(address):
                self._refuse("source address")
                plain.close()
                continue
            one = Connection(plain)
            for other in self._admission.enter(one, address):
                other.end("too many connections without an association")
            self._start(one)

    def _start(self, one: Connection) -> None:
        thread = threading.Thread(target=self._serve, args=(one,), name="storage-scp", daemon=True)
        with self._lock:
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:  # the system gives no further thread
            with self._lock:
                self._threads.discard(thread)
            self._admission.leave(one)
            one.socket.close()
            self._refuse("no thread for it")

    def _refuse(self, why: str) -> None:
        now = time.monotonic()
        with self._lock:
            self.refusals[why] += 1
            is_news = now - self._logged.get(why, -_QUIET_SECONDS) >= _QUIET_SECONDS
            if is_news:
                self._logged[why] = now
        if is_news:  # whoever knocks all night does not fill the log
            _LOG.warning("the Storage SCP refused a connection: %s", why)

    def _serve(self, one: Connection) -> None:
        seconds = self._door.caps.handshake_seconds
        try:
            if self._tls is not None:
                self._secure(one, self._tls, seconds)
            wire = Wire(one.socket, send_seconds=self._rules.pdu_seconds)
            acceptor = Acceptor(wire, self._rules, self.writer, lambda: self._admission.associate(one))
            why = acceptor.serve(seconds)
            wire.close()
        except P2DError as error:
            why = str(error)
        except OSError as error:
            why = cause(error)
        finally:
            self._admission.leave(one)
            one.socket.close()
            with self._lock:
                self._threads.discard(threading.current_thread())
        if (one.why or why) and not self._stopping.is_set():
            self._refuse(one.why or why)

    @staticmethod
    def _secure(one: Connection, tls: Tls, seconds: float) -> None:
        """Do the TLS handshake; the listener ends it from its own thread when it takes too long."""
        one.socket.settimeout(seconds)
        one.socket = tls.server().wrap_socket(
            one.socket, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True
        )
        if one.why:  # its end fell between the two sockets
            raise OSError(one.why)
        one.socket.do_handshake()
