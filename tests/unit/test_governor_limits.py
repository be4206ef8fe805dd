"""No window of 60 seconds exceeds rate and burst, whoever asks, however often the governor restarts."""

import heapq
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from p2d.pacs.governor.book import Book, new_book, portion_of
from p2d.pacs.governor.port import Ask, Ending, Lease, Operation, Report, Resource, Wait, WorkClass
from p2d.pacs.governor.state import plain, restart, state_of
from p2d.settings.governor import Governing, Limits

EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
LARGEST = 3_000_000


@dataclass
class World:
    """An archive, its governor and workers on a clock of their own; what the archive is asked is kept."""

    governing: Governing
    seed: int
    now: float = 0.0
    asked: dict[Resource, list[tuple[float, float]]] = field(
        default_factory=lambda: {one: [] for one in Resource}
    )
    most_at_once: int = 0
    at_once: int = 0
    served: dict[WorkClass, list[float]] = field(default_factory=lambda: {one: [] for one in WorkClass})
    tickets: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)  # noqa: S311 - a simulation is to be repeatable
        self.book: Book = new_book("main", self.governing, self.now)

    @property
    def at(self) -> datetime:
        return EPOCH + timedelta(seconds=self.now)

    def restart(self) -> None:
        """Lose the process and begin anew from its state."""
        kept = state_of(self.book, self.now)
        leases = {lease_id: plain(held) for lease_id, held in self.book.leases.items()}
        self.book = new_book("main", self.governing, self.now)
        restart(self.book, kept, leases, self.now)

    def uses(self, resource: Resource, amount: float) -> None:
        self.asked[resource].append((self.now, amount))

    def worst_minute(self, resource: Resource) -> float:
        events = self.asked[resource]
        worst = total = 0.0
        first = 0
        for when, amount in events:
            total += amount
            while events[first][0] <= when - 60:
                total -= events[first][1]
                first += 1
            worst = max(worst, total)
        return worst

    def run(self, workers: list[Iterator[float]], seconds: float) -> None:
        order = count()
        turns = [(self.now, next(order), worker) for worker in workers]
        heapq.heapify(turns)
        while turns and turns[0][0] < seconds:
            self.now, _, worker = heapq.heappop(turns)
            pause = next(worker, None)
            if pause is not None:
                heapq.heappush(turns, (self.now + pause, next(order), worker))


def worker(world: World, work_class: WorkClass, mortal: float = 0.0) -> Iterator[float]:
    """Find or retrieve without end; yield the seconds until its next turn. With *mortal* it may die."""
    holder = f"worker-{next(world.tickets)}"
    while True:
        is_find = world.dice.random() < 0.5
        portion = portion_of(world.governing, work_class)
        needs: dict[Resource, float] = (
            {Resource.QUERIES: 1}
            if is_find
            else {Resource.IMAGES: world.dice.randint(1, portion.images), Resource.STUDIES: 1}
        )
        operation = Operation.FIND if is_find else Operation.RETRIEVE
        ask = Ask(work_class, operation, str(next(world.tickets)), needs, ahead=7 if is_find else 0)
        begun = world.now
        while isinstance(answer := world.book.ask(ask, holder, world.now, world.at), Wait):
            yield min(answer.seconds, 5.0)
        world.served[work_class].append(world.now - begun)
        world.at_once += 1
        world.most_at_once = max(world.most_at_once, world.at_once)
        dies = world.dice.random() < mortal
        with suppress(LookupError):
            yield from (finds if is_find else images)(world, answer, holder, dies=dies)
        world.at_once -= 1
        if dies:
            world.book.drop(holder, world.now)


def finds(world: World, lease: Lease, holder: str, *, dies: bool) -> Iterator[float]:
    taken = world.dice.randint(1, int(lease.lent[Resource.QUERIES]))
    for _ in range(taken):
        world.uses(Resource.QUERIES, 1)
        yield world.dice.random() * 0.2
    if not dies:
        report = Report({Resource.QUERIES: taken}, ending=Ending.DONE)
        world.book.report(lease.lease_id, report, holder, world.now, world.at)


