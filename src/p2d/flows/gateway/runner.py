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
        self._lock = threading.Lock()

    def start(self, request: Request, caller: Caller) -> str:
        """Record a run, begin it in the background and return its id."""
        run_id = self._extractor.open(request, caller)
        self.resume(run_id, caller)
        return run_id

    def resume(self, run_id: str, caller: Caller) -> None:
        """Begin *run_id* in the background unless this process works it already, or workers do."""
        if self._gateway.has_workers:
            return
        with self._lock:
            thread = self._threads.get(run_id)
            if thread is None or not thread.is_alive():
                thread = threading.Thread(target=self._run, args=(run_id, caller), daemon=True)
                self._threads[run_id] = thread
                thread.start()

    def is_running(self, run_id: str) -> bool:
        """Whether this process works *run_id* now."""
        thread = self._threads.get(run_id)
        return thread is not None and thread.is_alive()

    def _run(self, run_id: str, caller: Caller) -> None:
        try:
            self._extractor.run(run_id, caller)
        except P2DError as error:
            _LOG.error("run %s ended: %s", run_id, error)
        except Exception as error:  # noqa: BLE001 - the thread's top: the run stays resumable
            _LOG.error("run %s ended by %s", run_id, type(error).__name__)
