"""Who may stand at the door of our Storage SCP: connections without an association, apart from associations.

Sockets that never finish their handshake can neither use up the associations of the archive nor keep others
waiting: where the caps are reached, the one that has waited longest has to go.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

T = TypeVar("T")

LOCAL_LIMIT: Final = (2, 3, 2)
"""A-ASSOCIATE-RJ: transient, service provider (presentation), local limit exceeded (PS3.8 9.3.4)."""


@dataclass(frozen=True, slots=True)
class Caps:
    """Connections without an association at once, in all and for one address; associations at once.

    ``handshake_seconds`` is the time from the connection to its association, TLS included.
    """

    waiting: int = 32
    waiting_per_address: int = 16
    associations: int = 16
    handshake_seconds: float = 5.0


class Admission(Generic[T]):
    """Connections of kind T from their arrival to their end; safe to share between threads."""

    def __init__(self, caps: Caps, clock: Callable[[], float] = time.monotonic) -> None:
        self._caps = caps
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[T, tuple[str, float]] = {}
        self._associated: set[T] = set()

    def enter(self, one: T, address: str) -> list[T]:
        """Let *one* in; return those that have to go for it."""
        with self._lock:
            self._waiting[one] = (address, self._clock())
            leaving = []
            same = [other for other, (theirs, _) in self._waiting.items() if theirs == address]
            if len(same) > self._caps.waiting_per_address:
                leaving.append(same[0])
            elif len(self._waiting) > self._caps.waiting:
                leaving.append(self._longest_of_the_most())
            for other in leaving:
                del self._waiting[other]
            return leaving

    def _longest_of_the_most(self) -> T:
        """Return who has waited longest among those of the address with the most connections."""
        (most, _), *_ = Counter(address for address, _ in self._waiting.values()).most_common(1)
        return next(one for one, (address, _) in self._waiting.items() if address == most)

    def overdue(self) -> list[T]:
        """Return those whose time for the handshake is up; they have to go."""
        with self._lock:
            latest = self._clock() - self._caps.handshake_seconds
            leaving = [one for one, (_, since) in self._waiting.items() if since < latest]
            for one in leaving:
                del self._waiting[one]
            return leaving

    def associate(self, one: T) -> bool:
        """Count *one* as an association; False where there are too many, or where it had to go."""
        with self._lock:
            if one not in self._waiting or len(self._associated) >= self._caps.associations:
                return False
            del self._waiting[one]
            self._associated.add(one)
            return True

    def leave(self, one: T) -> None:
        """Forget *one*."""
        with self._lock:
            self._waiting.pop(one, None)
            self._associated.discard(one)

    def all(self) -> list[T]:
        """Return all that are there."""
        with self._lock:
            return [*self._waiting, *self._associated]
