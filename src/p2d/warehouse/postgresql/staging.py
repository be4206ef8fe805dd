"""A transaction on the server that a batch goes into: Arrow tables by COPY, statements as elsewhere."""

import io
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.csv
from psycopg import sql

from p2d.warehouse.load.staging import Keys, agree
from p2d.warehouse.postgresql.arrays import keys_of
from p2d.warehouse.postgresql.connection import translated
from p2d.warehouse.statements import Row
from p2d.warehouse.upkeep.counting import make_stale
from p2d.warehouse.upkeep.promotion import fill_promoted
from p2d.warehouse.upkeep.tending import ColumnType

_CHUNK: Final = 32_768
"""Rows turned into text at a time."""
_OPTIONS: Final = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")
_PLANNED: Final = (
    "SELECT set_config('random_page_cost', '0.6', true), set_config('work_mem', '128MB', true),"
    " set_config('default_statistics_target', '4', true)"
)
"""A batch looks up rows of few patients, which lie together: a page is read once for several, so that one by
an index costs less than a page of a scan. Among 84 million facts a changed batch scanned all series at 1.1,
and read all studies along an index at 0.3. A small sample of its own tables is enough to see how large they
are, and a large one would cost more than the rows."""

_ANALYZED: Final = 1_000
"""From so many rows on the planner is told what a temporary table holds."""


class PostgresStatements:
    """A transaction under way; see the port."""

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self._connection = connection

    def rows(self, statement: str, /, **values: object) -> list[Row]:
        """Run *statement* and return its rows, if it has any."""
        cursor = self._connection.execute(translated(statement), values or None)
        return cursor.fetchall() if cursor.description else []


class PostgresStaging(PostgresStatements):
    """The loader's transaction; its temporary tables vanish with it."""

    row_id = "ctid"

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        super().__init__(connection)
        self._kept: set[str] = set()
        connection.execute(_PLANNED)

    def receive(self, name: str, table: pa.Table) -> None:
        """Copy *table* into the temporary table *name*."""
        self._forget(name)
        columns = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(field.name), sql.SQL(_type(field.type)))
            for field in table.schema
        )
        statement = sql.SQL("CREATE TEMP TABLE {} ({}) ON COMMIT DROP")
        self._connection.execute(statement.format(sql.Identifier(name), columns))
        copy = sql.SQL("COPY {} FROM STDIN (FORMAT csv)").format(sql.Identifier(name))
        with self._connection.cursor() as cursor, cursor.copy(copy) as target:
            for part in _as_csv(table):
                target.write(part)
        self._known(name, table.num_rows)

    def changed(self, statement: str, /, **values: object) -> int:
        """Run *statement* and return how many rows it changed."""
        return self._connection.execute(translated(statement), values or None).rowcount

    def draw(self, count: int) -> Keys:
        """Return *count* new surrogate keys."""
        with self._connection.cursor(binary=True) as cursor:
            cursor.execute("SELECT array_agg(nextval('surrogate')) FROM generate_series(1, %s)", (count,))
            return np.sort(keys_of(cursor.pgresult))

    def same(self, columns: Sequence[str]) -> str:
        """Return the condition that rows *t* and *s* agree in *columns*; their hash is the index's."""
        left, right = (", ".join(f'{row}."{column}"' for column in columns) for row in "ts")
        hashed = "hash_record_extended(ROW({}), 0)"
        return f"{hashed.format(left)} = {hashed.format(right)} AND {agree(columns)}"

    def keep(self, name: str, select: str, /, **values: object) -> None:
        """Keep what *select* yields as the temporary table *name*."""
        self._forget(name)
        cursor = self._connection.execute(
            translated(f"CREATE TEMP TABLE {name} ON COMMIT DROP AS {select}"), values or None
        )
        self._known(name, cursor.rowcount)

    def index_documents(self, table: str) -> None:
        """Do nothing: the trigram index follows by itself."""

    def catch_up(self, tables: frozenset[str]) -> None:
        """Make the catalogue's counts stale and fill promoted columns."""
        make_stale(self, tables)
        if "header" in tables:
            fill_promoted(self)

    def add_column(self, table: str, name: str, kind: ColumnType) -> None:
        """Give *table* the empty column *name*; a function of the owner's does it, which checks all three."""
        self.rows("SELECT promote_column($table, $name, $kind)", table=table, name=name, kind=kind)

    def drop_column(self, table: str, name: str) -> None:
        """Take the promoted column *name* away from *table*, by a function of the owner's."""
        self.rows("SELECT demote_column($table, $name)", table=table, name=name)

    def index_all_documents(self) -> None:
        """Do nothing: the trigram index follows by itself."""

    def _forget(self, name: str) -> None:
        if name in self._kept:
            self._connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier("pg_temp", name)))

    def _known(self, name: str, rows: int) -> None:
        self._kept.add(name)
        if rows >= _ANALYZED:
            self._connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier("pg_temp", name)))


def _as_csv(table: pa.Table) -> Iterator[memoryview]:
    """Yield *table* as CSV: texts quoted, null is nothing at all, which is COPY's own distinction."""
    names, columns = table.column_names, (_plain(column) for column in table.columns)
    for part in pa.table(dict(zip(names, columns, strict=True))).to_batches(max_chunksize=_CHUNK):
        stream = io.BytesIO()
        pyarrow.csv.write_csv(part, stream, _OPTIONS)
        yield stream.getbuffer()


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _type(kind: pa.DataType) -> str:
    """Return PostgreSQL's type for the Arrow type *kind* of a batch."""
    if pa.types.is_dictionary(kind):
        return _type(kind.value_type)
    if pa.types.is_string(kind):
        return "VARCHAR"  # of no collation of its own, so that it takes that of the column it meets
    if pa.types.is_integer(kind):
        return "BIGINT" if kind.bit_width > 32 else "INTEGER"  # noqa: PLR2004 - bits
    if pa.types.is_floating(kind):
        return "DOUBLE PRECISION"
    if pa.types.is_date(kind):
        return "DATE"
    raise TypeError(kind)
