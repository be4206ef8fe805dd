"""Who is signed in: one-time tokens in links, then a session behind a cookie. In memory, lost at a restart.

Tokens, session keys and form tokens are 256 random bits; tokens and keys are kept as SHA-256 alone.
"""

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from p2d.flows.research.viewing import CohortAnswer, Viewing
from p2d.model.errors import Refused, Unavailable

TOKEN_SECONDS: Final = 10 * 60.0
IDLE_SECONDS: Final = 15 * 60.0
LONGEST_SECONDS: Final = 8 * 3600.0
_MOST: Final = 1000


class SignedOut(Refused):
    """There is no session, or it has ended."""

    status = HTTPStatus.UNAUTHORIZED
    title = "Not signed in"

    def __init__(self) -> None:
        super().__init__("session", "is missing or has ended", "open a new link")


@dataclass(frozen=True, slots=True)
class Grant:
    """What an operator's link allows: pages for *user*, previews or lists alone, a query to begin with."""

    user: str
    images: bool = True
    query: str = field(default="", repr=False)


@dataclass(slots=True)
class PageSession:
    """What one signed-in browser works on; ``form_token`` must come back with every form.

    ``query`` is JSON as it was typed, ``line`` the same as a search line, ``words`` what it asks by language.
    """

    grant: Grant
    form_token: str = field(repr=False)
    query: str = field(repr=False)
    line: str = field(default="", repr=False)
    words: Mapping[str, str] = field(default_factory=dict, repr=False)
    answer: CohortAnswer | None = field(default=None, repr=False)
    viewing: Viewing | None = field(default=None, repr=False)

    def require_form_token(self, sent: str) -> None:
        """Return if *sent* is this session's form token.

        Raises:
            Refused: it is not, so the form may come from another site.

        """
        if not hmac.compare_digest(sent.encode(), self.form_token.encode()):
            raise Refused("form", "was not made for this session", "go back, reload the page, send it again")


@dataclass(slots=True)
class _Timed:
    session: PageSession
    began: float
    used: float


class PageSessions:
    """Tokens and sessions of one process; safe to share between threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Measure time by *clock* (seconds, never backwards)."""
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: dict[bytes, tuple[Grant, float]] = {}
        self._sessions: dict[bytes, _Timed] = {}

    def issue(self, grant: Grant) -> str:
        """Return a token that opens one session within ten minutes, once.

        Raises:
            Unavailable: a thousand tokens wait to be used already.

        """
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._sweep()
            if len(self._tokens) >= _MOST:
                raise Unavailable("page tokens", "too many are unused", "wait ten minutes")
            self._tokens[_digest(token)] = (grant, self._clock() + TOKEN_SECONDS)
        return token

    def exchange(self, token: str) -> tuple[str, PageSession]:
        """Spend *token*; return the key of a new session, and the session.

        Raises:
            Refused: unknown, used or expired, without saying which.
            Unavailable: a thousand sessions are open already.

        """
        with self._lock:
            self._sweep()
            if len(self._sessions) >= _MOST:
                raise Unavailable("sessions", "too many are open", "try again in a quarter of an hour")
            grant, _ = self._tokens.pop(_digest(token), (None, 0.0))
            if grant is None:
                raise Refused("link", "has been used, or is older than ten minutes", "ask for a new one")
            key = secrets.token_urlsafe(32)
            session = PageSession(grant, secrets.token_urlsafe(32), grant.query)
            now = self._clock()
            self._sessions[_digest(key)] = _Timed(session, now, now)
        return key, session

    def find(self, key: str) -> PageSession:
        """Return the session that *key* opens and count this as use.

        Raises:
            SignedOut: unknown, or it has ended: 15 minutes unused, eight hours old, or signed out.

        """
        with self._lock:
            self._sweep()
            timed = self._sessions.get(_digest(key))
            if timed is None:
                raise SignedOut
            timed.used = self._clock()
            return timed.session

    def end(self, key: str) -> None:
        """End the session that *key* opens."""
        with self._lock:
            self._sessions.pop(_digest(key), None)

    def _sweep(self) -> None:
        now = self._clock()
        self._tokens = {name: held for name, held in self._tokens.items() if now < held[1]}
        self._sessions = {
            name: timed
            for name, timed in self._sessions.items()
            if now < timed.used + IDLE_SECONDS and now < timed.began + LONGEST_SECONDS
        }


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
