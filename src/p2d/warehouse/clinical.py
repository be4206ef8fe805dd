"""Read a folder of pseudonymised clinical CSV files into batches; rows that may not enter are set aside.

The four files are ``patient.csv``, ``case.csv``, ``document.csv`` and ``fact.csv`` with the columns of
``p2d.warehouse.batch`` by name; a file without rows still has its header. A folder is complete in itself:
cases, documents and facts name patients, cases and documents of the same folder. A batch is named by its
content, so that loading a folder twice changes nothing.
"""

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from p2d.model.errors import InvalidRequest
from p2d.warehouse.batch import CASE, DOCUMENT, FACT, PATIENT, Batch
from p2d.warehouse.check import findings
from p2d.warehouse.wire import NATURAL_KEYS, digest

FILES: Final[Mapping[str, pa.Schema]] = {"patient": PATIENT, "case": CASE, "document": DOCUMENT, "fact": FACT}
_ROWS: Final = 20_000
_CHARACTERS: Final = 32 * 1024 * 1024
_LONGEST_CELL: Final = 16 * 1024 * 1024
_LONGEST_YEAR: Final = 4
_Cells = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row that was not loaded: where it stands and why; never what it holds."""

    file: str
    line: int
    column: str
    reason: str


@dataclass(slots=True)
class ClinicalFolder:
    """A folder whose headers were checked; ``set_aside`` fills while ``batches`` is read."""

    folder: Path
    patient_form: str | None = None
    set_aside: list[SetAside] = field(default_factory=list)
    _known: dict[str, set[_Cells]] = field(default_factory=dict, repr=False)

    @property
    def batches(self) -> Iterator[Batch]:
        """Yield the batches in the order they must be loaded.

        Raises:
            InvalidRequest: a file is not CSV in UTF-8.

        """
        self.set_aside.clear()
        self._known = {name: set() for name in FILES}
        for name in FILES:
            for rows in _chunks(_rows(self.folder, name)):
                table = self._checked(name, rows)
                if table.num_rows:
                    yield _batch(name, table)

    def _checked(self, name: str, rows: list[tuple[int, list[str]]]) -> pa.Table:
        schema = FILES[name]
        fit: list[tuple[int, _Cells]] = []
        for line, cells in rows:
            values = [_value(kind, cell) for kind, cell in zip(schema.types, cells, strict=True)]
            wrong = [c for c, v in zip(schema.names, values, strict=True) if isinstance(v, _Malformed)]
            if wrong:
                self._put_aside(name, line, wrong[0], "is not a date or number of its kind")
            else:
                fit.append((line, tuple(values)))
        refused = self._refused(name, fit)
        kept = [(line, cells) for index, (line, cells) in enumerate(fit) if index not in refused]
        chosen = [cells for line, cells in kept if self._belongs(name, line, cells)]
        return _table(schema, chosen)

    def _refused(self, name: str, rows: list[tuple[int, _Cells]]) -> set[int]:
        table = _table(FILES[name], [cells for _, cells in rows])
        refused: set[int] = set()
        for finding in findings(name, table, self.patient_form):
            for index in finding.rows():
                if index not in refused:
                    refused.add(index)
                    self._put_aside(name, rows[index][0], finding.column, finding.problem)
        return refused

    def _belongs(self, name: str, line: int, cells: _Cells) -> bool:
        """Whether the row's parents are known and its key is new."""
        row = dict(zip(FILES[name].names, cells, strict=True))
        for parent in ("patient", "case", "document"):
            if parent == name or row.get(parent) is None:
                continue
            if tuple(row[column] for column in NATURAL_KEYS[parent]) not in self._known[parent]:
                self._put_aside(name, line, parent, f"names a {parent} that {parent}.csv does not hold")
                return False
        key: _Cells = tuple(row[column] for column in NATURAL_KEYS[name])
        if name == "fact":
            key = (
                blake2b(repr(key).encode(), digest_size=16).digest(),
            )  # texts of facts would fill the memory
        if key in self._known[name]:
            self._put_aside(name, line, NATURAL_KEYS[name][-1], "repeats an earlier row")
            return False
        self._known[name].add(key)
        return True

    def _put_aside(self, name: str, line: int, column: str, reason: str) -> None:
        self.set_aside.append(SetAside(f"{name}.csv", line, column, reason))


