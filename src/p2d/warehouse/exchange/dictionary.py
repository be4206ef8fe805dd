"""What every exported column is: ``data/<form>.tsv``, one line a column, read once.

The same lines give the Arrow schema of a table, the data dictionary beside an export and the tables of
docs/reference/exchange.md.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

import pyarrow as pa

TYPES: Final[Mapping[str, pa.DataType]] = {
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "number": pa.float64(),
    "text": pa.string(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "boolean": pa.bool_(),
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an exported table; ``meaning`` says where its values come from."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Layout:
    """An exported table: its columns in order."""

    name: str
    columns: tuple[Column, ...]

    @property
    def schema(self) -> pa.Schema:
        """The table's Arrow schema."""
        return pa.schema([(column.name, TYPES[column.type]) for column in self.columns])

    def described(self) -> dict[str, Any]:
        """Return the table as an entry of a data dictionary."""
        fields = [{"name": c.name, "type": c.type, "description": c.meaning} for c in self.columns]
        return {"name": self.name, "schema": {"fields": fields}}


def lines(name: str) -> list[dict[str, str]]:
    """Return the lines of ``data/<name>`` by column."""
    text = (resources.files("p2d.warehouse.exchange") / "data" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


@cache
def layouts(form: str) -> Mapping[str, Layout]:
    """Return the tables of *form* by name, in the order in which rows may refer to earlier ones."""
    found: dict[str, list[Column]] = {}
    for row in lines(f"{form}.tsv"):
        found.setdefault(row["table"], []).append(Column(row["column"], row["type"], row["meaning"]))
    return {name: Layout(name, tuple(columns)) for name, columns in found.items()}


def conformed(layout: Layout, table: pa.Table) -> pa.Table:
    """Return *table* with the columns of *layout* in its order and types.

    Raises:
        KeyError: a column is missing.
        pyarrow.ArrowInvalid: a value does not fit its type, such as an id beyond 32 bits.

    """
    return table.select(layout.schema.names).cast(layout.schema)


def padded(layout: Layout, table: pa.Table) -> pa.Table:
    """Return *table* with the columns of *layout* that it lacks, empty."""
    for column in layout.schema:
        if column.name not in table.schema.names:
            table = table.append_column(column, pa.nulls(table.num_rows, column.type))
    return table
