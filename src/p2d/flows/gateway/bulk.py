"""Bulk: headers of many patients from the archive into the warehouse, resumable, with a ledger.

The only loop over patients that retries. State between attempts is the ledger's (pseudonyms); identifiers are
resolved anew each time. A patient is done when the warehouse's receipt for its batch is there, never before.
"""

import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Final

from p2d.access.caller import Caller
from p2d.access.check import check_bulk, check_true_frames
from p2d.audit.log import Entry
from p2d.audit.refusals import refusals_recorded
from p2d.flows.gateway.batches import PatientBatches, Watch
from p2d.flows.gateway.deid_report import describe_run
from p2d.flows.gateway.forms import check_attributes, check_forms
from p2d.flows.gateway.gateway import Gateway
from p2d.jobs.report import RunReport
from p2d.model.errors import InvalidRequest, P2DError
from p2d.model.level import Kind
from p2d.model.request import Request

_LONGEST_PAUSE: Final = 60.0


@dataclass(frozen=True, slots=True)
class BulkExtractor:
    """Starts and resumes bulk runs on one gateway."""

    gateway: Gateway

    def open(self, request: Request, caller: Caller) -> str:
        """Record a new run and return its id; nothing is asked of the archive yet.

        Raises:
            Refused: the caller is no operator.
            InvalidRequest: an image output, or identifiers of another kind than patient.

        """
        with refusals_recorded(self.gateway.audit, action="bulk", user=caller.user):
            self._check(request, caller)
        patients = list(dict.fromkeys(str(target.pseudonym) for target in request.targets))
        return self.gateway.ledger.open_run("bulk", request.as_json(), patients, caller.user)

    def _check(self, request: Request, caller: Caller) -> None:
        check_bulk(caller)
        if request.output.is_image:
            raise InvalidRequest("output", "is an image format", "bulk runs extract headers: leave it out")
        if any(target.kind is not Kind.PATIENT for target in request.targets):
            raise InvalidRequest(
                "identifiers.kind", "is not patient", "bulk runs take patients; query other kinds ad hoc"
            )
        check_attributes(request.attributes)
        check_forms(request.targets, self.gateway.patient_form)
        check_true_frames(request.targets, true_frames_allowed=self.gateway.allow_true_frames)

    def run(self, run_id: str, caller: Caller, watch: Watch = lambda _: None) -> RunReport:
        """Work the run until every patient is done or parked, and return its report.

        The same call starts and resumes: what the warehouse holds a receipt for is done, all else is worked
        again. ``watch`` is called after every patient.

        Raises:
            Refused: the caller is no operator.
            NotFound: no such run.
            Unavailable: another process works this run, or the audit log cannot be written.

        """
        check_bulk(caller)
        ledger = self.gateway.ledger
        request = Request.parse(ledger.request_of(run_id))
        subject = {"run": run_id, "scope": str(request.scope), "choice": str(request.choice)}
        with (
            ledger.claim(run_id),
            self.gateway.audit.query(action="bulk", user=caller.user, session="", subject=subject) as entry,
        ):
            try:
                describe_run(self.gateway, run_id)
                self._confirm(run_id)
                self._work(run_id, request, watch)
            except BaseException:
                with suppress(P2DError):  # the first error counts; the run must not look as if it went on
                    ledger.close_run(run_id)
                raise
            ledger.close_run(run_id)
            report = ledger.report(run_id)
            _outcome(entry, report)
        return report

    def _confirm(self, run_id: str) -> None:
        for batch_id in self.gateway.ledger.unconfirmed(run_id):
            if self.gateway.warehouse.receipt(batch_id):
                self.gateway.ledger.loaded(run_id, batch_id)
            else:
                self.gateway.ledger.forget(run_id, batch_id)

    def _work(self, run_id: str, request: Request, watch: Watch) -> None:
        ledger, size = self.gateway.ledger, self.gateway.patients_per_batch
        batches = PatientBatches(self.gateway, run_id, request, watch)
        for attempt in count():
            pending = ledger.pending(run_id)
            if not pending or ledger.is_stopping(run_id):
                return
            if attempt:
                time.sleep(min(self.gateway.retry_seconds * 2 ** (attempt - 1), _LONGEST_PAUSE))
            batches.work(pending[start : start + size] for start in range(0, len(pending), size))


def _outcome(entry: Entry, report: RunReport) -> None:
    entry.outcome(
        state=report.state,
        expected=report.expected,
        received=report.received,
        released=report.released,
        withheld=sum(report.withheld.values()),
        missing=report.missing,
    )
