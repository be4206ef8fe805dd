"""What the ledger asks of a database, whichever it is: transactions of plain SQL, named parameters.

Statements are written once, with ``:name`` parameters and what SQLite and PostgreSQL both understand; an
engine translates the parameters. A change is a function: an engine runs it again when a transaction failed.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Row = tuple[Any, ...]


class Db(Protocol):
    """A transaction under way."""

    @property
    def locked(self) -> str:
        """What a SELECT ends with to hold its rows against other writers; empty where a writer is alone."""
        ...

    def rows(self, statement: str, /, **values: object) -> list[Row]:
        """Run *statement* and return its rows, if it has any."""
        ...

    def many(self, statement: str, /, values: Iterable[Mapping[str, object]]) -> None:
        """Run *statement* once for each of *values*."""
        ...


class Store(Protocol):
    """A database; safe to share between threads, and between processes by its address."""

    def write(self, change: Callable[[Db], T], *, durable: bool = True) -> T:
        """Run *change* in one transaction: all of it is durable afterwards, or none.

        It may run more than once; only its last run counts, exactly once. What is not *durable* outlives this
        process, but perhaps not a power cut, and does not wait for the disk.

        Raises:
            Unavailable: the database is full, broken or away for longer than this store waits.

        """
        ...

    def read(self, look: Callable[[Db], T]) -> T:
        """Run *look* in one snapshot: what it reads belongs together.

        Raises:
            Unavailable: as ``write``.

        """
        ...

    def now(self) -> float:
        """Return the seconds since the epoch by the clock that all workers of this store share."""
        ...

    def close(self) -> None:
        """Release the database."""
        ...


def first(rows: list[Row]) -> Row | None:
    """Return the first of *rows*, or None."""
    return rows[0] if rows else None


Beside = Callable[[Db, str], None]
"""Writes what else is kept of a new run, by its id, in the transaction that opens it."""


def nothing_beside(db: Db, run_id: str) -> None:
    """Write nothing beside a run."""
