"""Identified clinical CSV files in, pseudonymised ones out: strict reading, all-or-nothing writing.

Errors name file, line and column, never a value. Output appears under its name only when all is on disk.
"""

import csv
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TextIO

from p2d.model.errors import InvalidRequest, Misconfigured

_LONGEST_CELL: Final = 16 * 1024 * 1024
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]")
SEPARATOR: Final = "\x1e"
"""Between several names, contacts or numbers in one cell."""
Cell = str | int | None


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an input file and the line it begins on."""

    file: str
    line: int
    cells: Mapping[str, str] = field(repr=False)

    def text(self, column: str) -> str:
        """Return the cell without surrounding spaces; a column that the file does not have is empty."""
        return self.cells.get(column, "").strip(" ")

    def several(self, column: str) -> frozenset[str]:
        """Return what stands in a cell that may hold several values."""
        return frozenset(part.strip() for part in self.text(column).split(SEPARATOR)) - {""}

    def clock(self, column: str) -> str | None:
        """Return the cell where it is a time of day, ``HH:MM:SS``, else nothing."""
        return self.text(column) if _CLOCK.fullmatch(self.text(column)) else None

    def raw(self, column: str) -> str:
        """Return the cell as it stands."""
        return self.cells.get(column, "")

    def required(self, column: str) -> str:
        """Return the cell.

        Raises:
            InvalidRequest: it is empty.

        """
        if not self.text(column):
            raise self.wrong(column, "is empty", "give every row its key")
        return self.text(column)

    def day(self, column: str) -> date | None:
        """Return the cell as a day, or None where it is empty.

        Raises:
            InvalidRequest: not a date written YYYY-MM-DD.

        """
        text = self.text(column)
        try:
            day = date.fromisoformat(text) if text else None
        except ValueError:
            day = None
        if text and (day is None or day.isoformat() != text):
            raise self.wrong(column, "is not a date", "write it as YYYY-MM-DD")
        return day

    def number(self, column: str) -> str:
        """Return the cell where it is a finite number (decimal point) or empty.

        Raises:
            InvalidRequest: it is neither.

        """
        text = self.text(column)
        try:
            is_fine = not text or ("_" not in text and math.isfinite(float(text)))
        except ValueError:
            is_fine = False
        if not is_fine:
            raise self.wrong(column, "is not a number", "write it with a decimal point and without unit")
        return text

    def wrong(self, column: str, problem: str, remedy: str) -> InvalidRequest:
        """Return the error that names this row and *column*."""
        return InvalidRequest(f"{self.file} line {self.line} column {column}", problem, remedy)


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of the UTF-8 CSV file at *path*, whose header must be *columns* in any order.

    Raises:
        InvalidRequest: absent, not UTF-8, not CSV, a missing or unknown column, a row of another width.

    """
    csv.field_size_limit(_LONGEST_CELL)  # letters are longer than the module's default of 128 KiB
    line = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = next(reader, [])
            _check_header(path.name, header, columns)
            line = reader.line_num
            for cells in reader:
                if len(cells) != len(header):
                    problem = f"has {len(cells)} cells instead of {len(header)}"
                    raise InvalidRequest(
                        f"{path.name} line {line + 1}", problem, "quote cells that hold a comma"
                    )
                yield Row(path.name, line + 1, dict(zip(header, cells, strict=True)))
                line = reader.line_num
    except OSError:
        remedy = f"the folder needs it, if only with its header: {','.join(columns)}"
        raise InvalidRequest(path.name, "is not readable", remedy) from None
    except (UnicodeDecodeError, csv.Error):
        remedy = "save it as CSV in UTF-8"
        raise InvalidRequest(f"{path.name} after line {line}", "is not UTF-8 CSV", remedy) from None


def _check_header(name: str, header: Sequence[str], columns: Sequence[str]) -> None:
    for column in columns:
        if column not in header:
            raise InvalidRequest(
                f"{name} line 1", f"column {column} is missing", f"needed: {','.join(columns)}"
            )
    if len(header) != len(columns):
        problem = "holds a column that is not known or stands twice"
        raise InvalidRequest(f"{name} line 1", problem, f"keep only: {','.join(columns)}")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


class OutputFolder(AbstractContextManager["OutputFolder"]):
    """CSV files that appear in a folder together when the ``with`` block ends well, or not at all."""

    def __init__(self, folder: Path, headers: Mapping[str, Sequence[str]]) -> None:
        self._folder = folder
        self._headers = headers
        self._stack = ExitStack()
        self._streams: dict[str, TextIO] = {}

    def __enter__(self) -> Self:
        with self._guarded():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name, columns in self._headers.items():
                self._part(name).unlink(missing_ok=True)  # what a killed attempt left
                stream = open(self._part(name), "x", encoding="utf-8", newline="", opener=_private)
                self._streams[name] = self._stack.enter_context(stream)
                csv.writer(stream, lineterminator="\n").writerow(columns)
        return self

    def write(self, name: str, rows: Sequence[Sequence[Cell]]) -> None:
        """Append *rows* to the file *name*; None is an empty cell.

        Raises:
            Misconfigured: the folder cannot be written, or its disk is full.

        """
        with self._guarded():
            csv.writer(self._streams[name], lineterminator="\n").writerows(rows)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._discard()
            return
        with self._guarded():
            for stream in self._streams.values():
                stream.flush()
                os.fsync(stream.fileno())
            self._stack.close()
            for name in self._streams:
                self._part(name).replace(self._folder / name)
            descriptor = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._discard()
            problem = f"{self._folder} cannot be written: {error.strerror}"
            remedy = "name a folder that this user may write, on a disk with free space"
            raise Misconfigured("output folder", problem, remedy) from None

    def _discard(self) -> None:
        with suppress(OSError):  # what is left in a buffer need not be written any more
            self._stack.close()
        for name in self._headers:
            with suppress(OSError):
                self._part(name).unlink(missing_ok=True)

    def _part(self, name: str) -> Path:
        return self._folder / f".{name}.part"
