"""A whole installation, its processes real, before an archive that fails by script: truth, numbers, silence.

Numbers are those of docs/reference/faults.md.
"""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from p2d.audit.log import verify
from p2d.jobs.report import RunReport
from p2d.testing.canaries import Searcher
from p2d.testing.comparison import picks
from p2d.testing.datasets import held_ct
from p2d.testing.fault_proxy import until
from p2d.testing.faulty.script import (
    LOCAL_LIMIT,
    Abort,
    Also,
    Cap,
    Fault,
    Hang,
    Late,
    Omit,
    Operation,
    Pause,
    Reset,
    Restart,
    Twice,
    When,
    once,
)
from p2d.testing.faulty_archive import FaultyArchive
from p2d.testing.hospital import Hospital, generate
from p2d.testing.installation import ArchiveAddress
from p2d.testing.site import Site, running_site

pytestmark = pytest.mark.system
FIND, RETRIEVE, ASSOCIATE = Operation.FIND, Operation.RETRIEVE, Operation.ASSOCIATE
_PATIENTS = 6
STRAY = held_ct(PatientID="P-9", SOPInstanceUID="1.2.3.99")


@pytest.fixture(scope="module")
def hospital() -> Hospital:
    return generate(_PATIENTS, seed=21, max_images=25, canary=True)


@pytest.fixture(scope="module")
def archive(hospital: Hospital) -> Iterator[FaultyArchive]:
    with FaultyArchive(hospital.instances()) as running:
        yield running