def images(world: World, lease: Lease, holder: str, *, dies: bool) -> Iterator[float]:
    world.uses(Resource.STUDIES, 1)
    used: dict[Resource, float] = {Resource.STUDIES: 1}
    left = lease.lent[Resource.BYTES]
    slow = world.dice.random()
    for index in range(int(lease.lent[Resource.IMAGES])):
        yield slow * world.dice.random() * 0.2
        size = world.dice.randint(1, LARGEST)
        world.uses(Resource.IMAGES, 1)
        world.uses(Resource.BYTES, size)
        used[Resource.IMAGES] = used.get(Resource.IMAGES, 0) + 1
        used[Resource.BYTES] = used.get(Resource.BYTES, 0) + size
        left -= size
        if left < 0 or index % 16 == 15:
            pause = world.book.report(lease.lease_id, Report(used), holder, world.now, world.at)
            used = {}
            while pause > 0:
                yield min(pause, 0.5)
                pause = world.book.report(lease.lease_id, Report(), holder, world.now, world.at)
        if dies and world.dice.random() < 0.1:
            return
    if not dies:
        world.book.report(lease.lease_id, Report(used, ending=Ending.DONE), holder, world.now, world.at)


def restarting(world: World, every: float) -> Iterator[float]:
    while True:
        yield world.dice.random() * every
        world.restart()


limits = st.builds(
    Limits,
    queries_per_minute=st.integers(6, 6000),
    studies_per_minute=st.integers(1, 600),
    images_per_minute=st.integers(6, 20_000),
    megabytes_per_second=st.floats(0.1, 200),
    associations=st.integers(1, 6),
    burst_seconds=st.floats(0, 30),
    images_per_request=st.integers(1, 300),
)


@given(limits, st.integers(1, 5), st.sampled_from([0.0, 0.05]), st.sampled_from([0.0, 20.0]), st.integers(0))
@settings(max_examples=10, deadline=None)
def test_no_minute_exceeds_rate_and_burst_whoever_asks_dies_or_restarts(
    limits: Limits, workers: int, mortal: float, restarts: float, seed: int
) -> None:
    world = World(Governing(limits=limits), seed)
    crowd = [worker(world, one, mortal) for one in list(WorkClass) * workers]

    world.run(crowd + ([restarting(world, restarts)] if restarts else []), 130)

    for resource, bucket in world.book.buckets.items():
        most = bucket.rate * 60 + bucket.burst + 1e-6
        if resource is Resource.BYTES:  # the size of what comes is known when it is there
            most += limits.associations * LARGEST
        assert world.worst_minute(resource) <= most, resource
    if not mortal:
        assert world.most_at_once <= limits.associations


def test_all_of_the_rate_can_be_used() -> None:
    limits = Limits(
        queries_per_minute=600,
        images_per_minute=3000,
        studies_per_minute=9000,
        associations=10,
        megabytes_per_second=1000,
    )
    world = World(Governing(limits=limits), 1)

    world.run([worker(world, WorkClass.BULK) for _ in range(8)], 120)

    assert world.worst_minute(Resource.IMAGES) > 3000 * 0.9


def test_interactive_work_is_served_at_once_while_bulk_takes_all_it_may() -> None:
    limits = Limits(queries_per_minute=600, images_per_minute=3000, associations=4)
    world = World(Governing(limits=limits), 2)

    def person() -> Iterator[float]:
        while True:
            yield 3.0
            ask = Ask(WorkClass.INTERACTIVE, Operation.FIND, str(next(world.tickets)), {Resource.QUERIES: 1})
            begun = world.now
            while isinstance(answer := world.book.ask(ask, "person", world.now, world.at), Wait):
                yield answer.seconds
            world.served[WorkClass.INTERACTIVE].append(world.now - begun)
            yield from finds(world, answer, "person", dies=False)

    world.run([person(), *(worker(world, WorkClass.BULK) for _ in range(12))], 100)

    waits = sorted(world.served[WorkClass.INTERACTIVE])
    assert len(waits) > 25
    assert waits[len(waits) // 2] == 0
    assert waits[-1] <= 0.5


def test_bulk_is_not_starved_by_people_who_never_pause() -> None:
    limits = Limits(queries_per_minute=600, images_per_minute=3000, associations=2)
    world = World(Governing(limits=limits), 3)
    crowd = [worker(world, WorkClass.INTERACTIVE) for _ in range(12)]

    world.run([*crowd, worker(world, WorkClass.BULK), worker(world, WorkClass.EXPORT)], 150)

    assert len(world.served[WorkClass.BULK]) >= 3
    longest = {one: max(waits) for one, waits in world.served.items()}
    assert longest[WorkClass.EXPORT] < longest[WorkClass.INTERACTIVE] + 15
    assert longest[WorkClass.BULK] < longest[WorkClass.INTERACTIVE] + 20
