"""Sessions: for whom a researcher may ask, until when; opened with a key that is shown once.

The key is 256 random bits and is stored as its SHA-256 alone. A session survives a restart; it ends by its
expiry, by idleness or by ``close``, and its patients leave the file with it.
"""

import hashlib
import hmac
import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from p2d.access.caller import Caller
from p2d.access.roles import Role
from p2d.model.errors import InvalidRequest, Misconfigured, Refused, Unavailable
from p2d.model.ids import Pseudonym

MOST_PATIENTS: Final = 100_000
_LONGEST_HOURS: Final = 24.0
_CACHED: Final = 64
_TOUCHES_PER_IDLE_TIME: Final = 60
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS session (
    session_id TEXT PRIMARY KEY, key_hash BLOB NOT NULL UNIQUE, user TEXT NOT NULL, role TEXT NOT NULL,
    patients TEXT NOT NULL, allow TEXT NOT NULL, deny TEXT NOT NULL, images INTEGER NOT NULL,
    expires_at REAL NOT NULL, idle_seconds REAL NOT NULL, used_at REAL NOT NULL) STRICT
"""


@dataclass(frozen=True, slots=True)
class Session:
    """What a researcher may ask for: *patients*, modalities as in ``ModalityPolicy``, images or not.

    ``expires_at`` is an instant in UTC.
    """

    session_id: str
    user: str
    role: Role
    patients: frozenset[Pseudonym] = field(repr=False)
    allow: frozenset[str]
    deny: frozenset[str]
    images: bool
    expires_at: datetime


class SessionStore:
    """Open sessions in one SQLite file; safe to share between threads."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        """Open or create the file at *path*; *clock* returns seconds since the epoch.

        Raises:
            Misconfigured: the file cannot be opened.

        """
        self._clock = clock
        self._lock = threading.Lock()
        self._cache: dict[str, Session] = {}
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
            # secure_delete: the patients of an ended session leave the file, not only its index
            for statement in ("PRAGMA journal_mode=WAL", "PRAGMA secure_delete=ON", _SCHEMA):
                self._db.execute(statement)
        except (OSError, sqlite3.Error) as error:
            raise Misconfigured(
                "sessions",
                f"{path} cannot be opened: {type(error).__name__}",
                "check the folder's owner and space",
            ) from error

    def open(
        self,
        caller: Caller,
        patients: Sequence[Pseudonym],
        *,
        modalities_allowed: frozenset[str] = frozenset(),
        modalities_denied: frozenset[str] = frozenset(),
        images: bool = False,
        hours: float = 8.0,
        idle_minutes: float = 15.0,
    ) -> tuple[str, Session]:
        """Open a session for *patients* and return its key, shown this once, and the session.

        It ends after *hours*, or after *idle_minutes* without use.

        Raises:
            InvalidRequest: no patient, more than 100,000, or a time out of range.
            Refused: officers approve sessions and open none.
            Unavailable: the file cannot be written.

        """
        if caller.role is Role.OFFICER:
            raise Refused("role", "officers open no sessions", "ask as researcher")
        _check(patients, hours, idle_minutes)
        now = self._clock()
        key = secrets.token_urlsafe(32)
        session = Session(
            session_id=f"S{secrets.token_hex(8)}",
            user=caller.user,
            role=caller.role,
            patients=frozenset(patients),
            allow=modalities_allowed,
            deny=modalities_denied,
            images=images,
            expires_at=datetime.fromtimestamp(now + hours * 3600, UTC),
        )
        row = (
            session.session_id,
            _digest(key),
            session.user,
            str(session.role),
            *(json.dumps(sorted(values)) for values in (session.patients, session.allow, session.deny)),
            int(session.images),
            session.expires_at.timestamp(),
            idle_minutes * 60,
            now,
        )
        with self._locked() as db:
            db.execute("DELETE FROM session WHERE expires_at <= ?1 OR used_at + idle_seconds <= ?1", (now,))
            db.execute("INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        return key, session

    def find(self, key: str) -> Session:
        """Return the session that *key* opens and count this as use.

        Raises:
            Refused: unknown, expired, idle for too long or closed, without saying which.
            Unavailable: the file cannot be read or written.

        """
        digest = _digest(key)
        now = self._clock()
        with self._locked() as db:
            row = db.execute(
                "SELECT session_id, key_hash, expires_at, idle_seconds, used_at FROM session"
                " WHERE key_hash = ?",
                (digest,),
            ).fetchone()
            if row is None or not hmac.compare_digest(row[1], digest):
                raise _refused()
            session_id, _, expires_at, idle_seconds, used_at = row
            if now >= expires_at or now >= used_at + idle_seconds:
                self._forget(db, session_id)
                raise _refused()
            if now - used_at > idle_seconds / _TOUCHES_PER_IDLE_TIME:  # spares a write at every request
                db.execute("UPDATE session SET used_at = ? WHERE session_id = ?", (now, session_id))
            return self._cache.get(session_id) or self._read(db, session_id)

    def close(self, session_id: str) -> None:
        """End a session; one that has ended already stays ended."""
        with self._locked() as db:
            self._forget(db, session_id)

    def _read(self, db: sqlite3.Connection, session_id: str) -> Session:
        user, role, patients, allow, deny, images, expires_at = db.execute(
            "SELECT user, role, patients, allow, deny, images, expires_at FROM session WHERE session_id = ?",
            (session_id,),
        ).fetchone()
        session = Session(
            session_id=session_id,
            user=user,
            role=Role(role),
            patients=frozenset(Pseudonym(text) for text in json.loads(patients)),
            allow=frozenset(json.loads(allow)),
            deny=frozenset(json.loads(deny)),
            images=bool(images),
            expires_at=datetime.fromtimestamp(expires_at, UTC),
        )
        if len(self._cache) >= _CACHED:
            self._cache.pop(next(iter(self._cache)))
        self._cache[session_id] = session
        return session

    def _forget(self, db: sqlite3.Connection, session_id: str) -> None:
        self._cache.pop(session_id, None)
        db.execute("DELETE FROM session WHERE session_id = ?", (session_id,))

    @contextmanager
    def _locked(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._db
            except sqlite3.Error as error:
                raise Unavailable(
                    "sessions", f"cannot be read or written: {type(error).__name__}", "check the state folder"
                ) from error


def _check(patients: Sequence[Pseudonym], hours: float, idle_minutes: float) -> None:
    if not patients:
        raise InvalidRequest("patients", "is empty", "name at least one patient of the query")
    if len(patients) > MOST_PATIENTS:
        raise InvalidRequest("patients", f"holds more than {MOST_PATIENTS:,}", "narrow the query")
    if not 0 < hours <= _LONGEST_HOURS:
        raise InvalidRequest("hours", f"is not above 0 and at most {_LONGEST_HOURS:g}", "ask for fewer hours")
    if not idle_minutes > 0:
        raise InvalidRequest("idle_minutes", "is not above 0", "leave it out")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _refused() -> Refused:
    return Refused("session", "the key opens no session (unknown, expired or closed)", "open a new session")
