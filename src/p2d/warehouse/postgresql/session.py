"""One question's snapshot on the server, as the cohort language asks it.

Keys travel as binary arrays both ways: a cohort of 200,000 patients is 2 MB and no Python object each.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, cast

import numpy as np
import psycopg
from psycopg import RawCursor, errors, sql
from sqlglot import exp

from p2d.model.errors import InvalidRequest, Unavailable
from p2d.warehouse.postgresql.arrays import copied, keys_of
from p2d.warehouse.postgresql.connection import Pool
from p2d.warehouse.postgresql.dialect import PostgresDialect
from p2d.warehouse.query.dialects import Dialect
from p2d.warehouse.query.nodes import Value
from p2d.warehouse.query.session import Keys
from p2d.warehouse.query.stopping import Stop, current_stop, ended
from p2d.warehouse.statements import Row

_DIALECT: Final = PostgresDialect()
_ANALYZED: Final = 1_000
_CANCEL_SECONDS: Final = 0.05


class PostgresSession:
    """See the port ``p2d.warehouse.query.session.Session``."""

    def __init__(self, connection: psycopg.Connection[Row], deadline: float, stop: Stop) -> None:
        self._connection = connection
        self._stop = stop
        self._deadline = deadline
        self._kept: set[str] = set()
        self._version = int(self._asked(b"SELECT version FROM data_version", ()).fetchall()[0][0])

    @property
    def dialect(self) -> Dialect:
        """How PostgreSQL writes what SQL leaves open."""
        return _DIALECT

    @property
    def version(self) -> int:
        """The version of the data in the snapshot."""
        return self._version

    def keys(self, query: exp.Expr, parameters: Mapping[str, Value]) -> Keys:
        """Return the only column of *query*: ascending, each once and without NULL."""
        text, values = _DIALECT.statement(query, parameters)
        statement = f"SELECT array_agg(k::BIGINT) FROM ({text}) found(k) WHERE k IS NOT NULL"  # noqa: S608 - SQLGlot's text of our expression
        return np.unique(keys_of(self._asked(statement.encode(), values, binary=True).pgresult))

    def rows(self, query: exp.Expr, parameters: Mapping[str, Value]) -> list[tuple[object, ...]]:
        """Return the rows of *query* as they come."""
        text, values = _DIALECT.statement(query, parameters)
        return cast("list[tuple[object, ...]]", self._asked(text.encode(), values).fetchall())

    def names(self, query: exp.Expr, parameters: Mapping[str, Value]) -> list[str]:
        """Return the only column of *query*."""
        return [str(name) for (name,) in self.rows(query, parameters)]

    def keep(self, name: str, keys: Keys) -> None:
        """Keep *keys* as the temporary table *name* of one column ``k``."""
        table = self._place_of(name)
        self._run(
            sql.SQL("CREATE TEMP TABLE {} (k BIGINT NOT NULL) ON COMMIT DROP").format(sql.Identifier(name))
        )
        copy = sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(table)
        with self._connection.cursor() as cursor, cursor.copy(copy) as target:
            target.write(copied(keys))
        if len(keys) >= _ANALYZED:
            self._run(sql.SQL("ANALYZE {}").format(table))

    def keep_found(self, name: str, query: exp.Expr, parameters: Mapping[str, Value]) -> None:
        """Keep the rows of *query* as the temporary table *name*."""
        table = self._place_of(name)
        text, values = _DIALECT.statement(query, parameters)
        making = sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS ").format(sql.Identifier(name))
        self._asked(making.as_bytes(self._connection) + text.encode(), values)
        self._run(sql.SQL("ANALYZE {}").format(table))

    def _place_of(self, name: str) -> sql.Identifier:
        """Return the temporary table *name*, which is not there any more."""
        table = sql.Identifier("pg_temp", name)
        if name in self._kept:
            self._run(sql.SQL("DROP TABLE {}").format(table))
        self._kept.add(name)
        return table

    def terms(self, pieces: frozenset[str]) -> None:
        """Return None: the trigram index finds words by itself."""

    def _asked(self, statement: bytes, values: Any, *, binary: bool = False) -> RawCursor[Row]:
        self._limit()
        cursor = RawCursor(self._connection)
        cursor.execute(statement, values, binary=binary)
        return cursor

    def _run(self, statement: sql.Composed) -> None:
        self._connection.execute(statement)

    def _limit(self) -> None:
        """Leave the next statement what is left of the question's time; none where it was cancelled."""
        self._stop.check()
        left = max(1, round((self._deadline - time.monotonic()) * 1000))
        self._connection.execute("SELECT set_config('statement_timeout', %s, true)", (str(left),))


@contextmanager
def _cancelling(connection: psycopg.Connection[Row], stop: Stop) -> Iterator[None]:
    """Cancel what runs on *connection* when *stop* is asked for.

    A request may reach the server after the block: the connection is not used again then.
    """
    try:
        with ended(partial(_cancel, connection), stop, again=_CANCEL_SECONDS):
            yield
    finally:
        if stop.is_asked:
            connection.close()


def _cancel(connection: psycopg.Connection[Row]) -> None:
    with suppress(psycopg.Error):  # it is gone: the question ends by itself
        connection.cancel()


@contextmanager
def asking(pool: Pool, seconds: float) -> Iterator[PostgresSession]:
    """Yield a snapshot that ends after *seconds*.

    Raises:
        InvalidRequest: the server refuses a pattern or operand.
        Unavailable: it took longer, was cancelled, or the server does not answer.

    """
    stop = current_stop()
    with pool.connection() as connection:
        try:
            with _cancelling(connection, stop), connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                yield PostgresSession(connection, time.monotonic() + seconds, stop)
        except errors.QueryCanceled:
            stop.check()
            problem = f"took longer than {seconds:g} s"
            raise Unavailable("query", problem, "narrow it, or ask when fewer others do") from None
        except errors.DataError:
            problem = "holds a regular expression or operand the engine refuses"
            raise InvalidRequest("where", problem, "see the cohort language's page") from None
