"""Leases on either engine: each patient with one worker at a time, the dead taken over, the late refused."""

from itertools import pairwise
from threading import Thread

import pytest

from p2d.jobs.counts import SeriesCounts
from p2d.jobs.lease import Lease, LeaseLost
from p2d.jobs.ledger import Ledger
from p2d.model.errors import InvalidRequest, NotFound
from p2d.testing.ledgers import Engine

PATIENTS = [f"P{number}" for number in range(6)]


def line(patient: str, images: int = 3) -> SeriesCounts:
    return SeriesCounts(patient, "s", "t", images, images, images)


def take(ledger: Ledger, run: str, worker: str = "w1", most: int = 2) -> Lease:
    lease = ledger.leases.take(run, worker, most=most, seconds=60)
    assert lease is not None
    return lease


def taken_over(ledger: Ledger, run: str, *, allowed: int = 3, dead: str = "") -> Lease | None:
    return ledger.leases.take_over(run, "w9", seconds=60, attempts_allowed=allowed, dead=dead)


@pytest.fixture
def run(ledger: Ledger) -> str:
    return ledger.open_run("bulk", {}, PATIENTS, "olaf")


def test_workers_get_different_patients_in_the_order_of_the_run(
    engine: Engine, ledger: Ledger, run: str
) -> None:
    first, second = take(ledger, run), take(engine.ledger(), run, "w2", most=3)

    assert (first.patients, second.patients) == (("P0", "P1"), ("P2", "P3", "P4"))
    assert second.lease_id > first.lease_id
    assert ledger.state(run) == "running"
    assert ledger.progress(run).patients_leased == 5


