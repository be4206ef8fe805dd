"""Who asks, as a statement signed by the warehouse: a short-lived token, EdDSA over Ed25519 (RFC 8037).

A header that anyone can set proves nothing; the gateway believes the warehouse's signature alone, for this
audience, for a minute, and once.
"""

import secrets
import threading
import time
from collections.abc import Callable
from typing import Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from p2d.access.caller import Caller
from p2d.access.roles import Role
from p2d.model.errors import InvalidRequest, Misconfigured, Refused

AUDIENCE: Final = "p2d-gateway"
ISSUER: Final = "p2d-warehouse"
_ALGORITHM: Final = "EdDSA"
_LONGEST_LIFE: Final = 300
_SKEW: Final = 60
_LONGEST_USER: Final = 128
_LONGEST_TOKEN: Final = 4096
_MOST_SEEN: Final = 100_000
_CLAIMS: Final = ["iss", "aud", "sub", "role", "iat", "exp", "jti"]


def new_keypair() -> tuple[bytes, bytes]:
    """Return a new Ed25519 key pair as PEM: private (PKCS #8, unencrypted) and public."""
    private = Ed25519PrivateKey.generate()
    return (
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    )


def sign(
    private_key: bytes, user: str, role: Role | str, clock: Callable[[], float] = time.time, seconds: int = 60
) -> str:
    """Return an assertion that *user* asks in *role*, valid once, for *seconds* (at most 300).

    Raises:
        Misconfigured: *private_key* is no Ed25519 key in PEM.
        InvalidRequest: an unusable user name, an unknown role or too long a life.

    """
    if not 0 < seconds <= _LONGEST_LIFE:
        raise InvalidRequest("seconds", f"is not between 1 and {_LONGEST_LIFE}")
    if not _is_user(user):
        raise InvalidRequest("user", f"is not 1 to {_LONGEST_USER} printable characters")
    if role not in set(Role):
        raise InvalidRequest("role", "is not a role", f"use {', '.join(Role)}")
    now = int(clock())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": user,
        "role": str(role),
        "iat": now,
        "exp": now + seconds,
        "jti": secrets.token_urlsafe(16),
    }
    return jwt.encode(claims, _private(private_key), algorithm=_ALGORITHM)


class Assertions:
    """Verifies assertions against one public key; safe to share between threads.

    Tokens already seen are remembered in memory until they expire.
    """

    def __init__(
        self, public_key: bytes, clock: Callable[[], float] = time.time, service: str = "warehouse"
    ) -> None:
        """Believe the holder of *public_key*'s private part, known as *service*.

        Raises:
            Misconfigured: *public_key* is no Ed25519 key in PEM.

        """
        self._key = _public(public_key)
        self._clock = clock
        self._service = service
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()

    def verify(self, token: str) -> Caller:
        """Return who asks according to *token*, which is spent thereby.

        Raises:
            Refused: forged, of another algorithm, for another audience, expired, malformed or used before;
                the answer does not say which.

        """
        if len(token) > _LONGEST_TOKEN:
            raise _refused()
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[_ALGORITHM],  # pinned: neither "none" nor HMAC with the public key
                audience=AUDIENCE,
                issuer=ISSUER,
                # the times are checked below, against the injected clock
                options={"require": _CLAIMS, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
        except (jwt.PyJWTError, ValueError, TypeError):
            raise _refused() from None
        user, role, issued, expires, jti = (claims[name] for name in ("sub", "role", "iat", "exp", "jti"))
        now = self._clock()
        if not (
            isinstance(jti, str) and 0 < len(jti) <= _LONGEST_USER and role in list(Role) and _is_user(user)
        ):
            raise _refused()
        if not (type(issued) is int and type(expires) is int and 0 < expires - issued <= _LONGEST_LIFE):
            raise _refused()
        if not issued - _SKEW <= now < expires + _SKEW:
            raise _refused()
        self._spend(jti, expires + _SKEW, now)
        return Caller(user, Role(role), self._service)

    def _spend(self, jti: str, until: float, now: float) -> None:
        with self._lock:
            if len(self._seen) >= _MOST_SEEN:
                self._seen = {name: end for name, end in self._seen.items() if end > now}
            if jti in self._seen or len(self._seen) >= _MOST_SEEN:
                raise _refused()
            self._seen[jti] = until


def _is_user(text: object) -> bool:
    return (
        isinstance(text, str) and 0 < len(text) <= _LONGEST_USER and text.isprintable() and bool(text.strip())
    )


def _private(pem: bytes) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise Misconfigured("assertion_private_key", "is not an Ed25519 private key in PEM", _MAKE_KEYS)
    return key


def _public(pem: bytes) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise Misconfigured("assertion_public_key", "is not an Ed25519 public key in PEM", _MAKE_KEYS)
    return key


_MAKE_KEYS: Final = "make a pair: openssl genpkey -algorithm ed25519 -out KEY; openssl pkey -in KEY -pubout"


def _refused() -> Refused:
    return Refused("assertion", "is not a valid statement of who asks", "sign a new one for every session")
