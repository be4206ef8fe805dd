"""Exports straight into a foreign PostgreSQL: an EAV fact table, or the tables of OMOP and i2b2.

Rows go in by COPY. What the database says of values stays inside: errors name tables and constraints only.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from p2d.model.errors import Misconfigured, Unavailable
from p2d.warehouse.exchange.dictionary import TYPES, layouts
from p2d.warehouse.exchange.sinks import csv_bytes

KEY: Final = ("AttrID", "PID", "MeasureTime", "CaseID", "Ref", "DocID", "GroupID")
"""The unique key of the paper's fact table; ``Value`` is what it leads to."""

UNKNOWN_TIME: Final = datetime(1, 1, 1)  # noqa: DTZ001 - a database's timestamp without zone
"""Stands for an unknown MeasureTime: a NULL would let a unique key hold the same row twice."""

_COLUMNS: Final = (*KEY, "Value")
_IDENTIFIERS: Final = ("PID", "CaseID", "DocID")
_WHOLE: Final = frozenset({"smallint", "integer", "bigint", "numeric"})
_SQL: Final[Mapping[pa.DataType, str]] = {
    TYPES["integer"]: "integer",
    TYPES["bigint"]: "bigint",
    TYPES["number"]: "double precision",
    TYPES["text"]: "text",
    TYPES["date"]: "date",
    TYPES["timestamp"]: "timestamp",
    TYPES["boolean"]: "boolean",
}
_SOURCE: Final = "P2D warehouse"


