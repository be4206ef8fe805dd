"""Connections to the server: one pool for each role, settings of their sessions, errors in P2D's words.

What the server says of an error can hold a value; only its kind passes.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool, PoolTimeout

from p2d.model.errors import Misconfigured, Unavailable
from p2d.warehouse.statements import Row

SCHEMA: Final = "warehouse"
"""Where the tables lie; a database of its own is not needed."""

VERSION: Final = "5"
"""Of the tables that this program works with: Alembic's head."""

_CONNECT_SECONDS: Final = 5
_SESSION: Final = (
    f"-c search_path={SCHEMA} -c timezone=UTC -c client_min_messages=warning -c lock_timeout=60s"
    " -c idle_in_transaction_session_timeout=60s -c tcp_user_timeout=30s -c jit=off"
)
_NAME: Final = re.compile(r"\$([a-z_][a-z0-9_]*)")


@lru_cache(maxsize=2048)
def translated(statement: str) -> sql.SQL:
    """Return *statement*, whose parameters are written ``$name``, as psycopg takes it."""
    return sql.SQL(_NAME.sub(r"%(\1)s", statement.replace("%", "%%")))


def user_of(dsn: str, field: str) -> str:
    """Return the user that the connection string *dsn* names; *field* is the setting it comes from.

    Raises:
        Misconfigured: it is no connection string, or names no user.

    """
    try:
        user = conninfo_to_dict(dsn).get("user")
    except psycopg.ProgrammingError:
        raise Misconfigured(field, "holds no connection string", "write: host=… dbname=… user=…") from None
    if not user:
        raise Misconfigured(field, "names no user", "add user=… to the connection string")
    return str(user)


def connect(dsn: str, **more: Any) -> psycopg.Connection[Row]:
    """Return a connection of its own, in which every statement is its own transaction by default."""
    return psycopg.connect(
        dsn,
        autocommit=True,
        connect_timeout=_CONNECT_SECONDS,
        options=_SESSION,
        prepare_threshold=None,
        **more,
    )


def version_of(connection: psycopg.Connection[Row]) -> str | None:
    """Return the version of the tables behind *connection*; None where there are none for this user."""
    try:
        found = connection.execute(f"SELECT version_num FROM {SCHEMA}.alembic_version").fetchone()  # noqa: S608 - a constant
    except (errors.UndefinedTable, errors.InvalidSchemaName, errors.InsufficientPrivilege):
        return None
    return str(found[0]) if found else None


@contextmanager
def connected(dsn: str, field: str) -> Iterator[psycopg.Connection[Row]]:
    """Yield a connection of its own; *field* is the setting that names it.

    Raises:
        Unavailable: the server cannot be reached, or does not let us in.

    """
    try:
        with connect(dsn) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise unreachable(error, field) from None


def unreachable(error: psycopg.Error, field: str) -> Unavailable:
    """Return what is said of a database that *error* keeps from us; *field* names its setting."""
    return Unavailable(
        field,
        f"the database cannot be reached ({type(error).__name__})",
        "start the server, or correct the connection string",
    )


class Pool:
    """Connections of one role, made when needed and made anew when they broke; safe to share."""

    def __init__(self, dsn: str, size: int, *, statement_seconds: float, wait_seconds: float = 10.0) -> None:
        """Keep up to *size* connections; a statement ends after *statement_seconds* (0: never)."""
        limit = f"{_SESSION} -c statement_timeout={round(statement_seconds * 1000)}"
        self._wait = wait_seconds
        self._pool = ConnectionPool(
            dsn,
            min_size=0,
            max_size=size,
            open=True,
            kwargs={
                "autocommit": True,
                "connect_timeout": _CONNECT_SECONDS,
                "options": limit,
                "prepare_threshold": None,
            },
            check=ConnectionPool.check_connection,
            timeout=wait_seconds,
            reconnect_timeout=_CONNECT_SECONDS,
            num_workers=1,
        )

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Row]]:
        """Yield a connection outside of a transaction.

        Raises:
            Unavailable: the server is away, all connections are in use, or the server gave up.

        """
        try:
            with self._pool.connection() as connection:
                yield connection
        except PoolTimeout:
            problem = f"gives no connection within {self._wait:g} s"
            raise Unavailable("warehouse", problem, "start the PostgreSQL server, or ask later") from None
        except psycopg.Error as error:
            raise Unavailable("warehouse", _told(error), "try again; read the server's log") from None

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


def _told(error: psycopg.Error) -> str:
    state = error.sqlstate or ("" if isinstance(error, errors.OperationalError) else "no state")
    return f"the database did not answer ({type(error).__name__}{', ' + state if state else ''})"
