"""Where rows of an export go: files of one folder, or the tables of a foreign database."""

import csv
import io
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from p2d.warehouse.exchange.publication import HashedFile, Publication

_ROW_GROUP: Final = 131_072


class Sink(Protocol):
    """Takes the tables of an export part by part; nothing shows before the export ended."""

    def write(self, table: str, rows: pa.Table) -> None:
        """Append *rows* to *table*."""
        ...

    def finish(self) -> None:
        """Write what is still to be written; called once, before anything is shown."""
        ...


class CsvFiles:
    """One CSV file a table: UTF-8, a header, empty where there is no value, ``""`` for an empty text."""

    def __init__(self, publication: Publication) -> None:
        self._publication = publication
        self._files: dict[str, HashedFile] = {}

    def write(self, table: str, rows: pa.Table) -> None:
        """Append *rows* to *table*."""
        if table not in self._files:
            self._files[table] = self._publication.file(f"{table}.csv")
            header = io.StringIO()
            csv.writer(header, lineterminator="\n").writerow(rows.schema.names)
            self._files[table].write(header.getvalue().encode())
        self._files[table].write(csv_bytes(rows))
        self._files[table].rows += rows.num_rows

    def finish(self) -> None:
        """Do nothing: a line is written at once."""


class ParquetFiles:
    """One Parquet file a table, Zstandard-compressed."""

    def __init__(self, publication: Publication) -> None:
        self._publication = publication
        self._writers: dict[str, tuple[HashedFile, Any]] = {}

    def write(self, table: str, rows: pa.Table) -> None:
        """Append *rows* to *table*."""
        if table not in self._writers:
            file = self._publication.file(f"{table}.parquet")
            writer = pq.ParquetWriter(pa.PythonFile(file, mode="w"), rows.schema, compression="zstd")
            self._writers[table] = (file, writer)
        file, writer = self._writers[table]
        writer.write_table(rows, row_group_size=_ROW_GROUP)
        file.rows += rows.num_rows

    def finish(self) -> None:
        """Write the files' ends."""
        for _, writer in self._writers.values():
            writer.close()


class NdjsonFiles:
    """One file a table with a JSON document a line: tables have one column of texts."""

    def __init__(self, publication: Publication) -> None:
        self._publication = publication
        self._files: dict[str, HashedFile] = {}

    def write(self, table: str, rows: pa.Table) -> None:
        """Append *rows* to *table*."""
        if table not in self._files:
            self._files[table] = self._publication.file(f"{table}.ndjson")
        lines = rows.column(0).to_pylist()
        if lines:
            self._files[table].write(("\n".join(lines) + "\n").encode())
        self._files[table].rows += len(lines)

    def finish(self) -> None:
        """Do nothing: a line is written at once."""


FILES: Final[Mapping[str, Callable[[Publication], Sink]]] = {
    "csv": CsvFiles,
    "parquet": ParquetFiles,
    "ndjson": NdjsonFiles,
}
"""The kinds of files by name."""


def csv_bytes(rows: pa.Table) -> bytes:
    """Return *rows* as CSV without a header; NULL is empty and unquoted, texts are quoted.

    PostgreSQL's COPY and pyarrow's reader tell both apart.
    """
    target = io.BytesIO()
    options = pacsv.WriteOptions(include_header=False, quoting_style="needed")
    pacsv.write_csv(_without_nul(rows), target, options)
    return target.getvalue()


def _without_nul(rows: pa.Table) -> pa.Table:
    """Return *rows* without the character U+0000, which neither CSV readers nor PostgreSQL take."""
    for index, column in enumerate(rows.schema):
        if pa.types.is_string(column.type):
            values = rows.column(index)
            found = pc.any(pc.match_substring(values, "\0")).as_py()
            if found:
                cleaned = pc.replace_substring(values, "\0", "")
                rows = rows.set_column(index, column, cleaned)
    return rows
