"""The release review over the gateway's interface: nothing leaves before an officer said so."""

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from p2d.access.assertion import Assertions, new_keypair, sign
from p2d.access.service import Gatekeeper, ServiceSecret, Throttle
from p2d.deid.pixels.decision import Decision
from p2d.deid.pixels.gate import Screened
from p2d.deid.pixels.layouts import DeviceKey
from p2d.deid.profile.profile import RESEARCH
from p2d.export.sheet import WIDTH
from p2d.flows.gateway.adhoc import AdHoc
from p2d.flows.gateway.deid_report import ImageRun
from p2d.flows.gateway.review import Reviews
from p2d.main.gateway import connect, read
from p2d.model.errors import Misconfigured, Unavailable
from p2d.model.level import Output
from p2d.model.request import Request
from p2d.pixels.box import Box
from p2d.pixels.sandbox import Sandbox
from p2d.testing.app_client import AppClient
from p2d.testing.datasets import three_patients
from p2d.testing.gateway_stages import OFFICER, RESEARCHER, GatewayStages, gateway_stages
from p2d.testing.installation import ArchiveAddress, install
from p2d.web.gateway.app import create_app
from p2d.web.gateway.guard import Guard

SERVICE, OPERATORS, OFFICERS = "the-service", "the-operators", "the-officers"
SECRETS = ("P-2", "Example^Bert", "ACC-21", "CASE-21", "1.2.826.")


@dataclass
class Api:
    stages: GatewayStages
    client: AppClient
    private_key: bytes
    folder: Path

    def ask(
        self, method: str, path: str, user: str, role: str, secret: str = "", **more: Any
    ) -> httpx.Response:
        secret = secret or (OFFICERS if role == "officer" else SERVICE)
        headers = {"Authorization": f"Bearer {secret}", "P2D-Assertion": sign(self.private_key, user, role)}
        return self.client.request(method, path, headers=headers, **more)

    def officer(self, method: str, path: str, user: str = "otto", **more: Any) -> httpx.Response:
        return self.ask(method, path, user, "officer", **more)

    def asker(self, method: str, path: str, user: str = "rita", **more: Any) -> httpx.Response:
        return self.ask(method, path, user, "researcher", **more)

    def images(self, output: str = "dicom") -> httpx.Response:
        key, _ = self.stages.gateway.sessions.open(RESEARCHER, [self.stages.patient("P-2")], images=True)
        headers = {"Authorization": f"Bearer {SERVICE}", "P2D-Session": key}
        identifiers = [{"kind": "patient", "pseudonym": str(self.stages.patient("P-2"))}]
        return self.client.post(
            "/query", headers=headers, json={"identifiers": identifiers, "output": output}
        )

    def held(self, output: str = "dicom") -> dict[str, Any]:
        answer = self.images(output)
        assert answer.status_code == 202
        found: dict[str, Any] = answer.json()
        found["series"].sort(key=lambda one: -one["images"])  # ten, then eight
        return found

    def decide(self, hold: str, series: str, decision: str, **more: Any) -> httpx.Response:
        path = f"/reviews/{hold}/series/{series}/decision"
        return self.officer("POST", path, json={"decision": decision, **more})


@pytest.fixture
def api(tmp_path: Path) -> Api:
    stages = gateway_stages(tmp_path, three_patients().listed)
    gateway = replace(stages.gateway, profile=replace(RESEARCH, review=True))
    stages.gateway = gateway
    private, public = new_keypair()
    service, operators, officers = (
        Gatekeeper(ServiceSecret([secret]), Throttle()) for secret in (SERVICE, OPERATORS, OFFICERS)
    )
    guard = Guard(service, operators, Assertions(public), officer_secret=officers)
    return Api(stages, AppClient(create_app(gateway, guard)), private, tmp_path)


@dataclass
class MaskingScreen:
    """Says of every image that a box of it was masked."""

    is_available: bool = True

    def screen(self, file: bytes, decision: Decision, device: DeviceKey) -> Screened:
        del decision, device
        return Screened(file, "1.2.840.10008.1.2.1", (Box(0, 0, 8, 4),), (0,), is_masked=True)

    def close(self) -> None:
        pass


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(children=1) as drawing:
        yield drawing


def unpacked(answer: httpx.Response) -> dict[str, bytes]:
    assert answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_images_are_held_and_answered_by_the_hold_alone(api: Api) -> None:
    hold = api.held()

    assert [(one["images"], one["standing"]) for one in hold["series"]] == [(10, "pending"), (8, "pending")]
    assert not any(secret in json.dumps(hold) for secret in SECRETS)
    on_disk = [path.read_bytes() for path in (api.folder / "holds").rglob("*") if path.is_file()]
    assert len(on_disk) > 18
    assert not any(b"DICM" in content for content in on_disk)


