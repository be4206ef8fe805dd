"""A worker whose disk is full or whose files are too many waits, and goes on when there is room."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

_WORK = """
import json, resource, sys
from pathlib import Path
from threading import Event
from p2d.audit.log import verify
from p2d.flows.gateway.bulk import BulkExtractor
from p2d.flows.gateway.worker import BulkWorker
from p2d.model.request import Request
from p2d.testing.datasets import three_patients
from p2d.testing.gateway_stages import OPERATOR, gateway_stages
kind, folder = getattr(resource, sys.argv[1]), Path(sys.argv[2])
stages = gateway_stages(folder, three_patients().listed, patients_per_batch=1)
ledger, find = stages.gateway.ledger, stages.pacs.find
targets = tuple(stages.target(patient) for patient in ("P-1", "P-2", "P-3"))
run = BulkExtractor(stages.gateway).open(Request(targets), OPERATOR)
worker = BulkWorker(stages.gateway, Event())
before = resource.getrlimit(kind)
def limit(most):
    resource.setrlimit(kind, (most, before[1]))
def scarce(query):
    stages.pacs.find = find
    limit(1 if kind == resource.RLIMIT_FSIZE else 3)
    return find(query)
stages.pacs.find = scarce
turns = [worker.turn() for _ in range(2)]
limit(before[0])
done = ledger.progress(run).patients_done
while worker.turn() or ledger.leases.runs():
    pass
report = ledger.report(run, recount=True)
print(json.dumps([done, report.state, report.is_complete, len(stages.warehouse.rows("instance")),
                  verify(stages.audit_file).is_good]))
"""


@pytest.mark.parametrize("limit", ["RLIMIT_FSIZE", "RLIMIT_NOFILE"])
def test_a_worker_waits_for_room_and_loses_nothing(tmp_path: Path, limit: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _WORK, limit, str(tmp_path)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    done, state, complete, rows, is_good = json.loads(ended.stdout)
    assert done < 3
    assert (state, complete, rows, is_good) == ("completed", True, 60, True)
