"""Ranges of patients as jobs of Procrastinate, for workers on several machines.

A job holds a run's id and the positions of its first and last patients, nothing else; its tables lie in the
schema ``p2d_queue``. The queue follows the ledger: whoever works it keeps a few ranges with ready patients
queued for each run, and a job that is one too many finds nothing to do. So nothing is lost with the queue,
and leases alone decide who works a patient.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from threading import Event
from typing import Any, Final

import procrastinate
import psycopg
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException, UniqueViolation
from procrastinate.jobs import Job, Status

from p2d.jobs.leasing import Span
from p2d.jobs.postgresql import connect, unreachable
from p2d.model.errors import Misconfigured, Unavailable

QUEUE: Final = "bulk"
_TASK: Final = "work"
_SCHEMA: Final = "p2d_queue"
_OPTIONS: Final = f"-c search_path={_SCHEMA} -c lock_timeout=30s"
_TICK_SECONDS: Final = 0.5
_DRAIN_SECONDS: Final = 25.0
_LONGEST_PAUSE: Final = 10.0
_LOCK: Final = 0x503251
"""Of a migration under way, as a PostgreSQL advisory lock."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A range of a run with patients that are ready."""

    run_id: str
    span: Span
    priority: int

    @property
    def key(self) -> str:
        """What names the range in the queue; one job of a key waits at a time."""
        return f"{self.run_id}/{self.span[0]}"


class RangeQueue:
    """The queue as one worker process sees it."""

    def __init__(self, dsn: str, *, stalled_seconds: float) -> None:
        """Use the queue in the database *dsn*; a worker silent for *stalled_seconds* is taken for dead."""
        self._dsn = dsn
        self._stalled = stalled_seconds

    def serve(
        self, work: Callable[[str, Span], None], offers: Callable[[], Iterable[Offer]], drain: Event
    ) -> None:
        """Work jobs by *work* until *drain* is set, and keep the queue filled from *offers*.

        While the database is away it is waited for.
        """
        pause = 0.5
        while not drain.is_set():
            began = time.monotonic()
            with suppress(ConnectorException, psycopg.Error, OSError, TimeoutError):
                asyncio.run(self._serve(work, offers, drain))
            pause = 0.5 if time.monotonic() - began > _LONGEST_PAUSE else min(pause * 2, _LONGEST_PAUSE)
            drain.wait(pause)

    async def _serve(
        self, work: Callable[[str, Span], None], offers: Callable[[], Iterable[Offer]], drain: Event
    ) -> None:
        connector = procrastinate.PsycopgConnector(
            conninfo=self._dsn, kwargs={"options": _OPTIONS, "connect_timeout": 5}, min_size=1, max_size=3
        )
        app = procrastinate.App(connector=connector)

        @app.task(name=_TASK, queue=QUEUE)
        def job(run_id: str, first: int, last: int) -> None:
            work(run_id, (first, last))

        async with app.open_async():
            serving = asyncio.create_task(
                app.run_worker_async(
                    queues=[QUEUE],
                    install_signal_handlers=False,
                    delete_jobs="always",
                    fetch_job_polling_interval=1.0,
                    update_heartbeat_interval=self._stalled / 3,
                    stalled_worker_timeout=self._stalled,
                    shutdown_graceful_timeout=_DRAIN_SECONDS,
                )
            )
            tending = asyncio.create_task(self._tend(app, offers, drain))
            done, _ = await asyncio.wait({serving, tending}, return_when=asyncio.FIRST_COMPLETED)
            for task in (serving, tending):
                task.cancel()
            await asyncio.gather(serving, tending, return_exceptions=True)
            for task in done:
                task.result()

    async def _tend(
        self, app: procrastinate.App, offers: Callable[[], Iterable[Offer]], drain: Event
    ) -> None:
        """Keep the queue filled and free of what dead workers left, until *drain* is set."""
        while not drain.is_set():
            with suppress(Unavailable):  # the ledger is away, and so is the queue
                wanted = await asyncio.to_thread(lambda: list(offers()))
                await self._fill(app, wanted)
                await self._free(app)
            await asyncio.sleep(_TICK_SECONDS)

    async def _fill(self, app: procrastinate.App, wanted: list[Offer]) -> None:
        jobs = app.job_manager
        queued = {
            str(one.queueing_lock): one
            for one in await jobs.list_jobs_async(queue=QUEUE, status=Status.TODO.value)
        }
        for offer in wanted:
            known = queued.get(offer.key)
            if known is not None and known.priority != offer.priority and known.id is not None:
                await jobs.cancel_job_by_id_async(known.id, delete_job=True)
                known = None
            if known is None:
                with suppress(AlreadyEnqueued):  # another worker was quicker
                    await jobs.defer_job_async(_job(offer))

    async def _free(self, app: procrastinate.App) -> None:
        """Queue the jobs of dead workers again, or drop them where their range is queued already."""
        jobs = app.job_manager
        for one in await jobs.get_stalled_jobs(queue=QUEUE, seconds_since_heartbeat=self._stalled):
            try:
                await jobs.retry_job(one)
            except (UniqueViolation, ConnectorException):
                with suppress(ConnectorException):
                    await jobs.finish_job(one, Status.ABORTED, delete_job=True)


def _job(offer: Offer) -> Job:
    arguments: dict[str, Any] = {"run_id": offer.run_id, "first": offer.span[0], "last": offer.span[1]}
    return Job(
        id=None,
        queue=QUEUE,
        lock=None,
        queueing_lock=offer.key,
        task_name=_TASK,
        priority=offer.priority,
        task_kwargs=arguments,
    )


def migrate_queue(dsn: str) -> None:
    """Make the queue's tables in the database *dsn*; those of another version of Procrastinate are made anew.

    No worker may run meanwhile. What was queued is queued again from the ledger.

    Raises:
        Unavailable: the database cannot be reached.
        Misconfigured: it may not be changed by this user.

    """
    version = procrastinate.__version__
    try:
        with connect(dsn) as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            connection.execute("CREATE SCHEMA IF NOT EXISTS p2d")
            connection.execute("CREATE TABLE IF NOT EXISTS p2d.queue_version (version TEXT NOT NULL)")
            found = connection.execute("SELECT version FROM p2d.queue_version").fetchone()
            if found and found[0] == version:
                return
            connection.execute(f"DROP SCHEMA IF EXISTS {_SCHEMA} CASCADE")
            connection.execute(f"CREATE SCHEMA {_SCHEMA}")
            connection.execute(f"SET LOCAL search_path = {_SCHEMA}")
            connection.execute(procrastinate.schema.SchemaManager.get_schema())
            connection.execute("DELETE FROM p2d.queue_version")
            connection.execute("INSERT INTO p2d.queue_version VALUES (%s)", (version,))
    except psycopg.OperationalError as error:
        raise unreachable(error) from None
    except psycopg.Error as error:
        raise Misconfigured(
            "jobs.dsn",
            f"the queue's tables cannot be made: {type(error).__name__}",
            "name a database whose owner this user is",
        ) from None
