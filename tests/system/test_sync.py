"""Incremental sync over a real archive, and killed by SIGKILL: rows, marks and register equal the truth."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from p2d.flows.gateway.sync.counts import SyncReport
from p2d.flows.gateway.sync.options import SyncOptions
from p2d.flows.gateway.sync.sync import Sync
from p2d.jobs.register import Finding, Inconsistency
from p2d.pacs.lean.connector import LeanArchive
from p2d.pacs.turnstile import held_up_by
from p2d.settings.gateway import Archive
from p2d.testing.datasets import ct
from p2d.testing.gateway_stages import OPERATOR, GatewayStages, gateway_stages
from p2d.testing.servers import RunningArchive, orthanc, store
from p2d.warehouse.duckdb.engine import DuckDbWarehouse

pytestmark = pytest.mark.system
OPTIONS = SyncOptions(date(2022, 1, 1), date(2022, 1, 8))


def image(patient: str, study: int, number: int = 1, day: str = "20220105") -> Any:
    return ct(
        PatientID=patient,
        StudyInstanceUID=f"1.2.{study}",
        SeriesInstanceUID=f"1.2.{study}.1",
        SOPInstanceUID=f"1.2.{study}.1.{number}",
        InstanceNumber=number,
        StudyDate=day,
        AccessionNumber=f"ACC-{study}",
    )


@dataclass
class Scene:
    """A gateway over a real archive and warehouse; identity and ledger are the test's own."""

    stages: GatewayStages
    server: RunningArchive
    warehouse: DuckDbWarehouse
    queries: int = 0

    def sync(self) -> SyncReport:
        self.queries = 0
        with held_up_by(self._count):
            return Sync(self.stages.gateway).run(OPTIONS, OPERATOR)

    def _count(self, queries: int) -> None:
        self.queries += queries

    def delete(self, study: int) -> None:
        url = f"http://{self.server.host}:{self.server.http_port}"
        with httpx.Client(base_url=url, auth=(self.server.user, self.server.password)) as rest:
            wanted = {"Level": "Study", "Query": {"StudyInstanceUID": f"1.2.{study}"}}
            (found,) = rest.post("/tools/find", json=wanted).raise_for_status().json()
            rest.delete(f"/studies/{found}").raise_for_status()

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with self.warehouse._cursor() as cursor:
            return cursor.execute(statement).fetchall()

    def instances(self) -> set[str]:
        return {one for (one,) in self.rows("SELECT instance FROM instance")}

    def true(self, *images: tuple[int, int]) -> set[str]:
        return {str(self.stages.derived(f"1.2.{study}.1.{number}")) for study, number in images}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    stages = gateway_stages(tmp_path, [])
    with orthanc(tmp_path / "orthanc") as server:
        settings = Archive.model_validate(
            {"host": server.host, "port": server.port, "called_ae_title": server.ae_title}
        )
        warehouse = DuckDbWarehouse(None)
        with LeanArchive(settings) as pacs:
            stages.gateway = replace(stages.gateway, pacs=pacs, warehouse=warehouse)
            yield Scene(stages, server, warehouse)
        warehouse.close()


