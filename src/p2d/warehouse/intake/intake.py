"""A source of clinical data as batches in the order they must be loaded, rows that may not enter set aside.

The rows of one source are complete in themselves: cases, documents and facts name patients, cases and
documents of the same source. Everything is refused that is not a pseudonym, a derived UID or of its column's
form; a patient who comes with a name, an address or a whole birth date is not loaded. A batch is named by
its content, so that loading the same data twice changes nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from p2d.clinical.chunk import IDENTIFYING, LABEL, Chunk, Source
from p2d.warehouse.batch import SCHEMAS, Batch
from p2d.warehouse.check import findings
from p2d.warehouse.intake.keys import Hasher, Seen, repeats, uid_of
from p2d.warehouse.wire import NATURAL_KEYS, digest

TABLES: Final = ("patient", "case", "document", "fact")
_BYTES: Final = 64 * 1024 * 1024
_PARENTS: Final = ("patient", "case", "document")
_YEAR: Final = r"^[0-9]{4}(-01-01)?$"
_PROBLEMS: Final = {
    "names": "holds a name",
    "contacts": "holds an address or telephone number",
    "ids": "holds a number that is not the pseudonym",
}


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row that was not loaded: table, file, number, field and reason; never what it holds."""

    table: str
    file: str
    row: int
    field: str
    problem: str


@dataclass(slots=True)
class Intake:
    """A source and its account; ``set_aside`` and ``loadable`` fill while ``batches`` is read.

    ``patient_form`` is a foreign IDM's form of patient pseudonyms.
    """

    source: Source
    patient_form: str | None = None
    set_aside: list[SetAside] = field(default_factory=list)
    loadable: dict[str, int] = field(default_factory=dict)
    """Records by table that the batches hold."""
    _hasher: Hasher = field(default_factory=Hasher, repr=False)
    _known: dict[str, Seen] = field(default_factory=dict, repr=False)

    @property
    def batches(self) -> Iterator[Batch]:
        """Yield the batches in the order they must be loaded.

        Raises:
            InvalidRequest: a file is not of the source's format; what was yielded before stands.

        """
        self.set_aside.clear()
        self._known = {table: Seen() for table in TABLES}
        self.loadable = dict.fromkeys(TABLES, 0)
        for name in TABLES:
            for chunk in self.source.chunks(name):
                table = self._checked(chunk)
                self.loadable[name] += table.num_rows
                for part in _parts(table):
                    yield _batch(name, part)

    def account(self) -> Mapping[str, int]:
        """Return read, several, skipped, set_aside and loaded, which add up once ``batches`` is read.

        ``read + several == skipped + set_aside + loaded``: every row of the source is one of these, and a row
        with several values counts for each.
        """
        tallies = self.source.tallies.values()
        return {
            "read": sum(tally.read for tally in tallies),
            "several": sum(tally.several for tally in tallies),
            "skipped": sum(tally.skipped.total() for tally in tallies),
            "set_aside": len(self.set_aside),
            "loaded": sum(self.loadable.values()),
        }

    def _checked(self, chunk: Chunk) -> pa.Table:
        """Return the rows of *chunk* that may enter, set the others aside."""
        table = self._in_schema(chunk)
        bad = _Bad(len(chunk.rows))
        for fault in chunk.faults:
            bad.note(fault.bad, fault.field, fault.problem)
        if chunk.table == "patient":
            _note_identifying(chunk.values, bad)
        for finding in findings(chunk.table, table, self.patient_form):
            bad.note(finding.bad, finding.column, finding.problem)
        for parent in _PARENTS:
            if parent != chunk.table and parent in table.column_names:
                keys = [table[column] for column in NATURAL_KEYS[parent]]
                held = self._known[parent].has(self._hasher.hashes(keys))
                named = np.asarray(pc.is_valid(table[parent]))
                bad.note(named & ~held, parent, f"names a {parent} that is not loaded")
        hashes = self._hasher.hashes([table[column] for column in NATURAL_KEYS[chunk.table]])
        seen = self._known[chunk.table].has(hashes)
        bad.note(seen, NATURAL_KEYS[chunk.table][-1], "repeats an earlier row")
        fit = bad.first < 0
        again = np.zeros(len(hashes), bool)
        again[fit] = repeats(hashes[fit])  # a row that is set aside is no earlier row
        bad.note(again, NATURAL_KEYS[chunk.table][-1], "repeats an earlier row")
        fit = bad.first < 0
        self._known[chunk.table].add(hashes[fit])
        self._put_aside(chunk, bad)
        return table.filter(pa.array(fit))

    def _put_aside(self, chunk: Chunk, bad: "_Bad") -> None:
        for number in np.flatnonzero(bad.first >= 0):
            name, problem = bad.reasons[bad.first[number]]
            column = "birth_year" if name == "birth" else name
            row = chunk.rows[int(number)].as_py()
            self.set_aside.append(SetAside(chunk.table, chunk.file, row, column, problem))

    def _in_schema(self, chunk: Chunk) -> pa.Table:
        """Return the chunk's values in the schema of the batch, the source's labels as UIDs."""
        values, schema = chunk.values, SCHEMAS[chunk.table]
        columns: list[Any] = []
        for f in schema:
            if f.name == "birth_year":
                birth = values["birth"]
                is_year = pc.fill_null(pc.match_substring_regex(birth, _YEAR), False)
                year = pc.if_else(is_year, pc.utf8_slice_codeunits(birth, 0, 4), None)
                columns.append(pc.cast(year, f.type))
            elif f.name in {"document", "group"}:
                columns.append(_unlabelled(values, f.name))
            elif f.name in values.column_names:
                columns.append(pc.cast(values[f.name], f.type))
            else:
                columns.append(pa.nulls(values.num_rows, f.type))
        return pa.table(columns, schema=schema)


