"""HTTP to one archive: GET only, no redirect to another origin, no length believed, stoppable.

No error holds a URL: QIDO-RS has identifiers in its query. Bodies are read as they are sent (identity
coding), so that none inflates.
"""

import contextlib
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import httpx

from p2d.model.errors import Misconfigured, P2DError, ProtocolViolation, Unavailable
from p2d.settings.file import read_foreign_secret
from p2d.settings.gateway import WebArchive

_SLOWEST: Final = 16_384
"""Bytes a second below which an answer counts as none."""

_CONNECTIONS: Final = 32
_REDIRECTS: Final = 3
_BUSY: Final = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)

Parameters = Mapping[str, str | list[str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A response whose head has arrived; ``chunks`` read its body."""

    status: int
    content_type: str
    warning: str
    chunks: Iterator[bytes]


class WebConnection:
    """Requests to the archive of *settings*; safe to share between threads.

    Raises (on construction):
        Misconfigured: a secret, certificate or authority that cannot be used.
    """

    def __init__(self, settings: WebArchive) -> None:
        self._settings = settings
        self._base = str(settings.url).rstrip("/") + "/"
        self._lock = threading.Lock()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._stops = 0
        self._is_stopped = False
        secret = read_foreign_secret(settings.secret, "pacs.secret") if settings.secret else None
        auth = httpx.BasicAuth(settings.user, secret.get_secret_value()) if settings.user and secret else None
        headers = {"Accept-Encoding": "identity", "User-Agent": "p2d"}
        if secret is not None and auth is None:
            headers["Authorization"] = f"Bearer {secret.get_secret_value()}"
        self._client = httpx.Client(
            auth=auth,
            headers=headers,
            verify=_trust(settings),
            timeout=httpx.Timeout(settings.answer_seconds, connect=settings.connect_seconds),
            limits=httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
            trust_env=False,
            follow_redirects=False,
        )

    def __repr__(self) -> str:
        return "WebConnection()"

    def close(self) -> None:
        """Close all connections; safe to call twice."""
        self._client.close()

    def stop(self) -> None:
        """End what runs, and take no new request until ``resume``."""
        with self._lock:
            self._is_stopped = True
            self._stops += 1
            live = list(self._sockets)
        for one in live:
            with contextlib.suppress(OSError):
                # the plain method: SSLSocket's own forgets its encryption under a thread that still reads
                socket.socket.shutdown(one, socket.SHUT_RDWR)

    def resume(self) -> None:
        """Take requests again."""
        with self._lock:
            self._is_stopped = False

    def mark(self) -> int:
        """Return what ``check`` compares with, at the begin of a piece of work.

        Raises:
            Unavailable: stopped.

        """
        with self._lock:
            if self._is_stopped:
                raise _stopped()
            return self._stops

    def check(self, mark: int) -> None:
        """Raise Unavailable where a stop came since *mark* was taken."""
        if self._is_stopped or self._stops != mark:
            raise _stopped()

    @contextlib.contextmanager
    def get(self, path: str, parameters: Parameters, accept: str, mark: int) -> Iterator[Answer]:
        """Ask for *path* below the archive's URL; its body can be read while the context lasts.

        Raises:
            Unavailable: no connection, no answer in time, a busy server, or stopped since *mark*.
            Misconfigured: credentials or certificate refused.
            ProtocolViolation: no HTTP, an encoded body, or a redirect to another origin.

        """
        self.check(mark)
        with self._errors(mark), self._opened(path, parameters, accept) as response:
            self.check(mark)
            _check_status(response.status_code)
            if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
                raise ProtocolViolation("pacs", "the archive encodes a body although it was asked not to")
            yield Answer(
                response.status_code,
                response.headers.get("Content-Type", ""),
                " ".join(response.headers.get_list("Warning")),
                self._chunks(response, mark),
            )

    @contextlib.contextmanager
    def _opened(self, path: str, parameters: Parameters, accept: str) -> Iterator[httpx.Response]:
        with contextlib.ExitStack() as stack:
            request = self._client.build_request(
                "GET",
                self._base + path,
                params=parameters,
                headers={"Accept": accept},
                extensions={"trace": self._trace},
            )
            response = stack.enter_context(self._sent(request))
            for _ in range(_REDIRECTS):
                if not response.is_redirect:
                    break
                request.url = httpx.URL(_same_origin(str(request.url), response.headers.get("Location", "")))
                response = stack.enter_context(self._sent(request))
            if response.is_redirect:
                raise ProtocolViolation("pacs", "the archive redirects without end", "correct pacs.url")
            yield response

    @contextlib.contextmanager
    def _sent(self, request: httpx.Request) -> Iterator[httpx.Response]:
        """Send *request*; a kept connection that the archive has closed meanwhile is replaced once."""
        try:
            response = self._client.send(request, stream=True)
        except httpx.RemoteProtocolError as error:
            if self._is_stopped or "disconnected without" not in str(error):
                raise
            response = self._client.send(request, stream=True)
        try:
            yield response
        finally:
            response.close()

    def _trace(self, event: str, details: Mapping[str, Any]) -> None:
        """Remember each socket that is opened, so that ``stop`` can end it."""
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            opened = details["return_value"].get_extra_info("socket")
            with self._lock:
                self._sockets.add(opened)
            if self._is_stopped:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(opened, socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _chunks(self, response: httpx.Response, mark: int) -> Iterator[bytes]:
        """Yield the body as it comes; the time that the caller takes for itself does not count."""
        received, waited = 0, 0.0
        arriving = response.iter_raw()
        with self._errors(mark):
            while True:
                begin = time.monotonic()
                chunk = next(arriving, None)
                waited += time.monotonic() - begin
                self.check(mark)
                if chunk is None:
                    return
                received += len(chunk)
                if waited > self._settings.answer_seconds + received / _SLOWEST:
                    raise Unavailable("pacs", "the archive sends too slowly", "try again later")
                yield chunk

    @contextlib.contextmanager
    def _errors(self, mark: int) -> Iterator[None]:
        """Turn what httpx raises into P2D's errors, without its texts: they may hold URLs."""
        try:
            yield
        except P2DError:
            raise
        except httpx.HTTPError as error:
            self.check(mark)
            raise _error_of(error) from None
        except httpx.InvalidURL:
            raise ProtocolViolation("pacs", "an address is not valid", "correct pacs.url") from None


def _trust(settings: WebArchive) -> ssl.SSLContext:
    """Return how the archive's certificate is checked and ours is shown.

    Raises:
        Misconfigured: a file that is no certificate or key.

    """
    if settings.url.scheme != "https":
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody, and is never used
    authorities = str(settings.ca_file) if settings.ca_file else None
    try:
        context = ssl.create_default_context(cafile=authorities)
    except (OSError, ssl.SSLError):
        raise Misconfigured("pacs.ca_file", "holds no certificate", "name a PEM file") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.certificate and settings.key:
        try:
            context.load_cert_chain(settings.certificate, settings.key, password=_nobody_to_ask)
        except (OSError, ssl.SSLError):
            raise Misconfigured(
                "pacs.certificate", "does not fit pacs.key, or one cannot be read", "name two PEM files"
            ) from None
    return context


def _nobody_to_ask() -> str:
    """Answer for an encrypted key instead of a person at the terminal; it makes the file unusable."""
    return ""


def _same_origin(before: str, location: str) -> str:
    """Return where a redirect leads.

    Raises:
        ProtocolViolation: to another scheme, host or port: identifiers and secret would go there.

    """
    try:
        after = urljoin(before, location)
    except ValueError:  # an address that is none
        after = ""
    if not location or _origin(after) != _origin(before):
        raise ProtocolViolation("pacs", "the archive redirects elsewhere", "correct pacs.url")
    return after


def _origin(url: str) -> tuple[str, str, int]:
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443}.get(parts.scheme, 80)
    except ValueError:
        return "", "", 0
    return parts.scheme, (parts.hostname or "").lower(), port


def _check_status(status: int) -> None:
    """Raise where *status* is neither an answer nor "there is no such thing"."""
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise Misconfigured(
            "pacs", f"the archive refuses us (HTTP {status})", "check pacs.user and pacs.secret"
        )
    if status in _BUSY:
        raise Unavailable("pacs", f"the archive is busy or failed (HTTP {status})", "try again later")


def _error_of(error: httpx.HTTPError) -> P2DError:
    if "CERTIFICATE" in str(error) or "certificate" in str(error):
        return Misconfigured(
            "pacs.ca_file", "the certificate of the archive, or ours, is not trusted", "compare both sides"
        )
    # httpx has one error for a peer that died in mid-answer and for one that does not speak HTTP
    died = any(word in str(error) for word in ("disconnected", "peer closed"))
    if isinstance(error, httpx.RemoteProtocolError) and not died:
        return ProtocolViolation("pacs", "the answer is not HTTP", "correct pacs.url")
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return Unavailable("pacs", "cannot be reached", "check pacs.url and the network")
    if isinstance(error, httpx.TransportError):
        silent = isinstance(error, httpx.TimeoutException)
        problem = "no answer in time" if silent else "the connection ended before the whole answer"
        return Unavailable("pacs", problem, "try again later")
    return ProtocolViolation("pacs", "the answer is not readable", "correct pacs.url")


def _stopped() -> Unavailable:
    return Unavailable("pacs", "queries to the archive are stopped", "resume them, then try again")
