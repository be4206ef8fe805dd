"""Saved cohorts are kept alike by every engine, and survive a restart."""

from pathlib import Path

import pytest

from p2d.testing.postgres import Postgres
from p2d.testing.saved_cohorts_contract import check_store, listing
from p2d.testing.warehouse_database import warehouse_database
from p2d.warehouse.duckdb.engine import DuckDbWarehouse


def test_duckdb_keeps_saved_cohorts() -> None:
    warehouse = DuckDbWarehouse(None)

    check_store(warehouse.saved)
    warehouse.close()


@pytest.mark.system
def test_postgresql_keeps_saved_cohorts(postgres_server: Postgres) -> None:
    warehouse = warehouse_database(postgres_server).open()

    check_store(warehouse.saved)
    warehouse.close()


def test_they_are_there_after_a_restart(tmp_path: Path) -> None:
    for is_second in (False, True):
        warehouse = DuckDbWarehouse(tmp_path / "warehouse.duckdb")
        if not is_second:
            warehouse.saved.save(listing("x", "a"))
        found = warehouse.saved.find("x")
        warehouse.close()

    assert [len(cohort.patients) for cohort in found] == [3]
