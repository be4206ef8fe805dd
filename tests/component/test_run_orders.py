"""An operator's orders to bulk runs, by REST and command line: heeded, recorded, for operators only."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from p2d.access.assertion import Assertions, new_keypair, sign
from p2d.access.service import Gatekeeper, ServiceSecret, Throttle
from p2d.cli.app import cli
from p2d.flows.gateway.bulk import BulkExtractor
from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.worker import BulkWorker
from p2d.jobs.ledger import Ledger
from p2d.jobs.report import Progress
from p2d.main.roots import roots
from p2d.model.errors import Unavailable
from p2d.model.request import Request
from p2d.testing.app_client import AppClient
from p2d.testing.datasets import three_patients
from p2d.testing.gateway_stages import OPERATOR, GatewayStages, gateway_stages
from p2d.web.gateway.app import create_app
from p2d.web.gateway.guard import Guard

OPERATORS = "the-operators"
PATIENTS = ("P-1", "P-2", "P-3")


@dataclass
class Desk:
    stages: GatewayStages
    client: AppClient
    private_key: bytes
    run: str

    def ask(self, method: str, path: str, role: str = "operator", **more: Any) -> httpx.Response:
        headers = {
            "Authorization": f"Bearer {OPERATORS}",
            "P2D-Assertion": sign(self.private_key, "olga", role),
        }
        return self.client.request(method, f"/runs/{path}", headers=headers, **more)

    def order(self, order: str, **more: Any) -> httpx.Response:
        method = "PUT" if order == "priority" else "POST"
        return self.ask(method, f"{self.run}/{order}", **more)

    def command(self, *arguments: str) -> Result:
        own = Ledger(self.stages.audit_file.with_name("ledger.sqlite"))
        factories = replace(roots(), open_gateway=lambda _: replace(self.stages.gateway, ledger=own))
        return CliRunner().invoke(cli, ["runs", *arguments, "--settings", "gateway.toml"], obj=factories)

    def park_all(self) -> None:
        for patient in self.stages.gateway.ledger.pending(self.run):
            self.stages.gateway.ledger.fail(self.run, patient, "Unavailable: pacs", attempts_allowed=1)

    @property
    def state(self) -> str:
        return self.stages.gateway.ledger.state(self.run)

    def actions(self) -> list[tuple[str, str]]:
        return [(str(record["action"]), str(record["user"])) for record in self.stages.records()]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    stages = gateway_stages(tmp_path, three_patients().listed, patients_per_batch=1)
    gateway = replace(stages.gateway, has_workers=True)
    private, public = new_keypair()
    service, operators = (Gatekeeper(ServiceSecret([one]), Throttle()) for one in ("the-service", OPERATORS))
    app = create_app(gateway, Guard(service, operators, Assertions(public)))
    targets = tuple(stages.target(patient) for patient in PATIENTS)
    run = BulkExtractor(gateway).open(Request(targets), OPERATOR)
    return Desk(stages, AppClient(app), private, run)


@pytest.mark.parametrize(
    ("order", "state", "action"),
    [
        ("pause", "paused", "run paused"),
        ("cancel", "cancelled", "run cancelled"),
        ("stop", "stopping", "run stopped"),
        ("resume", "running", "run resumed"),
    ],
)
def test_an_order_is_heeded_and_recorded(desk: Desk, order: str, state: str, action: str) -> None:
    answer = desk.order(order)

    assert (answer.status_code, answer.json()) == (202, {"run_id": desk.run, "state": state})
    assert (action, "olga") in desk.actions()


def test_a_priority_is_a_number_from_minus_to_plus_hundred(desk: Desk) -> None:
    answer = desk.order("priority", json={"priority": 50})

    assert answer.json() == {"run_id": desk.run, "state": "open", "priority": 50}
    assert desk.order("priority", json={"priority": 101}).status_code == 422
    assert desk.ask("GET", desk.run).json()["progress"]["priority"] == 50


def test_a_retry_says_how_many_are_tried_again(desk: Desk) -> None:
    desk.park_all()

    answer = desk.order("retry")

    assert answer.json() == {"run_id": desk.run, "state": "open", "patients": 3}
    assert len(desk.stages.gateway.ledger.pending(desk.run)) == 3


@pytest.mark.parametrize("order", ["pause", "cancel", "stop", "resume", "retry"])
def test_orders_are_for_operators_and_known_runs(desk: Desk, order: str) -> None:
    refused = desk.ask("POST", f"{desk.run}/{order}", role="researcher")
    unknown = desk.ask("POST", f"R0/{order}")

    assert (refused.status_code, unknown.status_code) == (403, 404)
    assert desk.state == "open"


def test_an_order_that_cannot_be_recorded_is_not_carried_out(desk: Desk) -> None:
    desk.stages.audit_file.mkdir()

    answer = desk.order("cancel")

    assert answer.status_code == 503
    assert desk.state == "open"


def test_a_cancelled_run_takes_no_further_order(desk: Desk) -> None:
    desk.order("cancel")

    answer = desk.order("resume")

    assert answer.status_code == 422
    assert answer.json()["detail"] == "run_id: is cancelled"


def test_progress_tells_how_far_a_run_is(desk: Desk) -> None:
    answer = desk.ask("GET", desk.run).json()

    assert answer["progress"]["patients_pending"] == 3
    assert answer["progress"]["seconds_left"] is None
    assert answer["report"]["state"] == answer["progress"]["state"] == "open"
    assert desk.ask("GET", "").status_code in {200, 307}


def test_a_gateway_with_workers_leaves_the_work_to_them(desk: Desk) -> None:
    desk.order("resume")

    assert desk.stages.asked == 0
    worker = BulkWorker(desk.stages.gateway, Event())
    while worker.turn() or desk.stages.gateway.ledger.leases.runs():
        pass
    assert desk.state == "completed"


def test_a_gateway_without_workers_works_what_is_resumed_or_retried(desk: Desk) -> None:
    alone = replace(desk, client=AppClient(create_app(_gateway_alone(desk), _guard(desk))))
    desk.stages.pacs.fails = Unavailable("pacs", "does not answer")

    alone.order("resume")
    until(desk, lambda progress: progress.parked == 3)
    desk.stages.pacs.fails = None
    alone.order("retry")

    until(desk, lambda progress: progress.state == "completed")


@pytest.mark.parametrize("is_before_it_is_closed", [False, True])
def test_a_retry_that_comes_while_a_run_ends_is_worked(desk: Desk, *, is_before_it_is_closed: bool) -> None:
    ledger = desk.stages.gateway.ledger
    alone = replace(desk, client=AppClient(create_app(_gateway_alone(desk), _guard(desk))))
    desk.stages.pacs.fails = Unavailable("pacs", "does not answer")
    close = ledger.close_run
    retried: list[int] = []

    def retry() -> None:
        if not retried:
            desk.stages.pacs.fails = None
            retried.append(alone.order("retry").json()["patients"])

    def close_run(run_id: str, **how: bool) -> bool:
        if is_before_it_is_closed:
            retry()
        is_closed = close(run_id, **how)
        retry()
        return is_closed

    ledger.close_run = close_run  # type: ignore[method-assign]  # an operator who comes in just then

    alone.order("resume")

    until(desk, lambda progress: progress.state == "completed")
    assert retried == [3]


def test_a_stop_that_comes_after_a_retry_while_a_run_ends_holds(desk: Desk) -> None:
    ledger = desk.stages.gateway.ledger
    alone = replace(desk, client=AppClient(create_app(_gateway_alone(desk), _guard(desk))))
    desk.stages.pacs.fails = Unavailable("pacs", "does not answer")
    close = ledger.close_run

    def close_run(run_id: str, **how: bool) -> bool:
        desk.stages.pacs.fails = None
        alone.order("retry")
        alone.order("stop")
        return close(run_id, **how)

    ledger.close_run = close_run  # type: ignore[method-assign]  # an operator who comes in just then

    alone.order("resume")

    until(desk, lambda _: not alone.ask("GET", desk.run).json()["running"])
    assert desk.state == "stopped"
    assert len(ledger.pending(desk.run)) == 3


def test_a_retry_that_comes_while_the_command_ends_a_run_is_worked(desk: Desk) -> None:
    ledger = desk.stages.gateway.ledger
    desk.park_all()
    close = ledger.close_run
    retried: list[int] = []

    def close_run(run_id: str, **how: bool) -> bool:
        if not retried:
            retried.append(ledger.orders.retry(run_id))
        return close(run_id, **how)

    ledger.close_run = close_run  # type: ignore[method-assign]  # an operator who comes in just then

    report = BulkExtractor(desk.stages.gateway).run(desk.run, OPERATOR)

    assert retried == [3]
    assert report.state == "completed"


def _gateway_alone(desk: Desk) -> Gateway:
    return replace(desk.stages.gateway, has_workers=False)


def _guard(desk: Desk) -> Guard:
    return Guard(*_gates(), Assertions(_public(desk)))


def _gates() -> tuple[Gatekeeper, Gatekeeper]:
    return tuple(Gatekeeper(ServiceSecret([one]), Throttle()) for one in ("the-service", OPERATORS))  # type: ignore[return-value]  # two


def _public(desk: Desk) -> bytes:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - here only

    key = serialization.load_pem_private_key(desk.private_key, None)
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def until(desk: Desk, condition: Any) -> None:
    deadline = time.monotonic() + 30
    progress: Progress = desk.stages.gateway.ledger.progress(desk.run)
    while not condition(progress):
        assert time.monotonic() < deadline, progress
        time.sleep(0.02)
        progress = desk.stages.gateway.ledger.progress(desk.run)


def test_the_command_lists_runs_with_their_progress(desk: Desk) -> None:
    result = desk.command()

    assert result.exit_code == 0
    assert result.output == f"{desk.run}  open, 0 of 3 patients\n"


@pytest.mark.parametrize(
    ("words", "printed", "state"),
    [
        (["pause"], ": paused", "paused"),
        (["cancel"], ": cancelled", "cancelled"),
        (["resume"], ": open", "open"),
        (["retry"], "0 patients of", "open"),
    ],
)
def test_the_command_gives_orders(desk: Desk, words: list[str], printed: str, state: str) -> None:
    result = desk.command(*words, desk.run)

    assert result.exit_code == 0, result.output
    assert printed in result.output
    assert desk.stages.gateway.ledger.state(desk.run) == state


def test_the_command_sets_a_priority(desk: Desk) -> None:
    assert desk.command("priority", desk.run, "7").exit_code == 0
    assert "priority 7" in desk.command().output
    assert desk.command("priority", desk.run, "-3").exit_code == 0
    assert "priority -3" in desk.command().output


@pytest.mark.parametrize(
    "words", [["pause"], ["priority", "R1"], ["R1", "R2"], ["retry", "R1", "R2"], ["priority", "R1", "x"]]
)
def test_the_command_refuses_what_is_no_order(desk: Desk, words: list[str]) -> None:
    result = desk.command(*words)

    assert result.exit_code == 2


def test_the_command_prints_a_report_with_a_recount(desk: Desk) -> None:
    result = desk.command(desk.run, "--recount")

    assert result.exit_code == 7
    assert "The ledger adds up; the run is not complete." in result.output
