"""A database in memory in which the tables of OMOP and i2b2 are joined, a chunk of rows at a time.

Small tables (patients, cases, notes, concepts) are kept; large ones pass through in chunks. Every statement
is a constant of its format's module; values reach it as registered Arrow tables. Nothing is spilled to disk:
in the hospital zone the rows are identified.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import duckdb
import pyarrow as pa

from p2d.clinical.chunk import SCHEMAS, Chunk, Fault, Tally, arranged
from p2d.clinical.conversion import as_text
from p2d.clinical.files import batches, column_names, table_files
from p2d.clinical.mapping import IntakeMapping
from p2d.clinical.values import settled
from p2d.model.errors import InvalidRequest

_SKIP: Final = "skip"
_LONG: Final = ("note_text", "observation_blob")  # kept with the blanks around them
UNKNOWN_DAY: Final = "1900-01-01"
"""Stands for an unknown day where a format wants one: no day of a hospital's records."""
MACROS: Final = (
    # a day, or null; the column of the date goes before that of the time stamp, midnight is no time of day
    f"""CREATE MACRO day(a, b) AS nullif(coalesce(try_cast(try_cast(b AS TIMESTAMP) AS DATE),
  try_cast(try_cast(a AS TIMESTAMP) AS DATE)), DATE '{UNKNOWN_DAY}')""",
    "CREATE MACRO clock(a) AS nullif(strftime(try_cast(a AS TIMESTAMP), '%H:%M:%S'), '00:00:00')",
    "CREATE MACRO is_wrong_day(a) AS (a IS NOT NULL AND try_cast(a AS TIMESTAMP) IS NULL)",
    # a code that does not begin with a letter is named together with its scheme
    """CREATE MACRO named(scheme, code) AS CASE WHEN regexp_matches(code, '^\\pL') THEN code
  ELSE coalesce(scheme, 'CODE') || ' ' || code END""",
)


@dataclass(frozen=True, slots=True)
class Reading:
    """How one table of a format becomes records.

    ``select`` reads ``incoming`` (the columns of ``needed`` and ``wanted`` as text, and ``row``) and gives
    fields of the table, ``row``, optionally ``skip`` (a reason, or null) and columns ``fault_N`` whose field
    and problem are the N-th of ``faults``. ``is_shared`` says that it leaves rows of the file to another one.
    """

    into: str
    file: str
    needed: tuple[str, ...]
    wanted: tuple[str, ...]
    select: str
    faults: tuple[tuple[str, str], ...] = ()
    is_shared: bool = False


