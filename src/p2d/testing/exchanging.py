"""Exports for tests: a warehouse of a synthetic hospital, and its content in a form as rows by table."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from p2d.testing.hospital.house import generate
from p2d.testing.hospital.pseudonymised import pseudonymised
from p2d.warehouse.batch import Batch
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.duckdb.opening import SCHEMA_VERSION
from p2d.warehouse.exchange.dump import FORM, write_dump
from p2d.warehouse.exchange.form import Form, run
from p2d.warehouse.exchange.publication import publication
from p2d.warehouse.exchange.source import DuckDbSource, snapshot
from p2d.warehouse.exchange.workbench import workbench

SMALL_RANGE = 300
"""A weight of ranges that cuts a small hospital into several."""


@dataclass
class Rows:
    """A sink that keeps what it is given; ``tables`` holds rows by table."""

    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    parts: int = 0

    def write(self, table: str, rows: pa.Table) -> None:
        """Append *rows* to *table*."""
        self.tables.setdefault(table, []).extend(rows.to_pylist())
        self.parts += 1

    def finish(self) -> None:
        """Do nothing."""

    def documents(self, table: str) -> list[dict[str, Any]]:
        """Return the JSON documents of a table that has one column."""
        return [json.loads(next(iter(row.values()))) for row in self.tables[table]]


@contextmanager
def filled(batches: Iterable[Batch]) -> Iterator[DuckDbWarehouse]:
    """Yield a warehouse in memory that holds *batches*."""
    warehouse = DuckDbWarehouse(None)
    try:
        for one in batches:
            warehouse.load(one)
        yield warehouse
    finally:
        warehouse.close()


def small_hospital(patients: int = 8, seed: int = 1, max_images: int = 30) -> list[Batch]:
    """Return the batches of a small synthetic hospital with extended headers."""
    return pseudonymised(generate(patients, seed, max_images))


def copied(warehouse: DuckDbWarehouse, folder: Path, parts: int = 1, kind: str = "parquet") -> Path:
    """Publish the tables of *warehouse* below *folder* as a dump, and return *folder*."""
    now = datetime.now(UTC)
    with warehouse.reading() as state, snapshot(state) as source:
        version = source.data_version
        with publication(folder, FORM, version, now) as made:
            write_dump(source, made, kind, parts=parts)
            made.publish({"data_version": version, "schema_version": SCHEMA_VERSION})
    return folder


def exported(
    warehouse: DuckDbWarehouse, form: Form, ids: Path | None = None, weight: int = SMALL_RANGE
) -> Rows:
    """Return what *warehouse* holds in *form*."""
    rows = Rows()
    with warehouse.reading() as state, workbench(ids) as bench:
        run(form, DuckDbSource(state), bench, rows, weight=weight)
    return rows
