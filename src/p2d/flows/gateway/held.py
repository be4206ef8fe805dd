"""The leases a worker holds: kept alive by one thread, given back when the worker lets go."""

from contextlib import suppress
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Self

from p2d.jobs.lease import Lease, LeaseLost
from p2d.jobs.leases import Leases
from p2d.model.errors import P2DError, Unavailable


class Held:
    """A context in which leases live; what its end finds still held goes back to others."""

    def __init__(self, leases: Leases, seconds: float) -> None:
        """Renew three times in *seconds*, the life of a lease."""
        self._leases = leases
        self._pause = seconds / 3
        self._held: dict[int, Lease] = {}
        self._lock = Lock()
        self._ended = Event()
        self._thread = Thread(target=self._beat, name="leases", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        for lease in self._now():
            with suppress(*([P2DError] if error is not None else [])):  # the first error counts
                self.end(lease)

    def add(self, lease: Lease) -> Lease:
        """Keep *lease* alive from now on."""
        with self._lock:
            self._held[lease.lease_id] = lease
        return lease

    def end(self, lease: Lease) -> None:
        """Give back what is pending of *lease*.

        Raises:
            Unavailable: the ledger cannot be written; the lease ends by itself.

        """
        with self._lock:
            known = self._held.pop(lease.lease_id, None)
        if known is not None:
            self._leases.end(lease)

    def _now(self) -> list[Lease]:
        with self._lock:
            return list(self._held.values())

    def _beat(self) -> None:
        while not self._ended.wait(self._pause):
            for lease in self._now():
                with suppress(LeaseLost, Unavailable):  # who works under it is told when it next writes
                    self._leases.renew(lease)