class Database:
    """The database of one source, over the files of *folder*."""

    def __init__(self, folder: Path, mapping: IntakeMapping) -> None:
        self.folder = folder
        self.mapping = mapping
        self._own = duckdb.connect(":memory:", config={"temp_directory": "", "threads": 2})
        for macro in MACROS:
            self._own.execute(macro)
        for name, words in (
            ("word_attribute", mapping.words.attributes),
            ("word_scheme", mapping.words.schemes),
            ("word_kind", mapping.words.kinds),
            ("word_type", mapping.words.types),
            ("word_sex", mapping.words.sex),
        ):
            self.keep(name, pa.table({"word": _texts(words.keys()), "becomes": _texts(words.values())}))

    def keep(self, name: str, table: pa.Table) -> None:
        """Keep *table* under *name*, a constant of the caller's."""
        self._own.register("incoming", table)
        self._own.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM incoming")  # noqa: S608 - a constant
        self._own.unregister("incoming")

    def run(self, statement: str) -> None:
        """Execute a constant of the caller's."""
        self._own.execute(statement)

    def rows(self, statement: str) -> pa.Table:
        """Return what a constant of the caller's selects."""
        return self._own.sql(statement).to_arrow_table()

    def gather(self, name: str, file: str, column: str) -> None:
        """Add the distinct texts of *column* of *file* to the table *name* of one column."""
        for path in table_files(self.folder, file):
            names = {one.lower() for one in column_names(path, self.mapping.files.form())}
            if column in names:
                for _, _, table in self._incoming(file, (column,), ()):
                    words = table[column].unique()
                    self._own.register("incoming", pa.table({"word": words}))
                    self._own.execute(f"INSERT INTO {name} SELECT word FROM incoming")  # noqa: S608 - a constant
                    self._own.unregister("incoming")

    def has(self, file: str) -> bool:
        """Whether the folder holds the table *file*."""
        return bool(table_files(self.folder, file))

    def load(self, name: str, file: str, needed: Sequence[str], wanted: Sequence[str], select: str) -> None:
        """Keep as *name* what *select* makes of ``incoming``, the chunks of *file*; empty without it."""
        empty = pa.table({c: pa.array([], pa.string()) for c in (*needed, *wanted)})
        self.keep("incoming_empty", empty.append_column("row", pa.array([], pa.int64())))
        statement = f"CREATE OR REPLACE TABLE {name} AS {select.replace('incoming', 'incoming_empty')}"
        self._own.execute(statement)
        for _, _, table in self._incoming(file, needed, wanted):
            self._own.register("incoming", table)
            self._own.execute(f"INSERT INTO {name} {select}")
            self._own.unregister("incoming")

    def records(self, reading: Reading, tally: Tally) -> Iterator[Chunk]:
        """Yield the records that *reading* makes, and account for its rows in *tally*."""
        known = {*reading.needed, *reading.wanted}
        for path in table_files(self.folder, reading.file):
            names = [name.lower() for name in column_names(path, self.mapping.files.form())]
            tally.unread[path.name] = len(set(names) - known)
        for file, count, table in self._incoming(reading.file, reading.needed, reading.wanted):
            self._own.register("incoming", table)
            made = self._own.sql(reading.select).to_arrow_table()
            self._own.unregister("incoming")
            tally.read += made.num_rows if reading.is_shared else count
            yield from self._chunk(reading, file, made, tally)

    def _chunk(self, reading: Reading, file: str, made: pa.Table, tally: Tally) -> Iterator[Chunk]:
        made = made.sort_by("row").combine_chunks()
        if _SKIP in made.column_names:
            reasons = made[_SKIP]
            for entry in reasons.value_counts().to_pylist():
                if entry["values"] is not None:
                    tally.skip(file, entry["values"], entry["counts"])
            made = made.filter(reasons.is_null())
        if not made.num_rows:
            return
        fields = {name: made[name] for name in SCHEMAS[reading.into].names if name in made.column_names}
        values = arranged(reading.into, fields, made.num_rows)
        faults = tuple(
            Fault(field, made[f"fault_{number}"].combine_chunks(), problem)
            for number, (field, problem) in enumerate(reading.faults)
        )
        if reading.into == "fact":
            values, limits = settled(values, self.mapping)
            faults = (*faults, *limits)
        tally.records += made.num_rows
        yield Chunk(reading.into, file, made["row"].combine_chunks(), values, faults)

    def _incoming(
        self, file: str, needed: Sequence[str], wanted: Sequence[str]
    ) -> Iterator[tuple[str, int, pa.Table]]:
        form = self.mapping.files.form()
        for path in table_files(self.folder, file):
            names = {name.lower(): name for name in column_names(path, form)}
            for column in needed:
                if column not in names:
                    raise InvalidRequest(f"{path.name} line 1", f"lacks column {column}", "export it too")
            there = [column for column in (*needed, *wanted) if column in names]
            for rows, batch in batches(path, [names[column] for column in there], form):
                columns: dict[str, Any] = {
                    c: batch.column(names[c]).cast(pa.string())
                    if c in _LONG
                    else as_text(batch.column(names[c]))
                    for c in there
                }
                for column in wanted:
                    columns.setdefault(column, pa.nulls(len(rows), pa.string()))
                yield path.name, len(rows), pa.table({**columns, "row": rows})


class RelationalSource(ABC):
    """The CSV or Parquet files of a relational format in *folder*; ``READINGS`` make the tables of it.

    Raises:
        InvalidRequest: a file of ``NEEDED`` is not in the folder.

    """

    NEEDED: ClassVar[Sequence[str]]
    READINGS: ClassVar[Sequence[Reading]]

    def __init__(self, folder: Path, mapping: IntakeMapping) -> None:
        self._database = Database(folder, mapping)
        for file in self.NEEDED:
            if not self._database.has(file):
                raise InvalidRequest(file, "is not in the folder", f"export {file} as CSV or Parquet")
        self._tallies: dict[str, Tally] = {}
        self._is_indexed = False

    @property
    def tallies(self) -> Mapping[str, Tally]:
        """The account of the latest reading of each table."""
        return self._tallies

    def chunks(self, table: str) -> Iterator[Chunk]:
        """Yield the rows of *table*; see the port."""
        if not self._is_indexed:
            self._index()
            self._is_indexed = True
        tally = self._tallies[table] = Tally()
        for reading in self.READINGS:
            if reading.into == table:
                yield from self._database.records(reading, tally)

    @abstractmethod
    def _index(self) -> None:
        """Keep in the database what rows of the large tables refer to."""


def _texts(words: Any) -> pa.Array:
    return pa.array(list(words), pa.string())
