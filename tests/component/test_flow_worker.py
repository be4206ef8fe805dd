"""Workers over fakes: several on one run, one on several runs, outages waited for, faults counted."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import pytest

from p2d.flows.gateway.bulk import BulkExtractor
from p2d.flows.gateway.worker import BulkWorker
from p2d.jobs.ledger import Ledger
from p2d.model.errors import Misconfigured, Unavailable
from p2d.model.level import Scope
from p2d.model.request import Request
from p2d.pacs.governor.port import NotNow, Why
from p2d.pacs.port import Query
from p2d.testing.datasets import three_patients
from p2d.testing.gateway_stages import OPERATOR, GatewayStages, gateway_stages
from p2d.warehouse.batch import Receipt

PATIENTS = ("P-1", "P-2", "P-3")


@pytest.fixture
def stages(tmp_path: Path) -> GatewayStages:
    return gateway_stages(tmp_path, three_patients().listed, patients_per_batch=1)


def opened(stages: GatewayStages, *patients: str, priority: int = 0, scope: Scope = Scope.BASIC) -> str:
    request = Request(tuple(stages.target(patient) for patient in patients or PATIENTS), scope=scope)
    return BulkExtractor(stages.gateway).open(request, OPERATOR, priority=priority)


def ledger_of(stages: GatewayStages) -> Ledger:
    return stages.gateway.ledger


def worker_of(stages: GatewayStages, **changes: float) -> BulkWorker:
    return BulkWorker(replace(stages.gateway, **changes), Event())  # type: ignore[arg-type]  # its own fields


def worked_off(worker: BulkWorker) -> None:
    ledger = worker.gateway.ledger
    while worker.turn() or ledger.leases.runs():
        pass


def finds(stages: GatewayStages, before: Callable[[Query], None]) -> None:
    """Call *before* with every query to the archive."""
    inner = stages.pacs.find

    def find(query: Query) -> object:
        before(query)
        return inner(query)

    stages.pacs.find = find  # type: ignore[method-assign,assignment]  # the fake archive's door, watched


def test_a_worker_finishes_and_closes_what_is_open(stages: GatewayStages) -> None:
    runs = [opened(stages), opened(stages, "P-2", scope=Scope.EXTENDED)]

    worked_off(worker_of(stages))

    reports = [ledger_of(stages).report(run, recount=True) for run in runs]
    assert [report.state for report in reports] == ["completed", "completed"]
    assert all(report.is_complete for report in reports)
    intents = [record for record in stages.records() if record["kind"] == "intent"]
    assert {(record["user"], record["subject"]["run"]) for record in intents} == {
        ("olga", run) for run in runs
    }


def test_a_retry_that_comes_before_a_worker_closes_a_run_is_worked(stages: GatewayStages) -> None:
    run, ledger = opened(stages), ledger_of(stages)
    for patient in ledger.pending(run):
        ledger.fail(run, patient, "Unavailable: pacs", attempts_allowed=1)
    close = ledger.close_run
    retried: list[int] = []

    def close_run(run_id: str, **how: bool) -> bool:
        if not retried:
            retried.append(ledger.orders.retry(run_id))
        return close(run_id, **how)

    ledger.close_run = close_run  # type: ignore[method-assign]  # an operator who comes in just then

    worked_off(worker_of(stages))

    assert retried == [3]
    assert ledger.state(run) == "completed"


def test_several_workers_share_a_run_and_no_patient_is_asked_for_twice(stages: GatewayStages) -> None:
    run = opened(stages)
    asked: list[str] = []
    finds(stages, lambda query: asked.append(query.patient_id.value))
    alone = gateway_queries(stages)
    threads = [Thread(target=worked_off, args=(worker_of(stages),)) for _ in range(3)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    report = ledger_of(stages).report(run, recount=True)
    assert report.is_complete
    assert len(stages.warehouse.rows("instance")) == 60
    assert sorted(asked) == alone


def gateway_queries(stages: GatewayStages) -> list[str]:
    """Return whose queries a single worker asks of an archive like that of *stages*."""
    other = gateway_stages(stages.audit_file.parent / "alone", three_patients().listed, patients_per_batch=1)
    asked: list[str] = []
    finds(other, lambda query: asked.append(query.patient_id.value))
    opened(other)
    worked_off(worker_of(other))
    return sorted(asked)


def test_a_run_of_higher_priority_goes_first_even_when_it_comes_later(stages: GatewayStages) -> None:
    slow = opened(stages)
    urgent: list[str] = []
    order: list[str] = []

    def come(query: Query) -> None:
        order.append(query.patient_id.value)
        if not urgent:
            urgent.append(opened(stages, "P-3", priority=10))

    finds(stages, come)
    worker = worker_of(stages)
    worker.turn()

    assert ledger_of(stages).state(slow) == "running"
    assert ledger_of(stages).leases.ready()[0] == urgent[0]
    worked_off(worker)
    assert {ledger_of(stages).state(run) for run in (slow, *urgent)} == {"completed"}


def test_while_the_archive_is_down_nothing_is_counted_against_patients(stages: GatewayStages) -> None:
    run = opened(stages)
    stages.pacs.fails = Unavailable("pacs", "does not answer")
    worker = worker_of(stages, outage_seconds=1e9)
    for _ in range(5):
        worker.turn()
    pending, parked = ledger_of(stages).pending(run), ledger_of(stages).progress(run).parked

    stages.pacs.fails = None
    worked_off(worker)

    assert (len(pending), parked) == (3, 0)
    assert ledger_of(stages).report(run, recount=True).is_complete


def test_what_the_governor_does_not_allow_now_is_no_patients_fault(stages: GatewayStages) -> None:
    run = opened(stages)
    busy = [NotNow("main", Why.STOPPED, "is stopped")] * 9

    def refuse(_: Query) -> None:
        if busy:
            raise busy.pop()

    finds(stages, refuse)
    worked_off(worker_of(stages, outage_seconds=1e9))

    assert ledger_of(stages).report(run, recount=True).is_complete


def test_while_the_warehouse_is_down_the_same_batch_is_posted_again(stages: GatewayStages) -> None:
    run = opened(stages)
    stages.warehouse.failures = [Unavailable("warehouse", "does not answer")] * 4
    asks = list(stages.warehouse.failures)

    def receipt(batch_id: str) -> Receipt | None:
        if asks:
            raise asks.pop()
        return type(stages.warehouse).receipt(stages.warehouse, batch_id)

    stages.warehouse.receipt = receipt  # type: ignore[method-assign]  # down for a few questions
    worker = worker_of(stages, outage_seconds=1e9)

    worked_off(worker)

    report = ledger_of(stages).report(run, recount=True)
    assert report.is_complete
    assert stages.pacs.queries == len(gateway_queries(stages))


def test_a_fault_of_ours_costs_its_patient_only_and_names_its_place(stages: GatewayStages) -> None:
    run = opened(stages)

    def fail(query: Query) -> None:
        if query.patient_id.value == "P-2":
            raise KeyError("Example-Anna")

    finds(stages, fail)

    worked_off(worker_of(stages))

    report = ledger_of(stages).report(run, recount=True)
    (reason,) = report.patients.parked
    assert "KeyError at" in reason
    assert "Anna" not in reason
    assert (report.patients.done, report.state) == (2, "incomplete")


def test_what_only_an_operator_can_mend_pauses_the_run_with_the_reason(stages: GatewayStages) -> None:
    run = opened(stages)
    stages.pacs.fails = Misconfigured("pacs", "refuses the association", "register AE title P2D")

    worked_off(worker_of(stages))

    report = ledger_of(stages).report(run)
    assert (report.state, report.notes) == ("paused", ("paused: pacs: refuses the association",))
    assert ledger_of(stages).pending(run) != []

    stages.pacs.fails = None
    ledger_of(stages).orders.resume(run)
    worked_off(worker_of(stages))
    assert ledger_of(stages).report(run).is_complete


def test_a_drained_worker_gives_back_what_it_holds(stages: GatewayStages) -> None:
    run = opened(stages)
    worker = worker_of(stages)
    finds(stages, lambda _: worker.drain.set())

    worker.work()

    progress = ledger_of(stages).progress(run)
    assert (progress.patients_leased, progress.parked) == (0, 0)
    assert progress.patients_pending > 0
    assert ledger_of(stages).leases.ready() == [run]
    worked_off(worker_of(stages))
    assert ledger_of(stages).report(run).is_complete


def test_a_patient_that_a_drain_cuts_off_costs_no_attempt(stages: GatewayStages) -> None:
    run = opened(stages, "P-1")
    worker = worker_of(stages)

    def cut_off(_: Query) -> None:
        worker.drain.set()
        stages.pacs.stop()

    finds(stages, cut_off)
    worker.work()
    stages.pacs.resume()

    lease = ledger_of(stages).leases.take(run, "w", most=1, seconds=60)
    assert lease is not None
    assert not lease.is_retry


def test_a_stopped_run_is_closed_as_such_and_a_retry_works_the_given_up_only(stages: GatewayStages) -> None:
    run = opened(stages)
    refuses = [True]

    def refuse(query: Query) -> None:
        if refuses and query.patient_id.value == "P-2":
            raise Unavailable("pacs", "aborted the association")

    finds(stages, refuse)
    worked_off(worker_of(stages))
    assert ledger_of(stages).report(run).patients.done == 2
    refuses.clear()
    loads = len(stages.warehouse.batches)

    assert ledger_of(stages).orders.retry(run) == 1
    worked_off(worker_of(stages))

    assert ledger_of(stages).report(run, recount=True).is_complete
    assert len(stages.warehouse.batches) == loads + 1


def test_offers_name_ranges_with_work_in_them(stages: GatewayStages) -> None:
    run = opened(stages, priority=7)
    worker = worker_of(stages)

    assert list(worker.offers(2)) == [(run, (0, 2), 7), (run, (2, 4), 7)]

    worker.work_span(run, (0, 2))

    assert list(worker.offers(2)) == [(run, (2, 4), 7)]
    worker.work_span(run, (2, 4))
    assert list(worker.offers(2)) == []
    assert ledger_of(stages).state(run) == "completed"


def test_a_late_worker_loses_its_patients_and_nothing_counts_twice(stages: GatewayStages) -> None:
    run = opened(stages, "P-1")
    gateway = stages.gateway
    stolen: list[str] = []

    def steal(_: Query) -> None:
        if not stolen:
            (worker,) = gateway.ledger.leases.workers(run)
            stolen.append(worker)
            gateway.ledger.leases.take_over(run, "other", seconds=60, attempts_allowed=9, dead=worker)

    finds(stages, steal)

    worked_off(worker_of(stages))

    report = ledger_of(stages).report(run, recount=True)
    assert report.is_complete
    assert report.expected == 22
