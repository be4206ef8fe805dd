"""The dump: whole or not there, equal to the warehouse it came from, and a warehouse again."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from p2d.model.errors import InvalidRequest, Unavailable
from p2d.testing.exchanging import exported, filled, small_hospital
from p2d.testing.warehouse_rows import batch, patient_psn, small_study
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.duckdb.opening import SCHEMA_VERSION
from p2d.warehouse.exchange.dictionary import layouts
from p2d.warehouse.exchange.dump import DICTIONARY, write_dump
from p2d.warehouse.exchange.eav import Eav
from p2d.warehouse.exchange.form import Progress, run
from p2d.warehouse.exchange.publication import Published, publication
from p2d.warehouse.exchange.rebuild import rebuild
from p2d.warehouse.exchange.sinks import FILES
from p2d.warehouse.exchange.source import BY_PATIENT, DERIVED, DuckDbSource
from p2d.warehouse.exchange.workbench import workbench


@pytest.fixture(scope="module")
def hospital() -> Iterator[DuckDbWarehouse]:
    with filled(small_hospital(4, max_images=12)) as made:
        yield made


def dumped(
    warehouse: DuckDbWarehouse, folder: Path, kind: str, parts: int = 1, versions: int = 2
) -> Mapping[str, int]:
    with warehouse.reading() as state:
        source = DuckDbSource(state)
        version = source.data_version
        with publication(folder, "canonical", version, datetime.now(UTC), versions) as made:
            counts = write_dump(source, made, kind, parts=parts)
            made.publish({"schema_version": SCHEMA_VERSION, "data_version": version})
    return counts


def content(warehouse: DuckDbWarehouse) -> dict[str, list[tuple[Any, ...]]]:
    with warehouse.reading() as state:
        tables = DuckDbSource(state).columns()
        return {
            table: state.execute(f'SELECT * FROM "{table}" ORDER BY ALL').fetchall()  # noqa: S608 - a table's own name
            for table in tables
        }


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_warehouse_rebuilt_from_a_dump_is_equal(
    hospital: DuckDbWarehouse, tmp_path: Path, kind: str
) -> None:
    counts = dumped(hospital, tmp_path / "dump", kind)

    assert rebuild(tmp_path / "dump", tmp_path / "new.duckdb") == counts

    again = DuckDbWarehouse(tmp_path / "new.duckdb")
    assert content(again) == content(hospital)
    again.close()


def test_a_dump_in_parts_keeps_a_patient_together_and_is_a_warehouse_again(
    hospital: DuckDbWarehouse, tmp_path: Path
) -> None:
    counts = dumped(hospital, tmp_path / "dump", "parquet", parts=3)

    shown = Published.current(tmp_path / "dump")
    shown.verify()
    for table in BY_PATIENT:
        files = sorted((shown.folder / table).glob("*.parquet"))
        assert [file.name for file in files] == [f"part-{number:04d}.parquet" for number in range(3)]
        for number, file in enumerate(files):
            keys = pq.read_table(file)["patient_key"].to_pylist()
            assert all(key % 3 == number for key in keys)
    assert rebuild(tmp_path / "dump", tmp_path / "new.duckdb") == counts
    again = DuckDbWarehouse(tmp_path / "new.duckdb")
    assert content(again) == content(hospital)
    again.close()


@pytest.mark.parametrize("versions", [1, 2, 4])
def test_as_many_versions_stay_as_the_settings_say(
    hospital: DuckDbWarehouse, tmp_path: Path, versions: int
) -> None:
    for _ in range(5):
        dumped(hospital, tmp_path, "csv", versions=versions)

    assert len(list(tmp_path.glob("*/manifest.json"))) == versions
    Published.current(tmp_path).verify()


def test_a_rebuilt_warehouse_goes_on_loading_with_new_keys(hospital: DuckDbWarehouse, tmp_path: Path) -> None:
    dumped(hospital, tmp_path / "dump", "parquet")
    rebuild(tmp_path / "dump", tmp_path / "new.duckdb")
    again = DuckDbWarehouse(tmp_path / "new.duckdb")

    again.load(batch(small_study(99), "later"))

    with again.reading() as state:
        keys = "SELECT count(*), count(DISTINCT series_key) FROM series"
        assert len(set(state.execute(keys).fetchall()[0])) == 1
        last = state.execute("SELECT max(series_key) FROM series").fetchall()[0][0]
        assert last > state.execute("SELECT max(fact_key) FROM fact").fetchall()[0][0]
    again.close()


def test_a_promoted_column_survives(tmp_path: Path) -> None:
    with filled([batch(small_study())]) as warehouse:
        warehouse._database.execute('ALTER TABLE series ADD COLUMN "SliceThickness" DOUBLE')
        warehouse._database.execute('UPDATE series SET "SliceThickness" = 1.25')
        dumped(warehouse, tmp_path / "dump", "parquet")

    rebuild(tmp_path / "dump", tmp_path / "new.duckdb")

    with duckdb.connect(str(tmp_path / "new.duckdb"), read_only=True) as db:
        assert db.execute('SELECT "SliceThickness" FROM series').fetchall() == [(1.25,)]


def test_the_dictionary_describes_every_column(hospital: DuckDbWarehouse, tmp_path: Path) -> None:
    dumped(hospital, tmp_path, "parquet")

    shown = Published.current(tmp_path)
    package = json.loads((shown.folder / DICTIONARY).read_text(encoding="utf-8"))
    for resource in package["resources"]:
        fields = [field["name"] for field in resource["schema"]["fields"]]
        file = pq.ParquetFile(shown.folder / resource["path"])
        assert fields == file.schema_arrow.names
        assert resource["rows"] == file.metadata.num_rows
        assert all(field["description"] for field in resource["schema"]["fields"])


def test_every_canonical_column_is_explained(hospital: DuckDbWarehouse) -> None:
    with hospital.reading() as state:
        columns = DuckDbSource(state).columns()

    explained = {name: tuple(c.name for c in layout.columns) for name, layout in layouts("canonical").items()}
    assert explained == {
        name: found for name, found in columns.items() if name not in DERIVED and name in explained
    }
    assert set(BY_PATIENT) <= set(explained)
    assert all(name in DERIVED or name.startswith("catalogue_") for name in columns if name not in explained)


def test_a_changed_file_is_noticed(hospital: DuckDbWarehouse, tmp_path: Path) -> None:
    dumped(hospital, tmp_path / "dump", "csv")
    shown = Published.current(tmp_path / "dump").folder
    with (shown / "fact.csv").open("a", encoding="utf-8") as stream:
        stream.write("\n")

    with pytest.raises(InvalidRequest, match=r"fact\.csv: is not what the manifest states"):
        rebuild(tmp_path / "dump", tmp_path / "new.duckdb")

    assert not list(tmp_path.glob("*.duckdb"))


def test_an_existing_warehouse_is_replaced_only_if_said(hospital: DuckDbWarehouse, tmp_path: Path) -> None:
    dumped(hospital, tmp_path / "dump", "parquet")
    (tmp_path / "new.duckdb").write_bytes(b"precious")

    with pytest.raises(InvalidRequest, match="exists already"):
        rebuild(tmp_path / "dump", tmp_path / "new.duckdb")
    assert (tmp_path / "new.duckdb").read_bytes() == b"precious"

    rebuild(tmp_path / "dump", tmp_path / "new.duckdb", replace=True)
    DuckDbWarehouse(tmp_path / "new.duckdb").close()


def test_a_warehouse_that_runs_is_not_replaced(hospital: DuckDbWarehouse, tmp_path: Path) -> None:
    dumped(hospital, tmp_path / "dump", "parquet")
    rebuild(tmp_path / "dump", tmp_path / "new.duckdb")
    held = (
        "import sys; from pathlib import Path; from p2d.warehouse.duckdb.engine import DuckDbWarehouse\n"
        "held = DuckDbWarehouse(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read(); held.close()"
    )
    command = [sys.executable, "-c", held, str(tmp_path / "new.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()

        with pytest.raises(InvalidRequest, match="is open in a process"):
            rebuild(tmp_path / "dump", tmp_path / "new.duckdb", replace=True)

        process.communicate(b"")


def test_a_lower_data_version_does_not_hide_behind_a_higher_one(tmp_path: Path) -> None:
    for version in (9, 9, 1):
        with publication(tmp_path, "canonical", version, datetime.now(UTC)) as made:
            made.publish({"data_version": version})

    assert Published.current(tmp_path).manifest["data_version"] == 1
    assert len(list(tmp_path.glob("v*"))) == 2


def test_an_export_that_breaks_off_shows_nothing_and_leaves_the_one_before(
    hospital: DuckDbWarehouse, tmp_path: Path
) -> None:
    dumped(hospital, tmp_path, "parquet")
    before = Published.current(tmp_path)

    def stop(progress: Progress) -> None:
        raise Unavailable("export", "was stopped", f"after {progress.rows} rows")

    def break_off() -> None:
        with (
            hospital.reading() as state,
            workbench(None) as bench,
            publication(tmp_path, "eav", 9, datetime.now(UTC)) as made,
        ):
            run(Eav(), DuckDbSource(state), bench, FILES["csv"](made), stop)

    with pytest.raises(Unavailable, match="was stopped"):
        break_off()

    assert Published.current(tmp_path) == before
    assert {path.name for path in tmp_path.iterdir()} == {before.folder.name, "current.json"}


def test_what_a_killed_export_left_is_removed(hospital: DuckDbWarehouse, tmp_path: Path) -> None:
    (tmp_path / ".partial-v1").mkdir()
    (tmp_path / ".partial-v1" / "half.csv").write_text("half", encoding="utf-8")

    dumped(hospital, tmp_path, "csv")

    assert not list(tmp_path.glob(".partial*"))


def test_the_last_two_exports_are_kept(tmp_path: Path) -> None:
    with filled([batch({"patient": [{"patient": patient_psn(1)}]}, source="clinical")]) as warehouse:
        for _ in range(3):
            dumped(warehouse, tmp_path, "csv")

    assert len(list(tmp_path.glob("v*"))) == 2
    assert Published.current(tmp_path).folder == max(tmp_path.glob("v*"))


def test_memory_holds_one_range_at_a_time(hospital: DuckDbWarehouse) -> None:
    rows = exported(hospital, Eav(), weight=1)

    patients = hospital.counts()["patient"]
    assert rows.parts == patients + len(layouts("eav")) + 1