@pytest.mark.parametrize(("output", "ending"), [("dicom", ".dcm"), ("jpeg", ".jpg")])
def test_what_an_officer_approved_leaves_and_the_rest_is_listed(api: Api, output: str, ending: str) -> None:
    hold = api.held(output)
    first, second = (one["series"] for one in hold["series"])
    assert api.decide(hold["hold"], first, "reject", reason="text in the image").status_code == 200
    assert api.decide(hold["hold"], second, "approve").status_code == 200

    files = unpacked(api.asker("GET", f"/reviews/{hold['hold']}/files"))

    assert sum(name.endswith(ending) for name in files) == 8
    withheld = list(csv.DictReader(io.StringIO(files["withheld.csv"].decode())))
    assert {(row["series"], row["reason"]) for row in withheld} == {(first, "rejected in the release review")}
    sums = json.loads(files["ledger.json"])["totals"]
    assert (sums["received"], sums["released"], sums["withheld"]) == (18, 8, 10)
    report = json.loads(files["deidentification.json"])
    assert report["objects"]["adds_up"]
    assert report["objects"]["withheld"] == {"rejected in the release review": 10}
    assert report["review"] == {
        "hold": hold["hold"],
        "held": 18,
        "approved": 8,
        "rejected": {"text in the image": 10},
        "pending": 0,
        "by": ["otto"],
    }


def test_nothing_leaves_before_a_decision(api: Api) -> None:
    hold = api.held()

    files = unpacked(api.asker("GET", f"/reviews/{hold['hold']}/files"))

    assert not any(name.endswith(".dcm") for name in files)
    assert json.loads(files["deidentification.json"])["review"]["pending"] == 18
    assert b"not decided in the release review" in files["withheld.csv"]


def test_all_that_is_pending_can_be_decided_at_once(api: Api) -> None:
    hold = api.held()
    api.decide(hold["hold"], hold["series"][0]["series"], "reject", reason="other")

    answer = api.officer("POST", f"/reviews/{hold['hold']}/decision", json={"decision": "approve"})

    standing = {one["series"]: one["standing"] for one in answer.json()["series"]}
    assert [standing[one["series"]] for one in hold["series"]] == ["rejected", "approved"]


def test_a_decision_is_final(api: Api) -> None:
    hold = api.held()
    series = hold["series"][0]["series"]
    api.decide(hold["hold"], series, "reject", reason="other")

    assert api.decide(hold["hold"], series, "approve").status_code == 403


@pytest.mark.parametrize("body", [{"decision": "reject"}, {"decision": "approve", "reason": "other"}])
def test_a_reason_goes_with_a_rejection_and_only_there(api: Api, body: dict[str, str]) -> None:
    hold = api.held()
    path = f"/reviews/{hold['hold']}/series/{hold['series'][0]['series']}/decision"

    assert api.officer("POST", path, json=body).status_code == 422


@pytest.mark.parametrize("role", ["researcher", "operator"])
def test_only_officers_see_sheets_and_decide(api: Api, role: str) -> None:
    hold = api.held()
    series = hold["series"][0]["series"]
    sheet, decision = (f"/reviews/{hold['hold']}/series/{series}/{leaf}" for leaf in ("sheet", "decision"))

    assert api.ask("GET", sheet, "rita", role).status_code == 403
    assert api.ask("POST", decision, "rita", role, json={"decision": "approve"}).status_code == 403


def test_nobody_decides_on_an_own_request(api: Api) -> None:
    hold = api.held()

    answer = api.officer(
        "POST", f"/reviews/{hold['hold']}/decision", user="rita", json={"decision": "approve"}
    )

    assert answer.status_code == 403
    assert answer.json()["field"] == "hold"


def test_an_officer_shows_the_officers_secret(api: Api) -> None:
    hold = api.held()

    for secret in (SERVICE, OPERATORS):
        answer = api.ask("GET", f"/reviews/{hold['hold']}", "otto", "officer", secret=secret)
        assert answer.status_code == 403


def test_foreign_and_unknown_holds_are_answered_alike(api: Api) -> None:
    hold = api.held()["hold"]
    unknown = "H0123456789abcdef"

    for leaf in ("", "/files"):
        foreign = api.asker("GET", f"/reviews/{hold}{leaf}", user="mallory")
        absent = api.asker("GET", f"/reviews/{unknown}{leaf}", user="mallory")
        assert (foreign.status_code, foreign.json()) == (404, absent.json())
    assert api.asker("GET", "/reviews", user="mallory").json() == []
    assert [one["hold"] for one in api.asker("GET", "/reviews").json()] == [hold]
    assert [one["hold"] for one in api.officer("GET", "/reviews").json()] == [hold]


