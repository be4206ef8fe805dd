"""A whole site whose warehouse is a PostgreSQL server: the rows and answers of the truth, whatever breaks."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2d.testing.comparison import picks
from p2d.testing.hospital import generate
from p2d.testing.postgres import Postgres, postgres
from p2d.testing.site import Site, hospital_archive, running_site
from p2d.testing.warehouse_database import warehouse_database
from p2d.warehouse.query.examples import PAPER

pytestmark = pytest.mark.system
_PATIENTS = 8
_SEED = 5


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Postgres]:
    with postgres(tmp_path) as running:
        yield running


@pytest.fixture
def site(server: Postgres, tmp_path: Path) -> Iterator[Site]:
    hospital = generate(_PATIENTS, seed=_SEED, max_images=40, canary=True)
    archive = hospital_archive(
        tmp_path / "archive", patients=_PATIENTS, seed=_SEED, max_images=40, canary=True
    )
    with (
        archive as address,
        running_site(tmp_path, hospital, address, warehouse_database(server)) as running,
    ):
        settings = running.installation.settings("gateway")
        settings.write_text(settings.read_text() + "\n[bulk]\npatients_per_batch = 1\nattempts = 10\n")
        yield running


def begun(site: Site, scope: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start a run over every patient and return it with its id once a first patient is done."""
    settings = str(site.installation.settings("gateway"))
    command = [sys.executable, "-m", "p2d", "extract", str(site.list_file), "--settings", settings]
    child = subprocess.Popen(
        [*command, "--choice", "all", "--scope", scope],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    ledger = site.ledger()
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        runs = ledger.runs()
        if runs and ledger.progress(runs[-1]).patients_done:
            ledger.close()
            return child, runs[-1]
        time.sleep(0.005)
    raise AssertionError("the run made no progress within two minutes")


def resumed(site: Site, run_id: str) -> None:
    settings = str(site.installation.settings("gateway"))
    ended = site.command("extract", "--resume", run_id, "--settings", settings)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_rows_and_the_paper_s_answer_are_those_of_the_truth(site: Site) -> None:
    everything = picks(site.hospital, "all")
    for scope in ("basic", "extended"):
        ended = site.extract("all", scope)
        assert ended.returncode == 0, ended.stdout + ended.stderr

    patients = set(site.cohorts.patients(PAPER))

    assert patients == {str(site.truth.patient(patient)) for patient in site.hospital.cohort()}
    assert patients
    assert site.differences(everything, everything) == []
    assert site.clinical_differences() == []


def test_a_warehouse_killed_amid_loads_ends_with_the_rows_of_an_unbroken_one(site: Site) -> None:
    child, run_id = begun(site, "basic")
    site.processes["warehouse"].kill()
    site.processes.restart("warehouse")
    child.wait(timeout=300)

    resumed(site, run_id)

    assert site.differences(picks(site.hospital, "all"), {}) == []


def test_a_server_stopped_amid_loads_is_waited_for(site: Site, server: Postgres) -> None:
    child, run_id = begun(site, "extended")
    server.stop(at_once=True)
    server.start()
    child.wait(timeout=300)

    resumed(site, run_id)

    everything = picks(site.hospital, "all")
    assert site.differences(everything, everything) == []
