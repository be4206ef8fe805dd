"""TLS for associations by the BCP 195 profiles (PS3.15 B.9, B.10; RFC 9325): both sides show a certificate.

TLS 1.2 with the recommended forward secret AEAD suites, or TLS 1.3; nothing older, no compression, no
renegotiation. A certificate has to come from one of the authorities *and* be that of the configured archive:
by a fingerprint, or else by a name in it. Files are read anew when they change; a rotation that is only half
done leaves the last good certificate in use.
"""

import hashlib
import logging
import os
import ssl
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from p2d.model.errors import Misconfigured

_LOG: Final = logging.getLogger(__name__)

SUITES: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
)
"""Suites of TLS 1.2 (RFC 9325 4.2); those of TLS 1.3 are all taken."""

_CERTIFICATE_CAUSES: Final = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: "its certificate is self-signed and not among the authorities",
    19: "its certificate is of an unknown authority",
    20: "its certificate is of an unknown authority",
    21: "its certificate is of an unknown authority",
    23: "its certificate was revoked",
}  # X509_V_ERR_* of OpenSSL
_CAUSES: Final = {
    "HTTP_REQUEST": "it speaks HTTP",
    "WRONG_VERSION_NUMBER": "it speaks no TLS",
    "UNKNOWN_PROTOCOL": "it speaks no TLS",
    "PACKET_LENGTH_TOO_LONG": "it speaks no TLS",
    "RECORD_LAYER_FAILURE": "it speaks no TLS",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it shows no certificate",
    "UNSUPPORTED_PROTOCOL": "it offers no TLS version of BCP 195",
    "NO_SHARED_CIPHER": "it offers no cipher suite of BCP 195",
    "NO_PROTOCOLS_AVAILABLE": "it offers no TLS version of BCP 195",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not know the authority of our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it says that our certificate has expired",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it does not take our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it does not take our certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it asks for a certificate of ours",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it takes no TLS version of BCP 195",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it takes none of our cipher suites, or not our certificate",
    "UNEXPECTED_EOF_WHILE_READING": "it closed the connection, as peers do that do not take a certificate",
}
_WRONG: Final = "its certificate is not that of the configured archive"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Our certificate (chain) and key, the authorities we trust, and whom the archive's certificate names.

    All in PEM. ``peer_fingerprints`` are SHA-256 in hexadecimal; with them ``peer_names`` do not count.
    """

    certificate: Path
    key: Path
    authorities: Path
    peer_names: frozenset[str]
    peer_fingerprints: frozenset[str] = frozenset()


class WrongCertificate(ssl.SSLCertVerificationError):
    """A good certificate, but not the archive's."""


class _MatchedSocket(ssl.SSLSocket):
    """A socket whose handshake is done only once the peer's certificate is the configured archive's."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - ssl.SSLSocket
        super().do_handshake(block)
        context = self.context
        if isinstance(context, ArchiveContext) and not context.is_archive(
            self.getpeercert(), self.getpeercert(binary_form=True)
        ):
            raise WrongCertificate(1, _WRONG)


class ArchiveContext(ssl.SSLContext):
    """A context that takes the certificate of one archive only."""

    sslsocket_class = _MatchedSocket
    is_archive: Callable[[Any, bytes | None], bool]


class Tls:
    """Contexts for our client and our Storage SCP; safe to share between threads.

    Raises (on construction):
        Misconfigured: a file is missing, unreadable or does not fit, or the key is readable by others.

    """

    def __init__(self, files: TlsFiles) -> None:
        self.files = files
        self._lock = threading.Lock()
        self._signature = self._stamps()
        self._contexts = self._read()
        self.problem = ""

    def server(self) -> ssl.SSLContext:
        """Return the context for accepted connections, from the files as they are now."""
        return self._current()[0]

    def client(self) -> ssl.SSLContext:
        """Return the context for our own connections, from the files as they are now."""
        return self._current()[1]

    def _current(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        with self._lock:
            stamps = self._stamps()
            if stamps != self._signature:
                try:
                    self._contexts = self._read()
                    self.problem = ""
                except Misconfigured as error:
                    self.problem = str(error)  # perhaps half written: the last good files stay in use
                    _LOG.warning("new TLS files are not used: %s", error)
                self._signature = stamps
            return self._contexts

    def _stamps(self) -> tuple[object, ...]:
        stamps: list[object] = []
        for path in (self.files.certificate, self.files.key, self.files.authorities):
            try:
                status = path.stat()
                stamps.append((status.st_ino, status.st_size, status.st_mtime_ns))
            except OSError:
                stamps.append(None)
        return tuple(stamps)

    def _read(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        _check_key(self.files.key)
        return (
            self._context(ssl.PROTOCOL_TLS_SERVER),
            self._context(ssl.PROTOCOL_TLS_CLIENT),
        )

    def _context(self, protocol: ssl._SSLMethod) -> ssl.SSLContext:
        context = ArchiveContext(protocol)
        context.is_archive = self._is_archive
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(":".join(SUITES))
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
        if protocol == ssl.PROTOCOL_TLS_SERVER:
            context.num_tickets = 0  # every connection shows its certificate anew
        context.check_hostname = False  # names are compared by _is_archive, on both sides alike
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_cert_chain(self.files.certificate, self.files.key, password=_no_password)
        except (OSError, ValueError) as error:
            raise Misconfigured(
                "pacs.tls.certificate", f"does not fit pacs.tls.key: {_reason(error)}", "give a PEM pair"
            ) from None
        try:
            context.load_verify_locations(self.files.authorities)
        except OSError as error:
            raise Misconfigured(
                "pacs.tls.authorities", f"is not readable: {_reason(error)}", "give certificates in PEM"
            ) from None
        return context

    def _is_archive(self, certificate: Any, whole: bytes | None) -> bool:
        if not whole:
            return False
        if self.files.peer_fingerprints:
            wanted = {one.replace(":", "").lower() for one in self.files.peer_fingerprints}
            return hashlib.sha256(whole).hexdigest() in wanted
        return not {one.lower() for one in self.files.peer_names}.isdisjoint(_names(certificate))


def _names(certificate: Any) -> set[str]:
    """Return the names and addresses of a certificate; its common name only where there are no others."""
    others = {str(value).lower() for kind, value in certificate.get("subjectAltName", ()) if kind != "URI"}
    if others:
        return others
    parts = (part for group in certificate.get("subject", ()) for part in group)
    return {str(value).lower() for name, value in parts if name == "commonName"}


def cause(error: BaseException) -> str:
    """Return in words why a handshake failed; names no value of a certificate."""
    if isinstance(error, TimeoutError):
        return "it was silent during the handshake"
    if isinstance(error, WrongCertificate):
        return _WRONG
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE_CAUSES.get(error.verify_code, "its certificate does not verify")
    if isinstance(error, ssl.SSLEOFError):
        return _CAUSES["UNEXPECTED_EOF_WHILE_READING"]
    if isinstance(error, ssl.SSLError):
        return _CAUSES.get(error.reason or "", f"the handshake failed: {_reason(error)}")
    return f"the connection broke: {type(error).__name__}"


def _reason(error: BaseException) -> str:
    return getattr(error, "reason", None) or type(error).__name__


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _check_key(key: Path) -> None:
    try:
        mode = key.stat().st_mode
    except OSError as error:
        raise Misconfigured(
            "pacs.tls.key", f"is not readable: {type(error).__name__}", "give our private key in PEM"
        ) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO) and os.name == "posix":
        raise Misconfigured("pacs.tls.key", "is readable by others than its owner", "chmod 600")
