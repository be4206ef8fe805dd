"""Who may sync and how: on the command line, over REST, every night."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import httpx
import pytest
from click.testing import CliRunner, Result

from p2d.access.assertion import Assertions, new_keypair, sign
from p2d.access.service import Gatekeeper, ServiceSecret, Throttle
from p2d.cli.app import cli
from p2d.cli.roots import Roots
from p2d.flows.gateway.sync.claim import claims_of, only_one
from p2d.flows.gateway.sync.nightly import Nightly
from p2d.flows.gateway.sync.schedule import Schedule
from p2d.flows.gateway.sync.sync import Sync
from p2d.jobs.ledger import Ledger
from p2d.main.gateway import connect, read
from p2d.main.nightly import nightly_sync
from p2d.model.errors import Misconfigured, Unavailable
from p2d.testing.app_client import AppClient
from p2d.testing.datasets import three_patients
from p2d.testing.gateway_stages import RESEARCHER, GatewayStages, gateway_stages
from p2d.testing.installation import ArchiveAddress, install
from p2d.testing.waiting import until
from p2d.web.gateway.app import create_app
from p2d.web.gateway.guard import Guard

SERVICE, OPERATORS = "the-service", "the-operators"
DAY = {"first": "2022-01-01", "last": "2022-01-01"}


@pytest.fixture
def stages(tmp_path: Path) -> GatewayStages:
    made = gateway_stages(tmp_path, three_patients().listed)
    for patient in ("P-1", "P-3"):
        made.patient(patient)
    return made


@dataclass
class Api:
    stages: GatewayStages
    client: AppClient
    private_key: bytes

    def ask(
        self, method: str, path: str, body: object = None, role: str = "operator", secret: str = OPERATORS
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {secret}", "P2D-Assertion": sign(self.private_key, "olga", role)}
        return self.client.request(method, path, headers=headers, json=body)


@pytest.fixture
def api(stages: GatewayStages) -> Api:
    private, public = new_keypair()
    service, operators = (Gatekeeper(ServiceSecret([secret]), Throttle()) for secret in (SERVICE, OPERATORS))
    guard = Guard(service, operators, Assertions(public))
    return Api(stages, AppClient(create_app(stages.gateway, guard)), private)


def test_over_rest_an_operator_begins_a_sync_and_reads_what_it_came_to(api: Api) -> None:
    begun = api.ask("POST", "/sync", DAY)
    until(lambda: not api.ask("GET", "/sync").json()["running"], seconds=20)
    read = api.ask("GET", "/sync").json()

    assert begun.status_code == 202
    assert (read["counts"]["new"], read["complete"], read["error"]) == (1, True, "")
    assert api.ask("GET", f"/runs/{read['run_id']}").json()["report"]["kind"] == "sync"
    assert len(api.stages.warehouse.rows("instance")) == 20


def test_days_or_modalities_alone_are_refused_to_everybody_else(api: Api) -> None:
    asked = api.stages.asked
    assert api.ask("POST", "/query", {"type": "bulk", "modalities": ["CT"]}).status_code == 422
    for role, secret in (("researcher", OPERATORS), ("operator", SERVICE), ("officer", SERVICE)):
        assert api.ask("POST", "/sync", DAY, role, secret).status_code in {403, 429}
        assert api.ask("GET", "/sync", None, role, secret).status_code in {403, 429}
    key, _ = api.stages.gateway.sessions.open(
        RESEARCHER, [api.stages.patient("P-1")], images=False,
        modalities_allowed=frozenset(), modalities_denied=frozenset(),
    )  # fmt: skip
    headers = {"Authorization": f"Bearer {SERVICE}", "P2D-Session": key}
    for body in (
        {"modalities": ["CT"]},
        {"identifiers": [], "modalities": ["CT"]},
        {"identifiers": [{"kind": "patient", "start": "2022-01-01", "end": "2022-01-31"}]},
        {"start": "2022-01-01", "end": "2022-01-31"},
    ):
        answer = api.client.request("POST", "/query", headers=headers, json=body)
        assert answer.status_code == 422, answer.text
    assert api.client.request("GET", "/query?modality=CT", headers=headers).status_code == 422
    assert api.stages.asked == asked


def test_a_second_sync_is_refused_while_one_is_under_way(api: Api) -> None:
    with only_one(api.stages.gateway):
        assert api.ask("POST", "/sync", DAY).status_code == 422
    assert api.ask("POST", "/sync", {**DAY, "modalities": ["??"]}).status_code == 422
    assert api.ask("POST", "/sync", {"first": "2022-01-02", "last": "2022-01-01"}).status_code == 422


def test_what_ended_a_sync_is_told(api: Api) -> None:
    api.stages.pacs.fails = Unavailable("pacs", "aborted the association")
    api.ask("POST", "/sync", DAY)
    until(lambda: not api.ask("GET", "/sync").json()["running"], seconds=20)

    assert api.ask("GET", "/sync").json() == {
        "running": False,
        "error": "pacs: aborted the association",
        "counts": None,
        "run_id": "",
        "complete": False,
    }


def called(stages: GatewayStages, folder: Path, *words: str) -> Result:
    class Factories:
        """The one factory that this command uses."""

        @staticmethod
        def open_gateway(settings: Path) -> Any:
            del settings
            return replace(stages.gateway, ledger=Ledger(folder / "ledger.sqlite"))

    roots = cast("Roots", Factories())
    return CliRunner().invoke(cli, ["sync", "--settings", "gateway.toml", *words], obj=roots)


def test_on_the_command_line_numbers_come_before_the_report(stages: GatewayStages, tmp_path: Path) -> None:
    days = ("--from", "2022-01-01", "--to", "2022-01-02")
    looked = called(stages, tmp_path, *days, "--dry-run")
    first = called(stages, tmp_path, *days)
    second = called(stages, tmp_path, *days, "--json")

    assert (looked.exit_code, first.exit_code, second.exit_code) == (0, 0, 0), first.output
    assert "Studies listed" in first.stdout
    assert "P-3" not in first.output
    assert json.loads(second.stdout)["counts"]["same"] == 1
    assert json.loads(second.stdout)["run"] is None
    assert len(stages.gateway.ledger.runs()) == 1


def test_an_incomplete_sync_ends_with_its_own_exit_code(stages: GatewayStages, tmp_path: Path) -> None:
    (gone, *_) = (one["SOPInstanceUID"] for one in three_patients().listed if one["PatientID"] == "P-3")
    stages.pacs.missing.add(gone)

    ended = called(stages, tmp_path, "--from", "2022-01-01", "--to", "2022-01-01", "--scope", "extended")

    assert ended.exit_code == 7


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--days", "3", "--from", "2022-01-01"),
        ("--to", "2022-01-01"),
        ("--from", "2022-01-02", "--to", "2022-01-01"),
        ("--days", "1", "--modality", "*"),
    ],
)
def test_a_range_is_stated_in_one_way(stages: GatewayStages, tmp_path: Path, words: tuple[str, ...]) -> None:
    assert called(stages, tmp_path, *words).exit_code == 2
    assert stages.pacs.queries == 0


BERLIN = ZoneInfo("Europe/Berlin")
AT = datetime.strptime("02:30", "%H:%M").time()  # noqa: DTZ007 - a time of day has no zone


class Nights:
    """A gateway's nightly sync, its clock moved by the test."""

    def __init__(self, stages: GatewayStages, days_back: int = 3000) -> None:
        self.stages = stages
        self.now = datetime(2022, 1, 10, 12, tzinfo=BERLIN)
        self.nightly = self.started(days_back)

    def started(self, days_back: int = 3000) -> Nightly:
        """The nightly sync of another process on the same ledger."""
        schedule = Schedule(AT, BERLIN, days_back)
        return Nightly(Sync(self.stages.gateway), schedule, clock=lambda: self.now)

    def at(self, day: int, hour: int, minute: int = 0) -> None:
        self.now = datetime(2022, 1, day, hour, minute, tzinfo=BERLIN)

    @property
    def syncs(self) -> int:
        return sum(one["action"] == "sync" and one["kind"] == "intent" for one in self.stages.records())


