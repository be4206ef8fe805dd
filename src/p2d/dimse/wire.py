"""One TCP connection that carries PDUs: prompt in both directions, with limits and deadlines on all it reads.

Nothing stands between the socket and the thread that owns it, so no other thread can take an answer. Other
threads may only put in a word (``interject``) or end the connection (``abort``).
"""

import contextlib
import select
import socket
import ssl
import threading
import time
from typing import Final, NamedTuple

from p2d.dimse import pdu
from p2d.dimse.tls import cause
from p2d.model.errors import Misconfigured, P2DError, Unavailable

LONGEST_PDU: Final = 262_144
"""Maximum length of P-DATA that P2D offers, in bytes (PS3.8 D.1)."""

_SLICE_SECONDS: Final = 0.2
"""How long the owner reads before it looks whether another thread has put in a word."""

_SHORTEST_SECONDS: Final = 0.001
_BUFFER: Final = 65_536
_QUICK_ACKNOWLEDGE: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)  # Linux only


class Pdu(NamedTuple):
    """Type and body of a PDU; the view is valid until the next one is read."""

    kind: int
    body: memoryview


class Closed(Unavailable):
    """The peer has closed the connection, or it broke."""


class Wire:
    """PDUs over *plain*, a connected socket (TLS done, where there is any); owned by one thread.

    *longest_pdu* bounds P-DATA that is read, 0 before the negotiation has ended. From its first byte on each
    PDU has *pdu_seconds* to arrive whole, however its bytes trickle. *send_seconds* bound each sending.
    """

    def __init__(
        self,
        plain: socket.socket,
        *,
        longest_pdu: int = LONGEST_PDU,
        pdu_seconds: float = 30.0,
        send_seconds: float = 30.0,
    ) -> None:
        self.longest_pdu = longest_pdu
        self.is_open = True
        self._plain = plain
        self.pdu_seconds = pdu_seconds
        self.send_seconds = send_seconds
        self._buffer = memoryview(bytearray(_BUFFER))
        self._begin = self._end = 0
        self._lock = threading.Lock()
        self._words: list[bytes] = []
        self._is_ending = False
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.settimeout(_SLICE_SECONDS)

    @property
    def is_quiet(self) -> bool:
        """Whether the connection stands and the peer has sent nothing that was not read; for the owner."""
        if not self.is_open or self._end > self._begin:
            return False
        poll = select.poll()
        poll.register(self._plain, select.POLLIN)
        if not poll.poll(0):
            return True
        if not isinstance(self._plain, ssl.SSLSocket):
            return False
        pdu_seconds, self.pdu_seconds = self.pdu_seconds, 0.0  # nobody waits for the rest of a PDU here
        try:
            return self.read(0) is None  # of TLS there may be records without content
        except P2DError:
            return False
        finally:
            self.pdu_seconds = pdu_seconds

    def read(self, seconds: float) -> Pdu | None:
        """Return the next PDU; None when *seconds* pass without its first byte.

        Raises:
            Closed: the connection has ended.
            Unavailable: the PDU did not arrive whole in time.
            ProtocolViolation: an unknown type, or longer than its type allows; nothing of it was read.

        """
        deadline = time.monotonic() + seconds
        if self._begin == self._end:
            self._begin = self._end = 0
            if not self._more(deadline):
                return None
        deadline = time.monotonic() + self.pdu_seconds
        self._until(pdu.HEAD_LENGTH, deadline)
        kind, length = pdu.head(self._buffer, self._begin, self.longest_pdu)
        self._until(pdu.HEAD_LENGTH + length, deadline)
        begin = self._begin + pdu.HEAD_LENGTH
        self._begin = begin + length
        return Pdu(kind, self._buffer[begin : self._begin])

    def send(self, *parts: bytes) -> None:
        """Send *parts* at once, in one go: the peer is not left to wait under Nagle for the rest.

        Raises:
            Closed: the connection has ended, or the peer took nothing in time.

        """
        with self._lock:
            self._flush(self.send_seconds)
            self._write(parts[0] if len(parts) == 1 else b"".join(parts), self.send_seconds)

    def interject(self, content: bytes, *, ending: bool = False, wait_seconds: float = 0.0) -> None:
        """Send whole PDUs from any thread, between two others; *ending* closes the connection after them.

        Where the owner is busy it sends them itself within a fifth of a second; *wait_seconds* is how long
        this thread tries to do so.
        """
        self._words.append(content)
        self._is_ending = self._is_ending or ending
        if self._lock.acquire(timeout=wait_seconds):
            try:
                with contextlib.suppress(Unavailable):
                    self._flush(_SLICE_SECONDS)
            finally:
                self._lock.release()

    def abort(self, *, source: int = 0, reason: int = 0) -> None:
        """Send A-ABORT if that is still possible, and close; from any thread, never raises."""
        if self.is_open:
            self.interject(
                pdu.encode(pdu.Abort(source, reason)), ending=True, wait_seconds=2 * _SLICE_SECONDS
            )
        self.close()

    def close(self) -> None:
        """Close at once; a thread that reads gets ``Closed``."""
        self.is_open = False
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._plain, socket.SHUT_RDWR)  # below TLS, whose state the owner uses
        if self._lock.acquire(timeout=2 * _SLICE_SECONDS):  # the owner lets go once the socket is shut
            try:
                self._plain.close()
            finally:
                self._lock.release()

    def _write(self, content: bytes, seconds: float) -> None:
        if not self.is_open:
            raise Closed("pacs", "the association has ended", "try again")
        try:
            self._plain.settimeout(seconds)
            self._plain.sendall(content)
            self._plain.settimeout(_SLICE_SECONDS)
        except OSError as error:
            self.is_open = False  # part of a PDU may have left: nothing sensible can follow
            raise _broken(error) from None

    def _flush(self, seconds: float) -> None:
        """Send what other threads have put in; the lock is held."""
        while self._words:
            self._write(self._words.pop(0), seconds)
        if self._is_ending and self.is_open:
            self.is_open = False
            with contextlib.suppress(OSError):
                self._plain.shutdown(socket.SHUT_RDWR)

    def _until(self, count: int, deadline: float) -> None:
        """Read until *count* bytes from ``_begin`` on are there."""
        if self._end - self._begin >= count:
            return
        if self._begin + count > len(self._buffer):
            self._make_room(count)
        while self._end - self._begin < count:
            if time.monotonic() >= deadline or not self._more(deadline):
                raise Unavailable("pacs", "a PDU did not arrive whole in time", "try again later")

    def _make_room(self, count: int) -> None:
        """Move what is there to the begin of a buffer that holds *count* bytes."""
        waiting = self._end - self._begin
        buffer = self._buffer
        if count > len(buffer):
            buffer = memoryview(bytearray(count + _BUFFER))
        buffer[:waiting] = self._buffer[self._begin : self._end]
        self._buffer, self._begin, self._end = buffer, 0, waiting

    def _more(self, deadline: float) -> bool:
        """Read what the peer has sent, at least a byte; False when *deadline* passes without one."""
        while True:
            with self._lock:
                if self._words:
                    self._flush(self.send_seconds)
                got = self._received(deadline - time.monotonic())
            if got is not None:
                self._end += got
                return True
            if time.monotonic() >= deadline:
                return False

    def _received(self, seconds: float) -> int | None:
        """Return how many bytes were read; None for none within *seconds* or a slice of them."""
        if not self.is_open:
            raise Closed("pacs", "the association has ended", "try again")
        try:
            if _QUICK_ACKNOWLEDGE is not None:  # the kernel forgets it: set anew before each read
                self._plain.setsockopt(socket.IPPROTO_TCP, _QUICK_ACKNOWLEDGE, 1)
            if seconds < _SLICE_SECONDS:
                self._plain.settimeout(max(seconds, _SHORTEST_SECONDS))
            got = self._plain.recv_into(self._buffer[self._end :])
        except TimeoutError:
            return None
        except OSError as error:
            self.is_open = False
            raise _broken(error) from None
        finally:
            if seconds < _SLICE_SECONDS and self.is_open:
                self._plain.settimeout(_SLICE_SECONDS)
        if not got:
            self.is_open = False
            raise Closed("pacs", "the peer closed the connection", "try again")
        return got


