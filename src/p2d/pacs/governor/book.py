"""The governor's book: who holds what, who waits, what is used. Pure: no I/O, time is an argument.

Every method takes *now*, seconds on one clock that does not run back, and where windows or the hour of day
matter *at*, the date and time.
"""

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from p2d.pacs.governor.adaptive import Adaptive
from p2d.pacs.governor.breaker import Breaker
from p2d.pacs.governor.bucket import Bucket
from p2d.pacs.governor.meter import Meter
from p2d.pacs.governor.port import (
    Amounts,
    Ask,
    Ending,
    Lease,
    Load,
    Operation,
    Rate,
    Report,
    Resource,
    Wait,
    Why,
    WorkClass,
)
from p2d.pacs.governor.timetable import Timetable
from p2d.settings.governor import Governing

FOREVER: Final = 1e12
PATIENCE: Final[dict[WorkClass, float]] = {
    WorkClass.INTERACTIVE: 0.0,
    WorkClass.EXPORT: 3.0,
    WorkClass.BULK: 10.0,
}
"""Seconds by which others go first; who has waited so long is served like interactive work."""

_GONE_SECONDS: Final = 2.0
_LONGEST_POLL: Final = 0.5
_WINDOW_POLL: Final = 5.0
_SHORTEST_POLL: Final = 0.02
_TURN_POLL: Final = 0.05
_MEAN_BYTES: Final = 512 * 1024.0
_MEAN_OVER: Final = 200
_ASSOCIATIONS: Final = "associations"


@dataclass(slots=True)
class Held:
    """One lease: who holds it, what of it is not used yet, when it ends by itself."""

    holder: str
    work_class: WorkClass
    operation: Operation
    lent: dict[Resource, float]
    expires: float = FOREVER
    is_probe: bool = False


@dataclass(slots=True)
class Waiting:
    """One caller who waits: served like interactive work from *due* on; *lacks* is what it waits for."""

    holder: str
    work_class: WorkClass
    due: float
    expires: float
    lacks: frozenset[str]


