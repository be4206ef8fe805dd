"""One governor for all processes of a machine: whoever comes first holds and serves it, the others ask.

When the process that holds it ends, another one takes it over with its state; leases of those that go on are
kept.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from p2d.model.errors import Unavailable
from p2d.pacs.governor.client import SocketClient
from p2d.pacs.governor.clock import Clock
from p2d.pacs.governor.killswitch import KillSwitch
from p2d.pacs.governor.local import LocalGovernor
from p2d.pacs.governor.port import Ask, Lease, Load, Report, Wait, Why
from p2d.pacs.governor.service import Service, claimed
from p2d.settings.governor import Governing

T = TypeVar("T")
_STOPPED_POLL: Final = 1.0
_TRIES: Final = 3
_PAUSE: Final = 0.05


class MachineGovernor:
    """*archive*'s governor among the processes that share *state_dir*; see ``Governor``.

    Files there: ``governor-ARCHIVE.lock``, ``.sock`` (0600) and ``.state``.
    """

    def __init__(
        self,
        archive: str,
        settings: Governing,
        switch: KillSwitch,
        state_dir: Path,
        *,
        clock: Clock = Clock(),  # noqa: B008 - frozen
    ) -> None:
        self._archive, self._settings, self._switch, self._clock = archive, settings, switch, clock
        self._path = state_dir / f"governor-{archive}"
        self._lock = threading.RLock()
        self._local: LocalGovernor | None = None
        self._service: Service | None = None
        self._client: SocketClient | None = None
        self._claim: int | None = None
        self._is_closed = False

    @property
    def is_holder(self) -> bool:
        """Whether this process holds the governor that others ask."""
        return self._local is not None

    def ask(self, ask: Ask) -> Lease | Wait:
        """Return a lease or how long to wait; see ``Governor``."""
        if self._switch.cause():  # also when nobody else looks
            return Wait(_STOPPED_POLL, Why.STOPPED)
        return self._with(lambda governor: governor.ask(ask))

    def report(self, lease_id: str, report: Report) -> float:
        """Settle what was used; see ``Governor``."""
        return self._with(lambda governor: governor.report(lease_id, report))

    def load(self) -> Load:
        """Return the load now; see ``Governor``."""
        return self._with(lambda governor: governor.load())

    def stop(self, by: str) -> None:
        """Set the kill switch: a file, so that it works whatever else is down; see ``Governor``."""
        self._switch.set(by)

    def resume(self) -> None:
        """Release the kill switch; see ``Governor``."""
        self._switch.release()

    def close(self) -> None:
        """Give back what this process holds, and the governor itself; safe to call twice."""
        with self._lock:
            self._is_closed = True
            if self._client is not None:
                self._client.close()
                self._client = None
            if self._local is not None:
                self._local.close()  # first: what hangs up now keeps its leases with the next holder
                self._local = None
            if self._service is not None:
                self._service.close()
                self._service = None
            if self._claim is not None:
                os.close(self._claim)
                self._claim = None

    def _with(self, work: Callable[[LocalGovernor | SocketClient], T]) -> T:
        """Return what *work* returns with the governor, wherever it is now.

        Raises:
            Unavailable: it is nowhere to be reached.

        """
        for _ in range(_TRIES):
            governor = self._reached()
            if governor is not None:
                try:
                    return work(governor)
                except ConnectionError:
                    self._lost(governor)
            self._clock.pause(_PAUSE)
        raise Unavailable(
            "governor", "cannot be reached", "nothing is asked of the archive without it; try again later"
        )

    def _reached(self) -> LocalGovernor | SocketClient | None:
        with self._lock:
            if self._is_closed:
                raise Unavailable("governor", "is closed", "connect again")
            if self._local is not None:
                return self._local
            if self._client is not None:
                return self._client
            claim = claimed(self._path.with_suffix(".lock"))
            if claim is None:
                with contextlib.suppress(Unavailable):
                    self._client = SocketClient(self._path.with_suffix(".sock"))
                return self._client
            return self._held(claim)

    def _held(self, claim: int) -> LocalGovernor:
        try:
            local = LocalGovernor(
                self._archive,
                self._settings,
                self._switch,
                state_file=self._path.with_suffix(".state"),
                clock=self._clock,
            )
            self._service = Service(local, self._path.with_suffix(".sock"))
        except BaseException:
            os.close(claim)
            raise
        self._claim, self._local = claim, local
        return local

    def _lost(self, governor: LocalGovernor | SocketClient) -> None:
        with self._lock:
            if self._client is governor and self._client is not None:
                self._client.close()
                self._client = None
