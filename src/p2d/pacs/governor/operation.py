"""One operation under a lease: what it used is reported in few round trips, debts are waited for."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from p2d.pacs.governor.port import Ending, Governor, Latency, Lease, Report, Resource

_IMAGES: Final = 16
_SECONDS: Final = 0.5
_MEBIBYTE: Final = 1024 * 1024
_LONGEST_PAUSE: Final = 0.5


@dataclass(slots=True)
class UnderLease:
    """What is used of *lease*, told to *governor* when 16 images, half a second or what was lent is used up.

    ``pause`` waits for seconds and raises when the archive was stopped meanwhile. ``queries`` and ``waited``
    (seconds) are sums that whoever uses it may set back.
    """

    governor: Governor
    lease: Lease
    pause: Callable[[float], None]
    clock: Callable[[], float] = time.monotonic
    left: dict[Resource, float] = field(default_factory=dict)
    used: dict[Resource, float] = field(default_factory=dict)
    latencies: dict[Latency, list[float]] = field(default_factory=dict)
    images: int = 0
    queries: int = 0
    waited: float = 0.0
    reported: float = 0.0

    def __post_init__(self) -> None:
        """Begin with all that was lent."""
        self.left = dict(self.lease.lent)
        self.reported = self.clock()

    def use(self, resource: Resource, amount: float) -> None:
        """Count *amount* as used."""
        self.used[resource] = self.used.get(resource, 0.0) + amount
        self.left[resource] = self.left.get(resource, 0.0) - amount

    def ask(self, queries: int) -> None:
        """Count *queries* that are to be sent; wait until they may be."""
        self.queries += queries
        self.use(Resource.QUERIES, queries)
        if self.left[Resource.QUERIES] < 0:
            self.settle()

    def took(self, kind: Latency, seconds: float) -> None:
        """Keep a latency."""
        self.latencies.setdefault(kind, []).append(seconds)

    def arrived(self, octets: int, seconds: float) -> None:
        """Count one image that came after *seconds*; wait until the archive may send more."""
        self.use(Resource.IMAGES, 1)
        self.use(Resource.BYTES, octets)
        self.took(Latency.ARRIVAL if self.images else Latency.START, seconds / max(1.0, octets / _MEBIBYTE))
        self.images += 1
        is_overdrawn = self.left.get(Resource.BYTES, 0.0) < 0 or self.left.get(Resource.IMAGES, 0.0) < 0
        if is_overdrawn or self.used[Resource.IMAGES] >= _IMAGES or self.clock() - self.reported > _SECONDS:
            self.settle()

    def settle(self) -> None:
        """Report what was used, and wait until its debts are paid."""
        begun = self.clock()
        wait = self._report()
        while wait > 0:
            self.pause(min(wait, _LONGEST_PAUSE))
            wait = self._report()
        self.waited += self.clock() - begun

    def end(self, ending: Ending) -> None:
        """Give the lease back; a debt is the next operation's to wait for."""
        self._report(ending)

    def _report(self, ending: Ending | None = None) -> float:
        report = Report(self.used, self.latencies, ending)
        self.used, self.latencies = {}, {}
        self.reported = self.clock()
        return self.governor.report(self.lease.lease_id, report)
