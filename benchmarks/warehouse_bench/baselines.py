"""The same rows in PostgreSQL and SQLite, and as one EAV table, for SQL written by hand.

All are copied out of the DuckDB file, so that keys are the same everywhere. Indexes are those a careful
administrator would make for these questions.
"""
# ruff: noqa: S608 - names of this module's constants and of the warehouse's own columns

import io
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.csv as pa_csv

from p2d.testing.postgres import Postgres, postgres
from warehouse_bench import eav
from warehouse_bench.answers import Row

WIDE: Final = ("patient", "clinical_case", "document", "fact", "study", "study_document", "series", "header")
_TYPES: Final = {"VARCHAR": "text", "DOUBLE": "double precision"}
_INDEXES: Final = {
    "patient": ("patient_key",),
    "clinical_case": ("patient_key", "case_key"),
    "document": ("document_key", "kind, patient_key"),
    "fact": ('attribute, "number", patient_key', "attribute, code, patient_key", "group_key", "case_key"),
    "study": ("study_key", "patient_key"),
    "study_document": ("study_key", "document_key"),
    "series": ("study_key", "series_key", '"Modality", patient_key'),
    "header": ('keyword, "number", series_key',),
    "eav": ("attr, pid", "attr, num", "did, attr", "gid, attr", "cid, attr"),
}
_TRIGRAMS: Final = {
    "document": ('"text"', ""),
    "study": ('"StudyDescription"', ""),
    "eav": ("txt", "WHERE attr IN ('discharge_letter', 'radiology_report', 'StudyDescription')"),
}
_SERVER: Final = {
    "shared_buffers": "4GB",
    "work_mem": "64MB",
    "maintenance_work_mem": "1GB",
    "effective_cache_size": "12GB",
    "max_parallel_workers_per_gather": "1",
    "random_page_cost": "1.1",
    "max_wal_size": "8GB",
    "wal_compression": "lz4",
}
"""What ``docs/howto/use-postgresql.md`` advises for 16 GB, and one worker beside, for two processors."""
_ROWS: Final = 100_000


class Way(Protocol):
    """Something that answers SQL."""

    def ask(self, statement: str) -> list[Row]:
        """Return the rows of *statement*."""
        ...


@dataclass(frozen=True, slots=True)
class Filled:
    """What filling took: rows, seconds for these and for the indexes, bytes on disk."""

    rows: int
    seconds: float
    index_seconds: float
    bytes: int


def make_eav(warehouse: Path, target: Path) -> Filled:
    """Write all rows of the DuckDB file *warehouse* as one EAV table, ordered by attribute, into *target*."""
    began = time.perf_counter()
    with duckdb.connect(str(target)) as database:
        database.execute(f"ATTACH '{warehouse}' AS w (READ_ONLY)")
        database.execute("CREATE TABLE patient AS SELECT patient_key, patient FROM w.patient")
        database.execute(eav.TABLE)
        for statement in eav.filling("w"):
            database.execute(statement)
        rows = database.execute("SELECT count(*) FROM eav").fetchall()[0][0]
        database.execute("DETACH w")
    return Filled(rows, time.perf_counter() - began, 0.0, target.stat().st_size)


@dataclass(frozen=True, slots=True)
class DuckDbWay:
    """SQL on a DuckDB file."""

    database: duckdb.DuckDBPyConnection

    def ask(self, statement: str) -> list[Row]:
        """Return the rows of *statement*."""
        return self.database.execute(statement).fetchall()


