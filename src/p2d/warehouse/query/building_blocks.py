"""What the builder's functions return: conditions with operators, and what a condition is made of."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal, NoReturn, Self

from p2d.warehouse.query import nodes as language
from p2d.warehouse.query.as_json import node_json
from p2d.warehouse.query.criterion_form import read_comparison, read_criterion, read_period
from p2d.warehouse.query.nodes import Node, Order
from p2d.warehouse.query.parse import read_relation

Per = Literal["year", "month"]
Distance = int | tuple[int, int | None]


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that holds for a patient, or for the key of the frame it stands in."""

    node: Node

    def __and__(self, other: "Condition") -> "Condition":
        """Return a condition for both; a chain of ``&`` is one ``all``, so imaging criteria share a frame."""
        return Condition(language.All((*_of(self, language.All), *_of(other, language.All))))

    def __or__(self, other: "Condition") -> "Condition":
        """Return a condition for either."""
        return Condition(language.Any((*_of(self, language.Any), *_of(other, language.Any))))

    def __invert__(self) -> "Condition":
        """Return a condition for neither this nor anything that fulfils it."""
        return Condition(language.NoneOf((self.node,)))

    def __bool__(self) -> NoReturn:
        """Refuse ``and``, ``or``, ``not`` and ``1 < x < 2``, which Python decides before anybody is asked.

        Raises:
            TypeError: always.

        """
        raise TypeError("combine conditions with & | ~ and use between() for two bounds")


def _of(condition: Condition, kind: type[language.All | language.Any]) -> tuple[Node, ...]:
    return condition.node.nodes if isinstance(condition.node, kind) else (condition.node,)