@dataclass(slots=True)
class Book:
    """State and rules of one archive's governor."""

    archive: str
    settings: Governing
    buckets: dict[Resource, Bucket]
    timetable: Timetable = field(repr=False)
    adaptive: Adaptive
    breakers: dict[Operation, Breaker]
    meter: Meter = field(default_factory=Meter)
    leases: dict[str, Held] = field(default_factory=dict)
    tickets: dict[str, Waiting] = field(default_factory=dict)
    mean_bytes: float = _MEAN_BYTES
    lease_seconds: float = FOREVER

    def ask(self, ask: Ask, holder: str, now: float, at: datetime) -> Lease | Wait:
        """Return a lease for *holder*, or how long to wait and for what."""
        self.tidy(now)
        if not ask.continues and not self.timetable.is_open(ask.work_class, at):
            change = self.timetable.changes_at(ask.work_class, at)
            seconds = (change - at).total_seconds() if change else _WINDOW_POLL
            return self._waits(ask, holder, now, Wait(seconds, Why.WINDOW))
        breaker = self.breakers[ask.operation]
        if (pause := breaker.wait(now)) > 0:
            return self._waits(ask, holder, now, Wait(pause, Why.BREAKER))
        needs = self._needs(ask)
        due = self._due(ask, now)
        lacks, seconds = self._lacks(ask, needs, due, now)
        if lacks:
            return self._waits(ask, holder, now, Wait(seconds, _why(lacks)), lacks)
        return self._lent(ask, needs, holder, now)

    def report(self, lease_id: str, report: Report, holder: str, now: float, at: datetime) -> float:
        """Settle what *holder* used of a lease; return the seconds until its debts are paid.

        Raises:
            LookupError: there is no such lease.

        """
        self.tidy(now)
        held = self.leases[lease_id]
        held.holder, held.expires = holder, now + self.lease_seconds
        for resource, amount in report.used.items():
            from_lent = min(amount, held.lent.get(resource, 0.0))
            self.buckets[resource].use(amount, from_lent)
            held.lent[resource] = held.lent.get(resource, 0.0) - from_lent
        self.meter.add(held.work_class, report.used, now)
        self._learn(report, now, at)
        if report.ending is not None:
            self._end(lease_id, report.ending, now)
        factor = self.adaptive.factor
        debts = (
            self.buckets[one].debt_seconds(factor)
            for one in (Resource.BYTES, Resource.IMAGES, Resource.QUERIES)
            if held.lent.get(one, 0.0) <= 0
        )
        return max(debts, default=0.0)

    def drop(self, holder: str, now: float) -> None:
        """Take back what *holder*, who is gone, held: associations at once, the rest counts as used."""
        self.tidy(now)
        for lease_id in [one for one, held in self.leases.items() if held.holder == holder]:
            self._forfeit(lease_id, now)
        for ticket in [one for one, waiting in self.tickets.items() if waiting.holder == holder]:
            del self.tickets[ticket]

    def tidy(self, now: float) -> None:
        """Let time pass: fill buckets, recover, forget who is gone."""
        for bucket in self.buckets.values():
            bucket.refill(now, self.adaptive.factor)
        self.adaptive.recover(now)
        for lease_id in [one for one, held in self.leases.items() if held.expires < now]:
            self._forfeit(lease_id, now)
        for ticket in [one for one, waiting in self.tickets.items() if waiting.expires < now]:
            del self.tickets[ticket]

    @property
    def allowed(self) -> int:
        """How many associations may be in use now."""
        return max(1, int(self.settings.limits.associations * self.adaptive.factor))

    def load(self, now: float, at: datetime, stopped: str = "") -> Load:
        """Return what P2D asks of the archive now."""
        self.tidy(now)
        rates = {}
        for resource, bucket in self.buckets.items():
            minute, quarter = self.meter.last(resource, now)
            rates[resource] = Rate(minute, quarter, bucket.rate * 60)
        return Load(
            archive=self.archive,
            rates=rates,
            associations={one: self._in_use(one) for one in WorkClass},
            most_associations=self.settings.limits.associations,
            allowed_associations=self.allowed,
            waiting={one: sum(w.work_class is one for w in self.tickets.values()) for one in WorkClass},
            factor=self.adaptive.factor,
            breakers={one: str(breaker.state(now)) for one, breaker in self.breakers.items()},
            windows={
                one: (self.timetable.is_open(one, at), self.timetable.changes_at(one, at))
                for one in WorkClass
            },
            totals={(c, r): self.meter.total(c, r) for c in WorkClass for r in Resource},
            stopped=stopped,
        )

    def _needs(self, ask: Ask) -> dict[Resource, float]:
        needs = {one: amount for one, amount in ask.needs.items() if amount > 0}
        if needs.get(Resource.IMAGES) and Resource.BYTES not in needs:
            needs[Resource.BYTES] = needs[Resource.IMAGES] * self.mean_bytes
        if Resource.BYTES in needs:  # more is settled, and waited for, as it arrives
            most = self.buckets[Resource.BYTES].burst * (1.0 - self._reserve(ask.work_class))
            needs[Resource.BYTES] = min(needs[Resource.BYTES], most / self.settings.limits.associations)
        return needs

    def _due(self, ask: Ask, now: float) -> float:
        waiting = self.tickets.get(ask.ticket)
        return waiting.due if waiting else now + PATIENCE[ask.work_class]

    def _reserve(self, work_class: WorkClass) -> float:
        return 0.0 if work_class is WorkClass.INTERACTIVE else self.settings.reserved_share

    def _lacks(self, ask: Ask, needs: Amounts, due: float, now: float) -> tuple[frozenset[str], float]:
        """Return what is lacking now, and the seconds until it may be there."""
        share = self._reserve(ask.work_class) if now < due else 0.0
        lacks: set[str] = set()
        seconds = _SHORTEST_POLL
        for resource, need in needs.items():
            bucket = self.buckets[resource]
            missing = bucket.lacks(need, share * bucket.burst)
            if missing:
                lacks.add(resource)
                seconds = max(seconds, missing / (bucket.rate * self.adaptive.factor))
        kept = 1 if share and self.allowed > 1 else 0
        if len(self.leases) >= self.allowed - kept:
            lacks.add(_ASSOCIATIONS)
            seconds = max(seconds, _TURN_POLL)
        wanted = {*needs, _ASSOCIATIONS}
        earlier = (w for t, w in self.tickets.items() if t != ask.ticket and w.due < due)
        if not lacks and any(one.lacks & wanted for one in earlier):
            lacks.add(Why.TURN)
            seconds = _TURN_POLL
        return frozenset(lacks), min(seconds, _LONGEST_POLL)

    def _waits(
        self, ask: Ask, holder: str, now: float, wait: Wait, lacks: frozenset[str] = frozenset()
    ) -> Wait:
        expires = now + min(wait.seconds, _WINDOW_POLL) + _GONE_SECONDS
        waiting = Waiting(holder, ask.work_class, self._due(ask, now), expires, lacks)
        self.tickets[ask.ticket] = waiting
        return wait

    def _lent(self, ask: Ask, needs: dict[Resource, float], holder: str, now: float) -> Lease:
        self.tickets.pop(ask.ticket, None)
        lease_id = secrets.token_hex(8)
        breaker = self.breakers[ask.operation]
        is_probe = bool(breaker.openings)
        if is_probe:
            breaker.probe = lease_id
        lent = dict(needs)
        if ask.ahead and not is_probe and not self.tickets:
            queries = self.buckets[Resource.QUERIES]
            spare = queries.level - self._reserve(ask.work_class) * queries.burst - needs[Resource.QUERIES]
            lent[Resource.QUERIES] += max(0, min(ask.ahead, int(spare)))
        for resource, amount in lent.items():
            self.buckets[resource].lend(amount)
        expires = now + self.lease_seconds
        self.leases[lease_id] = Held(holder, ask.work_class, ask.operation, dict(lent), expires, is_probe)
        return Lease(lease_id, lent, is_probe)

    def _learn(self, report: Report, now: float, at: datetime) -> None:
        images, size = report.used.get(Resource.IMAGES, 0.0), report.used.get(Resource.BYTES, 0.0)
        if images and size:
            self.mean_bytes += (size / images - self.mean_bytes) * min(1.0, images / _MEAN_OVER)
        hour = self.timetable.hour(at)
        for kind, times in report.latencies.items():
            for seconds in times:
                self.adaptive.saw(kind, seconds, hour, now)

    def _end(self, lease_id: str, ending: Ending, now: float) -> None:
        held = self.leases.pop(lease_id)
        for resource, amount in held.lent.items():
            self.buckets[resource].give_back(amount)
        well = {Ending.DONE: True, Ending.FAILED: False, Ending.GIVEN_UP: None}[ending]
        self.breakers[held.operation].ended(lease_id, now, well=well)
        if ending is Ending.FAILED:
            self.adaptive.trouble(now)

    def _forfeit(self, lease_id: str, now: float) -> None:
        held = self.leases.pop(lease_id)
        for resource, amount in held.lent.items():
            self.buckets[resource].forfeit(amount)
        self.breakers[held.operation].ended(lease_id, now, well=None)

    def _in_use(self, work_class: WorkClass) -> int:
        return sum(held.work_class is work_class for held in self.leases.values())