@pytest.fixture(scope="module")
def site(
    hospital: Hospital, archive: FaultyArchive, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    address = ArchiveAddress(archive.port, archive.ae_title)
    with running_site(tmp_path_factory.mktemp("faults"), hospital, address) as running:
        settings = running.installation.settings("gateway")
        text = settings.read_text().replace("[pacs]\n", "[pacs]\nconnect_seconds = 2\nanswer_seconds = 2\n")
        settings.write_text(text + "\n[bulk]\npatients_per_batch = 2\nattempts = 3\n")
        yield running


@pytest.fixture(autouse=True)
def _faultless(archive: FaultyArchive) -> Iterator[None]:
    yield
    archive.script = ()


def last_report(site: Site) -> RunReport:
    ledger = site.ledger()
    try:
        return ledger.report(ledger.runs()[-1])
    finally:
        ledger.close()


def test_a_run_amid_many_faults_ends_with_the_truth_and_names_nobody(
    site: Site, archive: FaultyArchive
) -> None:
    """4, 5, 6, 12, 14, 17, 18, 38: what an archive may do on a bad day, all at once."""
    archive.script = (
        Fault(once(ASSOCIATE, 2), LOCAL_LIMIT),
        Fault(once(FIND, 2, "IMAGE"), Abort(1)),
        Fault(once(FIND, 3, "STUDY"), Reset()),
        Fault(once(FIND, 4, "SERIES"), Hang(1)),
        Fault(When(FIND, "IMAGE"), Cap(30, 0xFE00)),
        Fault(When(RETRIEVE, first=2, last=12, every=5), Restart(2, seconds=0.2)),
        Fault(once(RETRIEVE, 3), Omit(1, in_lists=True)),
        Fault(When(RETRIEVE, every=4), Twice(changed=True)),
        Fault(When(RETRIEVE, first=1, last=9, every=2), Also((STRAY,))),  # also where one is tried again
        Fault(When(RETRIEVE, first=4, every=7), Late(1, seconds=0.05)),
    )

    ended = site.extract("all", "extended")

    everything = picks(site.hospital, "all")
    report = last_report(site)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert report.adds_up
    assert report.is_complete
    assert report.received == len(everything)
    assert site.differences(everything, everything) == []
    folder = site.installation.folder
    searcher = Searcher(site.hospital.canaries())
    assert searcher.scan([folder / "gateway", folder / "warehouse"]) == []
    assert searcher.scan_bytes((ended.stdout + ended.stderr).encode()) == []
    assert verify(folder / "gateway" / "audit.jsonl").is_good
    assert "foreign objects refused" in (folder / "gateway" / "audit.jsonl").read_text()


@pytest.mark.parametrize(
    "script",
    [
        (Fault(When(RETRIEVE), Omit(1)),),
        (Fault(When(FIND, "IMAGE"), Abort(1)),),
    ],
    ids=["never sent", "never listed"],
)
def test_a_gap_ends_with_code_seven_and_sums_that_hold(
    site: Site, archive: FaultyArchive, script: tuple[Fault, ...]
) -> None:
    archive.script = script
    (site.folder / "one.csv").write_text(f"pseudonym\n{site.patients[0]}\n")
    settings = str(site.installation.settings("gateway"))

    ended = site.command(
        "extract", str(site.folder / "one.csv"), "--settings", settings, "--scope", "extended"
    )

    report = last_report(site)
    assert ended.returncode == 7, ended.stdout + ended.stderr
    assert "the run is not complete" in ended.stdout
    assert report.adds_up
    assert not report.is_complete
    assert Searcher(site.hospital.canaries()).scan_bytes(ended.stdout.encode()) == []


def test_an_extraction_asked_to_end_does_so_and_can_be_resumed(site: Site, archive: FaultyArchive) -> None:
    """40: SIGTERM amid a slow retrieve: nothing half-written, nobody given up, the rest is done later."""
    archive.script = (Fault(When(RETRIEVE), Pause(0.2, after=1)),)
    before = archive.count(RETRIEVE)
    settings = str(site.installation.settings("gateway"))
    command = [sys.executable, "-m", "p2d", "extract", str(site.list_file), "--settings", settings]
    child = subprocess.Popen(
        [*command, "--choice", "all", "--scope", "extended"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert until(lambda: archive.count(RETRIEVE) > before + 1, 60)

    child.send_signal(signal.SIGTERM)
    _, told = child.communicate(timeout=30)

    ended = last_report(site)
    archive.script = ()
    resumed = site.command("extract", "--resume", ended.run_id, "--settings", settings)
    report = last_report(site)
    everything = picks(site.hospital, "all")
    assert child.returncode == 7
    assert f"--resume {ended.run_id}" in told
    assert ended.adds_up
    assert ended.patients.done < _PATIENTS
    assert ended.patients.parked == {}
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert report.run_id == ended.run_id
    assert report.is_complete
    assert site.differences(everything, everything) == []
    assert until(lambda: archive.open_connections == 0)


def test_fifty_connections_that_trickle_leave_room_for_others(site: Site) -> None:
    """23: each sends a byte of its request and waits."""
    url = httpx.URL(site.installation.url("gateway"))
    with ExitStack() as stack:
        for _ in range(50):
            plain = socket.create_connection((url.host, url.port or 80), timeout=5)
            stack.enter_context(plain)
            plain.sendall(b"P")
        started = time.monotonic()
        answers = [httpx.get(f"{url}/health", timeout=5, trust_env=False) for _ in range(5)]

    assert [answer.status_code for answer in answers] == [200] * 5
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("host", ["127.0.0.1", "archive.invalid"])
def test_an_archive_that_is_not_there_is_told_by_name(site: Site, host: str) -> None:
    """1: exit code 5 of `p2d check`, and the way out."""
    source = site.installation.settings("gateway")
    before, pacs = source.read_text().split("[pacs]\n")
    pacs = pacs.replace('host = "127.0.0.1"', f'host = "{host}"', 1).replace("port = ", "port = 1 # ", 1)
    changed = source.with_name("elsewhere.toml")
    changed.write_text(f"{before}[pacs]\n{pacs}")

    ended = site.command("check", "--settings", str(changed))

    assert ended.returncode == 5, ended.stdout + ended.stderr
    assert "archive ARCHIVE" in ended.stdout
    assert "way out" in ended.stdout
