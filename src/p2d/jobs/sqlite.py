"""The ledger's database on one machine: an SQLite file, durable and shared by processes.

Write-ahead log, ``synchronous=FULL``, foreign keys, one writer at a time.
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from p2d.jobs.migration import LATEST, migrate
from p2d.jobs.store import Db, Row
from p2d.model.errors import Misconfigured, Unavailable

T = TypeVar("T")
_BUSY_SECONDS: Final = 30.0
_SETUP: Final = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON")


class _Transaction:
    """A transaction on the file; its writer is alone."""

    locked = ""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, statement: str, /, **values: object) -> list[Row]:
        return self._connection.execute(statement, values).fetchall()

    def many(self, statement: str, /, values: Iterable[Mapping[str, object]]) -> None:
        self._connection.executemany(statement, values)


class SqliteStore:
    """A connection that threads share in turn and other processes may have beside us."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        """Open *path* (made readable by its owner only, as is its folder) and bring it to this version.

        Raises:
            Misconfigured: the folder or file cannot be made, or the file is no ledger.

        """
        self._lock = threading.Lock()
        self._is_durable = True
        self._clock = clock
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            for statement in _SETUP:
                self._connection.execute(statement)
            if self._version() != LATEST:
                self.write(self._migrate)
        except (OSError, sqlite3.Error, Unavailable) as error:
            raise Misconfigured(
                "ledger",
                f"{path} cannot be opened: {type(error).__name__}",
                "check the folder's owner and space",
            ) from error

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def _migrate(self, db: Db) -> None:
        migrate(db, self._version(), is_sqlite=True)
        db.rows(f"PRAGMA user_version = {LATEST}")

    def write(self, change: Callable[[Db], T], *, durable: bool = True) -> T:
        """Run *change* in one transaction; see the port."""
        with self._transaction("BEGIN IMMEDIATE", durable=durable) as db:
            result = change(db)
            self._connection.execute("COMMIT")
        return result

    def read(self, look: Callable[[Db], T]) -> T:
        """Run *look* in one snapshot; see the port."""
        with self._transaction("BEGIN", durable=self._is_durable) as db:
            return look(db)

    @contextmanager
    def _transaction(self, begin: str, *, durable: bool = True) -> Iterator[Db]:
        with self._lock:
            try:
                if durable is not self._is_durable:  # in WAL mode NORMAL does not wait for the disk
                    self._connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                    self._is_durable = durable
                self._connection.execute(begin)
                yield _Transaction(self._connection)
            except sqlite3.Error as error:
                raise Unavailable(
                    "ledger",
                    f"cannot be read or written: {type(error).__name__}",
                    "check space and permissions of the state folder",
                ) from error
            finally:
                with contextlib.suppress(sqlite3.Error):  # the first error counts
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")

    def now(self) -> float:
        """Return this machine's time."""
        return self._clock()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