def _broken(error: OSError) -> Closed:
    problem = (
        cause(error) if isinstance(error, ssl.SSLError) else f"the connection broke: {type(error).__name__}"
    )
    return Closed("pacs", problem, "try again")


def connect(
    host: str, port: int, seconds: float, tls: ssl.SSLContext | None = None, server_name: str | None = None
) -> socket.socket:
    """Return a socket connected to *host*, after the handshake where *tls* is given, in *seconds* each.

    *server_name* is the name that the peer's certificate has to hold; without it *host* is.

    Raises:
        Unavailable: no connection.
        Misconfigured: the TLS handshake failed: a certificate, a version, or a peer without TLS.

    """
    try:
        plain = socket.create_connection((host, port), timeout=seconds)
    except (OSError, UnicodeError) as error:  # the latter: a host name that is none
        problem = f"{host}:{port} cannot be reached: {type(error).__name__}"
        raise Unavailable("pacs", problem, "check host and port") from None
    if tls is None:
        return plain
    try:
        return tls.wrap_socket(plain, server_hostname=server_name or host)
    except TimeoutError:
        plain.close()
        raise Unavailable("pacs", "no TLS handshake in time", "try again later") from None
    except OSError as error:
        plain.close()
        problem = f"no TLS with the peer: {cause(error)}"
        raise Misconfigured("pacs", problem, "check certificates and tls settings") from None