@pytest.fixture
def nights(stages: GatewayStages) -> Nights:
    return Nights(stages, 20)


def test_a_new_schedule_begins_with_its_next_night_and_runs_once_a_night(nights: Nights) -> None:
    assert not nights.nightly.turn()
    nights.at(11, 2, 29)
    assert not nights.nightly.turn()
    assert nights.syncs == 0

    nights.at(11, 2, 30)
    assert nights.nightly.turn()
    for hour in (3, 12, 23):
        nights.at(11, hour)
        assert not nights.nightly.turn()
    nights.at(12, 4)
    assert nights.nightly.turn()
    assert nights.syncs == 2
    assert len(nights.stages.warehouse.rows("instance")) == 20


def test_a_restart_repeats_no_night_and_catches_up_missed_ones(nights: Nights) -> None:
    nights.nightly.turn()
    nights.at(11, 3)
    assert nights.nightly.turn()
    assert not nights.started().turn()

    nights.at(20, 15)
    later = nights.started(days_back=1)
    assert later.turn()
    assert not later.turn()
    intents = [one for one in nights.stages.records() if one["action"] == "sync" and one["kind"] == "intent"]
    assert [one["subject"]["days"] for one in intents] == [21, 10]  # the second from the 11th to the 20th
    assert {one["user"] for one in intents} == {"nightly"}


