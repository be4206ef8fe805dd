"""Syncs in the background of a serving gateway, one at a time."""

import logging
import threading
from dataclasses import dataclass, field
from typing import Final

from p2d.access.caller import Caller
from p2d.access.check import check_bulk
from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.sync.claim import Busy, claims_of
from p2d.flows.gateway.sync.counts import SyncReport
from p2d.flows.gateway.sync.options import SyncOptions
from p2d.flows.gateway.sync.sync import Sync
from p2d.model.errors import P2DError
from p2d.pacs.governor.port import WorkClass

_LOG: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class SyncRunner:
    """Starts syncs of *gateway* and keeps what the last one that was started here came to."""

    gateway: Gateway
    last: SyncReport | None = field(default=None, init=False)
    error: str = field(default="", init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def start(self, options: SyncOptions, caller: Caller) -> None:
        """Begin a sync and return.

        Raises:
            Refused: the caller is no operator.
            Busy: one is under way, here or on another machine.

        """
        check_bulk(caller)
        with self._lock:
            if self.is_running or claims_of(self.gateway).is_taken():
                raise Busy
            self.last, self.error = None, ""
            self._thread = threading.Thread(target=self._run, args=(options, caller), daemon=True)
            self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether a sync that was started here is under way."""
        return self._thread is not None and self._thread.is_alive()

    def _run(self, options: SyncOptions, caller: Caller) -> None:
        try:
            self.last = Sync(self.gateway.for_work(WorkClass.BULK)).run(options, caller)
        except P2DError as error:
            self.error = f"{error.field}: {error.problem}"
            _LOG.error("a sync ended: %s", error)
        except Exception as error:  # noqa: BLE001 - the thread's top: the next sync goes on
            self.error = type(error).__name__
            _LOG.error("a sync ended by %s", type(error).__name__)