@contextmanager
def connected(dsn: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """Yield a connection to the database *dsn*; it is rolled back unless the block commits.

    Raises:
        Unavailable: the database does not answer, or refuses a row; nothing of the open transaction is kept.

    """
    try:
        with psycopg.connect(dsn) as database:
            database.execute("SET client_encoding TO 'UTF8'")
            yield database
    except psycopg.Error as error:
        where = ".".join(filter(None, (error.diag.table_name, error.diag.constraint_name)))
        problem = f"{type(error).__name__}{f' at {where}' if where else ''}"
        raise Unavailable(
            "exchange.database", problem, "see that server's log and the table's rights"
        ) from None


@dataclass(slots=True)
class ForeignFacts:
    """A sink for the form ``eav``: the fact table *table* of *schema*, kept equal to the warehouse.

    Every part of an export (all rows of some patients) is one transaction: its rows are inserted or updated
    by the table's unique key and those of P2D that the warehouse no longer has are deleted. P2D's rows are
    those with an AttrID from *first* to *last*; others are never touched. An export that broke off is simply
    run again.

    Raises:
        Misconfigured: the table is missing, lacks a column or the unique key, or has a GroupID that is
            narrower than 64 bits.

    """

    database: psycopg.Connection[tuple[Any, ...]]
    schema: str
    table: str
    first: int
    last: int
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    _names: dict[str, str] = field(default_factory=dict)
    _types: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = _columns(self.database, self.schema, self.table)
        for column in _COLUMNS:
            if column.lower() not in found:
                self._misconfigured(f"has no column {column}", f"needed: {', '.join(_COLUMNS)}")
            self._names[column], self._types[column] = found[column.lower()]
        if self._types["GroupID"] not in {"bigint", "numeric"}:
            self._misconfigured("has a GroupID that is no BIGINT", "groups of images need 64 bits")
        if frozenset(column.lower() for column in KEY) not in _unique_keys(
            self.database, self.schema, self.table
        ):
            self._misconfigured("lacks its unique key", f"UNIQUE ({', '.join(KEY)})")
        self.database.execute(
            sql.SQL("CREATE TEMP TABLE p2d_staged AS SELECT {} FROM {} WITH NO DATA").format(
                self._list(), self._table()
            )
        )
        self.database.execute(
            sql.SQL("CREATE TEMP TABLE p2d_seen AS SELECT {} FROM p2d_staged").format(self._quoted("PID"))
        )
        self.database.commit()

    @property
    def numbers(self) -> bool:
        """Whether PID, CaseID and DocID of the table are whole numbers."""
        whole = {self._types[column] in _WHOLE for column in _IDENTIFIERS}
        if len(whole) != 1:
            self._misconfigured("has both numbers and texts as PID, CaseID, DocID", "make them alike")
        return whole.pop()

    def write(self, table: str, rows: pa.Table) -> None:
        """Bring *rows* into the fact table; the catalogue and keys are for files."""
        if table != "eav" or not rows.num_rows:
            return
        largest = pc.max(rows.column("AttrID")).as_py()
        if largest > self.last:
            self._misconfigured(f"needs AttrIDs up to {largest}", f"last_attribute is {self.last}")
        database, staged = self.database, sql.Identifier("p2d_staged")
        database.execute("TRUNCATE p2d_staged")
        _copy(database, staged, [self._names[column] for column in _COLUMNS], self._filled(rows))
        key = sql.SQL(", ").join(sql.Identifier(self._names[column]) for column in KEY)
        value = sql.Identifier(self._names["Value"])
        found = database.execute(
            sql.SQL(
                "INSERT INTO {table} AS t ({columns}) SELECT {columns} FROM p2d_staged ON CONFLICT "
                "({key}) DO UPDATE "
                "SET {value} = EXCLUDED.{value} WHERE t.{value} IS DISTINCT FROM EXCLUDED.{value} "
                "RETURNING (xmax = 0)"
            ).format(table=self._table(), columns=self._list(), key=key, value=value)
        ).fetchall()
        inserted = sum(1 for (is_new,) in found if is_new)
        deleted = database.execute(
            sql.SQL(
                "DELETE FROM {table} t WHERE t.{attribute} BETWEEN %s AND %s AND t.{patient} IN "
                "(SELECT {patient} FROM p2d_staged) AND NOT EXISTS (SELECT 1 FROM p2d_staged s WHERE {same})"
            ).format(**self._places()),
            [self.first, self.last],
        ).rowcount
        database.execute(
            sql.SQL("INSERT INTO p2d_seen SELECT DISTINCT {} FROM p2d_staged").format(self._quoted("PID"))
        )
        database.commit()
        self.inserted += inserted
        self.updated += len(found) - inserted
        self.deleted += deleted

    def finish(self) -> None:
        """Delete P2D's rows of patients that the warehouse no longer has."""
        self.deleted += self.database.execute(
            sql.SQL(
                "DELETE FROM {table} t WHERE t.{attribute} BETWEEN %s AND %s AND NOT EXISTS "
                "(SELECT 1 FROM p2d_seen s WHERE s.{patient} = t.{patient})"
            ).format(**self._places()),
            [self.first, self.last],
        ).rowcount
        self.database.commit()

    def _places(self) -> dict[str, sql.Composable]:
        same = sql.SQL(" AND ").join(
            sql.SQL("s.{0} = t.{0}").format(sql.Identifier(self._names[column])) for column in KEY
        )
        return {
            "table": self._table(),
            "attribute": self._quoted("AttrID"),
            "patient": self._quoted("PID"),
            "same": same,
        }

    def _filled(self, rows: pa.Table) -> pa.Table:
        """Return *rows* with something in every column of the key."""
        nothing = "0" if self.numbers else ""
        fills: dict[str, Any] = {"MeasureTime": UNKNOWN_TIME} | dict.fromkeys(_IDENTIFIERS, nothing)
        columns = [
            rows.column(name).fill_null(pa.scalar(fills[name], rows.schema.field(name).type))
            if name in fills
            else rows.column(name)
            for name in _COLUMNS
        ]
        return pa.table(columns, names=list(_COLUMNS))

    def _table(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.table)

    def _quoted(self, column: str) -> sql.Identifier:
        return sql.Identifier(self._names[column])

    def _list(self) -> sql.Composed:
        return sql.SQL(", ").join(sql.Identifier(self._names[column]) for column in _COLUMNS)

    def _misconfigured(self, problem: str, remedy: str) -> None:
        raise Misconfigured(f"exchange.database: {self.schema}.{self.table}", problem, remedy)


@dataclass(slots=True)
class ForeignTables:
    """A sink for the forms ``omop`` and ``i2b2``: tables of *schema*, replaced in one transaction.

    i2b2 rows of other sources (``sourcesystem_cd``) and concepts of other vocabularies stay. Tables that the
    schema lacks, such as the companions of OMOP, are made without constraints.

    Raises:
        Misconfigured: a table lacks a column, or an OMOP schema holds persons of another source.

    """

    database: psycopg.Connection[tuple[Any, ...]]
    form: str
    schema: str
    rows: int = 0
    _names: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, layout in layouts(self.form).items():
            found = _columns(self.database, self.schema, name.lower())
            if not found:
                parts = sql.SQL(", ").join(
                    sql.SQL("{} {}").format(sql.Identifier(c.name.lower()), sql.SQL(_SQL[c.type]))
                    for c in layout.schema
                )
                self.database.execute(sql.SQL("CREATE TABLE {} ({})").format(self._table(name), parts))
                found = _columns(self.database, self.schema, name.lower())
            missing = [column for column in layout.schema.names if column.lower() not in found]
            if missing:
                self._misconfigured(name, f"has no column {missing[0]}", "see docs/reference/exchange.md")
            self._names[name] = {column: found[column.lower()][0] for column in layout.schema.names}
        if self.form == "omop":
            self._check_owner()
        for name in reversed(list(layouts(self.form))):
            self._clear(name)

    def write(self, table: str, rows: pa.Table) -> None:
        """Append *rows* to *table*."""
        if rows.num_rows:
            names = [self._names[table][column] for column in rows.schema.names]
            _copy(self.database, self._table(table), names, rows)
            self.rows += rows.num_rows

    def finish(self) -> None:
        """Commit: everything of this export shows, and nothing of the one before."""
        self.database.commit()

    def _check_owner(self) -> None:
        others = self.database.execute(
            sql.SQL(
                "SELECT EXISTS (SELECT 1 FROM {}) AND NOT EXISTS (SELECT 1 FROM {} WHERE cdm_source_name "
                "= %s)"
            ).format(self._table("person"), self._table("cdm_source")),
            [_SOURCE],
        ).fetchall()[0][0]
        if others:
            self._misconfigured("person", "holds persons of another source", "give P2D a schema of its own")

    def _clear(self, name: str) -> None:
        if "sourcesystem_cd" in self._names[name]:
            own = sql.SQL("WHERE sourcesystem_cd = 'P2D'")
        elif name == "table_access":
            own = sql.SQL("WHERE c_table_cd = 'P2D'")
        elif name in {"concept", "vocabulary"}:
            own = sql.SQL("WHERE vocabulary_id = 'P2D'")
        else:
            own = sql.SQL("")
        self.database.execute(sql.SQL("DELETE FROM {} {}").format(self._table(name), own))

    def _table(self, name: str) -> sql.Identifier:
        return sql.Identifier(self.schema, name.lower())

    def _misconfigured(self, table: str, problem: str, remedy: str) -> None:
        raise Misconfigured(f"exchange.database: {self.schema}.{table}", problem, remedy)


def _columns(
    database: psycopg.Connection[tuple[Any, ...]], schema: str, table: str
) -> dict[str, tuple[str, str]]:
    """Return name and type of the table's columns by their names in lower case."""
    rows = database.execute(
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = %s AND table_name = %s",
        [schema, table],
    ).fetchall()
    return {name.lower(): (name, kind) for name, kind in rows}


def _unique_keys(
    database: psycopg.Connection[tuple[Any, ...]], schema: str, table: str
) -> set[frozenset[str]]:
    """Return the column sets, in lower case, that the table has a unique index over."""
    rows = database.execute(
        "SELECT array_agg(lower(a.attname)) FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum "
        "= ANY ((x.indkey::int2[])[0:x.indnkeyatts - 1]) "
        "WHERE x.indisunique AND x.indpred IS NULL AND x.indexprs IS NULL "
        "AND n.nspname = %s AND c.relname = %s GROUP BY x.indexrelid",
        [schema, table],
    ).fetchall()
    return {frozenset(names) for (names,) in rows}


def _copy(
    database: psycopg.Connection[tuple[Any, ...]], table: sql.Identifier, columns: list[str], rows: pa.Table
) -> None:
    listed = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(table, listed)
    with database.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(csv_bytes(rows))
