"""The secret that one service shows to another, and the brake on guessing it."""

import hashlib
import hmac
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from p2d.model.errors import Misconfigured, Refused

_MOST_SECRETS: Final = 2
_LONGEST_SECRET: Final = 1024
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**14, 8, 1  # 16 MiB and some 40 ms a guess
_FREE_FAILURES: Final = 3
_LONGEST_LOCK: Final = 900.0
_MOST_SOURCES: Final = 10_000


@dataclass(slots=True)
class _Failures:
    count: int
    locked_until: float
    last: float


class Throttle:
    """Counts failures by source (an address): after three, each further one doubles the lock-out.

    The lock-out begins with a second and ends at 15 minutes; a source quiet for as long starts anew.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Measure time by *clock* (seconds, never backwards)."""
        self._clock = clock
        self._failures: dict[str, _Failures] = {}
        self._lock = threading.Lock()

    def check(self, source: str) -> None:
        """Let *source* pass unless it is locked out.

        Raises:
            Refused: too many failures; the remedy says for how long.

        """
        with self._lock:
            found = self._failures.get(source)
            wait = found.locked_until - self._clock() if found else 0.0
        if wait > 0:
            raise Refused("Authorization", "too many failed attempts", f"wait {int(wait) + 1} s")

    def failed(self, source: str) -> None:
        """Count a failure of *source*."""
        with self._lock:
            now = self._clock()
            found = self._failures.pop(source, None)
            stale = found is None or now - found.last > _LONGEST_LOCK
            count = 1 if found is None or stale else found.count + 1
            excess = count - _FREE_FAILURES
            pause = min(2.0 ** min(excess - 1, 20), _LONGEST_LOCK) if excess > 0 else 0.0
            if len(self._failures) >= _MOST_SOURCES:  # the one that failed longest ago makes room
                self._failures.pop(next(iter(self._failures)))
            self._failures[source] = _Failures(count, now + pause, now)

    def succeeded(self, source: str) -> None:
        """Forget the failures of *source*."""
        with self._lock:
            self._failures.pop(source, None)


class ServiceSecret:
    """One secret, or two while it is rotated; kept as scrypt hashes, compared in constant time.

    What scrypt accepted once is remembered as an HMAC under a key of this process, so that only wrong
    secrets pay the price of scrypt at every request.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        """Accept any of *secrets*.

        Raises:
            Misconfigured: none, more than two, or an empty one.

        """
        if not 0 < len(secrets) <= _MOST_SECRETS or not all(secrets):
            raise Misconfigured("secret", "there must be one, or two during rotation", "name its file")
        self._salt = os.urandom(16)
        self._key = os.urandom(32)
        self._hashes = [self._slow(secret) for secret in secrets]
        self._accepted: set[bytes] = set()
        self._lock = threading.Lock()  # one scrypt at a time: guesses in parallel do not eat the memory

    def accepts(self, secret: str) -> bool:
        """Whether *secret* is one of the secrets."""
        if not 0 < len(secret) <= _LONGEST_SECRET:
            return False
        quick = hmac.digest(self._key, _bytes(secret), "sha256")
        if any([hmac.compare_digest(quick, known) for known in tuple(self._accepted)]):  # noqa: C419 - all are compared
            return True
        with self._lock:
            slow = self._slow(secret)
            is_known = any([hmac.compare_digest(slow, known) for known in self._hashes])  # noqa: C419 - as above
            if is_known:
                self._accepted.add(quick)
        return is_known

    def _slow(self, secret: str) -> bytes:
        return hashlib.scrypt(_bytes(secret), salt=self._salt, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P)


class Gatekeeper:
    """A service secret behind a throttle."""

    def __init__(self, secret: ServiceSecret, throttle: Throttle) -> None:
        """Guard with *secret*; failures count in *throttle*."""
        self._secret = secret
        self._throttle = throttle

    def admit(self, secret: str, source: str) -> None:
        """Let the bearer of the right *secret* at *source* (an address) pass.

        Raises:
            Refused: wrong or missing secret, or too many failures (then the secret is not even looked at).

        """
        self._throttle.check(source)
        if not self._secret.accepts(secret):
            self._throttle.failed(source)
            raise Refused("Authorization", "the secret is missing or wrong", "send it as Bearer")
        self._throttle.succeeded(source)


def _bytes(secret: str) -> bytes:
    return secret.encode("utf-8", "surrogatepass")
