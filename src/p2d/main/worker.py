"""Composition root of ``p2d worker``: a supervisor that keeps a number of worker processes alive."""

import logging
import multiprocessing
import signal
import threading
import time
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Final

from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.worker import BulkWorker
from p2d.main import jobs
from p2d.main.gateway import connect, read
from p2d.main.process import forbid_core_dumps, quiet_logs
from p2d.model.errors import P2DError
from p2d.pacs.governor.port import WorkClass
from p2d.settings.gateway import GatewaySettings
from p2d.settings.jobs import read_dsn

_LOG = logging.getLogger(__name__)
_DRAIN_SECONDS: Final = 30.0
_CUT_SECONDS: Final = 20.0
"""After so long a drain no longer waits for the patient at hand but cuts it off at the archive."""
_PATIENCE_SECONDS: Final = 60.0
_HEALTHY_SECONDS: Final = 30.0
_LONGEST_PAUSE: Final = 30.0


def migrate(path: Path) -> str:
    """Bring the tables of ledger and queue to this version; return what was done.

    Raises:
        Misconfigured, Unavailable: as ``p2d.main.jobs.migrate``.

    """
    return jobs.migrate(read(path).jobs)


def work(path: Path, processes: int | None) -> None:
    """Keep *processes* workers (else as many as the settings say) at work until SIGTERM or SIGINT.

    One that dies is replaced. At the end all are given 30 s to give back what they hold.

    Raises:
        Misconfigured: the settings, or the tables of the database.
        Unavailable: the database cannot be reached.

    """
    forbid_core_dumps()
    quiet_logs()
    settings = read(path)
    connect(settings, patience_seconds=0).close()  # what is wrong shows here, before a process is started
    drain = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: drain.set())
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["p2d.main.worker", "p2d.jobs.queue"][: 1 + _is_shared(settings)])
    places = [_Place(context, path) for _ in range(processes or settings.jobs.processes)]
    while not drain.is_set():
        for place in places:
            place.keep()
        drain.wait(0.2)
    for place in places:
        place.end()
    deadline = time.monotonic() + _DRAIN_SECONDS
    for place in places:
        place.wait(max(deadline - time.monotonic(), 0))


def _is_shared(settings: GatewaySettings) -> bool:
    return settings.jobs.engine == "postgresql"


class _Place:
    """One worker process at a time; a new one for one that died, later each time it dies soon."""

    def __init__(self, context: ForkServerContext, path: Path) -> None:
        self._context = context
        self._path = path
        self._child: ForkServerProcess | None = None
        self._began = 0.0
        self._pause = 0.0

    def keep(self) -> None:
        """Start a worker unless one is alive."""
        now = time.monotonic()
        if self._child is not None and not self._child.is_alive():
            _LOG.error("a worker ended with code %s", self._child.exitcode)
            soon = now - self._began < _HEALTHY_SECONDS and self._child.exitcode != -signal.SIGKILL
            self._pause = min(max(self._pause * 2, 1.0), _LONGEST_PAUSE) if soon else 0.0
            self._child.close()
            self._child = None
            self._began = now
        if self._child is None and now - self._began >= self._pause:
            self._child = self._context.Process(target=_child, args=(str(self._path),), name="p2d worker")
            self._child.start()
            self._began = now

    def end(self) -> None:
        """Ask the worker to give back what it holds and leave."""
        if self._child is not None and self._child.is_alive():
            self._child.terminate()

    def wait(self, seconds: float) -> None:
        """Wait for the worker's end, and end it after *seconds*."""
        if self._child is not None:
            self._child.join(seconds)
            if self._child.is_alive():
                self._child.kill()
                self._child.join()


def _child(path: str) -> None:
    """Work in this process until SIGTERM, or the supervisor's end."""
    drain = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: drain.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the supervisor passes on what is meant
    forbid_core_dumps()
    quiet_logs()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_orphaned, args=(parent.sentinel, drain), daemon=True).start()
    settings = read(Path(path))
    try:
        gateway = connect(settings, patience_seconds=_PATIENCE_SECONDS, outage_seconds=float("inf"))
    except P2DError as error:
        _LOG.error("%s", error)
        raise SystemExit(error.exit_code) from None
    threading.Thread(target=_cut_off, args=(gateway, drain), daemon=True).start()
    worker = BulkWorker(gateway.for_work(WorkClass.BULK, drain.is_set), drain)
    try:
        if _is_shared(settings):
            _serve_queue(settings, worker)
        else:
            worker.work()
    finally:
        gateway.close()
        gateway.ledger.close()


def _serve_queue(settings: GatewaySettings, worker: BulkWorker) -> None:
    from p2d.jobs.queue import Offer, RangeQueue  # noqa: PLC0415 - its driver is an extra

    queue = RangeQueue(
        read_dsn(settings.jobs).get_secret_value(), stalled_seconds=settings.jobs.lease_seconds
    )
    size = settings.jobs.patients_per_job
    queue.serve(worker.work_span, lambda: (Offer(*one) for one in worker.offers(size)), worker.drain)


def _orphaned(sentinel: int, drain: threading.Event) -> None:
    wait([sentinel])
    drain.set()


def _cut_off(gateway: Gateway, drain: threading.Event) -> None:
    drain.wait()
    time.sleep(_CUT_SECONDS)
    gateway.pacs.stop()