def test_workers_that_take_at_once_share_every_patient_once(engine: Engine, ledger: Ledger) -> None:
    patients = [f"P{number:03}" for number in range(120)]
    run = ledger.open_run("bulk", {}, patients, "olaf")
    got: list[tuple[str, ...]] = []

    def work(own: Ledger, name: str) -> None:
        while (lease := own.leases.take(run, name, most=7, seconds=60)) is not None:
            got.append(lease.patients)

    threads = [Thread(target=work, args=(engine.ledger(), f"w{n}")) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(patient for some in got for patient in some) == patients


def test_a_span_limits_what_is_taken(ledger: Ledger, run: str) -> None:
    lease = ledger.leases.take(run, "w1", most=9, seconds=60, span=(2, 4))

    assert lease is not None
    assert lease.patients == ("P2", "P3")
    assert ledger.leases.take(run, "w1", most=9, seconds=60, span=(2, 4)) is None


def test_what_is_left_of_a_lease_that_ends_is_ready_at_once(ledger: Ledger, run: str) -> None:
    lease = take(ledger, run, most=3)
    ledger.absent(run, "P0", lease=lease)
    ledger.record(run, "b1", "P1", [line("P1")], lease=lease)

    ledger.leases.end(lease)

    assert take(ledger, run, most=9).patients == ("P2", "P3", "P4", "P5")
    waiting = taken_over(ledger, run)
    assert waiting is not None
    assert (waiting.patients, ledger.unconfirmed(run, lease=waiting)) == (("P1",), ["b1"])


def test_a_lease_that_is_renewed_lives_and_one_that_is_not_is_taken_over(
    engine: Engine, ledger: Ledger, run: str
) -> None:
    living, silent = take(ledger, run), take(ledger, run, "w2")
    engine.clock.pass_(50)
    ledger.leases.renew(living)
    engine.clock.pass_(50)

    assert taken_over(ledger, run) is None

    ledger.leases.renew(living)
    with pytest.raises(LeaseLost):
        ledger.leases.renew(silent)
    assert take(ledger, run, "w3").patients == silent.patients


def test_a_late_holder_can_write_nothing(engine: Engine, ledger: Ledger, run: str) -> None:
    late = take(ledger, run)
    ledger.record(run, "b1", "P1", [line("P1", 7)], lease=late)
    engine.clock.pass_(61)
    waiting = taken_over(ledger, run)
    assert waiting is not None
    ledger.forget(run, "b1", lease=waiting)
    ledger.leases.end(waiting)
    present = take(ledger, run)
    ledger.record(run, "b1", "P0", [line("P0")], lease=present)
    ledger.record(run, "b1", "P1", [line("P1")], lease=present)

    for write in (
        lambda: ledger.record(run, "b1", "P0", [line("P0", 9)], lease=late),
        lambda: ledger.loaded(run, "b1", lease=late),
        lambda: ledger.forget(run, "b1", lease=late),
        lambda: ledger.fail(run, "P0", "x", attempts_allowed=1, lease=late),
        lambda: ledger.absent(run, "P0", lease=late),
        lambda: ledger.unresolved(run, "P0", "NotFound", lease=late),
        lambda: ledger.leases.renew(late),
        lambda: ledger.leases.begin(late, "P0"),
    ):
        with pytest.raises(LeaseLost):
            write()
    ledger.leases.end(late)
    ledger.loaded(run, "b1", lease=present)

    report = ledger.report(run, recount=True)
    assert report.adds_up
    assert (report.patients.done, report.expected) == (2, 6)


def test_a_held_patient_is_not_written_without_its_lease(ledger: Ledger, run: str) -> None:
    take(ledger, run)

    with pytest.raises(InvalidRequest, match="held by a worker"):
        ledger.absent(run, "P0")


def test_a_patient_that_kills_its_workers_is_parked_after_three_and_the_others_go_on(
    ledger: Ledger, run: str
) -> None:
    for death in range(3):
        lease = take(ledger, run, f"w{death}")
        assert "P0" in lease.patients
        ledger.leases.begin(lease, "P0")
        assert taken_over(ledger, run, dead=f"w{death}") is None
        if death == 0:  # from now on it comes alone, after the untried
            rest = take(ledger, run, most=9)
            assert rest.patients == ("P1", "P2", "P3", "P4", "P5")
            for patient in rest.patients:
                ledger.absent(run, patient, lease=rest)

    report = ledger.report(run)
    assert dict(report.patients.parked) == {"its worker died while at it": 1}
    assert report.patients.absent == 5
    assert ledger.leases.next_due(run) is None


def test_who_was_between_patients_costs_no_attempt(ledger: Ledger, run: str) -> None:
    lease = take(ledger, run)
    ledger.leases.begin(lease, "P0")
    ledger.leases.leave(lease, "P0")

    taken_over(ledger, run, allowed=1, dead="w1")

    assert take(ledger, run).patients == ("P0", "P1")


def test_what_a_worker_could_not_give_back_it_takes_over_itself_at_no_cost(ledger: Ledger, run: str) -> None:
    lease = take(ledger, run)
    ledger.leases.begin(lease, "P0")

    assert ledger.leases.take_over(run, "w1", seconds=60, attempts_allowed=1) is None

    assert take(ledger, run).patients == lease.patients
    assert ledger.leases.workers(run) == ["w1"]


def test_a_failed_patient_waits_longer_with_each_attempt_and_comes_alone(
    engine: Engine, ledger: Ledger, run: str
) -> None:
    waited = []
    for _ in range(3):
        while (lease := ledger.leases.take(run, "w1", most=9, seconds=1000, span=(0, 1))) is None:
            due = ledger.leases.next_due(run)
            assert due is not None
            engine.clock.pass_(1)
        waited.append(engine.clock.now)
        ledger.fail(run, "P0", "Unavailable", attempts_allowed=9, pause_seconds=4, lease=lease)

    assert [round(later - earlier) for earlier, later in pairwise(waited)] == [4, 8]


def test_runs_are_worked_by_priority_then_age(engine: Engine, ledger: Ledger) -> None:
    old, new, urgent, done = (
        ledger.open_run("bulk", {}, ["P1"], "olaf", priority=number) for number in (0, 0, 5, 9)
    )
    engine.clock.pass_(1)
    ledger.absent(done, "P1")
    ledger.close_run(done)
    assert ledger.leases.runs()[0] == urgent

    ledger.orders.prioritise(new, 50)

    assert ledger.leases.runs() == [new, urgent, old]
    assert ledger.progress(new).priority == ledger.report(new).priority == 50


@pytest.mark.parametrize("priority", [-101, 101])
def test_priorities_have_bounds(ledger: Ledger, run: str, priority: int) -> None:
    with pytest.raises(InvalidRequest):
        ledger.orders.prioritise(run, priority)
    with pytest.raises(InvalidRequest):
        ledger.open_run("bulk", {}, ["P1"], "olaf", priority=priority)


def test_a_paused_run_gives_no_patient_until_it_is_resumed(ledger: Ledger, run: str) -> None:
    lease = take(ledger, run)
    ledger.orders.pause(run)

    assert ledger.state(run) == "paused"
    assert ledger.leases.runs() == []
    assert ledger.leases.begin(lease, "P0") is False
    assert ledger.leases.take(run, "w2", most=1, seconds=60) is None
    ledger.record(run, "b1", "P0", [line("P0")], lease=lease)
    ledger.loaded(run, "b1", lease=lease)
    ledger.leases.end(lease)

    ledger.orders.resume(run)

    assert ledger.leases.runs() == [run]
    assert take(ledger, run, most=9).patients == ("P1", "P2", "P3", "P4", "P5")


def test_a_cancelled_run_is_over_and_keeps_what_it_has(ledger: Ledger, run: str) -> None:
    ledger.record(run, "b1", "P0", [line("P0")])
    ledger.loaded(run, "b1")

    ledger.orders.cancel(run)

    report = ledger.report(run)
    assert (report.state, report.patients.done, report.is_complete) == ("cancelled", 1, False)
    for order in (ledger.orders.resume, ledger.orders.retry, ledger.orders.pause, ledger.start):
        with pytest.raises(InvalidRequest, match="cancelled"):
            order(run)


def test_a_completed_run_takes_no_order_to_wait(ledger: Ledger, run: str) -> None:
    for patient in PATIENTS:
        ledger.absent(run, patient)
    ledger.close_run(run)

    with pytest.raises(InvalidRequest, match="completed"):
        ledger.orders.pause(run)


def test_a_retry_that_comes_before_a_worker_closes_the_run_keeps_it_open(ledger: Ledger, run: str) -> None:
    for patient in PATIENTS:
        ledger.fail(run, patient, "reason", attempts_allowed=1)
    ledger.orders.retry(run)

    assert not ledger.close_run(run, goes_on=True)

    assert ledger.leases.runs() == [run]
    assert ledger.close_run(run)
    assert ledger.state(run) == "incomplete"


def test_a_held_run_is_closed_whatever_is_left(ledger: Ledger, run: str) -> None:
    ledger.start(run)
    ledger.orders.pause(run)

    assert ledger.close_run(run, goes_on=True)


def test_a_retry_after_a_stop_counts(ledger: Ledger, run: str) -> None:
    ledger.start(run)
    ledger.fail(run, "P0", "reason", attempts_allowed=1)
    ledger.request_stop(run)

    ledger.orders.retry(run)

    assert not ledger.is_stopping(run)
    assert ledger.leases.runs() == [run]


def test_a_retry_is_for_the_given_up_alone(ledger: Ledger, run: str) -> None:
    for patient in PATIENTS[:3]:
        ledger.fail(run, patient, f"reason of {patient}", attempts_allowed=1)
    for patient in PATIENTS[3:]:
        ledger.absent(run, patient)
    ledger.close_run(run)
    assert ledger.leases.runs() == []

    again = ledger.orders.retry(run)

    assert again == 3
    assert ledger.orders.retry(run) == 0
    assert ledger.pending(run) == PATIENTS[:3]
    assert ledger.leases.runs() == [run]
    assert take(ledger, run, most=9).patients == tuple(PATIENTS[:3])
    assert ledger.report(run, recount=True).adds_up


def test_progress_knows_the_pace_and_the_time_left(engine: Engine, ledger: Ledger) -> None:
    patients = [f"P{number}" for number in range(40)]
    run = ledger.open_run("bulk", {}, patients, "olaf")
    assert ledger.progress(run).seconds_left is None
    ledger.start(run)
    for patient in patients[:30]:
        engine.clock.pass_(6)
        ledger.absent(run, patient)

    progress = ledger.progress(run)

    assert progress.patients_per_minute == pytest.approx(10, rel=0.1)
    assert progress.seconds_left == pytest.approx(60, rel=0.1)
    assert progress.as_json()["patients_pending"] == 10


def test_what_was_asked_of_single_patients_is_kept_with_them(ledger: Ledger) -> None:
    run = ledger.open_run("bulk", {}, ["P1", "P2"], "olaf", targets={"P2": "[1]"})

    assert ledger.targets_of(run, ["P1", "P2"]) == {"P2": "[1]"}


def test_unknown_runs_are_not_found(ledger: Ledger) -> None:
    for asked in (
        lambda: ledger.leases.take("R0", "w", most=1, seconds=1),
        lambda: ledger.orders.pause("R0"),
        lambda: ledger.orders.retry("R0"),
        lambda: ledger.start("R0"),
        lambda: ledger.user_of("R0"),
    ):
        with pytest.raises(NotFound):
            asked()