class Compared(ABC):
    """What ``<``, ``<=``, ``>``, ``>=``, ``==`` and ``between`` make a condition of."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]  # == makes a condition, so nothing here is a key

    @abstractmethod
    def compared(self, operator: str, operand: object) -> "CriterionCondition":
        """Return the condition that *operator* holds with *operand*."""

    def __lt__(self, other: object) -> "CriterionCondition":
        """Return the condition that a value is less."""
        return self.compared("less", other)

    def __le__(self, other: object) -> "CriterionCondition":
        """Return the condition that a value is at most that."""
        return self.compared("at_most", other)

    def __gt__(self, other: object) -> "CriterionCondition":
        """Return the condition that a value is greater."""
        return self.compared("greater", other)

    def __ge__(self, other: object) -> "CriterionCondition":
        """Return the condition that a value is at least that."""
        return self.compared("at_least", other)

    def __eq__(self, other: object) -> "CriterionCondition":  # type: ignore[override]  # makes a condition
        """Return the condition that a value is exactly that."""
        return self.compared("equals", other)

    def __ne__(self, other: object) -> NoReturn:
        """Refuse ``!=``: a value that differs is another thing than no value that equals.

        Raises:
            TypeError: always.

        """
        raise TypeError("write ~(x == value): no value equals it")

    def between(self, lower: object, upper: object) -> "CriterionCondition":
        """Return the condition that a value lies between, both bounds included."""
        return self.compared("between", [lower, upper])


@dataclass(frozen=True, slots=True, eq=False)
class Subject(Compared):
    """An attribute, a catalogue branch or a kind of document; each method returns another one."""

    kind: str
    name: str
    parts: dict[str, object] = field(default_factory=dict)

    def compared(self, operator: str, operand: object) -> "CriterionCondition":
        """Return the condition that *operator* holds with *operand*, checked at once."""
        return self._criterion(operator, _operand(operand))

    def exists(self) -> "CriterionCondition":
        """Return the condition that there is a value."""
        return self._criterion("exists", True)

    def missing(self) -> "CriterionCondition":
        """Return the condition that there is no value."""
        return self._criterion("exists", False)

    def one_of(self, *values: object) -> "CriterionCondition":
        """Return the condition that a value is one of *values*."""
        return self._criterion("in", [_operand(value) for value in values])

    def under(self, *codes: str) -> "CriterionCondition":
        """Return the condition that a code lies at or below one of *codes*: ``I21`` or ``I00-I99``."""
        return self._criterion("under", list(codes))

    def contains(self, words: str) -> "CriterionCondition":
        """Return the condition that a text holds every word, in any order."""
        return self._criterion("contains", words)

    def phrase(self, words: str) -> "CriterionCondition":
        """Return the condition that a text holds these words one after another."""
        return self._criterion("phrase", words)

    def regex(self, pattern: str, *, ignore_case: bool = False) -> "CriterionCondition":
        """Return the condition that *pattern* is found; its ``number`` compares what the one group holds."""
        return self._criterion("regex", pattern, **({"ignore_case": True} if ignore_case else {}))

    def next_number(self, words: str) -> "Captured":
        """Return the first number behind *words*, to be compared."""
        return Captured({**self._fields(), "next_number": words})

    def unit(self, unit: str) -> Self:
        """Return the values in *unit* only."""
        return self._with(unit=unit)

    def ordered(self, *order: str) -> Self:
        """Return the values to be compared by their place in *order*, the lowest first."""
        return self._with(order=list(order))

    def dated(self, start: date | str | None = None, end: date | str | None = None) -> Self:
        """Return the values of a period, both days included."""
        return self._with(**_period(start, end))

    def affirmed(self) -> Self:
        """Return the texts without their negated passages."""
        return self._with(affirmed=True)

    def first(self) -> Self:
        """Return the first value by day."""
        return self._with(reduce="first")

    def last(self) -> Self:
        """Return the last value by day."""
        return self._with(reduce="last")

    def min(self) -> Self:
        """Return the least value."""
        return self._with(reduce="min")

    def max(self) -> Self:
        """Return the greatest value."""
        return self._with(reduce="max")

    def mean(self) -> Self:
        """Return the mean of the values."""
        return self._with(reduce="mean")

    def every(self) -> Self:
        """Return all values: there is one, and each has to fulfil the condition."""
        return self._with(reduce="all")

    def __mul__(self, factor: float) -> Self:
        """Return the values times *factor*, to be compared with: ``attribute("CRP") > limit * 2``."""
        return self._with(factor=self._number("factor", 1) * factor, plus=self._number("plus", 0) * factor)

    def __add__(self, number: float) -> Self:
        """Return the values and *number* more, to be compared with."""
        return self._with(plus=self._number("plus", 0) + number)

    __rmul__ = __mul__
    __radd__ = __add__

    def _number(self, name: str, default: float) -> float:
        found = self.parts.get(name, default)
        assert isinstance(found, int | float)  # noqa: S101 - nothing else is put there
        return found

    def _with(self, **parts: object) -> Self:
        return replace(self, parts={**self.parts, **parts})

    def _fields(self) -> dict[str, object]:
        return {self.kind: self.name, **self.parts}

    def _criterion(self, operator: str, operand: object, **more: object) -> "CriterionCondition":
        fields = {**self._fields(), operator: operand, **more}
        return CriterionCondition(read_criterion(fields, self.name))


@dataclass(frozen=True, slots=True)
class CriterionCondition(Condition):
    """A condition on the values of an attribute or on texts."""

    def times(
        self,
        at_least: int | None = None,
        *,
        at_most: int | None = None,
        within_days: int | None = None,
        per: Per | None = None,
    ) -> "CriterionCondition":
        """Return the condition that so many values fulfil it."""
        return self._with(times=counted(at_least, at_most, within_days, per))

    @property
    def number(self) -> "Captured":
        """The number in the one group of the pattern, to be compared."""
        return Captured(node_json(self.node))

    def _with(self, **parts: object) -> "CriterionCondition":
        return CriterionCondition(read_criterion({**node_json(self.node), **parts}, "criterion"))


@dataclass(frozen=True, slots=True, eq=False)
class Captured(Compared):
    """A number found in a text."""

    fields: dict[str, object]

    def compared(self, operator: str, operand: object) -> CriterionCondition:
        """Return the condition that the number compares so."""
        return CriterionCondition(
            read_criterion({**self.fields, "captured": {operator: operand}}, "criterion")
        )


@dataclass(frozen=True, slots=True)
class EventCondition(Condition):
    """A dated thing, and how it lies to another."""

    event: language.Event

    @classmethod
    def of(cls, found: language.Event) -> "EventCondition":
        """Return the condition that *found* happened."""
        return cls(found, found)

    def first(self) -> "EventCondition":
        """Return those of the first day."""
        return self.of(replace(self.event, pick="first"))

    def last(self) -> "EventCondition":
        """Return those of the last day."""
        return self.of(replace(self.event, pick="last"))

    def nth(self, number: int) -> "EventCondition":
        """Return the n-th by day; 1 is the first."""
        return self.of(replace(self.event, pick=number))

    def dated(self, start: date | str | None = None, end: date | str | None = None) -> "EventCondition":
        """Return the condition that it lies in a period, both days included."""
        return self.of(replace(self.event, period=read_period(_period(start, end), "event")))

    def aged(self, **comparison: float | Sequence[float]) -> "EventCondition":
        """Return the condition that the patient was so old: ``aged(less=18)``, ``aged(between=(18, 65))``."""
        return self.of(replace(self.event, age=read_comparison(comparison, "age")))

    def after(
        self, other: "EventCondition", days: Distance | None = None, **span: Distance
    ) -> "EventCondition":
        """Return the condition that it lies at most *days*, or ``(least, most)`` days, after *other*.

        ``months=6`` or ``years=(1, 2)`` in the place of days count by the calendar, here as in ``before`` and
        ``around``.

        Raises:
            InvalidRequest: bounds that cannot be, or two units.

        """
        return self._related(Order.AFTER, other, days, span)

    def before(
        self, other: "EventCondition", days: Distance | None = None, **span: Distance
    ) -> "EventCondition":
        """Return the condition that it lies at most *days*, or ``(least, most)`` days, before *other*."""
        return self._related(Order.BEFORE, other, days, span)

    def around(
        self, other: "EventCondition", days: Distance | None = None, **span: Distance
    ) -> "EventCondition":
        """Return the condition that it lies at most *days*, or ``(least, most)`` days, from *other*."""
        return self._related(Order.AROUND, other, days, span)

    def during(self, case: "EventCondition") -> "EventCondition":
        """Return the condition that it lies in the stay of *case*, an event with the frame ``case``."""
        return self._related(Order.DURING, case, None, {})

    def _related(
        self, order: Order, other: "EventCondition", days: Distance | None, span: Mapping[str, Distance]
    ) -> "EventCondition":
        given = {**({} if days is None else {"days": days}), **span}
        relation = read_relation(given, order, other.event, "event")
        return self.of(replace(self.event, relation=relation))


def _operand(value: object) -> object:
    if isinstance(value, Subject):
        return {value.kind: value.name, **value.parts}
    if isinstance(value, date):
        return value.isoformat()
    return [_operand(item) for item in value] if isinstance(value, list | tuple) else value


def _period(start: date | str | None, end: date | str | None) -> dict[str, object]:
    return {name: _operand(day) for name, day in (("from", start), ("to", end)) if day is not None}


def counted(
    at_least: int | None, at_most: int | None, within_days: int | None, per: Per | None
) -> dict[str, object]:
    """Return the JSON form of a count; empty where nothing is given."""
    named = {"at_least": at_least, "at_most": at_most, "within_days": within_days, "per": per}
    return {name: value for name, value in named.items() if value is not None}
