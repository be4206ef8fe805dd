"""Bulk: headers of many patients from the archive into the warehouse, resumable, with a ledger.

State between attempts is the ledger's (pseudonyms); identifiers are resolved anew each time. A patient is
done when the warehouse's receipt for its batch is there, never before.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event

from p2d.access.caller import Caller
from p2d.access.check import check_bulk, check_true_frames
from p2d.audit.log import Entry
from p2d.audit.refusals import refusals_recorded
from p2d.flows.gateway.batches import Watch
from p2d.flows.gateway.bulk_request import of_patients, run_request
from p2d.flows.gateway.deid_report import describe_run
from p2d.flows.gateway.forms import check_attributes, check_forms
from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.shift import Shift
from p2d.jobs.report import RunReport
from p2d.jobs.store import Beside, nothing_beside
from p2d.jobs.workers import this_worker
from p2d.model.errors import InvalidRequest, P2DError
from p2d.model.level import Kind
from p2d.model.request import Request


@dataclass(frozen=True, slots=True)
class BulkExtractor:
    """Starts and resumes bulk runs on one gateway; ``drain``, once set, ends a working after its patient."""

    gateway: Gateway
    drain: Event = field(default_factory=Event)

    def open(
        self,
        request: Request,
        caller: Caller,
        *,
        priority: int = 0,
        kind: str = "bulk",
        beside: Beside = nothing_beside,
    ) -> str:
        """Record a new run of *kind*, and what is kept beside it; return its id. No archive is asked yet.

        Raises:
            Refused: the caller is no operator.
            InvalidRequest: an image output, or identifiers of another kind than patient.

        """
        with refusals_recorded(self.gateway.audit, action="bulk", user=caller.user):
            self._check(request, caller)
        asked, targets = of_patients(request)
        patients = list(dict.fromkeys(str(target.pseudonym) for target in request.targets))
        return self.gateway.ledger.open_run(
            kind, asked, patients, caller.user, targets=targets, priority=priority, beside=beside
        )

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
        again. Other workers may work the same run; each patient is one worker's at a time. ``watch`` is
        called after every patient.

        Raises:
            Refused: the caller is no operator.
            NotFound: no such run.
            InvalidRequest: the run is cancelled.
            Unavailable: the ledger or the audit log cannot be written.

        """
        check_bulk(caller)
        ledger = self.gateway.ledger
        request = run_request(ledger, run_id)
        subject = {"run": run_id, "scope": str(request.scope), "choice": str(request.choice)}
        shift = Shift(self.gateway, run_id, this_worker(), request, self.drain, watch)
        with self.gateway.audit.query(action="bulk", user=caller.user, session="", subject=subject) as entry:
            ledger.start(run_id)
            try:
                describe_run(self.gateway, run_id)
                shift.work_to_the_end()
                while not self._is_over(run_id):
                    shift.work_to_the_end()
            except BaseException:
                with suppress(P2DError):  # the first error counts; the run must not look as if it went on
                    ledger.close_run(run_id)
                raise
            report = ledger.report(run_id)
            _outcome(entry, report)
        return report

    def _is_over(self, run_id: str) -> bool:
        """Close the run; return False where a retry came before that, and it is to be worked."""
        ledger, is_drained = self.gateway.ledger, self.drain.is_set()
        is_closed = ledger.close_run(run_id, goes_on=not is_drained)
        return is_closed or is_drained or ledger.is_stopping(run_id)


def _outcome(entry: Entry, report: RunReport) -> None:
    entry.outcome(
        state=report.state,
        expected=report.expected,
        received=report.received,
        released=report.released,
        withheld=sum(report.withheld.values()),
        missing=report.missing,
    )
