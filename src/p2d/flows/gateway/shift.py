"""One worker on one run: takes leases, has them worked, waits while a peer is down.

The only loop over patients that retries.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import Final

from p2d.flows.gateway.batches import PatientBatches, Watch
from p2d.flows.gateway.blame import Blame, Outage
from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.held import Held
from p2d.jobs.lease import Lease, LeaseLost
from p2d.jobs.leasing import WHOLE, Span
from p2d.model.errors import ProtocolViolation, Unavailable
from p2d.model.request import Request

_POLL_SECONDS: Final = 1.0
_NO_RECEIPT: Final = "its worker ended while the batch was being loaded"


@dataclass(slots=True)
class Shift:
    """A worker's time on a run; ``drain``, once set, ends it after the patient at hand.

    ``goes_on`` is asked before each lease: False ends a round, for a run that goes first.
    """

    gateway: Gateway
    run_id: str
    worker: str
    request: Request
    drain: Event
    watch: Watch | None = None
    span: Span = WHOLE
    goes_on: Callable[[], bool] = lambda: True
    worked: int = 0
    _alone: Lease | None = field(default=None, init=False)
    _blame: Blame = field(init=False)

    def __post_init__(self) -> None:
        self._blame = Blame(self.gateway, self.drain)

    def work_to_the_end(self) -> None:
        """Work until every patient is finished, by us or by others, or the run is stopped.

        Raises:
            Unavailable: the ledger or the audit log cannot be written.
            Misconfigured: the archive does not know us, or the like; what was at hand goes back.

        """
        ledger = self.gateway.ledger
        while not self.drain.is_set():
            if self.work():
                continue
            due = ledger.leases.next_due(self.run_id)
            if due is None or ledger.is_stopping(self.run_id):
                return
            self.drain.wait(min(due, _POLL_SECONDS))

    def work(self) -> bool:
        """Work what is ready now; return whether there was anything.

        Raises:
            Unavailable, Misconfigured: as ``work_to_the_end``.

        """
        before = self.worked
        try:
            with Held(self.gateway.ledger.leases, self.gateway.lease_seconds) as held:
                self._confirm(held)
                batches = PatientBatches(self.gateway, self.request, held, self._blame, self.watch)
                batches.work(self._ready(held))
                if self._alone is not None:
                    batches.work([self._alone])
        except Outage:
            self._blame.rest()
        finally:
            self._alone = None
        return self.worked > before

    def _ready(self, held: Held) -> Iterator[Lease]:
        """Take leases until there is none, another run goes first, or someone's work is to be taken over.

        A patient that failed before is kept for later: nothing is worked beside it.
        """
        leases = self.gateway.ledger.leases
        while not self.drain.is_set() and self.goes_on():
            lease = leases.take(
                self.run_id,
                self.worker,
                most=self.gateway.patients_per_batch,
                seconds=self.gateway.lease_seconds,
                span=self.span,
            )
            if lease is None:
                return
            held.add(lease)
            self.worked += len(lease.patients)
            if lease.is_retry:
                self._alone = lease
                return
            yield lease
            if leases.abandoned(self.run_id):
                return

    def _confirm(self, held: Held) -> None:
        """Take over from workers that are gone, and ask for the receipts of what they had posted."""
        ledger, gateway = self.gateway.ledger, self.gateway
        lease = ledger.leases.take_over(
            self.run_id, self.worker, seconds=gateway.lease_seconds, attempts_allowed=gateway.attempts
        )
        if lease is None:
            return
        held.add(lease)
        try:
            for batch_id in ledger.unconfirmed(self.run_id, lease=lease):
                self._settle(batch_id, lease)
            for patient in ledger.leases.pending(lease):
                self._blame.count(lease, patient, _NO_RECEIPT)
        except LeaseLost:
            pass
        held.end(lease)

    def _settle(self, batch_id: str, lease: Lease) -> None:
        try:
            receipt = self.gateway.warehouse.receipt(batch_id)
        except (Unavailable, ProtocolViolation) as error:
            raise Outage from error
        if receipt:
            self.gateway.ledger.loaded(self.run_id, batch_id, lease=lease)
        else:
            self.gateway.ledger.forget(self.run_id, batch_id, lease=lease)
