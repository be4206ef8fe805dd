"""``p2d worker`` on real PostgreSQL: killed, stopped, cut off from its database, it ends with the truth."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from p2d.audit.log import verify
from p2d.jobs.ledger import Ledger
from p2d.jobs.postgresql import PostgresStore, connect
from p2d.jobs.workers import is_dead
from p2d.testing.comparison import picks
from p2d.testing.hospital import generate
from p2d.testing.postgres import Postgres
from p2d.testing.processes import Process
from p2d.testing.site import Site, hospital_archive, running_site

pytestmark = pytest.mark.system
_PATIENTS = 12
_IMAGES = 24
_SECONDS = 180.0
_STANDING = ("audit.jsonl", "sessions.sqlite", "gateway.log", "governor-")
"""Files of the gateway itself; whatever else lay there afterwards would be left over."""
_JOBS = """
[bulk]
patients_per_batch = 2
attempts = 10
[jobs]
engine = "postgresql"
dsn = "dsn"
processes = 3
lease_seconds = 3
patients_per_job = 4
"""


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@dataclass
class Workers:
    """A site whose runs ``p2d worker`` works, and what a test does to it."""

    site: Site
    server: Postgres
    dsn: str
    ledger: Ledger
    processes: list[Process] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)

    @property
    def settings(self) -> str:
        return str(self.site.installation.settings("gateway"))

    def p2d(self, *arguments: str) -> str:
        done = self.site.command(*arguments, "--settings", self.settings)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def start(self) -> Process:
        command = [sys.executable, "-m", "p2d", "worker", "--settings", self.settings]
        self.processes.append(Process("worker", command, self.site.folder / "worker.log"))
        return self.processes[-1]

    def open(self) -> None:
        wanted = ("--choice", "all", "--scope", "extended", "--later")
        self.runs.append(self.p2d("extract", str(self.site.list_file), *wanted))

    def holders(self) -> list[int]:
        """Return the processes that hold a lease now."""
        with connect(self.dsn) as connection:
            names = [str(row[0]) for row in connection.execute("SELECT worker FROM p2d.lease")]
        return sorted({int(name.split("/")[2]) for name in names if not is_dead(name)})

    def kill_one(self, chance: random.Random) -> bool:
        """Kill a worker at a random point of its work; when all is done open another run for it."""
        until(self._busy, "no worker took a patient")
        time.sleep(chance.uniform(0, 0.4))
        holders = self.holders()
        if not holders:
            return False
        with suppress(ProcessLookupError):
            os.kill(chance.choice(holders), signal.SIGKILL)
            return True
        return False

    def _busy(self) -> bool:
        if self._is_complete(self.runs[-1]):
            self.open()
        return bool(self.holders())

    def _is_complete(self, run: str) -> bool:
        """Whether the run is complete; patients that were killed at too often are tried again."""
        state = self.ledger.state(run)
        if state == "incomplete":
            self.ledger.orders.retry(run)
        return state == "completed"

    def wait_until_complete(self) -> None:
        until(lambda: all(self._is_complete(run) for run in self.runs), "runs did not end")


@pytest.fixture
def workers(tmp_path: Path, postgres_server: Postgres) -> Iterator[Workers]:
    hospital = generate(_PATIENTS, seed=9, max_images=_IMAGES)
    dsn = postgres_server.database(f"w{uuid4().hex}")
    with (
        hospital_archive(tmp_path / "archive", patients=_PATIENTS, seed=9, max_images=_IMAGES) as address,
        running_site(tmp_path, hospital, address) as site,
    ):
        settings = site.installation.settings("gateway")
        settings.write_text(settings.read_text() + _JOBS)
        secret = settings.with_name("dsn")
        secret.touch(mode=0o600)
        secret.write_text(dsn)
        migrated = site.command("worker", "--migrate", "--settings", str(settings))
        assert migrated.returncode == 0, migrated.stderr
        ledger = Ledger(PostgresStore(dsn, patience_seconds=60))
        made = Workers(site, postgres_server, dsn, ledger)
        try:
            yield made
        finally:
            for process in made.processes:
                process.stop()
            ledger.close()


def assert_true(workers: Workers, before: set[str]) -> None:
    """Every row is there once, every number adds up, the audit verifies, nothing is left lying about."""
    site = workers.site
    everything = picks(site.hospital, "all")
    for run in workers.runs:
        report = workers.ledger.report(run, recount=True)
        assert report.adds_up
        assert report.is_complete
        assert report.patients.done == _PATIENTS
        assert report.released == len(everything)
    assert site.differences(everything, everything) == []
    folder = Path(workers.settings).parent
    assert verify(folder / "audit.jsonl").is_good
    left = {path.name for path in folder.rglob("*")} - before
    assert {name for name in left if not name.startswith(_STANDING)} == set()


def files(workers: Workers) -> set[str]:
    return {path.name for path in Path(workers.settings).parent.rglob("*")}


def kill_at_random(workers: Workers, kills: int, seed: int, down_seconds: float) -> None:
    """Kill *kills* workers amid their work; between two of them the database is stopped for a while."""
    chance, before = random.Random(seed), files(workers)  # noqa: S311 - when to kill is no secret
    workers.open()
    supervisor = workers.start()
    for kill in range(kills):
        if kill == kills // 2:
            workers.server.stop(at_once=True)
            time.sleep(down_seconds)
            workers.server.start()
        until(lambda: workers.kill_one(chance), "nobody could be killed")
    supervisor.stop()
    assert workers.holders() == []
    workers.start()
    workers.wait_until_complete()

    assert_true(workers, before)


def test_twenty_kills_and_a_stopped_database_end_with_the_truth(workers: Workers) -> None:
    kill_at_random(workers, 20, seed=1, down_seconds=3)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_two_hundred_kills_end_with_the_truth(workers: Workers, seed: int) -> None:
    kill_at_random(workers, 20, seed=100 + seed, down_seconds=30 if seed == 0 else 1)


_DEADLY = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from threading import Event
from p2d.flows.gateway.bulk import BulkExtractor
from p2d.flows.gateway.worker import BulkWorker
from p2d.model.request import Request
from p2d.testing.datasets import three_patients
from p2d.testing.gateway_stages import OPERATOR, gateway_stages
stages = gateway_stages(Path(sys.argv[1]), three_patients().listed, patients_per_batch=3)
find = stages.pacs.find
def deadly(query):
    if query.patient_id.value == "P-2":
        os.kill(os.getpid(), signal.SIGKILL)
    return find(query)
stages.pacs.find = deadly
targets = tuple(stages.target(patient) for patient in ("P-1", "P-2", "P-3"))
ledger = stages.gateway.ledger
if not ledger.runs():
    BulkExtractor(stages.gateway).open(Request(targets), OPERATOR)
worker = BulkWorker(stages.gateway, Event())
while worker.turn() or ledger.leases.runs():
    pass
"""


def test_a_patient_that_kills_its_workers_is_parked_and_the_others_are_done(tmp_path: Path) -> None:
    codes: list[int] = []
    while not codes or (codes[-1] and len(codes) < 9):
        codes.append(subprocess.run([sys.executable, "-c", _DEADLY, str(tmp_path)], check=False).returncode)

    ledger = Ledger(tmp_path / "ledger.sqlite")
    (run,) = ledger.runs()
    report = ledger.report(run, recount=True)
    ledger.close()

    assert codes == [-signal.SIGKILL] * 3 + [0]
    assert report.adds_up
    assert dict(report.patients.parked) == {"its worker died while at it": 1}
    assert (report.patients.done, report.patients.pending, report.state) == (2, 0, "incomplete")