class SqliteWay:
    """SQL on a SQLite file with regular expressions by Python's."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path)
        self._database.execute("PRAGMA cache_size = -1000000")
        self._database.create_function("regexp", 2, _found, deterministic=True)
        self._database.create_function("captured", 2, _captured, deterministic=True)

    def ask(self, statement: str) -> list[Row]:
        """Return the rows of *statement*."""
        return self._database.execute(statement).fetchall()

    def fill(self, source: duckdb.DuckDBPyConnection, tables: Sequence[str]) -> Filled:
        """Copy *tables* and index them."""
        began, total = time.perf_counter(), 0
        self._database.execute("PRAGMA journal_mode = OFF")
        for table, columns in _columns(source, tables).items():
            self._database.execute(f"CREATE TABLE {table} ({_declared(columns)})")
            slots = ", ".join("?" * len(columns))
            for part in _parts(source, table, columns, dates="numbers"):
                cells = zip(*(column.to_pylist() for column in part.columns), strict=True)
                self._database.executemany(f"INSERT INTO {table} VALUES ({slots})", cells)
                total += part.num_rows
        self._database.commit()
        filled = time.perf_counter()
        for table in tables:
            for number, columns_of in enumerate(_INDEXES[table]):
                self._database.execute(f"CREATE INDEX {table}_{number} ON {table} ({columns_of})")
        self._database.execute("ANALYZE")
        self._database.commit()
        pages = self.ask("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        return Filled(total, filled - began, time.perf_counter() - filled, int(str(pages[0][0])))

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()


class PostgresWay:
    """SQL on a PostgreSQL server."""

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self._connection = connection

    def ask(self, statement: str) -> list[Row]:
        """Return the rows of *statement*."""
        return self._connection.execute(statement.encode()).fetchall()

    def fill(self, source: duckdb.DuckDBPyConnection, tables: Sequence[str]) -> Filled:
        """Copy *tables* by COPY and index them."""
        began, total = time.perf_counter(), 0
        self._run("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        for table, columns in _columns(source, tables).items():
            self._run(f"CREATE TABLE {table} ({_declared(columns)})")
            cursor = self._connection.cursor()
            with cursor.copy(f"COPY {table} FROM STDIN (FORMAT csv)".encode()) as copy:
                for part in _parts(source, table, columns, dates="dates"):
                    text = io.BytesIO()
                    pa_csv.write_csv(pa.Table.from_batches([part]), text, _PLAIN)
                    copy.write(text.getvalue())
                    total += part.num_rows
        filled = time.perf_counter()
        for table in tables:
            for columns_of in _INDEXES[table]:
                self._run(f"CREATE INDEX ON {table} ({columns_of})")
            if table in _TRIGRAMS:
                column, rows = _TRIGRAMS[table]
                self._run(f"CREATE INDEX ON {table} USING gin ({column} gin_trgm_ops) {rows}")
            self._run(f"VACUUM ANALYZE {table}")
        size = sum(int(str(self.ask(f"SELECT pg_total_relation_size('{table}')")[0][0])) for table in tables)
        return Filled(total, filled - began, time.perf_counter() - filled, size)

    def _run(self, statement: str) -> None:
        self._connection.execute(statement.encode())


@contextmanager
def tuned_server() -> Iterator[Postgres]:
    """Run a PostgreSQL set as we advise for a small server until the block ends."""
    with postgres() as server:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            for name, value in _SERVER.items():
                connection.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
        server.stop()
        server.start()
        yield server


@contextmanager
def postgres_way() -> Iterator[PostgresWay]:
    """Yield SQL on a server of its own."""
    with tuned_server() as server, psycopg.connect(server.dsn, autocommit=True) as connection:
        yield PostgresWay(connection)


_PLAIN: Final = pa_csv.WriteOptions(include_header=False)


def _columns(source: duckdb.DuckDBPyConnection, tables: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    return {
        table: [(name, kind) for name, kind, *_ in source.execute(f"DESCRIBE {table}").fetchall()]
        for table in tables
    }


def _declared(columns: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f'"{name}" {_TYPES.get(kind, kind)}' for name, kind in columns)


def _parts(
    source: duckdb.DuckDBPyConnection, table: str, columns: Sequence[tuple[str, str]], *, dates: str
) -> Iterator[Any]:
    cells = [
        f"date_diff('day', DATE '1970-01-01', \"{name}\")"
        if kind == "DATE" and dates == "numbers"
        else f'"{name}"'
        for name, kind in columns
    ]
    yield from source.sql(f"SELECT {', '.join(cells)} FROM {table}").to_arrow_reader(_ROWS)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.ASCII)


def _found(pattern: str, text: str | None) -> bool:
    return text is not None and _pattern(pattern).search(text) is not None


def _captured(text: str | None, pattern: str) -> float | None:
    numbers = [float(found[1].replace(",", ".")) for found in _pattern(pattern).finditer(text or "")]
    return max(numbers, default=None)
