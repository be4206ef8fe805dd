"""What every reader yields: rows of four tables, where each row stood, and what is wrong with it.

The tables are those of the paper's model: patients, cases, documents, facts. Ids are the source's own texts.
An id that begins with ``LABEL`` is no id of the source's but the reader's name for a row, made of surrogate
numbers; it serves to tell groups or documents apart and must not be stored as it is.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import pyarrow as pa

LABEL: Final = "\x1f"
LESS_AND_MORE: Final = ("<", "<=", ">", ">=")
"""What the text of a fact says where its number is a bound: ``< 5`` is the number 5 and the text ``<``."""

_TEXT: Final = pa.string()
_TEXTS: Final = pa.list_(pa.string())
SCHEMAS: Final[Mapping[str, pa.Schema]] = {
    "patient": pa.schema(
        [
            ("patient", _TEXT),
            ("sex", _TEXT),
            ("birth", _TEXT),  # YYYY-MM-DD, YYYY-MM or YYYY
            ("names", _TEXTS),  # Family^Given, or as written
            ("contacts", _TEXTS),  # addresses, telephone numbers, mail addresses
            ("ids", _TEXTS),  # further numbers of the patient
        ]
    ),
    "case": pa.schema(
        [
            ("patient", _TEXT),
            ("case", _TEXT),
            ("start", pa.date32()),
            ("end", pa.date32()),
            ("type", _TEXT),
        ]
    ),
    "document": pa.schema(
        [
            ("patient", _TEXT),
            ("case", _TEXT),
            ("document", _TEXT),
            ("kind", _TEXT),
            ("date", pa.date32()),
            ("accession", _TEXT),
            ("text", _TEXT),
            ("source", _TEXT),
        ]
    ),
    "fact": pa.schema(
        [
            ("patient", _TEXT),
            ("case", _TEXT),
            ("document", _TEXT),
            ("group", _TEXT),
            ("attribute", _TEXT),
            ("date", pa.date32()),
            ("time", _TEXT),  # HH:MM:SS
            ("number", pa.float64()),
            ("code", _TEXT),
            ("text", _TEXT),
            ("unit", _TEXT),
            ("source", _TEXT),
        ]
    ),
}
IDENTIFYING: Final = ("names", "contacts", "ids")
"""Columns of a patient that serve to clean texts with and never leave the hospital zone."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with some rows: a boolean for every row of the chunk, true where it is."""

    field: str
    bad: Any
    problem: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of one table from one file, with the number of each in the file: 1 is the first row of data."""

    table: str
    file: str
    rows: Any
    values: pa.Table = field(repr=False)
    faults: tuple[Fault, ...] = ()


@dataclass(slots=True)
class Tally:
    """Account of one reading of one table: rows read = rows that made records + rows skipped, by reason.

    ``records`` counts what the rows made; ``several`` those beyond the first of a row, so that
    ``records == read - skipped + several``.
    """

    read: int = 0
    records: int = 0
    several: int = 0
    skipped: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By file and reason."""
    unread: dict[str, int] = field(default_factory=dict)
    """Columns by file that the reader does not know or was not told of: nothing of them is passed on."""

    def skip(self, file: str, reason: str, count: int = 1) -> None:
        """Count *count* rows of *file* as skipped for *reason*."""
        if count:
            self.skipped[file, reason] += count


class Source(Protocol):
    """Clinical data in one format; may be read again and again."""

    @property
    def tallies(self) -> Mapping[str, Tally]:
        """The account of the latest reading of each table; complete once its chunks are read."""
        ...

    def chunks(self, table: str) -> Iterator[Chunk]:
        """Yield the rows of *table* (a name of ``SCHEMAS``) in the order of files and rows.

        Raises:
            InvalidRequest: a file is absent, unreadable or not of the format; names file and row.

        """
        ...


def arranged(table: str, columns: Mapping[str, Any], count: int) -> pa.Table:
    """Return *columns* in the schema of *table*; what is not among them is null for all *count* rows."""
    schema = SCHEMAS[table]
    arrays = [columns[f.name] if f.name in columns else pa.nulls(count, f.type) for f in schema]
    return pa.table([_plain(a).cast(f.type) for a, f in zip(arrays, schema, strict=True)], schema=schema)


def _plain(values: Any) -> Any:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
