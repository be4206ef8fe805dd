"""Where an export reads: one unchanging state of the canonical tables, whole or by ranges of patients.

Everything is an Arrow table, so that no form depends on the engine. It never writes.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import duckdb
import pyarrow as pa

BY_PATIENT: Final = (
    "patient",
    "clinical_case",
    "document",
    "fact",
    "study",
    "series",
    "instance",
    "header",
    "study_document",
)
"""The canonical tables whose rows belong to one patient by their ``patient_key``."""

DERIVED: Final = frozenset({"schema_version", "data_version"})
"""Tables that a rebuilt warehouse makes itself."""

_STREAM_ROWS: Final = 100_000
_WEIGHTS: Final[Mapping[str, int]] = {"document": 25, "fact": 1, "series": 2, "instance": 1, "header": 1}
"""What a row of a table costs in memory, in rows of ``fact``; a letter is about 25."""

WEIGHTS: Final = (
    "SELECT p.patient_key, CAST(coalesce(sum(w.n), 0) AS BIGINT) + 1 FROM patient p LEFT JOIN ("  # noqa: S608 - names of _WEIGHTS
    + " UNION ALL ".join(
        f"SELECT patient_key, {factor} * count(*) AS n FROM {table} GROUP BY patient_key"  # noqa: S608 - as above
        for table, factor in _WEIGHTS.items()
    )
    + ") w ON w.patient_key = p.patient_key GROUP BY p.patient_key ORDER BY p.patient_key"
)
"""What the rows of every patient cost, in order of keys; any engine takes it."""


@dataclass(frozen=True, slots=True)
class PatientRange:
    """The patients whose key lies between ``first`` and ``last``, both included."""

    first: int
    last: int


class Source(Protocol):
    """One state of the warehouse; every method sees the same."""

    @property
    def data_version(self) -> int:
        """The number of the state, which goes up with every change."""
        ...

    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """Return the columns of every table, by table."""
        ...

    def stream(self, table: str) -> pa.RecordBatchReader:
        """Return a reader of all rows of *table* in the order in which they lie; read it to its end first."""
        ...

    def ranges(self, weight: int) -> Iterator[PatientRange]:
        """Yield ranges that together hold every patient once, each of about *weight* rows of facts."""
        ...

    def read(self, table: str, patients: PatientRange) -> pa.Table:
        """Return the rows of *table*, one of ``BY_PATIENT``, of *patients* in order of patient keys."""
        ...


@contextmanager
def snapshot(connection: duckdb.DuckDBPyConnection) -> Iterator["DuckDbSource"]:
    """Yield the state that *connection* sees now, whatever is loaded until the block ends."""
    connection.begin()
    try:
        yield DuckDbSource(connection)
    finally:
        connection.rollback()


class DuckDbSource:
    """The source over a connection to a DuckDB warehouse; ``snapshot`` makes it one state."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._columns: dict[str, tuple[str, ...]] = {}

    @property
    def data_version(self) -> int:
        """The number of the state, which goes up with every change."""
        return int(self._connection.execute("SELECT max(version) FROM data_version").fetchall()[0][0])

    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """Return the columns of every table, by table."""
        if not self._columns:
            rows = self._connection.execute(
                "SELECT table_name, list(column_name ORDER BY column_index) FROM duckdb_columns() "
                "WHERE schema_name = 'main' AND NOT internal AND database_name = current_database() "
                "GROUP BY table_name ORDER BY table_name"
            ).fetchall()
            self._columns = {name: tuple(columns) for name, columns in rows}
        return self._columns

    def stream(self, table: str) -> pa.RecordBatchReader:
        """Return a reader of all rows of *table* in the order in which they lie; read it to its end first."""
        return self._connection.sql(f'SELECT * FROM "{self._known(table)}"').to_arrow_reader(_STREAM_ROWS)  # noqa: S608 - a table's own name

    def ranges(self, weight: int) -> Iterator[PatientRange]:
        """Yield ranges that together hold every patient once, each of about *weight* rows of facts."""
        yield from cut(self._connection.execute(WEIGHTS).fetchall(), weight)

    def read(self, table: str, patients: PatientRange) -> pa.Table:
        """Return the rows of *table*, one of ``BY_PATIENT``, of *patients* in order of patient keys."""
        return self._connection.sql(
            f'SELECT * FROM "{self._known(table)}" WHERE patient_key BETWEEN $1 AND $2 ORDER BY patient_key',  # noqa: S608 - a table's own name
            params=[patients.first, patients.last],
        ).to_arrow_table()

    def _known(self, table: str) -> str:
        if table not in self.columns():
            raise KeyError(table)
        return table


def cut(rows: list[tuple[Any, ...]], weight: int) -> Iterator[PatientRange]:
    """Cut *rows* (patient key, weight) in order of keys; one patient is never cut."""
    first, last, total = None, None, 0
    for key, own in rows:
        if first is not None and last is not None and total + own > weight:
            yield PatientRange(first, last)
            first, total = None, 0
        first = key if first is None else first
        last, total = key, total + own
    if first is not None and last is not None:
        yield PatientRange(first, last)
