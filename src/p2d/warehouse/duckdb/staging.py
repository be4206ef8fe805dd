"""A cursor of DuckDB as what loads and lists speak to."""

from collections.abc import Sequence
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa

from p2d.model.errors import Unavailable
from p2d.warehouse.duckdb.terms import index_documents, rebuild
from p2d.warehouse.load.staging import Keys, agree
from p2d.warehouse.statements import Row
from p2d.warehouse.upkeep.counting import make_stale
from p2d.warehouse.upkeep.promotion import fill_promoted
from p2d.warehouse.upkeep.tending import ColumnType

_TYPES: Final[dict[ColumnType, str]] = {
    "number": "DOUBLE",
    "date": "DATE",
    "text": "VARCHAR",
    "multi": "VARCHAR",
}
_DRAWN: Final = "SELECT min(k), max(k) FROM (SELECT nextval('surrogate') AS k FROM range($1))"


class DuckDbStaging:
    """A transaction under way; see ``p2d.warehouse.load.staging`` and ``p2d.warehouse.upkeep.tending``."""

    row_id = "rowid"

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor

    def rows(self, statement: str, /, **values: object) -> list[Row]:
        """Run *statement* and return its rows, if it has any."""
        self._cursor.execute(statement, values or None)
        return self._cursor.fetchall()

    def changed(self, statement: str, /, **values: object) -> int:
        """Run *statement* and return how many rows it changed."""
        return int(self.rows(statement, **values)[0][0])

    def receive(self, name: str, table: pa.Table) -> None:
        """Make *table* readable as the view *name*; nothing is copied."""
        self._cursor.register(name, table)

    def keep(self, name: str, select: str, /, **values: object) -> None:
        """Keep what *select* yields as the temporary table *name*."""
        self._cursor.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {select}", values or None)

    def draw(self, count: int) -> Keys:
        """Return *count* new surrogate keys, which are consecutive: there is no list to fetch."""
        first, last = self._cursor.execute(_DRAWN, [count]).fetchall()[0]
        if last - first != count - 1:
            raise Unavailable(
                "fact", "two writers drew surrogate keys; nothing was kept", "stop the other one"
            )
        return np.arange(first, last + 1)

    def same(self, columns: Sequence[str]) -> str:
        """Return the condition that rows *t* and *s* agree in *columns*."""
        return agree(columns)

    def index_documents(self, table: str) -> None:
        """Index the words of the texts that came."""
        index_documents(self._cursor, table)

    def catch_up(self, tables: frozenset[str]) -> None:
        """Make the catalogue's counts stale and fill promoted columns."""
        make_stale(self, tables)
        if "header" in tables:
            fill_promoted(self)

    def add_column(self, table: str, name: str, kind: ColumnType) -> None:
        """Give *table* the empty column *name*, a DICOM keyword."""
        self._cursor.execute(f'ALTER TABLE {table} ADD COLUMN "{name}" {_TYPES[kind]}')

    def drop_column(self, table: str, name: str) -> None:
        """Take the column *name* away from *table*."""
        self._cursor.execute(f'ALTER TABLE {table} DROP COLUMN "{name}"')

    def index_all_documents(self) -> None:
        """Index the words of all documents anew."""
        rebuild(self._cursor)
