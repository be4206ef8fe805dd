"""A folder of FHIR R4 files as the port of clinical sources: an index first, then one reading a table."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from p2d.clinical.chunk import SCHEMAS, Chunk, Fault, Tally, arranged
from p2d.clinical.fhir.codes import Codes
from p2d.clinical.fhir.index import DOCUMENTS, Index
from p2d.clinical.fhir.records import Record, Records, Skipped
from p2d.clinical.fhir.resources import Entry, entries, fhir_files
from p2d.clinical.mapping import IntakeMapping
from p2d.clinical.values import settled

_ROWS: Final = 20_000
_USED: Final = "is an order, read for accession numbers"
_TABLES: Final[Mapping[str, str]] = {
    "Patient": "patient",
    "Encounter": "case",
    **dict.fromkeys(DOCUMENTS, "document"),
}
"""Resource type -> table; all others, and what is no resource, are accounted for with the facts."""


class FhirSource:
    """The Bundles and NDJSON files of *folder*."""

    def __init__(self, folder: Path, mapping: IntakeMapping) -> None:
        self._paths = fhir_files(folder)
        self._mapping = mapping
        self._codes = Codes(mapping.words)
        self._index: Index | None = None
        self._tallies: dict[str, Tally] = {}

    @property
    def tallies(self) -> Mapping[str, Tally]:
        """The account of the latest reading of each table."""
        return self._tallies

    def chunks(self, table: str) -> Iterator[Chunk]:
        """Yield the records of *table*; see the port."""
        index = self._indexed()
        tally = self._tallies[table] = Tally()
        records = Records(index, self._codes)
        for path in self._paths:
            made = self._made(table, path, records, tally)
            while part := list(islice(made, _ROWS)):
                tally.records += len(part)
                yield self._chunk(table, path.name, part)

    def _indexed(self) -> Index:
        if self._index is None:
            self._index = Index()
            for path in self._paths:
                for entry in entries(path):
                    if entry.content is not None:
                        self._index.add(entry)
        return self._index

    def _made(self, table: str, path: Path, records: Records, tally: Tally) -> Iterator[tuple[int, Record]]:
        """Yield row and record of the resources of *path* that belong to *table*."""
        for entry in entries(path):
            if _TABLES.get(entry.kind, "fact") != table:
                continue
            tally.read += 1
            if entry.content is None:
                yield entry.row, Record({}, [("resource", entry.problem)])
                continue
            yield from self._of(entry, records, tally)

    def _of(self, entry: Entry, records: Records, tally: Tally) -> Iterator[tuple[int, Record]]:
        if entry.kind == "ServiceRequest":
            tally.skip(entry.file, _USED)
            return
        number = 0
        try:
            for record in records.of(entry):
                number += 1
                yield entry.row, record
        except Skipped as reason:
            tally.skip(entry.file, str(reason))
        tally.several += max(number - 1, 0)

    def _chunk(self, table: str, file: str, part: list[tuple[int, Record]]) -> Chunk:
        made = [record for _, record in part]
        columns: dict[str, Any] = {
            f.name: pa.array([record.fields.get(f.name) for record in made], f.type) for f in SCHEMAS[table]
        }
        values, faults = arranged(table, columns, len(made)), _faults(made)
        if table == "fact":
            values, limits = settled(values, self._mapping)
            faults = (*faults, *limits)
        rows = pa.array([row for row, _ in part], pa.int64())
        return Chunk(table, file, rows, values, faults)


def _faults(made: list[Record]) -> tuple[Fault, ...]:
    """Return the faults of the records, one for every field and problem there is."""
    found: dict[tuple[str, str], list[int]] = {}
    for number, record in enumerate(made):
        for fault in record.faults:
            found.setdefault(fault, []).append(number)
    faults = []
    for (name, problem), numbers in found.items():
        bad = [False] * len(made)
        for number in numbers:
            bad[number] = True
        faults.append(Fault(name, pa.array(bad), problem))
    return tuple(faults)
