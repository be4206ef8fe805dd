"""Associations to one archive: kept between uses, never more than allowed, ended at once where told so."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from p2d.dimse.association import Association
from p2d.dimse.negotiation import Proposal
from p2d.model.errors import Unavailable

_KEPT: Final = 2
_IDLE_SECONDS: Final = 30.0
_CANCEL_SECONDS: Final = 2.0
_ABORT_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.05


class Lease:
    """An association lent to one thread; ``is_kept`` says that it was used before."""

    def __init__(self, association: Association, *, is_kept: bool) -> None:
        self.association = association
        self.is_kept = is_kept


@dataclass(frozen=True, slots=True)
class _Idle:
    proposal: Proposal
    association: Association
    since: float


class Pool:
    """Associations opened by *opened*; at most *limit* at a time. Safe to share between threads.

    Who needs one while all are lent waits for *seconds*. What nobody has used for half a minute is released:
    an archive has few associations to give.
    """

    def __init__(
        self,
        opened: Callable[[Proposal], Association],
        limit: int,
        seconds: float,
        idle_seconds: float = _IDLE_SECONDS,
    ) -> None:
        self._opened = opened
        self._idle_seconds = idle_seconds
        self._limit = limit
        self._seconds = seconds
        self._changed = threading.Condition()
        self._idle: list[_Idle] = []
        self._timer: threading.Timer | None = None
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
        for one in idle:
            one.association.drop()
        deadline = time.monotonic() + _CANCEL_SECONDS
        with self._changed:
            while any(one.is_awaited for one in self._lent.intersection(lent)):
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(min(left, _LOOK_SECONDS))
        aborting = [threading.Thread(target=one.abort, daemon=True) for one in lent]
        for thread in aborting:
            thread.start()
        for thread in aborting:  # each takes a moment where its owner is busy: not one after the other
            thread.join(_ABORT_SECONDS)

    def resume(self) -> None:
        """Lend again."""
        with self._changed:
            self.is_stopped = False

    def close(self) -> None:
        """Release what is kept, and what is lent once it comes back; safe to call twice."""
        with self._changed:
            self._is_closed = True
            idle, self._idle = self._idle, []
            if self._timer is not None:
                self._timer.cancel()
        for one in idle:
            one.association.release()

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
                    stale.append(self._idle.pop(0).association)
                    continue
                if not self._changed.wait(deadline - time.monotonic()):
                    raise Unavailable("pacs", f"all {self._limit} associations are in use", "try again later")
        for association in stale:
            association.release()
        return Lease(found, is_kept=True) if found is not None else Lease(self._new(proposal), is_kept=False)

    def _kept(self, proposal: Proposal, stale: list[Association]) -> Association | None:
        """Take a kept association that still stands out of the idle ones; the others go to *stale*."""
        for place in range(len(self._idle) - 1, -1, -1):
            one = self._idle[place]
            if one.proposal == proposal:
                del self._idle[place]
                if one.association.is_ready:
                    return one.association
                stale.append(one.association)
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
                self._idle.append(_Idle(proposal, association, time.monotonic()))
                self._look_later()
                if len(self._idle) <= min(_KEPT, self._limit):
                    self._changed.notify()
                    return
                released = self._idle.pop(0).association
            self._changed.notify_all()
        released.release()

    def _look_later(self) -> None:
        """Have idle associations released in time; the lock is held."""
        if self._timer is None and self._idle and not self._is_closed:
            left = self._idle[0].since + self._idle_seconds - time.monotonic()
            self._timer = threading.Timer(max(left, 0.0), self._release_old)
            self._timer.daemon = True
            self._timer.start()

    def _release_old(self) -> None:
        with self._changed:
            self._timer = None
            latest = time.monotonic() - self._idle_seconds
            old = [one for one in self._idle if one.since <= latest]
            self._idle = [one for one in self._idle if one.since > latest]
            self._look_later()
        for one in old:
            one.association.release()
