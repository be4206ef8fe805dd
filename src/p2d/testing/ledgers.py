"""A ledger on either engine for tests, opened as often as asked: each opening stands for another process."""

from pathlib import Path
from typing import Protocol

from p2d.jobs.ledger import Ledger
from p2d.jobs.postgresql import PostgresStore, connect, migrate_postgresql
from p2d.testing.clock import Clock
from p2d.testing.postgres import Postgres


class Engine(Protocol):
    """Where the ledgers of one test are kept, and the clock they go by."""

    clock: Clock

    def ledger(self) -> Ledger:
        """Open the ledger once more."""
        ...

    def close(self) -> None:
        """Close every ledger that was opened."""
        ...


class SqliteEngine:
    """One SQLite file."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self._path = path
        self._opened: list[Ledger] = []

    def ledger(self) -> Ledger:
        """Open the ledger once more."""
        self._opened.append(Ledger(self._path, self.clock))
        return self._opened[-1]

    def close(self) -> None:
        """Close every ledger that was opened."""
        while self._opened:
            self._opened.pop().close()


class PostgresEngine:
    """The tables of a server's database ``p2d``, emptied; one test has them at a time."""

    def __init__(self, server: Postgres) -> None:
        self.clock = Clock()
        self.dsn = server.dsn
        migrate_postgresql(self.dsn)
        with connect(self.dsn) as connection:
            connection.execute("TRUNCATE run, study_seen, claim CASCADE")
        self._opened: list[Ledger] = []

    def ledger(self) -> Ledger:
        """Open the ledger once more."""
        self._opened.append(Ledger(PostgresStore(self.dsn, clock=self.clock)))
        return self._opened[-1]

    def close(self) -> None:
        """Close every ledger that was opened."""
        while self._opened:
            self._opened.pop().close()