def test_previews_are_refused_under_a_review(api: Api) -> None:
    hold = api.held()
    key, _ = api.stages.gateway.sessions.open(RESEARCHER, [api.stages.patient("P-2")], images=True)
    series = hold["series"][0]
    headers = {"Authorization": f"Bearer {SERVICE}", "P2D-Session": key}

    answer = api.client.get(f"/studies/{series['study']}/series/{series['series']}/rendered", headers=headers)

    assert answer.status_code == 403
    assert "p2d review" in answer.json()["remedy"]


def test_an_archive_that_fails_leaves_no_hold(api: Api) -> None:
    api.stages.pacs.fails = Unavailable("pacs", "aborted the association")

    assert api.images().status_code == 503
    assert api.officer("GET", "/reviews").json() == []
    assert [path.name for path in (api.folder / "holds").iterdir()] == ["hold.key"]


def test_a_caller_who_goes_away_leaves_no_hold(api: Api) -> None:
    stages = api.stages
    run = ImageRun()
    request = Request((stages.target("P-2"),), output=Output.DICOM)
    outcomes = AdHoc(stages.gateway).images(request, stages.session("P-2", images=True), run)
    steps = Reviews(stages.gateway).hold(outcomes, Output.DICOM, run)
    assert next(steps) is None
    steps.close()  # type: ignore[attr-defined]  # a generator

    assert Reviews(stages.gateway).listed(OFFICER) == []
    assert [path.name for path in (api.folder / "holds").iterdir()] == ["hold.key"]


def test_every_step_is_in_the_audit_before_it_is_done(api: Api) -> None:
    hold = api.held()
    series = hold["series"][0]["series"]
    api.officer("GET", f"/reviews/{hold['hold']}/series/{series}/sheet")
    api.decide(hold["hold"], series, "approve")
    api.asker("GET", f"/reviews/{hold['hold']}/files")
    api.asker("POST", f"/reviews/{hold['hold']}/decision", json={"decision": "approve"})

    records = [(one["action"], one["kind"], one["user"]) for one in api.stages.records()]
    after = records[records.index(("held", "event", "rita")) :]
    assert after == [
        ("held", "event", "rita"),
        ("review sheet", "intent", "otto"),
        ("review sheet", "outcome", "otto"),
        ("review decision", "intent", "otto"),
        ("review decision", "outcome", "otto"),
        ("review fetch", "intent", "rita"),
        ("review fetch", "outcome", "rita"),
        ("refused", "event", "rita"),
    ]
    assert not any(secret in json.dumps(api.stages.records()) for secret in SECRETS)


def test_masked_images_are_counted_and_outlined(api: Api, sandbox: Sandbox) -> None:
    profile = replace(RESEARCH, review=True, screen="all")
    gateway = replace(api.stages.gateway, profile=profile, screen=MaskingScreen(), renderer=sandbox)
    run = ImageRun()
    request = Request((api.stages.target("P-2"),), output=Output.DICOM)
    outcomes = AdHoc(gateway).images(request, api.stages.session("P-2", images=True), run)
    *_, hold = Reviews(gateway).hold(outcomes, Output.DICOM, run)

    assert hold is not None
    assert {file.picture.boxes for file in hold.files} == {((0, 0, 8, 4),)}
    sheet = Image.open(io.BytesIO(Reviews(gateway).sheet(hold.hold_id, hold.files[0].series, OFFICER)))
    pixels = np.asarray(sheet.convert("RGB"))
    assert ((pixels[..., 0] > 150) & (pixels[..., 1:].max(axis=-1) < 120)).any()


def test_a_gateway_whose_profile_asks_for_a_review_needs_officers(tmp_path: Path) -> None:
    installation = install(tmp_path / "p2d", ArchiveAddress(104, "PACS"))
    path = installation.settings("gateway")
    (path.parent / "looked-at.yaml").write_text("extends: research\nreview: true\n", encoding="utf-8")
    text = path.read_text(encoding="utf-8").replace('officer_secret = "../secrets/officer"', "")
    path.write_text(text + '[deid]\nprofile = "looked-at.yaml"\n', encoding="utf-8")

    with pytest.raises(Misconfigured) as caught:
        connect(read(path))

    assert caught.value.field == "review.officer_secret"


def test_a_contact_sheet_shows_the_series_drawn_in_the_sandbox(api: Api, sandbox: Sandbox) -> None:
    hold = api.held()
    series = hold["series"][0]["series"]
    reviews = Reviews(replace(api.stages.gateway, renderer=sandbox))

    sheet = Image.open(io.BytesIO(reviews.sheet(hold["hold"], series, OFFICER)))

    assert sheet.format == "JPEG"
    assert sheet.width > 6 * WIDTH
    grey = sheet.convert("L").crop((4, 20, 4 + WIDTH, 60))
    assert len(set(grey.tobytes())) > 20  # an image, not an empty tile