def test_what_is_new_changed_or_gone_in_orthanc_is_so_in_the_warehouse(scene: Scene) -> None:
    for patient in ("P-1", "P-2"):
        scene.stages.patient(patient)
    store(scene.server, [image("P-1", 1), image("P-1", 2, day="20220107"), image("P-2", 3), image("P-9", 4)])

    first = scene.sync()
    assert (first.counts.studies, first.counts.new, first.counts.patients_unknown) == (4, 3, 1)
    assert scene.instances() == scene.true((1, 1), (2, 1), (3, 1))
    quiet = scene.sync()
    assert (quiet.counts.same, quiet.run, scene.queries) == (3, None, OPTIONS.number_of_days)

    scene.stages.patient("P-3")
    store(scene.server, [image("P-2", 3, 2), image("P-3", 5), image("P-8", 6)])
    scene.delete(1)
    second = scene.sync()

    counts = second.counts
    assert (counts.studies, counts.new, counts.changed, counts.same, counts.gone) == (6 - 1, 1, 1, 1, 1)
    assert (counts.patients_unknown, counts.studies_unknown) == (2, 2)
    assert second.is_complete
    assert second.run is not None
    patient, study = str(scene.stages.patient("P-1")), str(scene.stages.study("1.2.1"))
    assert list(scene.stages.gateway.ledger.findings(second.run.run_id)) == [
        Finding(Inconsistency.GONE, patient, study)
    ]
    assert scene.instances() == scene.true((1, 1), (2, 1), (3, 1), (3, 2), (5, 1))
    marks = "SELECT st.study, g.archive FROM archive_gone g JOIN study st USING (study_key)"
    assert scene.rows(marks) == [(study, "main")]
    quiet = scene.sync()
    assert (quiet.counts.same, quiet.counts.gone, quiet.run) == (3, 0, None)
    assert scene.queries == OPTIONS.number_of_days

    store(scene.server, [image("P-1", 1)])
    back = scene.sync()
    assert (back.counts.back, back.counts.changed, back.counts.same) == (1, 1, 3)
    assert scene.rows(marks) == []


_KILLED = """
import os, signal, sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from p2d.flows.gateway.sync.options import SyncOptions
from p2d.flows.gateway.sync.sync import Sync
from p2d.testing.datasets import held_ct
from p2d.testing.gateway_stages import OPERATOR, gateway_stages
from p2d.warehouse.duckdb.engine import DuckDbWarehouse

folder, point = Path(sys.argv[1]), sys.argv[2]
held = [
    held_ct(PatientID=p, StudyInstanceUID=f"1.2.{s}", SeriesInstanceUID=f"1.2.{s}.1",
            SOPInstanceUID=f"1.2.{s}.1.1", StudyDate="20220105", AccessionNumber=f"ACC-{s}")
    for s, p in enumerate(sys.argv[3].split(","), 1) if p
]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

class Warehouse(DuckDbWarehouse):
    def load(self, batch):
        receipt = super().load(batch)
        if point == "marked" and batch.source == "sync" or point == "loaded" and batch.source == "basic":
            die()
        return receipt

stages = gateway_stages(folder, held, patients_per_batch=1)
for patient in ("P-1", "P-2", "P-3", "P-4"):
    stages.patient(patient)
stages.study("1.2.1")
gateway = replace(stages.gateway, warehouse=Warehouse(folder / "warehouse.duckdb"))
if point == "settling":
    gateway.ledger.seen.settle = lambda *_, **__: die()
options = SyncOptions(date(2022, 1, 5), date(2022, 1, 5))
report = Sync(gateway).run(options, OPERATOR)
with gateway.warehouse._cursor() as cursor:
    read = lambda text: cursor.execute(text).fetchall()[0][0]
    print(report.counts.new, report.counts.gone, report.is_complete,
          read("SELECT count(*) FROM instance"), read("SELECT count(*) FROM archive_gone"),
          len(gateway.ledger.seen.unsettled()),
          sum(one == "completed" for one in map(gateway.ledger.state, gateway.ledger.runs())))
"""


def killable(folder: Path, point: str, patients: str) -> str:
    """What a sync in a process of its own prints; nothing where it killed itself."""
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(folder), point, patients],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == (0 if done.stdout else -9), done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "point",
    ["settling", *(pytest.param(point, marks=pytest.mark.long) for point in ("loaded", "marked"))],
)
def test_a_sync_killed_at_any_point_is_repaired_by_the_next_one(tmp_path: Path, point: str) -> None:
    assert killable(tmp_path, "", "P-1,P-2") == "2 0 True 2 0 0 1"

    assert killable(tmp_path, point, ",P-2,P-3,P-4") == ""

    # new, gone, complete, instances, marks, unsettled runs, completed runs
    assert killable(tmp_path, "", ",P-2,P-3,P-4") == "0 1 True 4 1 0 3"
