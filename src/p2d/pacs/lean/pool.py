"""Associations to one archive: kept between uses, never more than allowed, ended at once where told so."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from p2d.dimse.association import Association
from p2d.dimse.negotiation import Proposal
from p2d.model.errors import Unavailable

_KEPT: Final = 2
_CANCEL_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.05


class Lease:
    """An association lent to one thread; ``is_kept`` says that it was used before."""

    def __init__(self, association: Association, *, is_kept: bool) -> None:
        self.association = association
        self.is_kept = is_kept


class Pool:
    """Associations opened by *opened*; at most *limit* at a time. Safe to share between threads.

    Who needs one while all are lent waits for *seconds*.
    """

    def __init__(self, opened: Callable[[Proposal], Association], limit: int, seconds: float) -> None:
        self._opened = opened
        self._limit = limit
        self._seconds = seconds
        self._changed = threading.Condition()
        self._idle: list[tuple[Proposal, Association]] = []
        self._lent: set[Association] = set()
        self._opening = 0
        self._is_closed = False
        self.is_stopped = False

    @contextmanager
    def lent(self, proposal: Proposal) -> Iterator[Lease]:
        """Lend an association with *proposal*; what ends with an error, or unfinished, is dropped.

        Raises:
            Unavailable: stopped, or all are lent for too long; otherwise as ``Association``.

        """
        lease = self._taken(proposal)
        association = lease.association
        try:
            yield lease
        except BaseException:
            self._leave(association)
            association.drop()
            raise
        self._give_back(proposal, association)

    def check_running(self) -> None:
        """Raise Unavailable where the pool is stopped."""
        if self.is_stopped:
            raise Unavailable("pacs", "queries to the archive are stopped", "resume them, then try again")

    def stop(self) -> None:
        """Cancel what runs, abort it after two seconds, and lend nothing until ``resume``."""
        with self._changed:
            self.is_stopped = True
            idle, self._idle = self._idle, []
            lent = list(self._lent)
            self._changed.notify_all()
        for association in lent:
            association.cancel()
        for _, association in idle:
            association.drop()
        deadline = time.monotonic() + _CANCEL_SECONDS
        with self._changed:
            while any(one.is_awaited for one in self._lent.intersection(lent)):
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(min(left, _LOOK_SECONDS))
        for association in lent:
            association.abort()

    def resume(self) -> None:
        """Lend again."""
        with self._changed:
            self.is_stopped = False

    def close(self) -> None:
        """Release what is kept, and what is lent once it comes back; safe to call twice."""
        with self._changed:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for _, association in idle:
            association.release()

    def _taken(self, proposal: Proposal) -> Lease:
        stale: list[Association] = []
        deadline = time.monotonic() + self._seconds
        with self._changed:
            while True:
                self.check_running()
                found = self._kept(proposal, stale)
                if found is not None:
                    self._lent.add(found)
                    break
                if len(self._lent) + len(self._idle) + self._opening < self._limit:
                    self._opening += 1
                    break
                if self._idle:
                    stale.append(self._idle.pop(0)[1])
                    continue
                if not self._changed.wait(deadline - time.monotonic()):
                    raise Unavailable("pacs", f"all {self._limit} associations are in use", "try again later")
        for association in stale:
            association.release()
        return Lease(found, is_kept=True) if found is not None else Lease(self._new(proposal), is_kept=False)

    def _kept(self, proposal: Proposal, stale: list[Association]) -> Association | None:
        """Take a kept association that still stands out of the idle ones; the others go to *stale*."""
        for place in range(len(self._idle) - 1, -1, -1):
            theirs, association = self._idle[place]
            if theirs == proposal:
                del self._idle[place]
                if association.is_ready:
                    return association
                stale.append(association)
        return None

    def _new(self, proposal: Proposal) -> Association:
        try:
            association = self._opened(proposal)
        except BaseException:
            with self._changed:
                self._opening -= 1
                self._changed.notify()
            raise
        with self._changed:
            self._opening -= 1
            if not self.is_stopped:
                self._lent.add(association)
        if self.is_stopped:
            association.drop()
            self.check_running()
        return association

    def _leave(self, association: Association) -> None:
        with self._changed:
            self._lent.discard(association)
            self._changed.notify_all()

    def _give_back(self, proposal: Proposal, association: Association) -> None:
        is_ready = association.is_ready
        released = association
        with self._changed:
            self._lent.discard(association)
            if is_ready and not self._is_closed and not self.is_stopped:
                self._idle.append((proposal, association))
                if len(self._idle) <= min(_KEPT, self._limit):
                    self._changed.notify()
                    return
                released = self._idle.pop(0)[1]
            self._changed.notify_all()
        released.release()
