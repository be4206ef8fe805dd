"""A bulk run that is killed goes on where it stopped and ends with the rows of an unbroken one."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2d.testing.comparison import picks
from p2d.testing.hospital import generate
from p2d.testing.site import Site, hospital_archive, running_site

pytestmark = pytest.mark.system
_PATIENTS = 12


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    hospital = generate(_PATIENTS, seed=9, max_images=80)
    with (
        hospital_archive(tmp_path / "archive", patients=_PATIENTS, seed=9, max_images=80) as address,
        running_site(tmp_path, hospital, address) as running,
    ):
        settings = running.installation.settings("gateway")
        settings.write_text(settings.read_text() + "\n[bulk]\npatients_per_batch = 2\nattempts = 10\n")
        yield running


def _begin(site: Site, *arguments: str) -> subprocess.Popen[bytes]:
    settings = str(site.installation.settings("gateway"))
    command = [sys.executable, "-m", "p2d", "extract", *arguments, "--settings", settings]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _wait_until_done(site: Site, child: subprocess.Popen[bytes], patients: int) -> str:
    """Wait until *patients* are done or the child ended, and return the run's id."""
    ledger = site.ledger()
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        runs = ledger.runs()
        if runs and (ledger.progress(runs[-1]).patients_done >= patients or child.poll() is not None):
            ledger.close()
            return runs[-1]
        time.sleep(0.005)
    raise AssertionError("the run made no progress within two minutes")


def test_a_run_killed_at_every_stage_ends_with_the_same_rows(site: Site) -> None:
    child = _begin(site, str(site.list_file), "--choice", "all", "--scope", "extended")
    for done in (1, 5, 9):
        run_id = _wait_until_done(site, child, done)
        child.kill()
        child.wait()
        child = _begin(site, "--resume", run_id)

    code = child.wait(timeout=300)

    everything = picks(site.hospital, "all")
    report = site.ledger().report(run_id)
    assert code == 0
    assert report.adds_up
    assert report.is_complete
    assert report.patients.done == _PATIENTS
    assert site.differences(everything, everything) == []


def test_killing_the_warehouse_loses_nothing(site: Site) -> None:
    child = _begin(site, str(site.list_file), "--choice", "all", "--scope", "basic")
    run_id = _wait_until_done(site, child, 2)
    site.processes["warehouse"].kill()
    site.processes.restart("warehouse")
    child.wait(timeout=300)

    ended = site.command(
        "extract", "--resume", run_id, "--settings", str(site.installation.settings("gateway"))
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert site.differences(picks(site.hospital, "all"), {}) == []
