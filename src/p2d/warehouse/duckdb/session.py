"""DuckDB's side of the cohort language: one cursor in one transaction, statements with named parameters."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from typing import Final, cast

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from p2d.model.errors import InvalidRequest, Unavailable
from p2d.warehouse.duckdb.dialect import DuckDbDialect
from p2d.warehouse.query.dialects import Dialect
from p2d.warehouse.query.nodes import Value
from p2d.warehouse.query.session import Keys, sorted_once
from p2d.warehouse.query.stopping import current_stop, ended

_INTERRUPT_SECONDS: Final = 0.02
_DIALECT: Final = DuckDbDialect()
_MOST_WORDS: Final = 1000
_LARGEST_SHARE: Final = 0.25


class Vocabulary:
    """The words of the table ``term`` with their numbers of documents, read once a data version."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version = -1
        self._words: pa.Table = pa.table({"term": pa.array([], pa.string()), "n": pa.array([], pa.int64())})
        self._documents = 0

    def words(
        self, cursor: duckdb.DuckDBPyConnection, version: int, pieces: frozenset[str]
    ) -> tuple[str, ...] | None:
        """Return the words that hold one of *pieces*; None where that is too many to be of use."""
        with self._lock:
            if version != self._version:
                self._words = cursor.sql(
                    "SELECT term, count(*) AS n FROM term GROUP BY term"
                ).to_arrow_table()
                self._documents = cursor.execute("SELECT count(*) FROM document").fetchall()[0][0]
                self._version = version
            words, documents = self._words, self._documents
        holds = (pc.match_substring(words["term"], piece) for piece in sorted(pieces))
        found = words.filter(reduce(pc.or_, holds))
        is_useful = (
            found.num_rows <= _MOST_WORDS and (pc.sum(found["n"]).as_py() or 0) <= _LARGEST_SHARE * documents
        )
        return tuple(found["term"].to_pylist()) if is_useful else None


class DuckDbSession:
    """See ``p2d.warehouse.query.session.Session``."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, vocabulary: Vocabulary) -> None:
        self._cursor = cursor
        self._vocabulary = vocabulary
        self._version = int(cursor.execute("SELECT version FROM data_version").fetchall()[0][0])

    @property
    def dialect(self) -> Dialect:
        """How DuckDB writes what SQL leaves open."""
        return _DIALECT

    @property
    def version(self) -> int:
        """The version of the data."""
        return self._version

    def keys(self, query: exp.Expr, parameters: Mapping[str, Value]) -> Keys:
        """Return the only column of *query*, ascending, each once."""
        found = self._run(query, parameters).fetchnumpy()
        (column,) = found.values()
        keys = np.asarray(column, dtype=np.int64)
        return sorted_once(keys)

    def rows(self, query: exp.Expr, parameters: Mapping[str, Value]) -> list[tuple[object, ...]]:
        """Return the rows of *query*."""
        return self._run(query, parameters).fetchall()

    def names(self, query: exp.Expr, parameters: Mapping[str, Value]) -> list[str]:
        """Return the only column of *query*; no tuple is made for each, which the collector would look at."""
        (column,) = self._run(query, parameters).fetchnumpy().values()
        return cast("list[str]", column.tolist())

    def keep(self, name: str, keys: Keys) -> None:
        """Keep *keys* as the view *name*: where they lie is read, they are not copied."""
        self._cursor.register(name, pa.table({"k": pa.array(keys)}))

    def keep_found(self, name: str, query: exp.Expr, parameters: Mapping[str, Value]) -> None:
        """Keep the rows of *query* as the temporary table *name*."""
        text, used = _DIALECT.statement(query, parameters)
        self._cursor.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {text}", used)

    def terms(self, pieces: frozenset[str]) -> tuple[str, ...] | None:
        """Return the words of the index that hold one of *pieces*."""
        return self._vocabulary.words(self._cursor, self._version, pieces)

    def _run(self, query: exp.Expr, parameters: Mapping[str, Value]) -> duckdb.DuckDBPyConnection:
        text, used = _DIALECT.statement(query, parameters)
        return self._cursor.execute(text, used)


@contextmanager
def question(
    cursor: duckdb.DuckDBPyConnection, vocabulary: Vocabulary, seconds: float
) -> Iterator[DuckDbSession]:
    """Open a session on *cursor*; one snapshot, and temporary tables that vanish with it.

    Raises:
        Unavailable: the block took longer than *seconds*, or was cancelled.
        InvalidRequest: DuckDB refuses a pattern or operand.

    """
    stop = current_stop()
    with ended(cursor.interrupt, stop, again=_INTERRUPT_SECONDS, seconds=seconds):
        try:
            stop.check()
            cursor.begin()
            yield DuckDbSession(cursor, vocabulary)
        except duckdb.InterruptException:
            stop.check()
            problem = f"took longer than {seconds:g} s"
            raise Unavailable("query", problem, "narrow it, or ask when fewer others do") from None
        except duckdb.InvalidInputException:
            problem = "holds a regular expression or operand the engine refuses"
            raise InvalidRequest("where", problem, "see the cohort language's page") from None
