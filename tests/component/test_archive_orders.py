"""The load on archives and the kill switch: over REST, on the command line, as metrics."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from click.testing import CliRunner, Result

from p2d.access.assertion import Assertions, new_keypair, sign
from p2d.access.service import Gatekeeper, ServiceSecret, Throttle
from p2d.cli.app import cli
from p2d.cli.roots import Roots
from p2d.flows.gateway.bulk import BulkExtractor
from p2d.main.archives import open_archive_orders
from p2d.main.gateway import connect, read
from p2d.model.errors import Misconfigured, Unavailable
from p2d.model.identified import PatientId
from p2d.model.level import Level
from p2d.model.request import Request
from p2d.pacs.governor.archives import GovernedArchives
from p2d.pacs.governor.connect import connect_governor
from p2d.pacs.governor.governed import GovernedPacs
from p2d.pacs.governor.machine import MachineGovernor
from p2d.pacs.governor.port import NotNow, WorkClass
from p2d.pacs.port import Query
from p2d.pacs.several import SeveralArchives
from p2d.settings.governor import Governing
from p2d.testing.app_client import AppClient
from p2d.testing.datasets import three_patients
from p2d.testing.gateway_stages import OPERATOR, GatewayStages, gateway_stages
from p2d.testing.governor_contract import PLENTY
from p2d.testing.installation import ArchiveAddress, Installation, install
from p2d.testing.memory_pacs import MemoryPacs
from p2d.testing.waiting import until
from p2d.web.gateway.app import create_app
from p2d.web.gateway.guard import Guard

SERVICE, OPERATORS, TOKEN = "the-service", "the-operators", "the-token"


@dataclass
class Api:
    stages: GatewayStages
    archives: GovernedArchives
    client: AppClient
    private_key: bytes

    def ask(self, method: str, path: str, role: str = "operator", secret: str = OPERATORS) -> httpx.Response:
        headers = {"Authorization": f"Bearer {secret}", "P2D-Assertion": sign(self.private_key, "olga", role)}
        return self.client.request(method, path, headers=headers)

    def metrics(self, token: str = TOKEN) -> httpx.Response:
        return self.client.get("/metrics", headers={"Authorization": f"Bearer {token}"})


def governed(pacs: MemoryPacs, folder: Path) -> GovernedPacs:
    governor = connect_governor(pacs.name, PLENTY, folder)
    return GovernedPacs(pacs, governor, PLENTY, WorkClass.INTERACTIVE)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    stages = gateway_stages(tmp_path, three_patients().instances())
    archives = GovernedArchives((governed(stages.pacs, tmp_path),), SeveralArchives)
    gateway = replace(stages.gateway, pacs=archives.for_class(WorkClass.INTERACTIVE), archives=archives)
    stages.gateway = gateway
    private, public = new_keypair()
    service, operators, token = (
        Gatekeeper(ServiceSecret([secret]), Throttle()) for secret in (SERVICE, OPERATORS, TOKEN)
    )
    guard = Guard(service, operators, Assertions(public), metrics_token=token)
    with closing(gateway):
        yield Api(stages, archives, AppClient(create_app(gateway, guard)), private)


def run(folder: Path, *arguments: str) -> Result:
    class Factories:
        """The one factory that these commands use."""

        open_archive_orders = staticmethod(open_archive_orders)

    settings = str(folder / "gateway" / "gateway.toml")
    roots = cast("Roots", Factories())
    return CliRunner().invoke(cli, ["archive", *arguments, "--settings", settings], obj=roots)


def test_the_load_is_an_operator_s_to_see(api: Api) -> None:
    list(api.stages.gateway.pacs.find(Query(Level.INSTANCE, PatientId("P-1"))))

    (load,) = api.ask("GET", "/archives").json()

    assert load["archive"] == "main"
    assert load["rates"]["queries"]["last_minute"] == 1
    assert load["totals"]["interactive"]["queries"] == 1
    assert load["windows"]["bulk"] == {"open": True, "changes_at": None}
    for method, path in (
        ("GET", "/archives"),
        ("POST", "/archives/main/stop"),
        ("POST", "/archives/main/resume"),
    ):
        assert api.ask(method, path, role="researcher").status_code == 403
        assert api.ask(method, path, secret=SERVICE).status_code in {403, 429}


def test_stop_and_resume_over_rest_hold_for_all_and_are_recorded(api: Api) -> None:
    pacs = api.stages.gateway.pacs
    pacs.echo()

    assert api.ask("POST", "/archives/main/stop").status_code == 202

    with pytest.raises(NotNow):
        pacs.echo()
    assert "olga" in api.ask("GET", "/archives").json()[0]["stopped"]
    until(lambda: api.stages.pacs.is_stopped)
    assert api.ask("POST", "/archives/main/resume").json() == {"archive": "main", "state": "running"}
    until(lambda: not api.stages.pacs.is_stopped)
    pacs.echo()
    records = [(one["action"], one["user"], one.get("subject")) for one in api.stages.records()]
    assert ("archive stopped", "olga", {"archive": "main"}) in records
    assert ("archive resumed", "olga", {"archive": "main"}) in records


def test_an_unknown_archive_is_not_found(api: Api) -> None:
    assert api.ask("POST", "/archives/other/stop").status_code == 404


def test_a_file_made_by_hand_is_removed_by_hand(api: Api, tmp_path: Path) -> None:
    (tmp_path / "STOP").touch()

    answer = api.ask("POST", "/archives/main/resume")

    assert answer.status_code == 403
    assert "STOP" in answer.json()["detail"]


def test_metrics_are_prometheus_text_without_identifiers(api: Api) -> None:
    headers = list(api.stages.gateway.pacs.find(Query(Level.INSTANCE, PatientId("P-3"))))
    list(api.stages.gateway.for_work(WorkClass.EXPORT).pacs.retrieve(PatientId("P-3"), headers))

    answer = api.metrics()

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    sample = re.compile(r'[a-z_0-9]+\{([a-z]+="[a-z_0-9-]*",?)+\} [0-9.e+-]+')
    for line in answer.text.splitlines():
        assert line.startswith(("# HELP ", "# TYPE ")) or sample.fullmatch(line), line
    names = [line.split()[2] for line in answer.text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names))
    assert 'p2d_archive_used_total{archive="main",resource="images",class="export"} 20\n' in answer.text
    assert 'p2d_governor_up{archive="main"} 1\n' in answer.text
    assert "P-3" not in answer.text
    assert "1.2.826" not in answer.text


def test_metrics_need_their_own_token(api: Api) -> None:
    assert api.client.get("/metrics").status_code == 403
    assert api.metrics(token=OPERATORS).status_code == 403
    without = replace(api.client._app.state.web.guard, metrics_token=None)
    client = AppClient(create_app(api.stages.gateway, without))
    assert client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 404


def test_metrics_say_when_a_governor_is_out_of_reach(api: Api) -> None:
    api.archives.governors["main"].close()

    answer = api.metrics()

    assert answer.status_code == 200
    assert 'p2d_governor_up{archive="main"} 0\n' in answer.text
    assert "p2d_archive_used_total" not in answer.text


def test_a_run_pauses_while_its_archive_is_stopped_and_costs_no_attempt(api: Api) -> None:
    gateway = replace(api.stages.gateway.for_work(WorkClass.BULK), retry_seconds=0.05)
    extractor = BulkExtractor(gateway)
    run_id = extractor.open(Request((api.stages.target("P-1"),)), OPERATOR)
    governor = api.archives.governors["main"]
    governor.stop("olga")
    threading.Timer(0.5, governor.resume).start()

    report = extractor.run(run_id, OPERATOR)

    assert report.is_complete
    assert report.patients.done == 1
    assert api.stages.pacs.retrieves == 0  # basic scope


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return install(tmp_path, ArchiveAddress(port=1, called_ae_title="NOBODY"))


def records(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "gateway" / "audit.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_the_command_line_stops_and_resumes_without_any_other_process(
    installation: Installation, tmp_path: Path
) -> None:
    stopped = run(tmp_path, "stop")
    status = run(tmp_path, "status")

    assert stopped.exit_code == 0, stopped.output
    assert stopped.output == "archive main is stopped\n"
    assert (tmp_path / "gateway" / "STOP.main").exists()
    assert "STOPPED by" in status.output
    assert run(tmp_path, "resume", "main").exit_code == 0
    assert "running" in run(tmp_path, "status", "main").output
    (load,) = json.loads(run(tmp_path, "status", "--json").output)
    assert load["associations"]["cap"] == 8
    assert [one["action"] for one in records(tmp_path)] == ["archive stopped", "archive resumed"]
    assert run(tmp_path, "stop", "other").exit_code == 4


def test_stop_works_when_identity_and_secrets_are_broken(installation: Installation, tmp_path: Path) -> None:
    for secret in (tmp_path / "secrets").iterdir():
        secret.unlink()

    assert run(tmp_path, "stop").exit_code == 0


def test_a_connected_gateway_shares_the_governor_of_its_machine(
    installation: Installation, tmp_path: Path
) -> None:
    settings = read(installation.settings("gateway"))
    first, second = connect(settings), connect(settings)
    assert first.archives
    assert second.archives
    for one in (first, second):
        one.archives.governors["main"].load()  # type: ignore[union-attr]  # stated above

    holders = [
        cast("MachineGovernor", one.archives.governors["main"]).is_holder
        for one in (first, second)
        if one.archives
    ]

    assert holders == [True, False]
    second.close()
    first.close()


@pytest.mark.parametrize(
    ("content", "mode", "words"), [(None, 0, "not readable"), ("", 0o400, "empty"), ("x", 0o644, "others")]
)
def test_a_database_file_that_cannot_be_used_is_said_to_be_so(
    tmp_path: Path, content: str | None, mode: int, words: str
) -> None:
    file = tmp_path / "dsn"
    if content is not None:
        file.write_text(content)
        file.chmod(mode)

    with pytest.raises(Misconfigured, match=words):
        connect_governor("main", Governing(shared="database", database=file), tmp_path)


def test_a_database_that_is_down_admits_nothing_but_stops_this_machine(tmp_path: Path) -> None:
    file = tmp_path / "dsn"
    file.write_text(f"host={tmp_path} dbname=none connect_timeout=2")
    file.chmod(0o400)
    governor = connect_governor("main", Governing(shared="database", database=file), tmp_path)

    with pytest.raises(Unavailable, match="database"):
        governor.load()
    with pytest.raises(Unavailable, match="database"):
        governor.stop("olga")
    assert (tmp_path / "STOP.main").exists()
    governor.close()
