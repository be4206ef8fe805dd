"""The audit log: who asked what, written before anything is looked up, and what became of it, written after.

No record, no data: when an intent cannot be written durably the query does not start. An intent without an
outcome is a query that was interrupted. The log holds pseudonyms, counts and words of vocabularies only.
"""

import contextlib
import fcntl
import hashlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from p2d.audit.chain import GENESIS, Verification, checked, head, last_line, seal, unseal, verify
from p2d.model.errors import Misconfigured, P2DError, Unavailable, family_of

__all__ = ["AuditLog", "Entry", "Verification", "head", "verify"]

_EMPTY: Final[Mapping[str, object]] = {}


class Entry:
    """A query under way: its intent is on disk; ``close`` writes the outcome, once."""

    def __init__(self, write: Callable[[Mapping[str, object]], None], body: Mapping[str, object]) -> None:
        """Write outcomes by *write*, with the intent's *body*; made by ``AuditLog``."""
        self._write = write
        self._body = body
        self._counts: dict[str, object] = {}
        self._is_open = True

    @property
    def query(self) -> str:
        """The id that joins intent and outcome."""
        return str(self._body["query"])

    def outcome(self, **counts: object) -> None:
        """Keep *counts* (numbers, pseudonyms, words) for the outcome; later ones replace earlier ones.

        Raises:
            InvalidRequest: a value that is not plain JSON.

        """
        for name, value in counts.items():
            self._counts[name] = checked(value, name)

    def close(self, error: BaseException | None = None) -> None:
        """Write the outcome, once: ``ok``, or the family of *error* without its message.

        Raises:
            Unavailable: the log cannot be written. With *error* given this is not raised, so that the error
                is not hidden; the query then shows as interrupted.

        """
        if not self._is_open:
            return
        self._is_open = False
        ending: dict[str, object] = {"kind": "outcome", "outcome": "ok" if error is None else "error"}
        if error is not None:
            ending["error"] = _family(error)
        with contextlib.suppress(*([Unavailable] if error is not None else [])):
            self._write({**self._body, **ending, "counts": dict(self._counts)})


class AuditLog:
    """An append-only file of chained records; threads and processes may append side by side."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        """Append to the file at *path* (0600); its folder is made with 0700.

        *clock* returns seconds since the epoch.

        Raises:
            Misconfigured: the folder cannot be made.

        """
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._known: tuple[int, int, str, int] = (
            0,
            0,
            GENESIS,
            0,
        )  # inode, size, head, seq when last written
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            raise Misconfigured("audit", f"{path.parent} cannot be made", "name a writable folder") from None

    @contextmanager
    def query(
        self, *, action: str, user: str, session: str, subject: Mapping[str, object]
    ) -> Iterator[Entry]:
        """Write the intent, run the block, write the outcome.

        Raises:
            Unavailable: the intent or the outcome cannot be written: nothing may be handed out.

        """
        entry = self.begin(action=action, user=user, session=session, subject=subject)
        try:
            yield entry
        except BaseException as error:
            entry.close(error)
            raise
        entry.close()

    def begin(self, *, action: str, user: str, session: str, subject: Mapping[str, object]) -> Entry:
        """Write the intent and return the entry that the caller closes: for answers that stream.

        Raises:
            Unavailable: the intent cannot be written: nothing may be handed out.
            InvalidRequest: a value that is not plain JSON.

        """
        body = _body(action, user, session)
        self._append({**body, "kind": "intent", "subject": checked(subject, "subject")})
        return Entry(self._append, body)

    def record(
        self, action: str, *, user: str = "", session: str = "", subject: Mapping[str, object] = _EMPTY
    ) -> None:
        """Write a single event, such as a refused attempt.

        Raises:
            Unavailable: it cannot be written.
            InvalidRequest: a value that is not plain JSON.

        """
        body = _body(action, user, session)
        self._append({**body, "kind": "event", "subject": checked(subject, "subject")})

    def _append(self, body: Mapping[str, object]) -> None:
        with self._lock:
            try:
                with _locked(self._path) as log:
                    self._known = self._write(log, self._head(log), body)
            except OSError as error:
                raise Unavailable(
                    "audit",
                    f"cannot be written: {error.strerror}",
                    "free space; nothing is released without it",
                ) from error

    def _head(self, log: int) -> tuple[str, int]:
        """Return hash and number of the last record, after setting aside what a crash left torn."""
        state = os.fstat(log)
        inode, size, known_head, known_seq = self._known
        if (state.st_ino, state.st_size) == (inode, size):
            return known_head, known_seq
        tail = last_line(log, state.st_size)
        if tail and not tail.endswith(b"\n"):
            kept = state.st_size - len(tail)
            aside = _set_aside(self._path, tail)
            os.ftruncate(log, kept)
            found = _numbers(last_line(log, kept))
            subject = {
                "torn_bytes": len(tail),
                "torn_sha256": hashlib.sha256(tail).hexdigest(),
                "file": aside,
            }
            body = {**_body("recover", "", ""), "kind": "event", "subject": subject}
            _, _, recovered_head, seq = self._write(log, found, body)
            return recovered_head, seq
        return _numbers(tail)

    def _write(
        self, log: int, last: tuple[str, int], body: Mapping[str, object]
    ) -> tuple[int, int, str, int]:
        previous, seq = last
        at = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")
        line, digest = seal({**body, "at": at, "seq": seq + 1, "previous": previous})
        before = os.fstat(log).st_size
        try:
            written = os.write(log, line)
            while written < len(line):
                written += os.write(log, line[written:])
            os.fsync(log)
        except OSError:
            with contextlib.suppress(OSError):  # else the next append finds the torn line and sets it aside
                os.ftruncate(log, before)
            raise
        state = os.fstat(log)
        return state.st_ino, state.st_size, digest, seq + 1


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Open the log and hold it against other processes; the kernel lets go when this one dies."""
    is_new = not path.exists()
    log = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(log, fcntl.LOCK_EX)
        if is_new:
            _sync_folder(path.parent)
        yield log
    finally:
        os.close(log)


def _set_aside(path: Path, torn: bytes) -> str:
    name = f"{path.name}.torn-{secrets.token_hex(4)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(path.with_name(name), flags, 0o600), "wb") as aside:
        aside.write(torn)
        aside.flush()
        os.fsync(aside.fileno())
    _sync_folder(path.parent)
    return name


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _numbers(line: bytes) -> tuple[str, int]:
    if not line:
        return GENESIS, 0
    record = unseal(line)
    if record is None:
        raise Unavailable(
            "audit", "the last record is damaged", "run p2d audit verify, keep the file, and start a new one"
        )
    return str(record["hash"]), int(str(record["seq"]))


def _body(action: str, user: str, session: str) -> dict[str, object]:
    who = {"action": action, "user": user, "session": session}
    return {"query": secrets.token_hex(8), **{name: checked(text, name) for name, text in who.items()}}


def _family(error: BaseException) -> str:
    if isinstance(error, P2DError):
        return family_of(error)
    return "Internal" if isinstance(error, Exception) else "Cancelled"
