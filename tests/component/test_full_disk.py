"""A disk that is full or read-only: what was written stays whole, what was not is told and done again."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from p2d.export.directory import write_images
from p2d.flows.gateway.bulk import BulkExtractor
from p2d.flows.gateway.locate import locate
from p2d.flows.gateway.patient import prepare, release_images
from p2d.jobs.ledger import Ledger, Progress
from p2d.model.errors import Misconfigured, Unavailable
from p2d.model.level import Choice, Output
from p2d.model.released import ReleasedInstance, Withheld
from p2d.model.request import Request
from p2d.testing.datasets import three_patients
from p2d.testing.gateway_stages import OPERATOR, GatewayStages, gateway_stages
from p2d.testing.small_disk import SmallDisk, small_disk

PATIENTS = ("P-1", "P-2", "P-3")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 2) as made:
        yield made


def request_of(stages: GatewayStages) -> Request:
    return Request(tuple(stages.target(one) for one in PATIENTS), choice=Choice.ALL)


def images_of(stages: GatewayStages) -> list[ReleasedInstance | Withheld]:
    works, _ = locate(stages.gateway, request_of(stages).targets, None)
    return [
        outcome
        for work in works
        for outcome in release_images(
            stages.gateway, prepare(stages.gateway, work, request_of(stages)), lambda _: True
        )
    ]


def files_below(folder: Path) -> set[str]:
    return {str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file()}


def test_an_export_to_a_full_disk_leaves_whole_files_only_and_goes_on_when_there_is_space(
    tmp_path: Path, disk: SmallDisk
) -> None:
    stages = gateway_stages(tmp_path / "state", three_patients().listed)
    outcomes = images_of(stages)
    target = disk.folder / "export"
    whole = write_images(tmp_path / "whole", outcomes, Output.DICOM)

    def filling() -> Iterator[ReleasedInstance | Withheld]:
        yield from outcomes[:5]
        disk.fill()
        yield from outcomes[5:]

    with pytest.raises(Unavailable, match="space") as caught:
        write_images(target, filling(), Output.DICOM)
    assert not any(one in str(caught.value) for one in PATIENTS)
    for name in files_below(target):
        assert (target / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    disk.free()
    again = write_images(target, outcomes, Output.DICOM)

    assert again.written + again.kept == whole.written
    assert files_below(target) == files_below(tmp_path / "whole")


def test_a_run_whose_state_folder_is_full_ends_and_is_done_when_there_is_space(
    tmp_path: Path, disk: SmallDisk
) -> None:
    truth = gateway_stages(tmp_path / "truth", three_patients().listed, patients_per_batch=1)
    BulkExtractor(truth.gateway).run(BulkExtractor(truth.gateway).open(request_of(truth), OPERATOR), OPERATOR)
    stages = gateway_stages(disk.folder, three_patients().listed, patients_per_batch=1)
    extractor = BulkExtractor(replace(stages.gateway, outage_seconds=0.2, lease_seconds=2.0))
    run_id = extractor.open(request_of(stages), OPERATOR)

    def fills(_: Progress) -> None:
        disk.fill()

    with pytest.raises(Unavailable):
        extractor.run(run_id, OPERATOR, watch=fills)
    disk.free()
    report = extractor.run(run_id, OPERATOR)

    assert report.is_complete
    assert report.expected == report.released + sum(report.withheld.values())
    for table in ("study", "series", "instance"):
        assert len(stages.warehouse.rows(table)) == len(truth.warehouse.rows(table)) > 0


def test_a_state_folder_that_is_read_only_is_the_operators_to_mend(tmp_path: Path, disk: SmallDisk) -> None:
    disk.protect()

    with pytest.raises(Misconfigured, match="owner and space"):
        Ledger(disk.folder / "ledger.sqlite")
    with pytest.raises(Unavailable, match="permissions"):
        write_images(disk.folder / "export", [], Output.DICOM)
    disk.release()

    assert files_below(disk.folder) == set()
    assert write_images(disk.folder / "export", [], Output.DICOM).written == 0
