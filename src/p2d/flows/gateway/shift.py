"""One worker on one run: lease a few patients, take them through the pipeline, load them as a batch, again.

The only loop over patients that retries. While a peer is down nothing is counted against patients: the worker
waits.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Final

from p2d.flows.gateway.bulk_request import targets_of
from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.loading import Extracted, load
from p2d.flows.gateway.locate import PatientWork, locate
from p2d.flows.gateway.patient import PatientHeaders, extract_headers
from p2d.jobs.lease import Lease, LeaseLost
from p2d.jobs.leasing import WHOLE, Span
from p2d.jobs.ledger import Progress
from p2d.model.errors import InvalidRequest, P2DError, ProtocolViolation, Unavailable
from p2d.model.request import Request

_LONGEST_PAUSE: Final = 30.0
_POLL_SECONDS: Final = 1.0
_NO_RECEIPT: Final = "its worker ended while the batch was being loaded"


class Outage(Exception):  # noqa: N818 - a state of the world, caught where the worker waits
    """A peer does not answer to anybody: no patient is to blame."""


@dataclass(slots=True)
class Shift:
    """A worker's time on a run; ``drain``, once set, ends it after the patient at hand."""

    gateway: Gateway
    run_id: str
    worker: str
    request: Request
    watch: Callable[[Progress], None] | None
    drain: Event
    span: Span = WHOLE
    worked: int = 0
    _down_since: float | None = field(default=None, init=False)
    _pause: float = field(default=0.0, init=False)

    def work_to_the_end(self) -> None:
        """Work until every patient is finished or held by others that have finished, or the run is stopped.

        Raises:
            Unavailable: the ledger or the audit log cannot be written.
            Misconfigured: the archive does not know us, or the like; what was at hand goes back.

        """
        ledger = self.gateway.ledger
        while not self.drain.is_set():
            if self.work_once():
                continue
            due = ledger.leases.next_due(self.run_id)
            if due is None or ledger.is_stopping(self.run_id):
                return
            self.drain.wait(min(due, _POLL_SECONDS))

    def work_once(self) -> bool:
        """Work one lease, if there is one; return whether there was.

        Raises:
            Unavailable, Misconfigured: as ``work_to_the_end``.

        """
        leases, seconds = self.gateway.ledger.leases, self.gateway.lease_seconds
        lease = leases.take_over(
            self.run_id, self.worker, seconds=seconds, attempts_allowed=self.gateway.attempts
        )
        if lease is not None:
            self._under(lease, self._confirm)
        lease = leases.take(
            self.run_id, self.worker, most=self.gateway.patients_per_batch, seconds=seconds, span=self.span
        )
        if lease is None:
            return False
        self._under(lease, self._batch)
        return True

    def _under(self, lease: Lease, work: Callable[[Lease], None]) -> None:
        """Do *work* while the lease is kept alive; what it leaves pending goes back."""
        try:
            with self._kept(lease):
                work(lease)
        except LeaseLost:
            return  # others have the patients: what was extracted of them here is dropped
        except Outage:
            self._rest()
            return
        self._pause = 0.0

    @contextmanager
    def _kept(self, lease: Lease) -> Iterator[None]:
        ended = Event()
        beat = Thread(target=self._renew, args=(lease, ended), name="lease", daemon=True)
        beat.start()
        try:
            yield
        except BaseException:
            with suppress(P2DError):  # the first error counts; unended it ends by itself
                self.gateway.ledger.leases.end(lease)
            raise
        else:
            self.gateway.ledger.leases.end(lease)
        finally:
            ended.set()
            beat.join()

    def _renew(self, lease: Lease, ended: Event) -> None:
        while not ended.wait(lease.seconds / 3):
            try:
                self.gateway.ledger.leases.renew(lease)
            except LeaseLost:
                return
            except Unavailable:
                continue

    def _confirm(self, lease: Lease) -> None:
        """Ask for the receipts of batches whose loader is gone: with one they are done, else pending."""
        ledger = self.gateway.ledger
        for batch_id in ledger.unconfirmed(self.run_id, lease=lease):
            try:
                receipt = self.gateway.warehouse.receipt(batch_id)
            except (Unavailable, ProtocolViolation) as error:
                raise Outage from error
            if receipt:
                ledger.loaded(self.run_id, batch_id, lease=lease)
            else:
                ledger.forget(self.run_id, batch_id, lease=lease)
        unloaded = set(ledger.leases.pending(lease))
        for patient in lease.patients:
            if patient in unloaded:
                self._failed(lease, patient, _NO_RECEIPT)

    def _batch(self, lease: Lease) -> None:
        ledger = self.gateway.ledger
        targets = targets_of(ledger, self.run_id, self.request, lease.patients)
        flat = [target for group in targets.values() for target in group]
        try:
            works, unresolved = locate(self.gateway, flat, None)
        except (Unavailable, ProtocolViolation) as error:
            self._blamed(lease, lease.patients, error)
            return
        for item in unresolved:
            ledger.unresolved(self.run_id, str(item.pseudonym), item.reason, lease=lease)
        extracted: list[Extracted] = []
        for work in works:
            if not ledger.leases.begin(lease, str(work.patient)) or self.drain.is_set():
                break
            headers = self._patient(lease, work)
            if headers is not None:
                extracted.append((str(work.patient), headers))
            self.worked += 1
            self._show()
        ledger.leases.begin(lease, None)
        if extracted:
            for failed, why in load(self.gateway, lease, self.request, extracted, self._again):
                self._blamed(lease, failed, why)
        self._show()

    def _show(self) -> None:
        if self.watch is not None:
            self.watch(self.gateway.ledger.progress(self.run_id))

    def _again(self) -> bool:
        """Wait a little where a peer is down; whether to try once more what it did not take."""
        if self.drain.is_set() or not self._is_outage():
            return False
        self._rest()
        return not self.drain.is_set()

    def _rest(self) -> None:
        self._pause = min(max(self._pause * 2, self.gateway.retry_seconds), _LONGEST_PAUSE)
        self.drain.wait(self._pause)

    def _patient(self, lease: Lease, work: PatientWork) -> PatientHeaders | None:
        patient = str(work.patient)
        try:
            headers = extract_headers(self.gateway, work, self.request)
        except (Unavailable, ProtocolViolation) as error:
            self._blamed(lease, (patient,), error)
            return None
        except InvalidRequest as error:  # not an identifier that may be asked for; the others go on
            self._failed(lease, patient, _reason(error), attempts=1)
            return None
        self._down_since = None
        if not headers.lines:
            self.gateway.ledger.absent(self.run_id, patient, lease=lease)
            return None
        return headers

    def _blamed(self, lease: Lease, patients: tuple[str, ...], error: P2DError) -> None:
        """Count a failed attempt of *patients*, unless their peer answers to nobody or we are to stop."""
        if isinstance(error, Unavailable) and (self.drain.is_set() or self._is_outage()):
            raise Outage from error
        for patient in patients:
            self._failed(lease, patient, _reason(error))

    def _is_outage(self) -> bool:
        """Whether a peer is down, and has been for less time than this gateway waits."""
        if not self.gateway.outage_seconds:
            return False
        try:
            self.gateway.pacs.echo()
            self.gateway.identity.ping()
            self.gateway.warehouse.receipt("check")
        except P2DError:
            now = time.monotonic()
            self._down_since = self._down_since or now
            return now - self._down_since < self.gateway.outage_seconds
        self._down_since = None
        return False

    def _failed(self, lease: Lease, patient: str, reason: str, attempts: int | None = None) -> None:
        self.gateway.ledger.fail(
            self.run_id,
            patient,
            reason,
            attempts_allowed=attempts or self.gateway.attempts,
            pause_seconds=self.gateway.retry_seconds,
            lease=lease,
        )


def _reason(error: P2DError) -> str:
    return f"{type(error).__name__}: {error.field}: {error.problem}"
