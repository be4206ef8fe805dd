"""Which things a placed node holds for.

The fine print of events:

- An event's things are dated; undated ones are none. ``pick`` n means all things on the day of the n-th.
- What is picked is picked from everything that fulfils *where*; period, age and relation then hold of it or
  not. One of the picked suffices, with one of the other event's that did likewise.
- An event of the same frame may be the thing itself: "a CT within 30 days of a CT" holds for one CT. Ask for
  at least one day between, or for two with ``same`` and ``within_days``.
- Age is the calendar year of the day less the year of birth; unknown where that is.
- A stay without an end has none; a case without a start is no event.
"""

from calendar import monthrange
from datetime import date, timedelta
from typing import Final

from p2d.testing.cohort_comparison import compares, is_in, suffices
from p2d.testing.cohort_criteria import Negated, criterion_holds
from p2d.testing.cohort_world import Thing, World, related
from p2d.warehouse.query.nodes import (
    All,
    Any,
    Cohort,
    Criterion,
    Event,
    Frame,
    Node,
    NoneOf,
    Order,
    Patients,
    Relation,
    Same,
    Some,
    Span,
)

_LAST_DAY: Final = date(9999, 12, 31)


class Answer:
    """Which things of a frame a placed node holds for."""

    def __init__(self, world: World, negated: Negated) -> None:
        self.world = world
        self.negated = negated

    def holders(self, node: Node, frame: Frame) -> set[Thing]:  # noqa: PLR0911 - one for each node
        """Return the things of *frame* that *node* holds for."""
        everything = self.world.things[frame]
        match node:
            case All(nodes):
                found = [self.holders(n, frame) for n in nodes]
                return {thing for thing in everything if all(thing in some for some in found)}
            case Any(nodes):
                found = [self.holders(n, frame) for n in nodes]
                return {thing for thing in everything if any(thing in some for some in found)}
            case NoneOf(nodes):
                found = [self.holders(n, frame) for n in nodes]
                return {thing for thing in everything if not any(thing in some for some in found)}
            case Some(nodes, least, most):
                found = [self.holders(n, frame) for n in nodes]
                numbers = {thing: sum(thing in some for some in found) for thing in everything}
                return {
                    t
                    for t, number in numbers.items()
                    if least <= number <= (len(nodes) if most is None else most)
                }
            case Same():
                inner = self.holders(node.where, node.frame)
                return {thing for thing in everything if _is_same(node, thing, inner)}
            case Event():
                return {thing for thing in everything if self.events(node, thing)}
            case Patients(pseudonyms):
                listed = {str(pseudonym) for pseudonym in pseudonyms}
                return {thing for thing in everything if thing.patient in listed}
            case Criterion():
                judged = (t for t in everything if criterion_holds(self.world, node, t, self.negated))
                return set(judged)
            case Cohort():
                raise ValueError("a saved cohort is replaced before it is evaluated")

    def events(self, event: Event, key: Thing) -> list[Thing]:
        """Return the things that *event* stands for at *key*."""
        if event.frame is None:
            raise ValueError("an event is placed before it is evaluated")
        fulfilling = self.holders(event.where, event.frame)
        found = [(thing.day, thing) for thing in fulfilling if thing.day and related(thing, key)]
        days = sorted(day for day, _ in found)
        match event.pick:
            case "any":
                picked = set(days)
            case "first" | "last":
                picked = set(days[:1] if event.pick == "first" else days[-1:])
            case number:
                picked = set(days[number - 1 : number])
        others = self.events(event.relation.other, key) if event.relation else []
        return [
            thing
            for day, thing in found
            if day in picked
            and is_in(event.period, day)
            and self._is_of_age(event, day, thing)
            and (event.relation is None or any(_lies(event.relation, day, other) for other in others))
        ]

    def _is_of_age(self, event: Event, day: date, thing: Thing) -> bool:
        if event.age is None:
            return True
        born = self.world.birth_years[thing.patient]
        return isinstance(born, int) and compares(event.age.operator, day.year - born, event.age.values)


def _is_same(node: Same, thing: Thing, inner: set[Thing]) -> bool:
    found = [other for other in inner if related(other, thing)]
    return bool(found) if node.count is None else suffices(node.count, [other.day for other in found])


def _lies(relation: Relation, day: date, other: Thing) -> bool:
    start = other.day or _LAST_DAY
    if relation.order is Order.DURING:
        return start <= day <= (other.end or _LAST_DAY)
    is_after = _is_behind(relation, day, start)
    is_before = _is_behind(relation, start, day)
    return {
        Order.AFTER: is_after,
        Order.BEFORE: is_before,
        Order.AROUND: is_after or is_before,
    }[relation.order]


def _is_behind(relation: Relation, later: date, earlier: date) -> bool:
    """Whether *later* lies as far behind *earlier* as *relation* asks."""
    if later < _behind(earlier, relation.least, relation.span):
        return False
    return relation.most is None or later <= _behind(earlier, relation.most, relation.span)


def _behind(day: date, number: int, span: Span) -> date:
    """Return the day so many days, months or years behind *day*; of no such day the last of its month."""
    if span is Span.DAYS:
        return day + timedelta(days=number)
    years, month = divmod(day.year * 12 + day.month - 1 + number * (12 if span is Span.YEARS else 1), 12)
    last = monthrange(years, month + 1)[1]
    return date(years, month + 1, min(day.day, last))
