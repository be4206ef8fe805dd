"""A bulk run over two archives: each image once, with all its sources, and complete or not at all."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from p2d.flows.gateway.bulk import BulkExtractor
from p2d.jobs.report import RunReport
from p2d.model.errors import Unavailable
from p2d.model.level import Scope
from p2d.model.request import Request
from p2d.pacs.several import SeveralArchives
from p2d.testing.datasets import three_patients
from p2d.testing.gateway_stages import OPERATOR, GatewayStages, gateway_stages
from p2d.testing.memory_pacs import MemoryPacs
from p2d.warehouse.duckdb.engine import DuckDbWarehouse

PATIENTS = ("P-1", "P-2", "P-3")


class TwoArchives:
    """Every third image in the old archive alone, every third in the new one alone, the others in both."""

    def __init__(self, folder: Path) -> None:
        listed = three_patients().listed
        self.old = MemoryPacs([one for n, one in enumerate(listed) if n % 3 != 1], name="old")
        self.new = MemoryPacs([one for n, one in enumerate(listed) if n % 3 != 0], name="new")
        self.stages: GatewayStages = gateway_stages(folder, [])
        self.gateway = replace(self.stages.gateway, pacs=SeveralArchives([self.old, self.new]))
        self.places = {
            one["SOPInstanceUID"]: ("old", "new", "old new")[n % 3] for n, one in enumerate(listed)
        }

    def run(self, scope: Scope) -> RunReport:
        targets = tuple(self.stages.target(patient) for patient in PATIENTS)
        extractor = BulkExtractor(self.gateway)
        return extractor.run(extractor.open(Request(targets, scope=scope), OPERATOR), OPERATOR)


@pytest.fixture
def archives(tmp_path: Path) -> TwoArchives:
    return TwoArchives(tmp_path)


@pytest.mark.parametrize("scope", list(Scope))
def test_each_image_is_loaded_once_with_its_sources(archives: TwoArchives, scope: Scope) -> None:
    report = archives.run(scope)

    assert report.state == "completed"
    assert (report.expected, report.released, report.missing) == (60, 60, 0)
    instances = archives.stages.warehouse.rows("instance")
    assert {row["instance"]: row["archives"] for row in instances} == {
        archives.stages.derived(uid): where for uid, where in archives.places.items()
    }
    assert {row["archive"] for row in archives.stages.warehouse.rows("study")} == {"old new"}


def test_the_warehouse_keeps_the_sources_beside_the_instances(archives: TwoArchives) -> None:
    archives.run(Scope.BASIC)
    warehouse = DuckDbWarehouse(None)
    for one in archives.stages.warehouse.batches.values():
        warehouse.load(one)
    with warehouse._cursor() as cursor:
        kept = cursor.execute("SELECT archive, count(*) FROM instance_archive GROUP BY ALL").fetchall()
    warehouse.close()

    assert dict(kept) == Counter(name for where in archives.places.values() for name in where.split())


def test_a_patient_is_not_done_while_one_archive_is_silent(archives: TwoArchives) -> None:
    archives.new.fails = Unavailable("pacs", "no answer in time")

    report = archives.run(Scope.BASIC)

    assert report.state != "completed"
    assert report.patients.done == 0
    assert archives.stages.warehouse.rows("instance") == []


def test_what_one_archive_lost_comes_from_the_other_and_is_in_the_report(archives: TwoArchives) -> None:
    lost = next(uid for uid, where in archives.places.items() if where == "old new")
    archives.old.missing = {lost}

    report = archives.run(Scope.EXTENDED)

    assert (report.state, report.missing) == ("completed", 0)
    assert [note for note in report.notes if "second place" in note]
