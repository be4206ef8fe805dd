"""The source over a warehouse on PostgreSQL: rows come out by COPY, in one read-only transaction."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import psycopg
import pyarrow as pa
import pyarrow.csv as pacsv
from psycopg import sql

from p2d.warehouse.exchange.dictionary import TYPES
from p2d.warehouse.exchange.source import WEIGHTS, PatientRange, cut

Connection = psycopg.Connection[tuple[Any, ...]]
_TYPES: Final[Mapping[str, pa.DataType]] = {
    "smallint": TYPES["integer"],
    "integer": TYPES["integer"],
    "bigint": TYPES["bigint"],
    "double precision": TYPES["number"],
    "date": TYPES["date"],
    "timestamp without time zone": TYPES["timestamp"],
    "boolean": TYPES["boolean"],
}
_COLUMNS: Final = """
SELECT c.table_name, array_agg(c.column_name::text ORDER BY c.ordinal_position),
  array_agg(c.data_type::text ORDER BY c.ordinal_position)
FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE'
GROUP BY c.table_name ORDER BY c.table_name
"""


@contextmanager
def postgresql_snapshot(connection: Connection) -> Iterator["PostgreSqlSource"]:
    """Yield the state that *connection* sees now, whatever is loaded until the block ends."""
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        yield PostgreSqlSource(connection)
    finally:
        connection.rollback()


class PostgreSqlSource:
    """The source over a connection whose search path leads to the warehouse's schema."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._schemas: dict[str, pa.Schema] = {}

    @property
    def data_version(self) -> int:
        """The number of the state, which goes up with every change."""
        return int(self._connection.execute("SELECT max(version) FROM data_version").fetchall()[0][0])

    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """Return the columns of every table, by table."""
        if not self._schemas:
            for table, names, kinds in self._connection.execute(_COLUMNS).fetchall():
                types = [_TYPES.get(kind, TYPES["text"]) for kind in kinds]
                self._schemas[table] = pa.schema(list(zip(names, types, strict=True)))
        return {table: tuple(schema.names) for table, schema in self._schemas.items()}

    def stream(self, table: str) -> pa.RecordBatchReader:
        """Return a reader of all rows of *table* in the order in which they lie; read it to its end first."""
        return self._copied(table, sql.SQL(""))

    def ranges(self, weight: int) -> Iterator[PatientRange]:
        """Yield ranges that together hold every patient once, each of about *weight* rows of facts."""
        yield from cut(self._connection.execute(WEIGHTS).fetchall(), weight)

    def read(self, table: str, patients: PatientRange) -> pa.Table:
        """Return the rows of *table*, one of ``BY_PATIENT``, of *patients* in order of patient keys."""
        where = sql.SQL(" WHERE patient_key BETWEEN {} AND {} ORDER BY patient_key")
        return self._copied(table, where.format(patients.first, patients.last)).read_all()

    def _copied(self, table: str, rest: sql.Composable) -> pa.RecordBatchReader:
        self.columns()
        schema = self._schemas[table]
        listed = sql.SQL(", ").join(map(sql.Identifier, schema.names))
        statement = sql.SQL("COPY (SELECT {} FROM {}{}) TO STDOUT (FORMAT csv)").format(
            listed, sql.Identifier(table), rest
        )
        stream = io.BufferedReader(_Copied(self._connection.cursor(), statement))
        if not stream.peek(1):
            return pa.RecordBatchReader.from_batches(schema, [])
        return pacsv.open_csv(
            stream,
            read_options=pacsv.ReadOptions(column_names=schema.names),
            parse_options=pacsv.ParseOptions(newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                column_types=schema,
                null_values=[""],
                true_values=["t"],
                false_values=["f"],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )


class _Copied(io.RawIOBase):
    """What a COPY answers, as a file."""

    def __init__(self, cursor: psycopg.Cursor[Any], statement: sql.Composed) -> None:
        self._parts = self._read(cursor, statement)
        self._rest = memoryview(b"")

    @staticmethod
    def _read(cursor: psycopg.Cursor[Any], statement: sql.Composed) -> Iterator[memoryview]:
        with cursor, cursor.copy(statement) as copy:
            for part in copy:
                yield memoryview(part)

    def readable(self) -> bool:
        """Return that it is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill *buffer* and return how much went in; 0 at the end."""
        while not self._rest:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._rest = part
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
