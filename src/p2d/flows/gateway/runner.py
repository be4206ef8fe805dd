"""Bulk runs in the background of a serving gateway."""

import logging
import threading

from p2d.access.caller import Caller
from p2d.flows.gateway.bulk import BulkExtractor
from p2d.flows.gateway.gateway import Gateway
from p2d.model.errors import P2DError
from p2d.model.request import Request
from p2d.pacs.governor.port import WorkClass

_LOG = logging.getLogger(__name__)


class BulkRunner:
    """Works bulk runs in threads of this process; what ends with it is resumed by another call.

    Where ``p2d worker`` works the runs it only records them.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._extractor = BulkExtractor(gateway.for_work(WorkClass.BULK))
        self._threads: dict[str, threading.Thread] = {}
        self._again: dict[str, Caller] = {}
        self._lock = threading.Lock()

    def start(self, request: Request, caller: Caller) -> str:
        """Record a run, begin it in the background and return its id."""
        run_id = self._extractor.open(request, caller)
        self.resume(run_id, caller)
        return run_id

    def resume(self, run_id: str, caller: Caller) -> None:
        """Work *run_id* in the background, unless workers do.

        A working under way goes on; what it leaves pending because it was about to end is worked after it.
        """
        if self._gateway.has_workers:
            return
        with self._lock:
            if self.is_running(run_id):
                self._again[run_id] = caller
                return
            thread = threading.Thread(target=self._work, args=(run_id, caller), daemon=True)
            thread.start()
            self._threads[run_id] = thread

    def is_running(self, run_id: str) -> bool:
        """Whether this process works *run_id* now."""
        thread = self._threads.get(run_id)
        return thread is not None and thread.is_alive()

    def _work(self, run_id: str, caller: Caller) -> None:
        asked: Caller | None = caller
        while asked is not None:
            self._run(run_id, asked)
            asked = self._next(run_id)

    def _next(self, run_id: str) -> Caller | None:
        """Return who resumed the run while it was worked, if it is to go on; else let it end."""
        with self._lock:
            asked = self._again.pop(run_id, None)
            if asked is None or not self._goes_on(run_id):
                del self._threads[run_id]
                return None
            return asked

    def _goes_on(self, run_id: str) -> bool:
        """Whether patients are left that nobody stopped, paused or cancelled since."""
        ledger = self._gateway.ledger
        try:
            progress = ledger.progress(run_id)
            is_held = progress.state in {"paused", "cancelled"} or ledger.is_stopping(run_id)
        except Exception as error:  # noqa: BLE001 - the thread's top: another resume begins anew
            _LOG.error("run %s: whether it goes on is not known (%s)", run_id, type(error).__name__)
            return False
        return progress.patients_pending > 0 and not is_held

    def _run(self, run_id: str, caller: Caller) -> None:
        try:
            self._extractor.run(run_id, caller)
        except P2DError as error:
            _LOG.error("run %s ended: %s", run_id, error)
        except Exception as error:  # noqa: BLE001 - the thread's top: the run stays resumable
            _LOG.error("run %s ended by %s", run_id, type(error).__name__)
