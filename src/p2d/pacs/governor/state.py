"""A book as plain values, for a state file or a database row, and back."""

from typing import Any, Final

from p2d.pacs.governor.adaptive import Baseline
from p2d.pacs.governor.book import Book, Held, Waiting
from p2d.pacs.governor.port import Latency, Operation, Resource, WorkClass

VERSION: Final = 1
_ORPHAN_SECONDS: Final = 10.0


def state_of(book: Book, now: float) -> dict[str, Any]:
    """Return what is worth keeping of *book*; it holds numbers, ids and words, nothing of a patient."""
    adaptive = book.adaptive
    return {
        "version": VERSION,
        "saved": now,
        "levels": {one: [b.level, b.lent, b.at] for one, b in book.buckets.items()},
        "factor": [adaptive.factor, adaptive.halved_at, adaptive.clean_since],
        "baselines": {kind: [one.usual, one.seen] for kind, one in adaptive.baselines.items()},
        "recent": adaptive.recent,
        "breakers": {one: [b.failed, b.openings, b.until, b.probe] for one, b in book.breakers.items()},
        "mean_bytes": book.mean_bytes,
        "slots": {str(slot): sums for slot, sums in book.meter.slots.items()},
        "totals": dict(book.meter.totals),
        "tickets": {ticket: _ticket(waiting) for ticket, waiting in book.tickets.items()},
    }


def restore(book: Book, state: dict[str, Any]) -> None:
    """Put *state* of the same clock into the new *book*."""
    for name, (level, lent, at) in state["levels"].items():
        bucket = book.buckets[Resource(name)]
        bucket.level, bucket.lent, bucket.at = level, lent, at
    adaptive = book.adaptive
    adaptive.factor, adaptive.halved_at, adaptive.clean_since = state["factor"]
    adaptive.baselines = {Latency(kind): Baseline(*values) for kind, values in state["baselines"].items()}
    adaptive.recent = {Latency(kind): list(values) for kind, values in state["recent"].items()}
    for name, values in state["breakers"].items():
        breaker = book.breakers[Operation(name)]
        breaker.failed, breaker.openings, breaker.until, breaker.probe = values
    book.mean_bytes = state["mean_bytes"]
    book.meter.slots = {int(slot): list(sums) for slot, sums in state["slots"].items()}
    book.meter.totals = {WorkClass(name): list(sums) for name, sums in state["totals"].items()}
    book.tickets = {
        ticket: Waiting(holder, WorkClass(work_class), due, expires, frozenset(lacks))
        for ticket, (holder, work_class, due, expires, lacks) in state["tickets"].items()
    }


def restart(book: Book, state: dict[str, Any], leases: dict[str, list[Any]], now: float) -> None:
    """Put *state* of an earlier process into the new *book*, whose clock shows *now*.

    Time in between counts as none: what was saved up is gone, debts stay. Leases stay for 10 seconds, within
    which their holders may go on with what was lent; who waited asks again.
    """
    restore(book, state)
    shift = now - state["saved"]
    for bucket in book.buckets.values():
        bucket.level, bucket.lent, bucket.at = min(0.0, bucket.level), 0.0, now
    for lease_id, values in leases.items():
        held = held_of(values)
        held.holder, held.expires = "", now + _ORPHAN_SECONDS
        book.leases[lease_id] = held
        for resource, amount in held.lent.items():
            book.buckets[resource].lent += amount
    book.adaptive.halved_at += shift
    book.adaptive.clean_since = now
    for breaker in book.breakers.values():
        breaker.until += shift
        breaker.probe = ""
    book.meter.slots.clear()
    book.tickets.clear()


def plain(held: Held) -> list[Any]:
    """Return a lease as plain values."""
    return [held.holder, held.work_class, held.operation, dict(held.lent), held.expires, held.is_probe]


def held_of(values: list[Any]) -> Held:
    """Return the lease of plain *values*."""
    holder, work_class, operation, lent, expires, is_probe = values
    amounts = {Resource(name): amount for name, amount in lent.items()}
    return Held(holder, WorkClass(work_class), Operation(operation), amounts, expires, is_probe)


def _ticket(waiting: Waiting) -> list[Any]:
    return [waiting.holder, waiting.work_class, waiting.due, waiting.expires, sorted(waiting.lacks)]