def read_clinical(folder: Path, patient_form: str | None = None) -> ClinicalFolder:
    """Return the clinical folder at *folder*; ``patient_form`` is a foreign IDM's form of pseudonyms.

    Raises:
        InvalidRequest: a file is missing, or has a missing or unknown column.

    """
    for name in FILES:
        for _ in _rows(folder, name):
            break
    return ClinicalFolder(folder, patient_form)


class _Malformed:
    """A cell that does not have the type of its column."""


_MALFORMED: Final = _Malformed()


def _value(kind: pa.DataType, cell: str) -> object:
    if not cell:
        return None
    try:
        return _READERS[kind](cell)
    except ValueError:
        return _MALFORMED


def _day(cell: str) -> date:
    if len(cell) != len("YYYY-MM-DD"):
        raise ValueError
    return date.fromisoformat(cell)


def _year(cell: str) -> int:
    if len(cell) > _LONGEST_YEAR or not (cell.isascii() and cell.isdigit()):
        raise ValueError
    return int(cell)


def _number(cell: str) -> float:
    if "_" in cell or not math.isfinite(float(cell)):
        raise ValueError
    return float(cell)


_READERS: Final[Mapping[pa.DataType, Callable[[str], object]]] = {
    pa.string(): str,
    pa.date32(): _day,
    pa.int32(): _year,
    pa.float64(): _number,
}


def _rows(folder: Path, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells, in the schema's order, of every row."""
    columns, line = FILES[name].names, 1
    csv.field_size_limit(_LONGEST_CELL)  # letters are longer than the module's default of 128 KiB
    try:
        with (folder / f"{name}.csv").open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            order = _order(name, next(reader, []), columns)
            yield 1, []  # the header is in order
            for cells in reader:
                if len(cells) != len(columns):
                    problem = f"has {len(cells)} cells instead of {len(columns)}"
                    raise InvalidRequest(f"{name}.csv line {line + 1}", problem, "quote cells with commas")
                yield line + 1, [cells[index] for index in order]
                line = reader.line_num
    except OSError:
        remedy = f"the folder needs it, if only with its header: {','.join(columns)}"
        raise InvalidRequest(f"{name}.csv", "is not readable", remedy) from None
    except (UnicodeDecodeError, csv.Error):
        raise InvalidRequest(f"{name}.csv after line {line}", "is not CSV in UTF-8", "save it so") from None


def _order(name: str, header: list[str], columns: Sequence[str]) -> list[int]:
    missing = [column for column in columns if column not in header]
    if missing or len(header) != len(columns):
        problem = f"lacks column {missing[0]}" if missing else "has an unknown column or one twice"
        raise InvalidRequest(f"{name}.csv line 1", problem, f"needed: {','.join(columns)}")
    return [header.index(column) for column in columns]


def _chunks(rows: Iterator[tuple[int, list[str]]]) -> Iterator[list[tuple[int, list[str]]]]:
    chunk: list[tuple[int, list[str]]] = []
    characters = 0
    for line, cells in rows:
        if not cells:
            continue
        chunk.append((line, cells))
        characters += sum(map(len, cells))
        if len(chunk) >= _ROWS or characters >= _CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _table(schema: pa.Schema, rows: Sequence[_Cells]) -> pa.Table:
    columns: list[Any] = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    return pa.table(
        [pa.array(cells, f.type) for cells, f in zip(columns, schema, strict=True)], schema=schema
    )


def _batch(name: str, table: pa.Table) -> Batch:
    content = digest(Batch("", "clinical", "clinical", {name: table}))
    return Batch(f"clinical-{name}-{content[:32]}", "clinical", "clinical", {name: table})
