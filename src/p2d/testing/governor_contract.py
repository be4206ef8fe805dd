"""What every way of sharing a governor must do, as a test class to inherit.

Give it a fixture ``share``: called with settings it returns another member's governor of the same archive, as
another process would hold it.
"""

# ruff: noqa: S101 - a suite of tests that authors inherit

import time
from collections.abc import Callable

import pytest

from p2d.model.errors import Unavailable
from p2d.pacs.governor.port import (
    Ask,
    Ending,
    Governor,
    Latency,
    Lease,
    Operation,
    Report,
    Resource,
    Wait,
    Why,
    WorkClass,
)
from p2d.settings.governor import Governing, Limits

Share = Callable[[Governing], Governor]

PLENTY = Governing(
    limits=Limits(
        queries_per_minute=600_000,
        studies_per_minute=600_000,
        images_per_minute=600_000,
        associations=4,
        burst_seconds=0.5,
    )
)
"""Limits that make nobody wait longer than a fraction of a second."""


def ask(work_class: WorkClass, ticket: str = "t", *, ahead: int = 0, images: int = 0) -> Ask:
    """Return what one query or, with *images*, one retrieve needs."""
    if images:
        needs = {Resource.IMAGES: float(images), Resource.STUDIES: 1.0}
        return Ask(work_class, Operation.RETRIEVE, ticket, needs)
    return Ask(work_class, Operation.FIND, ticket, {Resource.QUERIES: 1}, ahead)


def admitted(governor: Governor, wanted: Ask) -> Lease:
    """Return a lease, after some waiting if need be."""
    deadline = time.monotonic() + 20
    while isinstance(answer := governor.ask(wanted), Wait):
        assert time.monotonic() < deadline, answer
        time.sleep(min(answer.seconds, 0.2))
    return answer


def ended(governor: Governor, lease: Lease, ending: Ending = Ending.DONE, **used: float) -> None:
    """Give *lease* back with what was *used*."""
    governor.report(lease.lease_id, Report({Resource(name): n for name, n in used.items()}, ending=ending))


