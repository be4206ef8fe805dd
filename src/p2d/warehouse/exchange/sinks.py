"""Where rows of an export go: files of one folder, or the tables of a foreign database."""

import csv
import io
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from p2d.warehouse.exchange.publication import HashedFile, Publication

_ROW_GROUP: Final = 131_072
_WAITING: Final = 4 << 20
PATIENT_KEY: Final = "patient_key"


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
        self.append(f"{table}.parquet", rows)

    def append(self, name: str, rows: pa.Table) -> None:
        """Append *rows* to the file *name*, made where it is missing."""
        if name not in self._writers:
            file = self._publication.file(name)
            writer = pq.ParquetWriter(pa.PythonFile(file, mode="w"), rows.schema, compression="zstd")
            self._writers[name] = (file, writer)
        file, writer = self._writers[name]
        writer.write_table(rows, row_group_size=_ROW_GROUP)
        file.rows += rows.num_rows

    def finish(self) -> None:
        """Write the files' ends."""
        for _, writer in self._writers.values():
            writer.close()


class ParquetParts:
    """Parquet files by patient: all rows of one lie in the same of *parts* files of each table.

    ``fact/part-0003.parquet`` holds the facts of the patients whose key leaves 3 when divided by the number
    of parts. Tables without ``patient_key`` are one file. An engine of several workers reads the parts side
    by side. Rows of a part wait until they are worth a row group of their own, about 4 MiB.
    """

    def __init__(self, publication: Publication, parts: int) -> None:
        self._files = ParquetFiles(publication)
        self._parts = parts
        self._waiting: dict[str, list[pa.Table]] = {}

    def write(self, table: str, rows: pa.Table) -> None:
        """Append *rows* to *table*."""
        if PATIENT_KEY not in rows.schema.names:
            self._files.write(table, rows)
            return
        names = part_names(table, self._parts)
        if names[0] not in self._waiting:
            self._flush()  # of the table before
        numbers = rows.column(PATIENT_KEY).to_numpy() % self._parts
        order = np.argsort(numbers, kind="stable")
        ends = np.searchsorted(numbers[order], np.arange(self._parts), side="right")
        ordered, start = rows.take(pa.array(order)), 0
        for name, end in zip(names, ends.tolist(), strict=True):
            waiting = self._waiting.setdefault(name, [])
            waiting.append(ordered.slice(start, end - start))
            if sum(part.nbytes for part in waiting) >= _WAITING:
                self._write_out(name)
            start = end

    def finish(self) -> None:
        """Write what waits and the files' ends."""
        self._flush()
        self._files.finish()

    def _flush(self) -> None:
        for name in self._waiting:
            self._write_out(name)
        self._waiting.clear()

    def _write_out(self, name: str) -> None:
        if self._waiting[name]:
            self._files.append(name, pa.concat_tables(self._waiting[name]))
            self._waiting[name] = []


def part_names(table: str, parts: int) -> list[str]:
    """Return the files of *table* where it is written by patient in *parts*."""
    return [f"{table}/part-{number:04d}.parquet" for number in range(parts)]


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
