"""Questions that can be cancelled: each has a name that its asker gave it, and an end that the engine gave.

A question runs in one thread; ``Questions.named`` tells the engine below, in the same thread, which ``Stop``
is its own. Whoever cancels does so from another thread, at any time, also between two statements.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from p2d.model.errors import InvalidRequest, Unavailable


class Stop:
    """Whether a question is to end, and what is called once when it is; each call is quick.

    One that is not ``named`` belongs to a question that nobody can cancel.
    """

    def __init__(self, *, named: bool = False) -> None:
        self.is_named = named
        self._lock = threading.Lock()
        self._ends: list[Callable[[], None]] = []
        self.is_asked = False

    @contextmanager
    def ending(self, end: Callable[[], None]) -> Iterator[None]:
        """Have *end* called when it is to end, at once where it is already; until the block ends."""
        with self._lock:
            self._ends.append(end)
            is_asked = self.is_asked
        if is_asked:
            end()
        try:
            yield
        finally:
            with self._lock:
                self._ends.remove(end)

    def ask(self) -> None:
        """End the question."""
        with self._lock:
            self.is_asked = True
            ends = list(self._ends)
        for end in ends:
            end()

    def check(self) -> None:
        """Return if the question may go on.

        Raises:
            Unavailable: it was cancelled.

        """
        if self.is_asked:
            raise cancelled()


@contextmanager
def ended(
    end: Callable[[], None], stop: Stop, *, again: float, seconds: float | None = None
) -> Iterator[threading.Event]:
    """Call *end* when *stop* is asked for or after *seconds*, and then every *again* seconds.

    Engines take the request to end a statement only while one runs: between two it would be lost. The event
    yielded tells whether the time is over. When the block has ended, *end* is not called any more.
    """
    is_done, is_awake, is_over = threading.Event(), threading.Event(), threading.Event()
    if seconds is None and not stop.is_named:
        yield is_over
        return

    def watch() -> None:
        if not is_awake.wait(seconds):
            is_over.set()
        while not is_done.wait(again):
            end()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        with stop.ending(is_awake.set):
            yield is_over
    finally:
        is_done.set()
        is_awake.set()
        watcher.join()


_CURRENT: Final[ContextVar[Stop | None]] = ContextVar("stop", default=None)


def current_stop() -> Stop:
    """Return the stop of the question in this thread; one that nobody knows where it has no name."""
    return _CURRENT.get() or Stop()


def cancelled() -> Unavailable:
    """Return the error that a cancelled question ends with."""
    return Unavailable("query", "was cancelled", "ask it again")


class Questions:
    """The named questions under way, each with its asker; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stops: dict[tuple[str, str], Stop] = {}

    @contextmanager
    def named(self, name: str, user: str) -> Iterator[None]:
        """Run the block as the question *name* of *user*; without a name it cannot be cancelled.

        Raises:
            InvalidRequest: a question of that name is under way.

        """
        if not name:
            yield
            return
        stop = Stop(named=True)
        with self._lock:
            if (user, name) in self._stops:
                raise InvalidRequest(
                    "P2D-Question", "names a question that is under way", "choose another name"
                )
            self._stops[user, name] = stop
        before = _CURRENT.set(stop)
        try:
            yield
            stop.check()
        finally:
            _CURRENT.reset(before)
            with self._lock:
                del self._stops[user, name]

    def cancel(self, name: str, user: str) -> bool:
        """End the question *name* of *user*; return whether there was one."""
        with self._lock:
            stop = self._stops.get((user, name))
        if stop is None:
            return False
        stop.ask()
        return True
