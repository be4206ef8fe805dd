"""What an operator orders of bulk runs, recorded before it is done."""

from dataclasses import dataclass

from p2d.access.caller import Caller
from p2d.access.check import check_bulk
from p2d.flows.gateway.gateway import Gateway
from p2d.jobs.orders import checked


@dataclass(frozen=True, slots=True)
class RunOrders:
    """Orders to the runs of one gateway by one caller.

    Each raises Refused (no operator), NotFound (no such run), InvalidRequest (the run is past it) or
    Unavailable (it cannot be recorded, and is not done).
    """

    gateway: Gateway
    caller: Caller

    def stop(self, run_id: str) -> None:
        """Let workers stop after the patient at hand; whoever resumes the run undoes it."""
        self._record(run_id, "run stopped")
        self.gateway.ledger.request_stop(run_id)

    def pause(self, run_id: str) -> None:
        """Keep workers from the run, after the patient at hand, until it is resumed."""
        self._record(run_id, "run paused")
        self.gateway.ledger.orders.pause(run_id)

    def resume(self, run_id: str) -> None:
        """Let workers take the run again."""
        self._record(run_id, "run resumed")
        self.gateway.ledger.orders.resume(run_id)

    def cancel(self, run_id: str) -> None:
        """Keep workers from the run for good."""
        self._record(run_id, "run cancelled")
        self.gateway.ledger.orders.cancel(run_id)

    def prioritise(self, run_id: str, priority: int) -> None:
        """Give the run a priority from -100 to 100."""
        checked(priority)
        self._record(run_id, "run prioritised", priority=priority)
        self.gateway.ledger.orders.prioritise(run_id, priority)

    def retry(self, run_id: str) -> int:
        """Let workers try again the patients that were given up, and no others; return how many."""
        self._record(run_id, "run retried")
        return self.gateway.ledger.orders.retry(run_id)

    def _record(self, run_id: str, action: str, **more: object) -> None:
        check_bulk(self.caller)
        self.gateway.ledger.state(run_id)  # an unknown run is not found before it is recorded
        self.gateway.audit.record(action, user=self.caller.user, subject={"run": run_id, **more})
