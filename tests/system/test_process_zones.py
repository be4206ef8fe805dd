"""Each process, started as ``p2d serve`` starts it, has loaded its own zone's modules and no other's."""

import subprocess
import sys
from pathlib import Path

import pytest

from p2d.testing.installation import ArchiveAddress, Installation, install

pytestmark = pytest.mark.system
PROBE = """
import sys, uvicorn

def run(server, sockets=None):
    server.config.app.openapi()
    print(*sorted(sys.modules))

uvicorn.Server.run = run
sys.argv = ["p2d", "serve", *sys.argv[1:]]
from p2d.__main__ import main
main()
"""
ZONES = {
    "warehouse": (
        ("p2d.warehouse.duckdb.engine", "p2d.web.research"),
        ("p2d.pacs", "p2d.identity", "p2d.deid", "p2d.model.identified", "pynetdicom", "p2d.testing"),
    ),
    "identity": (
        ("p2d.identity.table", "p2d.web.identity"),
        ("p2d.pacs", "p2d.deid", "p2d.warehouse", "pynetdicom", "pydicom", "duckdb", "p2d.testing"),
    ),
    "gateway": (
        ("p2d.pacs.pynetdicom", "p2d.identity.http", "p2d.deid", "p2d.model.identified"),
        ("p2d.identity.table", "p2d.identity.service", "duckdb", "p2d.web.research", "p2d.testing"),
    ),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    folder: Path = tmp_path_factory.mktemp("zones")
    return install(folder / "p2d", ArchiveAddress(11112, "ARCHIVE"))


@pytest.mark.parametrize("process", ZONES)
def test_a_process_loads_its_own_zone_only(made: Installation, process: str) -> None:
    needed, forbidden = ZONES[process]

    ended = subprocess.run(
        [sys.executable, "-c", PROBE, process, "--settings", str(made.settings(process))],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    loaded = ended.stdout.split()
    assert ended.returncode == 0, ended.stderr
    assert set(needed) <= set(loaded)
    assert [name for name in loaded if f"{name}.".startswith(tuple(f"{zone}." for zone in forbidden))] == []
