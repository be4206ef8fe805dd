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

        A working under way goes on; a run that is opened again when it has just been closed is worked anew.
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
        """Return who resumed the run when its working had closed it; else let it end."""
        while True:
            with self._lock:
                asked = self._again.pop(run_id, None)
                if asked is None:
                    del self._threads[run_id]
                    return None
            if self._is_open(run_id):
                return asked

    def _is_open(self, run_id: str) -> bool:
        """Whether an order has opened the run again; what was ordered before it was closed is done."""
        try:
            return run_id in self._gateway.ledger.leases.runs()
        except Exception as error:  # noqa: BLE001 - the thread's top: another resume begins anew
            _LOG.error("run %s: whether it is open is not known (%s)", run_id, type(error).__name__)
            return False

    def _run(self, run_id: str, caller: Caller) -> None:
        try:
            self._extractor.run(run_id, caller)
        except P2DError as error:
            _LOG.error("run %s ended: %s", run_id, error)
        except Exception as error:  # noqa: BLE001 - the thread's top: the run stays resumable
            _LOG.error("run %s ended by %s", run_id, type(error).__name__)
