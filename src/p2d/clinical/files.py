"""CSV and Parquet files as record batches with row numbers; CSV is text throughout, Parquet keeps its types.

Row 1 is the first row of data. A file whose structure is broken (another number of cells, an open quote,
bytes outside its encoding) stops the reading: behind such a place no column can be trusted.
"""

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from p2d.model.errors import InvalidRequest

_BLOCK: Final = 32 * 1024 * 1024  # also the longest row
_ROWS: Final = 20_000
_WIDTH: Final = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")
_SUFFIXES: Final = (".csv", ".tsv", ".txt", ".parquet")


@dataclass(frozen=True, slots=True)
class CsvForm:
    """How a CSV file is written."""

    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    nulls: tuple[str, ...] = ()


PLAIN: Final = CsvForm()


def files_named(folder: Path, pattern: str) -> list[Path]:
    """Return the files of *folder* whose names match *pattern* (``*`` and ``?``), in order of their names.

    Raises:
        InvalidRequest: *pattern* leads out of the folder, or the folder cannot be read.

    """
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise InvalidRequest("file", "leads out of the folder", "name files of the folder only")
    if not folder.is_dir():
        raise InvalidRequest(folder.name or "folder", "is not a folder", "name the folder of the files")
    return sorted(path for path in folder.glob(pattern) if path.is_file())


def table_files(folder: Path, name: str) -> list[Path]:
    """Return the files of the table *name*, whatever its case: ``name.csv``, ``name_1.parquet`` …."""
    found = []
    for path in files_named(folder, "*"):
        stem = path.stem.lower()
        is_part = stem.startswith(f"{name}_") and stem.removeprefix(f"{name}_").isdigit()
        if path.suffix.lower() in _SUFFIXES and (stem == name or is_part):
            found.append(path)
    return found


def column_names(path: Path, form: CsvForm = PLAIN) -> list[str]:
    """Return the names of the columns of *path*, in their order.

    Raises:
        InvalidRequest: unreadable, no header, or a name stands twice.

    """
    try:
        if path.suffix.lower() == ".parquet":
            with pq.ParquetFile(path) as parquet:
                names = list(parquet.schema_arrow.names)
        else:
            with path.open(encoding=_codec(form), newline="") as stream:
                reader = csv.reader(stream, delimiter=form.delimiter, quotechar=form.quote, strict=True)
                names = next(reader, [])
    except (OSError, csv.Error, UnicodeError, LookupError, pa.ArrowException) as error:
        raise _unreadable(path, form, 0, error) from None
    if len(set(names)) != len(names) or not names:
        problem = "has a column twice" if names else "has no header"
        raise InvalidRequest(f"{path.name} line 1", problem, "name every column once")
    return names


def batches(
    path: Path, columns: Sequence[str], form: CsvForm = PLAIN
) -> Iterator[tuple[Any, pa.RecordBatch]]:
    """Yield row numbers and cells of *columns* of the file at *path*.

    Raises:
        InvalidRequest: the file is not what its suffix and *form* say; names the row it was read up to.

    """
    first = 1
    try:
        for batch in (
            _parquet(path, columns) if path.suffix.lower() == ".parquet" else _csv(path, columns, form)
        ):
            if batch.num_rows:
                yield pa.array(np.arange(first, first + batch.num_rows, dtype=np.int64)), batch
            first += batch.num_rows
    except (OSError, UnicodeError, pa.ArrowException) as error:
        raise _unreadable(path, form, first - 1, error) from None


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as parquet:
        yield from parquet.iter_batches(batch_size=_ROWS, columns=list(columns))


def _csv(path: Path, columns: Sequence[str], form: CsvForm) -> Iterator[pa.RecordBatch]:
    names = column_names(path, form)
    _check_end(path, form)
    reader = pa_csv.open_csv(
        path,
        pa_csv.ReadOptions(block_size=_BLOCK, encoding=form.encoding, use_threads=False),
        pa_csv.ParseOptions(delimiter=form.delimiter, quote_char=form.quote, newlines_in_values=True),
        pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            include_columns=list(columns),
            null_values=["", *form.nulls],
            strings_can_be_null=True,
        ),
    )
    yield from reader


def _check_end(path: Path, form: CsvForm) -> None:
    """Refuse a file that ends inside a quoted cell, which Arrow takes for the cell's end.

    An odd number of quotes is the sign; a quote inside a cell that is not quoted may be the cause as well,
    so that then the file is read once more, slowly.
    """
    with path.open(encoding=_codec(form), newline="") as stream:
        quotes = sum(part.count(form.quote) for part in iter(lambda: stream.read(1024 * 1024), ""))
    if quotes % 2:
        csv.field_size_limit(_BLOCK)
        with path.open(encoding=_codec(form), newline="") as stream:
            try:
                for _ in csv.reader(stream, delimiter=form.delimiter, quotechar=form.quote, strict=True):
                    pass
            except csv.Error as error:
                if "end of data" in str(error):
                    problem = "ends inside a quoted cell"
                    raise InvalidRequest(path.name, problem, "export it again, whole") from None


def _codec(form: CsvForm) -> str:
    """Return the codec of Python; UTF-8 may begin with its mark."""
    return "utf-8-sig" if codecs.lookup(form.encoding).name == "utf-8" else form.encoding


def _unreadable(path: Path, form: CsvForm, row: int, error: Exception) -> InvalidRequest:
    kind = "Parquet" if path.suffix.lower() == ".parquet" else f"CSV in {form.encoding}"
    cells = _WIDTH.search(str(error))
    if cells is not None:
        problem = f"has {cells[3]} cells instead of {cells[2]}"
        return InvalidRequest(
            f"{path.name} row {int(cells[1]) - 1}", problem, "quote cells with the delimiter"
        )
    return InvalidRequest(
        f"{path.name} after row {row}", f"is not {kind}", "save it so, or correct the mapping"
    )
