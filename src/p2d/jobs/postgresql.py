"""The ledger's database for several machines: PostgreSQL in the hospital zone, tables in the schema ``p2d``.

A transaction that the server gave up (deadlock, serialization) is run again; while the server is away it is
waited for. Where the connection breaks amid a COMMIT the server is asked afterwards what became of that
transaction, so that a change counts exactly once.
"""

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final, TypeVar

import psycopg
from psycopg import errors, sql

from p2d.jobs.migration import LATEST, migrate
from p2d.jobs.store import Db, Row
from p2d.model.errors import Misconfigured, Unavailable

T = TypeVar("T")
S = TypeVar("S")
_CONNECT_SECONDS: Final = 5
_LONGEST_PAUSE: Final = 1.0
_LOCK: Final = 0x50324C
"""Of a migration under way, as a PostgreSQL advisory lock."""
_SESSION: Final = (
    "-c search_path=p2d -c lock_timeout=30s -c statement_timeout=10min"
    " -c idle_in_transaction_session_timeout=20s -c tcp_user_timeout=30s"
)
_NAME: Final = re.compile(r":([a-z_]+)")


@lru_cache(maxsize=512)
def _translated(statement: str) -> sql.SQL:
    return sql.SQL(_NAME.sub(r"%(\1)s", statement.replace("%", "%%")))


class _Transaction:
    """A transaction on the server; rows that matter are locked by ``FOR UPDATE``."""

    locked = " FOR UPDATE"

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self._connection = connection

    def rows(self, statement: str, /, **values: object) -> list[Row]:
        cursor = self._connection.execute(_translated(statement), values)
        return cursor.fetchall() if cursor.description else []

    def many(self, statement: str, /, values: Iterable[Mapping[str, object]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(_translated(statement), list(values))


class PostgresStore:
    """A connection that threads share in turn; made anew when it broke."""

    def __init__(
        self, dsn: str, *, patience_seconds: float = 10.0, clock: Callable[[], float] | None = None
    ) -> None:
        """Connect to the database that *dsn* (a connection string of libpq) names.

        A change waits up to *patience_seconds* for a server that is away. Without *clock* the server's own
        counts, which all machines share.

        Raises:
            Unavailable: the database cannot be reached, or does not let us in.
            Misconfigured: it holds no ledger of this version.

        """
        self._dsn = dsn
        self._patience = patience_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Row] | None = None
        version = self._version()
        if version != LATEST:
            self.close()
            raise Misconfigured(
                "jobs.dsn",
                f"the database holds a ledger of version {version}, this program needs {LATEST}",
                "run: p2d worker --migrate --settings gateway.toml",
            )

    def _version(self) -> int:
        try:
            with self._lock:
                found = self._connected().execute("SELECT version FROM p2d.ledger_version").fetchone()
        except errors.UndefinedTable:
            return 0
        except psycopg.Error as error:
            raise unreachable(error) from None
        return int(found[0]) if found else 0

    def write(self, change: Callable[[Db], T], *, durable: bool = True) -> T:
        """Run *change* in one transaction; see the port."""
        return self._persistently(self._write if durable else self._write_lightly, change)

    def read(self, look: Callable[[Db], T]) -> T:
        """Run *look* in one snapshot; see the port."""
        return self._persistently(self._read, look)

    def _read(self, look: Callable[[Db], T]) -> T:
        connection = self._connected()
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            return look(_Transaction(connection))

    def _write(self, change: Callable[[Db], T]) -> T:
        connection = self._connected()
        connection.execute("BEGIN")
        try:
            result = change(_Transaction(connection))
            number = connection.execute("SELECT pg_current_xact_id_if_assigned()::text").fetchone()
        except BaseException:
            with suppress(psycopg.Error):  # the first error counts; a broken connection is made anew
                connection.execute("ROLLBACK")
            raise
        try:
            connection.execute("COMMIT")
        except psycopg.OperationalError:
            if not number or number[0] is None or not self._was_committed(str(number[0])):
                raise
        return result

    def _write_lightly(self, change: Callable[[Db], T]) -> T:
        def changed(db: Db) -> T:
            db.rows("SET LOCAL synchronous_commit = off")
            return change(db)

        return self._write(changed)

    def _was_committed(self, number: str) -> bool:
        """Ask the server, once it is back, whether the transaction *number* was committed."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                found = self._connected().execute("SELECT pg_xact_status(%s::xid8)", (number,)).fetchone()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_LONGEST_PAUSE)
                continue
            if not found or found[0] != "in progress":
                return bool(found) and found[0] == "committed"  # type: ignore[index]  # found is a row here
            time.sleep(0.05)

    def _persistently(self, step: Callable[[Callable[[Db], T]], S], action: Callable[[Db], T]) -> S:
        deadline = time.monotonic() + self._patience
        pause = 0.02
        while True:
            try:
                with self._lock:
                    return step(action)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:  # deadlocks are among them
                if time.monotonic() > deadline:
                    raise Unavailable(
                        "ledger",
                        f"its database cannot be read or written: {type(error).__name__}",
                        "start the PostgreSQL server that [jobs] dsn names",
                    ) from None
            except psycopg.Error as error:
                raise Unavailable(
                    "ledger",
                    f"its database refuses: {type(error).__name__}",
                    "read the PostgreSQL server's log",
                ) from None
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _connected(self) -> psycopg.Connection[Row]:
        known = self._connection
        if known is None or known.closed or known.broken:
            self._connection = known = connect(self._dsn)
        return known

    def now(self) -> float:
        """Return the server's time."""
        if self._clock is not None:
            return self._clock()
        return self._persistently(self._time, lambda _: None)

    def _time(self, _: Callable[[Db], object]) -> float:
        found = self._connected().execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
        return float(found[0]) if found else 0.0

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()


def connect(dsn: str) -> psycopg.Connection[Any]:
    """Return a connection in which every statement is its own transaction unless BEGIN says otherwise."""
    return psycopg.connect(
        dsn, autocommit=True, connect_timeout=_CONNECT_SECONDS, options=_SESSION, prepare_threshold=3
    )


def unreachable(error: psycopg.Error) -> Unavailable:
    """Return what is said of a database that *error* keeps from us; its text can hold the address."""
    return Unavailable(
        "jobs.dsn",
        f"the database cannot be reached: {type(error).__name__}",
        "start the server, or correct the connection string",
    )


def migrate_postgresql(dsn: str) -> int:
    """Bring the ledger in the database *dsn* to this version and return the version it had (0: none).

    Raises:
        Unavailable: the database cannot be reached.
        Misconfigured: it may not be changed by this user, or is of a later version.

    """
    try:
        with connect(dsn) as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            connection.execute("CREATE SCHEMA IF NOT EXISTS p2d")
            connection.execute("CREATE TABLE IF NOT EXISTS p2d.ledger_version (version BIGINT NOT NULL)")
            found = connection.execute("SELECT version FROM p2d.ledger_version").fetchone()
            version = int(found[0]) if found else 0
            migrate(_Transaction(connection), version, is_sqlite=False)
            connection.execute("DELETE FROM p2d.ledger_version")
            connection.execute("INSERT INTO p2d.ledger_version VALUES (%s)", (LATEST,))
    except psycopg.OperationalError as error:
        raise unreachable(error) from None
    except psycopg.Error as error:
        raise Misconfigured(
            "jobs.dsn",
            f"the ledger's tables cannot be made: {type(error).__name__}",
            "name a database whose owner this user is",
        ) from None
    return version