def test_two_machines_do_a_night_once(nights: Nights) -> None:
    other = nights.started()
    nights.nightly.turn()
    nights.at(11, 3)
    with only_one(nights.stages.gateway):
        assert not nights.nightly.turn()
    assert other.turn()
    assert not nights.nightly.turn()
    assert nights.syncs == 1


def test_a_night_that_failed_is_tried_again_after_a_while(nights: Nights) -> None:
    nights.nightly.turn()
    nights.at(11, 3)
    nights.stages.pacs.fails = Unavailable("pacs", "aborted the association")
    assert not nights.nightly.turn()
    nights.stages.pacs.fails = None
    nights.at(11, 3, 9)
    assert not nights.nightly.turn()
    nights.at(11, 3, 11)
    assert nights.nightly.turn()
    assert claims_of(nights.stages.gateway).noted() == "2022-01-11"
    assert "nightly sync failed" in {one["action"] for one in nights.stages.records()}


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("night", "begins"),
    [
        (date(2026, 3, 28), "2026-03-28T01:30:00"),
        (date(2026, 3, 29), "2026-03-29T01:30:00"),  # 02:30 does not exist: 03:30 by the clock
        (date(2026, 3, 30), "2026-03-30T00:30:00"),
        (date(2026, 10, 25), "2026-10-25T00:30:00"),  # 02:30 comes twice: the first
        (date(2026, 10, 26), "2026-10-26T01:30:00"),
    ],
)
def test_each_night_begins_once_whatever_the_clock_does(night: date, begins: str) -> None:
    schedule = Schedule(AT, BERLIN)
    first = instant(begins)

    assert schedule.begins(night) == first
    assert schedule.latest(first - timedelta(seconds=1)) == night - timedelta(days=1)
    for hours in (0, 1, 2, 12, 22):
        assert schedule.latest(first + timedelta(hours=hours)) == night


def test_settings_ask_for_a_nightly_sync_or_for_none(tmp_path: Path) -> None:
    installation = install(tmp_path, ArchiveAddress(port=1, called_ae_title="NOBODY"))
    path = installation.settings("gateway")
    plain = read(path)
    gateway = connect(plain)
    try:
        assert nightly_sync(plain, gateway) is None
        written = path.read_text()
        path.write_text(f'{written}\n[sync]\nat = "02:30"\ntime_zone = "Europe/Berlin"\nscope = "extended"\n')
        nightly = nightly_sync(read(path), gateway)
        assert nightly is not None
        assert nightly.schedule.begins(date(2026, 11, 26)) == instant("2026-11-26T01:30:00")
        for wrong in ('at = "02:30"', 'at = "24:00"\ntime_zone = "UTC"', 'time_zone = "Mars/Base"'):
            path.write_text(f"{written}\n[sync]\n{wrong}\n")
            with pytest.raises(Misconfigured):
                read(path)
    finally:
        gateway.close()
        gateway.ledger.close()
