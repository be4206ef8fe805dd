"""What workers and pages ask of a ledger costs the same in a small run and a large one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from p2d.jobs.counts import SeriesCounts
from p2d.jobs.ledger import Ledger
from p2d.jobs.sqlite import SqliteStore
from p2d.jobs.workers import this_worker


class Watched:
    """A ledger whose database counts its steps and tells its statements."""

    def __init__(self, path: Path, patients: int) -> None:
        store = SqliteStore(path)
        self._connection = store._connection
        self.ledger = Ledger(store)
        self.run = self.ledger.open_run("bulk", {}, [f"P{n:07}" for n in range(patients)], "olaf")

    def steps_of(self, work: Callable[[], object]) -> int:
        """Return how many hundred steps of SQLite's machine *work* takes."""
        steps = [0]

        def count() -> None:
            steps[0] += 1

        self._connection.set_progress_handler(count, 100)
        work()
        self._connection.set_progress_handler(None, 0)
        return steps[0]

    def statements_of(self, work: Callable[[], object]) -> list[str]:
        told: list[str] = []
        self._connection.set_trace_callback(told.append)
        work()
        self._connection.set_trace_callback(None)
        return [statement for statement in told if statement.startswith(("SELECT", "UPDATE", "DELETE"))]

    def plan_of(self, statement: str) -> Iterator[str]:
        for row in self._connection.execute(f"EXPLAIN QUERY PLAN {statement}"):
            yield str(row[3])

    def work_of(self, patients: int = 10) -> Callable[[], None]:
        """Return what a worker does with one lease, and what pages ask meanwhile."""
        ledger, run, worker = self.ledger, self.run, this_worker()

        def work() -> None:
            ledger.leases.ready()
            ledger.leases.take_over(run, worker, seconds=60, attempts_allowed=3)
            lease = ledger.leases.take(run, worker, most=patients, seconds=60, span=(0, 10**6))
            assert lease is not None
            for patient in lease.patients[:-1]:
                ledger.leases.begin(lease, patient)
                ledger.record(
                    run, lease.patients[0], patient, [SeriesCounts(patient, "s", "t", 1, 1, 1)], lease=lease
                )
                ledger.leases.leave(lease, patient)
            ledger.loaded(run, lease.patients[0], lease=lease)
            ledger.fail(run, lease.patients[-1], "x", attempts_allowed=3, pause_seconds=60, lease=lease)
            ledger.unconfirmed(run, lease=lease)
            ledger.leases.end(lease)
            ledger.leases.spans(run, 100, 20)
            ledger.leases.next_due(run)
            ledger.progress(run)
            ledger.report(run)

        return work


def test_no_statement_of_a_worker_reads_all_patients(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "l.sqlite", 50)
    statements = watched.statements_of(watched.work_of())

    whole = [
        (statement, step)
        for statement in statements
        for step in watched.plan_of(statement)
        if step.startswith("SCAN patient") or step.endswith("patient USING PRIMARY KEY (run_id=?)")
    ]

    assert len(statements) > 50
    assert whole == []
    watched.ledger.close()


@pytest.mark.long
def test_half_a_million_patients_cost_a_worker_what_a_thousand_do(tmp_path: Path) -> None:
    steps = []
    for patients in (1_000, 500_000):
        watched = Watched(tmp_path / f"{patients}.sqlite", patients)
        steps.append(watched.steps_of(watched.work_of()))
        watched.ledger.close()

    small, large = steps
    assert large < 1.5 * small
