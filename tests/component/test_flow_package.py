"""What a download holds: images, both lists, and a ledger that equals the files."""

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from p2d.export.zip import Member
from p2d.flows.gateway.adhoc import AdHoc
from p2d.flows.gateway.deid_report import ImageRun, profile_of
from p2d.flows.gateway.package import members_of
from p2d.model.errors import Unavailable
from p2d.model.level import Output
from p2d.model.request import Request
from p2d.testing.datasets import three_patients
from p2d.testing.gateway_stages import GatewayStages, gateway_stages

BESIDE = [
    *("manifest.csv", "withheld.csv", "deidentification.json", "deidentification.html"),
    "ledger.json",
]


@pytest.fixture
def stages(tmp_path: Path) -> GatewayStages:
    return gateway_stages(tmp_path, three_patients().listed)


def packed(stages: GatewayStages, output: Output, deny: tuple[str, ...] = ()) -> list[Member]:
    run = ImageRun()
    request = Request((stages.target("P-2"),), output=output)
    session = stages.session("P-2", images=True, deny=deny)
    outcomes = AdHoc(stages.gateway).images(request, session, run)
    return list(members_of(outcomes, output, stages.gateway.renderer, run, profile_of(stages.gateway)))


def table(members: list[Member], name: str) -> list[dict[str, str]]:
    (found,) = [member for member in members if member.name == name]
    return list(csv.DictReader(io.StringIO(found.content.decode())))


def ledger(members: list[Member]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(members[-1].content)
    return found


@pytest.mark.parametrize(("output", "ending"), [(Output.DICOM, ".dcm"), (Output.JPEG, ".jpg")])
def test_every_image_is_a_file_listed_with_its_digest(
    stages: GatewayStages, output: Output, ending: str
) -> None:
    members = packed(stages, output)

    files = [member.name for member in members if member.name.endswith(ending)]
    assert len(files) == 18
    assert [member.name for member in members[18:]] == BESIDE
    assert len(table(members, "manifest.csv")) == 18
    assert table(members, "withheld.csv") == []
    assert ledger(members)["totals"]["released"] == 18


def test_what_policy_withholds_is_listed_and_counted(stages: GatewayStages) -> None:
    members = packed(stages, Output.DICOM, deny=("MR",))

    withheld = table(members, "withheld.csv")
    sums = ledger(members)["totals"]
    assert len(withheld) == 10
    assert {row["reason"] for row in withheld} == {"modality not allowed"}
    assert (sums["received"], sums["released"], sums["withheld"], sums["missing"]) == (18, 8, 10, 0)


def test_images_that_cannot_be_drawn_move_from_released_to_withheld(stages: GatewayStages) -> None:
    stages.renderer.fails = True

    members = packed(stages, Output.JPEG)

    sums = ledger(members)["totals"]
    assert [member.name for member in members] == BESIDE
    assert {row["reason"] for row in table(members, "withheld.csv")} == {"pixels not renderable"}
    assert (sums["received"], sums["released"], sums["withheld"]) == (18, 0, 18)
    assert ledger(members)["not rendered"] == 18


def test_images_that_did_not_arrive_are_missing_in_the_ledger(stages: GatewayStages) -> None:
    one = next(one for one in three_patients().listed if one["PatientID"] == "P-2")
    stages.pacs.missing = {one["SOPInstanceUID"]}

    members = packed(stages, Output.DICOM)

    sums = ledger(members)["totals"]
    assert (sums["expected"], sums["received"], sums["missing"]) == (18, 17, 1)


def test_an_archive_that_fails_ends_the_package_without_its_ledger(stages: GatewayStages) -> None:
    stages.pacs.fails = Unavailable("pacs", "aborted the association")

    with pytest.raises(Unavailable):
        packed(stages, Output.DICOM)


def test_the_report_counts_the_images_that_leave_and_its_page_names_its_digest(stages: GatewayStages) -> None:
    members = {member.name: member.content for member in packed(stages, Output.DICOM, deny=("MR",))}

    document = json.loads(members["deidentification.json"])
    objects = document["objects"]
    assert (objects["received"], objects["released"], objects["adds_up"]) == (18, 8, True)
    assert objects["withheld"] == {"modality not allowed": 10}
    assert document["run"]["asked_by"] == "rita"
    assert document["run"]["id"] == stages.records()[-1]["query"]
    assert {row["name"]: row for row in document["attributes"]}["PatientName"]["replaced"] == 8
    assert (
        hashlib.sha256(members["deidentification.json"]).hexdigest()
        in members["deidentification.html"].decode()
    )


def test_names_and_lists_hold_pseudonyms_only(stages: GatewayStages) -> None:
    members = packed(stages, Output.DICOM)

    texts = " ".join(member.name for member in members) + str([m.content for m in members[-5:]])
    assert not any(secret in texts for secret in ("P-2", "Example^Bert", "ACC-21", "CASE-21", "1.2.826."))
    assert str(stages.patient("P-2")) in texts