class GovernorContract:
    """Inherit and provide ``share``."""

    def test_members_share_the_associations(self, share: Share) -> None:
        """Three of four may be held by bulk work; the fourth is a person's."""
        one, other = share(PLENTY), share(PLENTY)
        leases = [admitted(one, ask(WorkClass.BULK)), admitted(other, ask(WorkClass.BULK))]
        leases.append(admitted(one, ask(WorkClass.BULK)))

        bulk = other.ask(ask(WorkClass.BULK))
        person = admitted(other, ask(WorkClass.INTERACTIVE))

        assert isinstance(bulk, Wait)
        assert bulk.why is Why.ASSOCIATIONS
        load = one.load()
        assert load.associations == {WorkClass.INTERACTIVE: 1, WorkClass.EXPORT: 0, WorkClass.BULK: 3}
        ended(other, person)
        ended(other, leases[1])
        assert isinstance(one.ask(ask(WorkClass.INTERACTIVE)), Lease)

    def test_members_share_the_rates(self, share: Share) -> None:
        """What one took the other does not get."""
        few = Governing(limits=Limits(queries_per_minute=60, burst_seconds=3, associations=9))
        one, other = share(few), share(few)
        first = admitted(one, ask(WorkClass.INTERACTIVE))

        answers = [
            member.ask(ask(WorkClass.INTERACTIVE, str(i))) for i in range(4) for member in (one, other)
        ]

        assert sum(isinstance(answer, Lease) for answer in answers) <= 3
        waits = [answer for answer in answers if isinstance(answer, Wait)]
        assert {answer.why for answer in waits} <= {Why.RATE, Why.TURN}
        ended(one, first, queries=1)

    def test_a_lease_may_bring_more_queries_and_takes_the_unused_back(self, share: Share) -> None:
        """So that a worker needs one round trip for several operations."""
        one = share(PLENTY)
        time.sleep(0.02)
        lease = admitted(one, ask(WorkClass.BULK, ahead=7))

        assert 1 <= lease.lent[Resource.QUERIES] <= 8
        ended(one, lease, queries=1)
        assert one.load().rates[Resource.QUERIES].last_minute == 1

    def test_what_is_used_shows_in_everybody_s_load(self, share: Share) -> None:
        """Rates, totals by class, shares of the caps."""
        one, other = share(PLENTY), share(PLENTY)
        lease = admitted(one, ask(WorkClass.EXPORT, images=5))
        one.report(lease.lease_id, Report({Resource.STUDIES: 1, Resource.IMAGES: 3, Resource.BYTES: 900}))
        ended(one, lease, images=2, bytes=100)

        load = other.load()

        assert load.rates[Resource.IMAGES].last_minute == 5
        assert load.rates[Resource.BYTES].last_minute == 1000
        assert load.totals[WorkClass.EXPORT, Resource.STUDIES] == 1
        assert load.totals[WorkClass.BULK, Resource.STUDIES] == 0
        assert load.rates[Resource.IMAGES].share == pytest.approx(5 / 600_000, rel=1)

    def test_trouble_seen_by_one_makes_all_step_back(self, share: Share) -> None:
        """Half of associations and rates."""
        one, other = share(PLENTY), share(PLENTY)
        ended(one, admitted(one, ask(WorkClass.BULK)), Ending.FAILED)

        load = other.load()

        assert load.factor == 0.5
        assert load.allowed_associations == 2

    def test_failures_of_all_open_the_breaker_for_all(self, share: Share) -> None:
        """Of one operation; the others pass."""
        quick = PLENTY.model_copy(update={"failures": 2})
        one, other = share(quick), share(quick)
        for member in (one, other):
            ended(member, admitted(member, ask(WorkClass.BULK)), Ending.FAILED)

        answer = one.ask(ask(WorkClass.BULK))

        assert isinstance(answer, Wait)
        assert answer.why is Why.BREAKER
        assert other.load().breakers[Operation.FIND] == "open"
        assert other.load().breakers[Operation.RETRIEVE] == "closed"
        assert isinstance(admitted(other, ask(WorkClass.BULK, images=1)), Lease)

    def test_latencies_are_learned_together(self, share: Share) -> None:
        """What one learned as usual the other is judged by."""
        one, other = share(PLENTY), share(PLENTY)
        lease = admitted(one, ask(WorkClass.BULK))
        one.report(lease.lease_id, Report(latencies={Latency.ANSWER: [1.0] * 50}))
        assert other.load().factor == 1.0

        lease = admitted(other, ask(WorkClass.BULK, "u"))
        other.report(lease.lease_id, Report(latencies={Latency.ANSWER: [3.0] * 9}))

        assert one.load().factor == 0.5

    def test_stop_holds_for_all_and_resume_releases_all(self, share: Share) -> None:
        """Whoever sets it; and for a member that comes later."""
        one, other = share(PLENTY), share(PLENTY)
        one.stop("olga")
        try:
            answers = [member.ask(ask(WorkClass.INTERACTIVE)) for member in (one, other, share(PLENTY))]

            assert {answer.why for answer in answers if isinstance(answer, Wait)} == {Why.STOPPED}
            assert len([answer for answer in answers if isinstance(answer, Wait)]) == 3
            assert "olga" in other.load().stopped
        finally:
            other.resume()

        assert isinstance(admitted(one, ask(WorkClass.INTERACTIVE)), Lease)
        assert not other.load().is_stopped

    def test_a_member_that_leaves_gives_its_associations_back(self, share: Share) -> None:
        """Also when it forgot to end its leases."""
        one, other = share(PLENTY), share(PLENTY)
        for i in range(3):
            admitted(other, ask(WorkClass.BULK, str(i)))
        other.close()
        other.close()

        deadline = time.monotonic() + 10
        while sum(one.load().associations.values()):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def test_a_lease_that_has_ended_is_not_to_be_used(self, share: Share) -> None:
        """The operation is to be given up."""
        one = share(PLENTY)
        lease = admitted(one, ask(WorkClass.BULK))
        ended(one, lease)

        with pytest.raises(Unavailable, match="lease"):
            one.report(lease.lease_id, Report({Resource.QUERIES: 1}))

    def test_a_closed_governor_admits_nothing(self, share: Share) -> None:
        """Fail closed."""
        one = share(PLENTY)
        one.close()

        with pytest.raises(Unavailable):
            one.ask(ask(WorkClass.INTERACTIVE))
