"""Audit log and ledger under several processes, kill -9 and a full disk."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from p2d.audit.log import AuditLog, verify
from p2d.jobs.ledger import Ledger

pytestmark = pytest.mark.system

_WAIT = 30.0

_APPEND = """
import sys, threading
from pathlib import Path
from p2d.audit.log import AuditLog
log = AuditLog(Path(sys.argv[1]))
def work():
    for number in range(50):
        with log.query(action="metadata", user=sys.argv[2], session="S1", subject={"n": number}) as entry:
            entry.outcome(series=number)
threads = [threading.Thread(target=work) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""

_APPEND_FOR_EVER = """
import sys
from pathlib import Path
from p2d.audit.log import AuditLog
log = AuditLog(Path(sys.argv[1]))
subject = {"identifiers": ["patient:P"] * 3000}
while True:
    with log.query(action="images", user="u", session="S1", subject=subject) as entry:
        entry.outcome(released=1)
"""

_FULL_DISK = """
import resource, sys
from pathlib import Path
from p2d.audit.log import AuditLog
from p2d.model.errors import Unavailable
path = Path(sys.argv[1])
log = AuditLog(path)
log.record("before")
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, resource.RLIM_INFINITY))
try:
    with log.query(action="images", user="u", session="S1", subject={}):
        print("data")
except Unavailable as error:
    print(error.field, error.exit_code)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.record("after")
"""

_WORK = """
import sys
from pathlib import Path
from p2d.jobs.counts import SeriesCounts
from p2d.jobs.ledger import Ledger
from p2d.jobs.workers import this_worker
ledger = Ledger(Path(sys.argv[1]))
run, me = sys.argv[2], this_worker()
while True:
    waiting = ledger.leases.take_over(run, me, seconds=3600, attempts_allowed=10)
    if waiting:
        for batch in ledger.unconfirmed(run, lease=waiting):
            ledger.forget(run, batch, lease=waiting)
        ledger.leases.end(waiting)
    lease = ledger.leases.take(run, me, most=5, seconds=3600)
    if lease is None:
        break
    print("took", flush=True)
    for patient in lease.patients:
        ledger.leases.begin(lease, patient)
        lines = [SeriesCounts(patient, "s", f"t{n}", 10, 10, 9, withheld={"x": 1}) for n in range(20)]
        ledger.record(run, f"batch of {patient}", patient, lines, lease=lease)
        ledger.loaded(run, f"batch of {patient}", lease=lease)
    ledger.leases.end(lease)
if ledger.leases.next_due(run) is None:
    ledger.close_run(run)
"""

_LOAD_SHARE = """
import sys
from pathlib import Path
from p2d.jobs.counts import SeriesCounts
from p2d.jobs.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
for patient in sys.argv[3:]:
    ledger.record(sys.argv[2], patient, patient, [SeriesCounts(patient, "s", "t", 1, 1, 1)])
    ledger.loaded(sys.argv[2], patient)
"""


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=_WAIT)
    return process.returncode, output


def kill_when(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + _WAIT
    while not condition() and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=_WAIT)


def grown(path: Path, size: int) -> Callable[[], bool]:
    return lambda: path.exists() and path.stat().st_size > size


def finished(ledger: Ledger, run: str, patients: int) -> Callable[[], bool]:
    return lambda: ledger.progress(run).patients_done >= patients


def test_processes_and_threads_append_to_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    writers = [start(_APPEND, str(path), f"user {number}") for number in range(3)]

    codes = [end(writer)[0] for writer in writers]

    found = verify(path)
    assert codes == [0, 0, 0]
    assert (found.is_good, found.records, found.interrupted) == (True, 600, 0)


def test_a_killed_writer_leaves_a_chain_that_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for kill in range(8):
        size = path.stat().st_size if path.exists() else 0
        writer = start(_APPEND_FOR_EVER, str(path))

        kill_when(writer, grown(path, size + 9973 * kill))

        AuditLog(path).record("next")
        assert verify(path).is_good
    assert verify(path).records > 16


def test_a_full_disk_stops_the_query_and_leaves_a_good_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"

    code, output = end(start(_FULL_DISK, str(path)))

    assert code == 0
    assert output == "audit 5\n"
    assert [json.loads(line)["action"] for line in path.read_text().splitlines()] == ["before", "after"]
    assert verify(path).is_good


def test_a_killed_run_goes_on_and_ends_like_an_unbroken_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    patients = [f"P{number:04}" for number in range(300)]
    broken, unbroken = (ledger.open_run("bulk", {}, patients, "olaf") for _ in range(2))
    for kill in range(5):
        worker = start(_WORK, str(path), broken)
        target = 40 * (kill + 1)

        kill_when(worker, finished(ledger, broken, target))

        report = ledger.report(broken)
        assert report.adds_up
        assert report.patients.done >= target

    codes = [end(start(_WORK, str(path), run))[0] for run in (broken, unbroken)]

    assert codes == [0, 0]
    assert list(ledger.lines(broken)) == list(ledger.lines(unbroken))
    assert ledger.report(broken).state == ledger.report(unbroken).state == "completed"
    assert ledger.report(broken, recount=True).is_complete


def test_what_a_killed_worker_held_is_taken_over_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    run = ledger.open_run("bulk", {}, [f"P{number}" for number in range(500)], "olaf")
    first = start(_WORK, str(path), run)
    assert first.stdout is not None
    assert first.stdout.readline() == "took\n"
    kill_when(first, lambda: True)
    codes = [end(worker)[0] for worker in (start(_WORK, str(path), run), start(_WORK, str(path), run))]

    report = ledger.report(run, recount=True)
    ledger.close()

    assert codes == [0, 0]
    assert (report.state, report.patients.done, report.series) == ("completed", 500, 10_000)
    assert report.is_complete


def test_processes_share_one_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    shares = [[f"P{share}-{number}" for number in range(60)] for share in range(3)]
    run = ledger.open_run("bulk", {}, [patient for share in shares for patient in share], "olaf")
    workers = [start(_LOAD_SHARE, str(path), run, *share) for share in shares]

    codes = [end(worker)[0] for worker in workers]

    assert codes == [0, 0, 0]
    assert ledger.report(run).patients.done == 180
    assert ledger.report(run).is_complete
