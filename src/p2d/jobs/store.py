"""One SQLite file, durable and shared: WAL, synchronous FULL, foreign keys, short transactions."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from p2d.model.errors import Misconfigured, Unavailable

_BUSY_SECONDS: Final = 30.0
_VERSION: Final = 2
"""Of the schema; a file of an earlier one gets the tables that came since."""
_SETUP: Final = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON")


class Store:
    """A connection that threads share in turn and other processes may have beside us."""

    def __init__(self, path: Path, schema: str) -> None:
        """Open *path* (made readable by its owner only, as is its folder) and apply *schema*.

        Raises:
            Misconfigured: the folder or file cannot be made, or the file is no database.

        """
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            for statement in _SETUP:
                self._connection.execute(statement)
            if self._connection.execute("PRAGMA user_version").fetchone()[0] < _VERSION:
                self._connection.executescript(
                    f"BEGIN IMMEDIATE;{schema}PRAGMA user_version = {_VERSION};COMMIT;"
                )
        except (OSError, sqlite3.Error) as error:
            raise Misconfigured(
                "ledger",
                f"{path} cannot be opened: {type(error).__name__}",
                "check the folder's owner and space",
            ) from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection inside one transaction: all of the block is durable afterwards, or none.

        Raises:
            Unavailable: the disk is full or broken, or another process held the file too long.

        """
        with self._lock, _translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection inside one snapshot: what is read belongs together."""
        with self._lock, _translated():
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        problem = f"cannot be read or written: {type(error).__name__}"
        raise Unavailable("ledger", problem, "check space and permissions of the state folder") from error
