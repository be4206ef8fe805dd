"""CSV and Parquet files read by a mapping file: columns become fields, several values of a row one group."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from p2d.clinical.chunk import IDENTIFYING, LABEL, Chunk, Fault, Tally, arranged
from p2d.clinical.conversion import as_clock, as_days, as_numbers, as_text, translated
from p2d.clinical.files import batches, column_names, files_named
from p2d.clinical.mapping import Cell, FactTable, Files, IntakeMapping, Keyed, PatientTable, Table
from p2d.clinical.values import settled
from p2d.model.errors import InvalidRequest

_NO_DATE: Final = "is not a date in a format of the mapping"
_NO_NUMBER: Final = "is not a number in the notation of the mapping"
_NO_WORD: Final = "is not among the values of the mapping"
_NO_TIME: Final = "is not a time of day"
_DAYS: Final = ("start", "end", "date", "birth")
_EMPTY: Final = "holds no value"


class MappedSource:
    """The files of *folder* as *mapping* reads them."""

    def __init__(self, folder: Path, mapping: IntakeMapping) -> None:
        self._folder = folder
        self._mapping = mapping
        self._tallies: dict[str, Tally] = {}
        if not mapping.table:
            raise InvalidRequest("mapping", "names no [[table]]", "name the tables of the files to read")
        for table in mapping.table:
            _checked_files(folder, table, mapping.files)

    @property
    def tallies(self) -> Mapping[str, Tally]:
        """The account of the latest reading of each table."""
        return self._tallies

    def chunks(self, table: str) -> Iterator[Chunk]:
        """Yield the rows of *table*; see the port."""
        tally = self._tallies[table] = Tally()
        for described in self._mapping.table:
            if described.into != table:
                continue
            writing = described.writing(self._mapping.files)
            for path in _checked_files(self._folder, described, self._mapping.files):
                wanted = _columns(described)
                tally.unread[path.name] = len(column_names(path, writing.form())) - len(wanted)
                for rows, batch in batches(path, sorted(wanted), writing.form()):
                    tally.read += batch.num_rows
                    for chunk in self._read(described, path.name, rows, _Cells(batch, writing)):
                        tally.records += len(chunk.rows)
                        yield chunk

    def _read(self, table: Table, file: str, rows: Any, cells: "_Cells") -> Iterator[Chunk]:
        if isinstance(table, FactTable):
            yield from self._facts(table, file, rows, cells)
            return
        fields = {name: cells.field(name, cell) for name, cell in _named(table.columns).items()}
        if isinstance(table, PatientTable):
            for name in IDENTIFYING:
                fields[name] = cells.listed(getattr(table.columns, name))
        values = arranged(table.into, fields, len(rows))
        yield Chunk(table.into, file, rows, values, tuple(cells.faults))

    def _facts(self, table: FactTable, file: str, rows: Any, cells: "_Cells") -> Iterator[Chunk]:
        tally = self._tallies["fact"]
        several = table.values()
        shared = {n: cells.field(n, c) for n, c in _named(table.columns).items() if n in _SHARED}
        shared.setdefault("time", cells.clock)
        if table.columns.group is None:
            shared["group"] = _labels(file, rows) if len(several) > 1 else pa.nulls(len(rows), pa.string())
        common = list(cells.faults)
        made: Any = None
        for value in several:
            cells.faults, cells.clock = list(common), shared["time"]
            fields = {**shared, **{n: cells.field(n, c) for n, c in _named(value).items()}}
            if value.date is not None and value.time is None:
                fields["time"] = cells.clock
            facts, limits = settled(arranged("fact", fields, len(rows)), self._mapping)
            faults = (*cells.faults, *limits)
            kept = pc.or_(_valued(facts), _any(faults, len(rows)))
            if table.only:
                kept = pa.repeat(pa.scalar(True), len(rows))  # our own form: an attribute may stand alone
            ones = pc.cast(kept, pa.int32())
            made = ones if made is None else pc.add(made, ones)
            yield Chunk(
                "fact",
                file,
                rows.filter(kept),
                facts.filter(kept),
                tuple(Fault(f.field, pc.filter(f.bad, kept), f.problem) for f in faults),
            )
        tally.skip(file, _EMPTY, pc.sum(pc.equal(made, 0)).as_py() or 0)
        tally.several += pc.sum(pc.max_element_wise(pc.subtract(made, 1), 0)).as_py() or 0


_SHARED: Final = ("patient", "case", "document", "group", "date", "time", "source")


class _Cells:
    """The cells of one record batch, converted as the table's files are written; faults gather."""

    def __init__(self, batch: pa.RecordBatch, writing: Files) -> None:
        self._batch = batch
        self._writing = writing
        self.faults: list[Fault] = []
        self.clock: Any = pa.nulls(batch.num_rows, pa.string())

    def field(self, name: str, cell: Cell) -> Any:
        """Return the values of the field *name*."""
        if cell.constant is not None:
            raw: Any = pa.repeat(pa.scalar(cell.constant), self._batch.num_rows)
        else:
            raw = self._batch.column(str(cell.column))
        if cell.values:
            raw, bad = translated(self._text(raw), cell.values, cell.other)
            self._note(name, bad, _NO_WORD)
        if name in _DAYS:
            return self._day(name, raw)
        if name == "number":
            number, bad = as_numbers(self._nulled(raw), self._writing.decimal, self._writing.thousands)
            self._note(name, bad, _NO_NUMBER)
            return number
        if name == "time":
            clock, bad = as_clock(raw if pa.types.is_time(raw.type) else self._text(raw))
            self._note(name, bad, _NO_TIME)
            return clock
        if name == "text":  # kept with the blanks around it
            text = pc.cast(raw, pa.string())
            return self._nulled(pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text))
        return self._text(raw)

    def listed(self, columns: tuple[str, ...]) -> Any:
        """Return the non-empty cells of *columns* as one list a row."""
        texts = [self._text(self._batch.column(name)).to_pylist() for name in columns]
        lists = [[one for one in row if one] for row in zip(*texts, strict=True)] if texts else []
        return pa.array(lists or [[]] * self._batch.num_rows, pa.list_(pa.string()))

    def _day(self, name: str, raw: Any) -> Any:
        if name == "birth":  # a year alone is a birth date, too
            text = self._text(raw)
            is_year = pc.fill_null(pc.match_substring_regex(text, "^[0-9]{4}$"), False)
            day, _, bad = as_days(pc.if_else(is_year, None, text), self._writing.dates)
            self._note(name, bad, _NO_DATE)
            return pc.if_else(is_year, text, pc.cast(day, pa.string()))
        day, clock, bad = as_days(self._nulled(raw), self._writing.dates)
        self._note(name, bad, _NO_DATE)
        if name == "date":
            self.clock = clock
        return day

    def _text(self, raw: Any) -> Any:
        return self._nulled(as_text(raw))

    def _nulled(self, raw: Any) -> Any:
        """Return *raw* with the mapping's words for nothing as null; CSV has them done by the reader."""
        if not self._writing.nulls or not pa.types.is_string(raw.type):
            return raw
        words = pa.array(self._writing.nulls, pa.string())
        return pc.if_else(pc.is_in(raw, words), pa.scalar(None, pa.string()), raw)

    def _note(self, name: str, bad: Any, problem: str) -> None:
        self.faults.append(Fault(name, bad, problem))


