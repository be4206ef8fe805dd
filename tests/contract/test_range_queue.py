"""The queue on real PostgreSQL: ranges by priority, numbers only, dead workers, a server that restarts."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock, Thread

import pytest

from p2d.jobs.leasing import Span
from p2d.jobs.postgresql import connect, migrate_postgresql
from p2d.jobs.queue import Offer, RangeQueue, migrate_queue
from p2d.testing.postgres import Postgres

pytestmark = pytest.mark.system
_RUN = "R20261122-081500-1a2b3c4d"


@dataclass
class Work:
    """Ranges still to do, shared by workers as the ledger would."""

    left: list[Offer]
    done: list[Offer] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)
    first: Callable[[], None] = lambda: None

    def offers(self) -> list[Offer]:
        with self.lock:
            return list(self.left)

    def work(self, run_id: str, span: Span) -> None:
        self.first()
        with self.lock:
            for offer in [one for one in self.left if (one.run_id, one.span) == (run_id, span)]:
                self.left.remove(offer)
                self.done.append(offer)


def wait_for(event: Event) -> None:
    assert event.wait(30)


@pytest.fixture
def dsn(postgres_server: Postgres) -> str:
    migrate_postgresql(postgres_server.dsn)
    migrate_queue(postgres_server.dsn)
    with connect(postgres_server.dsn) as connection:
        connection.execute("TRUNCATE p2d_queue.procrastinate_jobs CASCADE")
        connection.execute("DELETE FROM p2d_queue.procrastinate_workers")
    return postgres_server.dsn


@contextmanager
def serving(dsn: str, work: Work) -> Iterator[None]:
    drain = Event()
    queue = RangeQueue(dsn, stalled_seconds=3)
    thread = Thread(target=queue.serve, args=(work.work, work.offers, drain))
    thread.start()
    try:
        yield
    finally:
        drain.set()
        thread.join(30)
        assert not thread.is_alive()


def offers(priority: int = 0, run_id: str = _RUN, number: int = 5) -> list[Offer]:
    return [Offer(run_id, (10 * n, 10 * n + 10), priority) for n in range(number)]


def until_done(work: Work) -> None:
    deadline = time.monotonic() + 60
    while work.offers():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_every_range_is_worked_the_higher_priority_first(dsn: str) -> None:
    urgent = offers(10, "R20261122-081501-1a2b3c4d")
    work = Work(urgent + offers(0))

    with serving(dsn, work):
        until_done(work)

    assert sorted({one.key for one in work.done}) == sorted(one.key for one in offers() + urgent)
    assert [one.priority for one in work.done][:5] == [10] * 5


def test_a_job_holds_a_run_and_two_numbers(dsn: str) -> None:
    held = Event()
    work = Work(offers(), first=lambda: wait_for(held))

    with serving(dsn, work):
        found: list[dict[str, object]] = []
        deadline = time.monotonic() + 30
        while len(found) < 5 and time.monotonic() < deadline:
            with connect(dsn) as connection:
                rows = connection.execute("SELECT args FROM p2d_queue.procrastinate_jobs").fetchall()
            found = [row[0] for row in rows]
            time.sleep(0.05)
        held.set()

    assert len(found) >= 5
    assert all(job.keys() == {"run_id", "first", "last"} for job in found)
    assert {job["run_id"] for job in found} == {_RUN}


def test_what_a_dead_worker_held_is_worked_by_another(dsn: str) -> None:
    with connect(dsn) as connection:
        connection.execute("SET search_path = p2d_queue")
        connection.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 hour')"
        )
        connection.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, status, args, worker_id)"
            " SELECT 'bulk', 'work', 'doing', '{\"run_id\": \"R1\", \"first\": 0, \"last\": 10}', max(id)"
            " FROM procrastinate_workers"
        )
    worked: list[str] = []
    work = Work([])

    def note(run_id: str, _: Span) -> None:
        worked.append(run_id)

    work.work = note  # type: ignore[method-assign,assignment]  # only what the queue hands over is of interest
    with serving(dsn, work):
        deadline = time.monotonic() + 30
        while not worked and time.monotonic() < deadline:
            time.sleep(0.05)

    assert worked == ["R1"]
    with connect(dsn) as connection:
        assert connection.execute("SELECT count(*) FROM p2d_queue.procrastinate_jobs").fetchone() == (0,)


def test_a_server_that_restarts_loses_no_range(dsn: str, postgres_server: Postgres) -> None:
    restarted = Event()

    def restart() -> None:
        if not restarted.is_set():
            restarted.set()
            postgres_server.stop(at_once=True)
            postgres_server.start()

    work = Work(offers(), first=restart)

    with serving(dsn, work):
        until_done(work)

    assert {one.key for one in work.done} == {one.key for one in offers()}
