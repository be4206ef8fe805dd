"""The generated warehouse as Parquet files by chunk of patients, kept below ``build/`` by seed and size.

The files have the batch's schemas: any loader takes them. A fact is one value: a clinical fact, a typed cell
of an imaging table that is not empty (keys do not count), or a value of an extended header.
"""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from p2d.warehouse.batch import Batch
from warehouse_bench.clinical import ClinicalSide
from warehouse_bench.imaging import ImagingSide
from warehouse_bench.words import Prose

CHUNK: Final = 10_000
_VERSION: Final = 1  # of what is generated: another one is generated anew
TEXTS: Final = "texts"
_BATCHES: Final = (
    (TEXTS, "clinical", ("patient", "case", "document")),
    ("facts", "clinical", ("fact",)),
    ("images", "basic", ("study", "series", "instance")),
    ("headers", "extended", ("header",)),
)
"""What a chunk is loaded as: the name of what is loaded, the batch's source, its tables."""
_KEYS: Final = {
    "archive",
    "patient",
    "study",
    "series",
    "instance",
    "accession",
    "case",
    "scope",
    "archives",
    "flags",
}
_ROW_GROUP: Final = 262_144


@dataclass(frozen=True, slots=True)
class Dataset:
    """Files of a generated warehouse; ``facts`` and ``rows`` (by table) are counted when they are written."""

    folder: Path
    seed: int
    patients: int
    facts: int
    rows: dict[str, int]

    @classmethod
    def made(cls, build: Path, seed: int, patients: int, workers: int = 1) -> Self:
        """Return the warehouse of *patients* patients, generated if it is not there yet."""
        folder = build / f"data-v{_VERSION}-seed{seed}-{patients}"
        manifest = folder / "manifest.json"
        if not manifest.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            tasks = [(folder, seed, number, size) for number, size in enumerate(_sizes(patients))]
            if workers > 1 and len(tasks) > 1:
                with ProcessPoolExecutor(workers) as pool:
                    counted = list(pool.map(_write, *zip(*tasks, strict=True)))
            else:
                counted = [_write(*task) for task in tasks]
            total = {name: sum(one[name] for one in counted) for name in counted[0]}
            manifest.write_text(json.dumps(total), encoding="utf-8")
        total = json.loads(manifest.read_text(encoding="utf-8"))
        facts = total.pop("facts")
        return cls(folder, seed, patients, facts, total)

    @property
    def bytes(self) -> int:
        """Size of the files."""
        return sum(path.stat().st_size for path in self.folder.glob("*.parquet"))

    @property
    def listed(self) -> list[str]:
        """Every 40th patient's pseudonym: what a researcher would paste as a list."""
        tables = [self.table("patient", number) for number in range(len(_sizes(self.patients)))]
        return [str(name) for table in tables for name in table["patient"].to_pylist()[::40]]

    def batches(self) -> Iterator[tuple[str, Batch, int]]:
        """Yield the batches in the order in which they are loaded, each with its name and number of facts."""
        for number in range(len(_sizes(self.patients))):
            for kind, source, names in _BATCHES:
                tables = {name: self.table(name, number) for name in names}
                filled = {name: table for name, table in tables.items() if table.num_rows}
                batch = Batch(f"bench-{number}-{kind}", source, f"bench-{source}", filled)
                yield kind, batch, sum(facts_of(name, table) for name, table in filled.items())

    def table(self, name: str, chunk: int) -> pa.Table:
        """Return the rows of *chunk*."""
        return pq.read_table(self.folder / f"{chunk:03}-{name}.parquet")


def facts_of(name: str, table: pa.Table) -> int:
    """Return how many facts the rows of the table *name* are."""
    if name in {"fact", "header"}:
        return int(table.num_rows)
    if name in {"study", "series", "instance"}:
        cells = (table.column(column) for column in table.schema.names if column not in _KEYS)
        return sum(len(column) - column.null_count for column in cells)
    return 0


def chunk_of(seed: int, number: int, patients: int) -> dict[str, pa.Table]:
    """Return all tables of one chunk; the same arguments give the same rows."""
    clinical, imaging = _sides(seed)
    drawn = clinical.draw(np.random.default_rng([seed, number, 0]), patients, number * CHUNK)
    images = imaging.draw(np.random.default_rng([seed, number, 1]), drawn)
    reports = images.pop("document")
    return {**drawn.tables, "document": pa.concat_tables([drawn.tables["document"], reports]), **images}


@cache
def _sides(seed: int) -> tuple[ClinicalSide, ImagingSide]:
    prose = Prose(seed)
    return ClinicalSide(prose), ImagingSide(prose)


def _sizes(patients: int) -> list[int]:
    return [min(CHUNK, patients - first) for first in range(0, patients, CHUNK)]


def _write(folder: Path, seed: int, number: int, patients: int) -> dict[str, int]:
    counted: dict[str, Any] = {"facts": 0}
    for name, table in chunk_of(seed, number, patients).items():
        pq.write_table(
            table, folder / f"{number:03}-{name}.parquet", compression="zstd", row_group_size=_ROW_GROUP
        )
        counted[name] = table.num_rows
        counted["facts"] += facts_of(name, table)
    return counted
