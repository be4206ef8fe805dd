"""Looks at the kill switch while operations run, and stops the connector when it is set."""

import logging
import threading
from collections.abc import Callable
from typing import Final

from p2d.model.errors import Unavailable
from p2d.pacs.governor.port import Governor
from p2d.pacs.port import Pacs

_LOG: Final = logging.getLogger(__name__)
_SECONDS: Final = 0.5

OnChange = Callable[[str], None]


class Watch:
    """One thread of a process for one archive; begins with the first operation and ends with ``close``.

    *stopped* looks at the kill switch of this machine: it counts also while the governor cannot be reached.
    """

    def __init__(self, pacs: Pacs, governor: Governor, stopped: Callable[[], str]) -> None:
        self._pacs, self._governor, self._stopped = pacs, governor, stopped
        self._on_change: OnChange | None = None
        self._ends = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_stopped = False
        self._is_held = False
        self._told = ""
        self._failed = ""
        self._idle: list[Callable[[], None]] = []

    def begin(self, on_change: OnChange | None = None) -> None:
        """Watch from now on; *on_change* is called with what stops the archive, or nothing: resumed."""
        self._on_change = on_change or self._on_change
        if self._thread is None:
            with self._lock:
                if self._thread is None and not self._ends.is_set():
                    self._thread = threading.Thread(target=self._run, name="archive-watch", daemon=True)
                    self._thread.start()

    def every_turn(self, work: Callable[[], None]) -> None:
        """Call *work* twice a second too."""
        self._idle.append(work)

    def look(self) -> None:
        """Stop or resume the connector as the kill switch says; an unreachable governor changes nothing."""
        cause = self._stopped()
        if not cause:
            try:
                cause = self._governor.load().stopped
            except Unavailable:
                return
        with self._lock:
            was, self._is_stopped = self._is_stopped, bool(cause)
            if self._is_stopped and not was:
                self._pacs.stop()
            elif was and not self._is_stopped and not self._is_held:
                self._pacs.resume()
        if self._on_change is not None and cause != self._told:
            self._on_change(cause)
            self._told = cause

    def hold(self) -> None:
        """Stop the connector of this process, whatever the kill switch says, until ``release``."""
        with self._lock:
            self._is_held = True
            self._pacs.stop()

    def release(self) -> None:
        """Let the connector of this process go on, unless the kill switch is set."""
        with self._lock:
            self._is_held = False
            if not self._is_stopped:
                self._pacs.resume()

    @property
    def is_stopped(self) -> bool:
        """Whether the connector is stopped: by the kill switch or by ``hold``."""
        return self._is_stopped or self._is_held

    def close(self) -> None:
        """End the thread."""
        self._ends.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5)

    def _run(self) -> None:
        while not self._ends.wait(_SECONDS):
            for work in (self.look, *self._idle):
                try:
                    work()
                except Unavailable:  # the audit or the governor: the next turn tries again
                    pass
                except Exception as error:  # noqa: BLE001 - without this thread a stop ends nothing that runs
                    self._report(type(error).__name__)

    def _report(self, failure: str) -> None:
        if failure != self._failed:
            _LOG.error("archive %s: the watch of the kill switch met %s", self._pacs.name, failure)
        self._failed = failure
