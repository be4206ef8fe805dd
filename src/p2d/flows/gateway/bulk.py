"""Bulk: headers of many patients from the archive into the warehouse, resumable, with a ledger.

The only loop over patients that retries. State between attempts is the ledger's (pseudonyms); identifiers are
resolved anew each time. A patient is done when the warehouse's receipt for its batch is there, never before.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Final

import pyarrow as pa

from p2d.access.caller import Caller
from p2d.access.check import check_bulk, check_true_frames
from p2d.audit.log import Entry
from p2d.audit.refusals import refusals_recorded
from p2d.flows.gateway.deid_report import describe_run
from p2d.flows.gateway.forms import check_attributes, check_forms
from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.locate import PatientWork, locate
from p2d.flows.gateway.patient import PatientHeaders, extract_headers
from p2d.flows.gateway.rows import tables_of
from p2d.jobs.ledger import Progress
from p2d.jobs.report import RunReport
from p2d.model.errors import InvalidRequest, P2DError, ProtocolViolation, Unavailable
from p2d.model.level import Kind
from p2d.model.request import Request, Target
from p2d.warehouse.batch import Batch

Watch = Callable[[Progress], None]
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
        ledger = self.gateway.ledger
        by_patient = _targets_of(request)
        for attempt in count():
            pending = ledger.pending(run_id)
            if not pending or ledger.is_stopping(run_id):
                return
            if attempt:
                time.sleep(min(self.gateway.retry_seconds * 2 ** (attempt - 1), _LONGEST_PAUSE))
            for start in range(0, len(pending), self.gateway.patients_per_batch):
                if ledger.is_stopping(run_id):
                    return
                some = pending[start : start + self.gateway.patients_per_batch]
                self._batch(run_id, request, {name: by_patient[name] for name in some}, watch)

    def _batch(self, run_id: str, request: Request, targets: dict[str, list[Target]], watch: Watch) -> None:
        ledger = self.gateway.ledger
        flat = [target for group in targets.values() for target in group]
        try:
            works, unresolved = locate(self.gateway, flat, None)
        except (Unavailable, ProtocolViolation) as error:
            for patient in targets:
                self._failed(run_id, patient, error)
            return
        for item in unresolved:
            ledger.unresolved(run_id, str(item.pseudonym), item.reason)
        extracted: list[tuple[PatientWork, PatientHeaders]] = []
        for work in works:
            if ledger.is_stopping(run_id):
                break
            headers = self._patient(run_id, request, work)
            if headers is not None:
                extracted.append((work, headers))
            watch(ledger.progress(run_id))
        if extracted:
            self._load(run_id, request, extracted)
        watch(ledger.progress(run_id))

    def _patient(self, run_id: str, request: Request, work: PatientWork) -> PatientHeaders | None:
        try:
            headers = extract_headers(self.gateway, work, request)
        except (Unavailable, ProtocolViolation) as error:
            self._failed(run_id, str(work.patient), error)
            return None
        except InvalidRequest as error:  # not an identifier that may be asked for; the others go on
            self._parked(run_id, str(work.patient), error)
            return None
        if not headers.lines:
            self.gateway.ledger.absent(run_id, str(work.patient))
            return None
        return headers

    def _failed(self, run_id: str, patient: str, error: P2DError) -> None:
        self.gateway.ledger.fail(run_id, patient, _reason(error), attempts_allowed=self.gateway.attempts)

    def _parked(self, run_id: str, patient: str, error: P2DError) -> None:
        self.gateway.ledger.fail(run_id, patient, _reason(error), attempts_allowed=1)

    def _load(
        self, run_id: str, request: Request, extracted: Sequence[tuple[PatientWork, PatientHeaders]]
    ) -> None:
        ledger = self.gateway.ledger
        batch = _batch_of(self.gateway.pacs.name, run_id, request, [headers for _, headers in extracted])
        for work, headers in extracted:
            ledger.record(
                run_id,
                batch.batch_id,
                str(work.patient),
                headers.lines,
                headers.notes,
                headers.deid.as_counters(),
            )
        try:
            receipt = self.gateway.warehouse.load(batch)
        except P2DError as error:
            ledger.forget(run_id, batch.batch_id)
            if isinstance(error, InvalidRequest) and len(extracted) > 1:
                for one in extracted:  # the refused rows are some patient's: the others are loaded
                    self._load(run_id, request, [one])
                return
            for work, _ in extracted:
                self._failed(run_id, str(work.patient), error)
            return
        expected = {name: table.num_rows for name, table in batch.tables.items() if table.num_rows}
        committed = {name: number for name, number in receipt.rows.items() if number}
        if receipt.batch_id != batch.batch_id or committed != expected:
            ledger.forget(run_id, batch.batch_id)
            wrong = ProtocolViolation("warehouse", "its receipt does not match the batch")
            for work, _ in extracted:
                self._failed(run_id, str(work.patient), wrong)
            return
        ledger.loaded(run_id, batch.batch_id)


def _reason(error: P2DError) -> str:
    return f"{type(error).__name__}: {error.field}: {error.problem}"


def _targets_of(request: Request) -> dict[str, list[Target]]:
    groups: dict[str, list[Target]] = {}
    for target in request.targets:
        groups.setdefault(str(target.pseudonym), []).append(target)
    return groups


def _batch_of(archive: str, run_id: str, request: Request, extracted: Sequence[PatientHeaders]) -> Batch:
    parts = [tables_of(archive, item.basic, item.extended, request.scope) for item in extracted]
    tables = {name: pa.concat_tables([part[name] for part in parts]) for name in parts[0]}
    keys = hashlib.sha256()
    for name in sorted(tables):
        for row_batch in tables[name].to_batches():
            keys.update(name.encode())
            keys.update(row_batch.serialize())
    return Batch(f"{run_id}-{keys.hexdigest()[:24]}", str(request.scope), run_id, tables)


def _outcome(entry: Entry, report: RunReport) -> None:
    entry.outcome(
        state=report.state,
        expected=report.expected,
        received=report.received,
        released=report.released,
        withheld=sum(report.withheld.values()),
        missing=report.missing,
    )