def new_book(archive: str, settings: Governing, now: float, *, lease_seconds: float = FOREVER) -> Book:
    """Return the book of a governor that starts at *now*, with nothing saved up."""
    limits = settings.limits
    per_second = {
        Resource.QUERIES: limits.queries_per_minute / 60,
        Resource.STUDIES: limits.studies_per_minute / 60,
        Resource.IMAGES: limits.images_per_minute / 60,
        Resource.BYTES: limits.megabytes_per_second * 1e6,
    }
    return Book(
        archive=archive,
        settings=settings,
        buckets={
            one: Bucket(rate, max(1.0, rate * limits.burst_seconds), at=now)
            for one, rate in per_second.items()
        },
        timetable=Timetable(settings.windows),
        adaptive=Adaptive(settings.slow_factor, clean_since=now),
        breakers={one: Breaker(settings.failures, settings.open_seconds) for one in Operation},
        lease_seconds=lease_seconds,
    )


@dataclass(frozen=True, slots=True)
class Portion:
    """The most that one request may name, so that all associations together can be lent that much."""

    images: int
    studies: int
    queries: int


def portion_of(settings: Governing, work_class: WorkClass) -> Portion:
    """Return how much one request of *work_class* may name."""
    limits = settings.limits
    share = 1.0 if work_class is WorkClass.INTERACTIVE else 1.0 - settings.reserved_share
    images, studies, queries = (
        max(1, int(rate / 60 * limits.burst_seconds * share / limits.associations))
        for rate in (limits.images_per_minute, limits.studies_per_minute, limits.queries_per_minute)
    )
    return Portion(min(limits.images_per_request, images), studies, queries)


def _why(lacks: frozenset[str]) -> Why:
    if Why.TURN in lacks:
        return Why.TURN
    return Why.RATE if lacks - {_ASSOCIATIONS} else Why.ASSOCIATIONS
