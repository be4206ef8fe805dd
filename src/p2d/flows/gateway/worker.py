"""A worker process: works whatever runs are open, the run of the highest priority first."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import Final

from p2d.flows.gateway.bulk_request import run_request
from p2d.flows.gateway.deid_report import describe_run
from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.shift import Shift
from p2d.jobs.leasing import WHOLE, Span
from p2d.jobs.workers import this_worker
from p2d.model.errors import InvalidRequest, Misconfigured, P2DError, Refused, Unavailable

_LOG = logging.getLogger(__name__)
_POLL_SECONDS: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_SPANS_AHEAD: Final = 20
"""Spans of a run that are offered at a time."""
Offer = tuple[str, Span, int]
"""A run, positions of patients in it that are ready, and the run's priority."""


@dataclass(slots=True)
class BulkWorker:
    """One worker of one gateway; ``drain``, once set, ends it after the patient at hand."""

    gateway: Gateway
    drain: Event
    name: str = field(default_factory=this_worker)
    _pause: float = field(default=0.0, init=False)

    def work(self) -> None:
        """Work open runs until drained."""
        while not self.drain.is_set():
            if not self.turn():
                self.drain.wait(_POLL_SECONDS)

    def turn(self) -> bool:
        """Work the run that goes first, or close those that are through; return whether there was work."""
        leases = self.gateway.ledger.leases
        try:
            ready = leases.ready()
            for run_id in ready or leases.runs():
                if ready or leases.abandoned(run_id, self.name):
                    self.work_span(run_id, WHOLE)
                    return True
                self._close(run_id)
        except Unavailable as error:
            self._rest("the ledger", error)
        return False

    def work_span(self, run_id: str, span: Span) -> None:
        """Work patients of the run in *span* while any is ready and no other run goes first.

        What goes wrong is logged. A run that cannot go on before somebody corrects something is paused with
        the reason as its note.
        """
        try:
            self._stint(run_id, span)
            self._close(run_id)
        except (Misconfigured, Refused, InvalidRequest) as error:
            _LOG.error("run %s is paused: %s", run_id, error)
            self._pause_run(run_id, error)
        except P2DError as error:
            self._rest(f"run {run_id}", error)
        except Exception as error:  # noqa: BLE001 - the worker's top: others and other runs go on
            self._rest(f"run {run_id}", error)
        else:
            self._pause = 0.0

    def offers(self, size: int) -> Iterator[Offer]:
        """Yield spans of *size* patients of open runs in which some are ready, a few of each run."""
        ledger = self.gateway.ledger
        for run_id in ledger.leases.ready():
            priority = ledger.progress(run_id).priority
            for span in ledger.leases.spans(run_id, size, _SPANS_AHEAD):
                yield run_id, span, priority
        for run_id in ledger.leases.runs():
            if ledger.leases.abandoned(run_id, self.name):
                yield run_id, (0, size), ledger.progress(run_id).priority
            else:
                self._close(run_id)

    def _stint(self, run_id: str, span: Span) -> None:
        ledger = self.gateway.ledger
        if not (ledger.leases.abandoned(run_id, self.name) or ledger.leases.spans(run_id, 1, 1)):
            return  # somebody else was quicker
        request = run_request(ledger, run_id)
        subject = {
            "run": run_id,
            "scope": str(request.scope),
            "choice": str(request.choice),
            "worker": self.name,
        }
        user = ledger.user_of(run_id)
        shift = Shift(self.gateway, run_id, self.name, request, self.drain, span=span)
        shift.goes_on = lambda: ledger.leases.ready()[:1] in ([run_id], [])
        with self.gateway.audit.query(action="bulk", user=user, session="", subject=subject) as entry:
            describe_run(self.gateway, run_id)
            shift.work()
            entry.outcome(state=ledger.state(run_id), patients=shift.worked)

    def _close(self, run_id: str) -> None:
        """Close a run of which nothing is left, or that was asked to stop and that nobody works any more."""
        ledger = self.gateway.ledger
        progress = ledger.progress(run_id)
        if progress.state not in {"open", "running"} or progress.patients_leased:
            return
        if not progress.patients_pending or ledger.is_stopping(run_id):
            ledger.close_run(run_id, goes_on=True)  # a retry may have come since

    def _pause_run(self, run_id: str, error: P2DError) -> None:
        try:
            self.gateway.ledger.note(run_id, f"paused: {error.field}: {error.problem}")
            self.gateway.ledger.orders.pause(run_id)
        except P2DError as again:
            self._rest(f"run {run_id}", again)

    def _rest(self, what: str, error: Exception) -> None:
        """Log *error* without its values and wait, the longer the more often in a row."""
        text = str(error) if isinstance(error, P2DError) else type(error).__name__
        _LOG.error("%s: %s", what, text)
        self._pause = min(max(self._pause * 2, _POLL_SECONDS), _LONGEST_PAUSE)
        self.drain.wait(self._pause)
