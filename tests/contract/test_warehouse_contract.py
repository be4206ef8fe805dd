"""The warehouse's port: in memory, DuckDB in a file, and HTTP to a server on loopback."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from p2d.audit.log import AuditLog
from p2d.flows.research.cohort import CohortDesk
from p2d.model.errors import NotFound, Refused, Unavailable
from p2d.testing.installation import free_ports
from p2d.testing.memory_warehouse import MemoryWarehouse
from p2d.testing.serving import serving
from p2d.testing.warehouse_contract import WarehouseContract
from p2d.testing.warehouse_rows import batch, small_study
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.http import HttpWarehouse, WarehouseClient
from p2d.warehouse.port import Warehouse
from p2d.web.research.access import Role
from p2d.web.research.app import create_app

SECRETS = {role: f"{role}-zq81mX0pLw4vT9sKd7" for role in Role}


class TestMemoryWarehouse(WarehouseContract):
    @pytest.fixture
    def warehouse(self) -> Warehouse:
        return MemoryWarehouse()


class TestDuckDbWarehouse(WarehouseContract):
    @pytest.fixture
    def warehouse(self, tmp_path: Path) -> Iterator[Warehouse]:
        made = DuckDbWarehouse(tmp_path / "warehouse.duckdb")
        yield made
        made.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    warehouse = DuckDbWarehouse(tmp_path / "warehouse.duckdb")
    app = create_app(warehouse, CohortDesk(warehouse, AuditLog(tmp_path / "audit.jsonl")), SECRETS)
    with serving(app) as origin:
        yield origin


class TestHttpWarehouse(WarehouseContract):
    @pytest.fixture
    def warehouse(self, served: str) -> Iterator[Warehouse]:
        made = HttpWarehouse(served, SECRETS[Role.LOADER], 30.0)
        yield made
        made.close()


def test_a_wrong_secret_is_refused_before_the_body_is_read(served: str) -> None:
    with closing(HttpWarehouse(served, "not-the-secret", 30.0)) as warehouse, pytest.raises(Refused):
        warehouse.load(batch(small_study()))


def test_the_researcher_may_not_load(served: str) -> None:
    with closing(HttpWarehouse(served, SECRETS[Role.RESEARCHER], 30.0)) as warehouse, pytest.raises(Refused):
        warehouse.load(batch(small_study()))


def test_the_loader_may_not_ask(served: str) -> None:
    with (
        closing(WarehouseClient(served, SECRETS[Role.LOADER], 30.0)) as client,
        pytest.raises(Refused, match="role loader"),
    ):
        client.call("GET", "/attributes")


def test_a_silent_warehouse_is_unavailable() -> None:
    (port,) = free_ports(1)

    with (
        closing(HttpWarehouse(f"http://127.0.0.1:{port}", "x", 2.0)) as warehouse,
        pytest.raises(Unavailable, match="does not answer"),
    ):
        warehouse.load(batch(small_study()))


def test_an_unknown_address_is_not_found(served: str) -> None:
    with closing(WarehouseClient(served, SECRETS[Role.LOADER], 30.0)) as client, pytest.raises(NotFound):
        client.call("GET", "/nowhere")
