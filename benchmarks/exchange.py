"""Rows a second of every form of export, over a synthetic hospital whose patients are multiplied.

PYTHONPATH=src python benchmarks/exchange.py --patients 40 --copies 25
"""
# ruff: noqa: S608 - names of our own tables

import argparse
import json
import resource
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from p2d.testing.exchanging import filled
from p2d.testing.hospital import generate
from p2d.testing.hospital.pseudonymised import pseudonymised
from p2d.testing.postgres import postgres
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.exchange.dump import write_dump
from p2d.warehouse.exchange.eav import Eav
from p2d.warehouse.exchange.fhir.form import Fhir
from p2d.warehouse.exchange.form import Form, run
from p2d.warehouse.exchange.i2b2.form import I2b2
from p2d.warehouse.exchange.omop.form import Omop
from p2d.warehouse.exchange.postgresql.sinks import ForeignFacts, ForeignTables, connected
from p2d.warehouse.exchange.publication import publication
from p2d.warehouse.exchange.rebuild import rebuild
from p2d.warehouse.exchange.sinks import FILES
from p2d.warehouse.exchange.source import DuckDbSource
from p2d.warehouse.exchange.workbench import workbench

_FACT_TABLE = """
CREATE TABLE dwinfo (attrid integer NOT NULL, pid varchar(64) NOT NULL, measuretime timestamp NOT NULL,
  caseid varchar(64) NOT NULL, ref bigint NOT NULL, docid varchar(64) NOT NULL, groupid bigint NOT NULL,
  value text,
  UNIQUE (attrid, pid, measuretime, caseid, ref, docid, groupid))
"""
_MEASURED: dict[str, int] = {}
_FORMS = {"eav": Eav, "omop": Omop, "i2b2": I2b2, "fhir": Fhir}
_MULTIPLIED = (
    "patient",
    "clinical_case",
    "document",
    "fact",
    "study",
    "series",
    "instance",
    "header",
    "study_document",
)


def multiply(warehouse: DuckDbWarehouse, copies: int) -> None:
    """Add *copies* of every row, with keys of their own and pseudonyms that end in the copy's number."""
    named = {"patient": "patient", "clinical_case": '"case"', "study": "study", "series": "series"}
    named |= {"instance": "instance", "document": "document"}
    db = warehouse._database  # noqa: SLF001 - a benchmark fills a warehouse without its loader
    step = db.execute("SELECT nextval('surrogate')").fetchall()[0][0] + 1
    for table in _MULTIPLIED:
        columns = [
            name
            for (name,) in db.execute(
                f"SELECT column_name FROM duckdb_columns() WHERE table_name = '{table}'"
            ).fetchall()
        ]
        parts = [
            f'"{c}" + n * {step} AS "{c}"'
            if c.endswith("_key")
            else f"{named[table]} || '-' || n AS \"{c}\""
            if named.get(table, "").strip('"') == c
            else f'"{c}"'
            for c in columns
        ]
        db.execute(
            f"CREATE TEMP TABLE more AS SELECT {', '.join(parts)} FROM {table}, range(1, {copies}) r(n)"
        )
        db.execute(f"INSERT INTO {table} SELECT * FROM more")
        db.execute("DROP TABLE more")


def said(what: str, rows: int, began: float) -> None:
    seconds = time.perf_counter() - began
    _MEASURED[what] = round(rows / seconds)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{what:22}{rows:>12,} rows {seconds:>8.1f} s {rows / seconds:>12,.0f} rows/s {memory:>8,.0f} MB peak"
    )


def files(warehouse: DuckDbWarehouse, folder: Path, form: Form, kind: str) -> None:
    began = time.perf_counter()
    with (
        warehouse.reading() as state,
        workbench(folder / "ids.duckdb") as bench,
        publication(folder / f"{form.name}-{kind}", form.name, 1, datetime.now(UTC)) as made,
    ):
        counts = run(form, DuckDbSource(state), bench, FILES[kind](made))
        made.publish({})
    said(f"{form.name} as {kind}", sum(counts.values()), began)


def database(warehouse: DuckDbWarehouse, folder: Path, dsn: str, form: str) -> None:
    began = time.perf_counter()
    with (
        warehouse.reading() as state,
        workbench(folder / "ids.duckdb") as bench,
        connected(dsn) as connection,
    ):
        sink = (
            ForeignFacts(connection, "public", "dwinfo", 1, 10**6)
            if form == "eav"
            else ForeignTables(connection, form, "public")
        )
        counts = run(_FORMS[form](), DuckDbSource(state), bench, sink)
    said(f"{form} to PostgreSQL", sum(counts.values()), began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=40)
    parser.add_argument("--copies", type=int, default=25)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        filled(pseudonymised(generate(asked.patients, 1, 200))) as warehouse,
    ):
        folder = Path(name)
        multiply(warehouse, asked.copies)
        print(warehouse.counts())
        for kind in ("parquet", "csv"):
            began = time.perf_counter()
            with (
                warehouse.reading() as state,
                publication(folder / kind, "canonical", 1, datetime.now(UTC)) as made,
            ):
                counts = write_dump(DuckDbSource(state), made, kind)
                made.publish({"schema_version": 4, "data_version": 1})
            said(f"dump as {kind}", sum(counts.values()), began)
        began = time.perf_counter()
        said("rebuild", sum(rebuild(folder / "parquet", folder / "new.duckdb").values()), began)
        for form in _FORMS.values():
            made = form()
            for kind in ("ndjson",) if made.name == "fhir" else ("csv", "parquet"):
                files(warehouse, folder, form(), kind)
        with postgres() as server:
            dsn = server.database("dwh")
            with connected(dsn) as connection:
                connection.execute(_FACT_TABLE)
                connection.commit()
            for target in ("eav", "omop", "i2b2"):
                database(warehouse, folder, dsn, target)
    print(json.dumps({"benchmark": "exchange", "rows_per_second": _MEASURED}))


if __name__ == "__main__":
    main()