def _named(columns: Keyed) -> dict[str, Cell]:
    """Return the fields of *columns* that the mapping names."""
    found = {name: getattr(columns, name) for name in type(columns).model_fields}
    return {name: cell for name, cell in found.items() if isinstance(cell, Cell)}


def _columns(table: Table) -> set[str]:
    """Return the columns of the file that *table* reads."""
    cells = list(_named(table.columns).values())
    if isinstance(table, FactTable):
        cells += [cell for value in table.value for cell in _named(value).values()]
    found = {cell.column for cell in cells if cell.column is not None}
    if isinstance(table, PatientTable):
        found.update(name for group in IDENTIFYING for name in getattr(table.columns, group))
    return found


def _checked_files(folder: Path, table: Table, files: Files) -> list[Path]:
    """Return the files of *table*, each of which has its columns."""
    found = files_named(folder, table.file)
    if not found:
        raise InvalidRequest(
            table.file, "is not in the folder", "correct the mapping's file, or add the file"
        )
    wanted = _columns(table)
    for path in found:
        names = column_names(path, table.writing(files).form())
        missing = sorted(wanted - set(names))
        if missing:
            raise InvalidRequest(f"{path.name} line 1", f"lacks column {missing[0]}", "correct the mapping")
        if table.only and set(names) != wanted:
            problem = "has a column that is not known"
            raise InvalidRequest(f"{path.name} line 1", problem, f"keep only: {','.join(sorted(wanted))}")
    return found


def _labels(file: str, rows: Any) -> Any:
    """Return a name for every row, which its values share as their group."""
    return pc.binary_join_element_wise(LABEL + file, pc.cast(rows, pa.string()), ":")


def _valued(facts: pa.Table) -> Any:
    there = [pc.is_valid(facts[name]).combine_chunks() for name in ("number", "code", "text")]
    return pc.or_(pc.or_(there[0], there[1]), there[2])


def _any(faults: tuple[Fault, ...], count: int) -> Any:
    found: Any = pa.repeat(pa.scalar(False), count)
    for fault in faults:
        bad = fault.bad.combine_chunks() if isinstance(fault.bad, pa.ChunkedArray) else fault.bad
        found = pc.or_(found, pc.fill_null(bad, False))
    return found