def _unlabelled(values: pa.Table, column: str) -> Any:
    """Return *column* with the source's labels as UIDs; other values are left to the check."""
    raw = values[column]
    is_label = pc.fill_null(pc.starts_with(raw, LABEL), False)
    if not pc.any(is_label).as_py():
        return raw
    pairs = zip(values["patient"].to_pylist(), raw.to_pylist(), strict=True)
    made = [uid_of(patient, text) if text and text.startswith(LABEL) else text for patient, text in pairs]
    return pa.array(made, pa.string())


class _Bad:
    """The first reason of every row that may not enter; -1 where there is none."""

    def __init__(self, count: int) -> None:
        self.first = np.full(count, -1, np.int32)
        self.reasons: list[tuple[str, str]] = []

    def note(self, mask: Any, column: str, problem: str) -> None:
        """Note *problem* of *column* for the rows of *mask* that have none yet."""
        if not isinstance(mask, np.ndarray):
            mask = np.asarray(pc.fill_null(mask, False)).astype(bool)
        new = mask & (self.first < 0)
        if new.any():
            self.first[new] = len(self.reasons)
            self.reasons.append((column, problem))


def _note_identifying(values: pa.Table, bad: _Bad) -> None:
    for name in IDENTIFYING:
        bad.note(pc.greater(pc.list_value_length(values[name]), 0), name, _PROBLEMS[name])
    told = pc.is_valid(values["birth"])
    whole = pc.invert(pc.fill_null(pc.match_substring_regex(values["birth"], _YEAR), False))
    bad.note(pc.and_(told, whole), "birth", "says more than the year")


def _parts(table: pa.Table) -> Iterator[pa.Table]:
    """Yield *table* in parts that travel: letters may be long."""
    rows = max(1, table.num_rows // (1 + table.nbytes // _BYTES))
    for first in range(0, table.num_rows, rows):
        yield table.slice(first, rows)


def _batch(name: str, table: pa.Table) -> Batch:
    content = digest(Batch("", "clinical", "clinical", {name: table}))
    return Batch(f"clinical-{name}-{content[:32]}", "clinical", "clinical", {name: table})


def by_reason(aside: Sequence[SetAside]) -> Mapping[tuple[str, str, str], int]:
    """Return how many rows were set aside by table, field and problem, the most frequent first."""
    counts: dict[tuple[str, str, str], int] = {}
    for entry in aside:
        key = (entry.table, entry.field, entry.problem)
        counts[key] = counts.get(key, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
