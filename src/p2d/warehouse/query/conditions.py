"""One criterion as conditions on the parts of one value; operands become bound parameters.

A value that lacks the part the operand asks for is none: a number without a date for a date, a text for a
number. The empty text is no value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final, Protocol

from sqlglot import exp

from p2d.model.errors import InvalidRequest
from p2d.warehouse.query.attributes import Attribute, Source, Type
from p2d.warehouse.query.codes import behind, code_range
from p2d.warehouse.query.dialects import Bind, Dialect
from p2d.warehouse.query.holders import ROW, Parts
from p2d.warehouse.query.nodes import AttributeRef, Criterion, Operator, Reduce, Value
from p2d.warehouse.query.relations import column, is_there
from p2d.warehouse.query.texts import TEXTUAL, text_condition

_COMPARISONS: Final[dict[Operator, type[exp.Binary]]] = {
    Operator.LESS: exp.LT,
    Operator.AT_MOST: exp.LTE,
    Operator.GREATER: exp.GT,
    Operator.AT_LEAST: exp.GTE,
}
_EQUAL: Final = frozenset({Operator.EQUALS, Operator.IN})
_BELOW: Final = frozenset({Operator.LESS, Operator.AT_MOST})


class Kind(StrEnum):
    """Which part of a value an operand compares with."""

    NUMBER = "number"
    DAY = "day"
    TEXT = "text"


_TYPES: Final = {Kind.NUMBER: "double", Kind.DAY: "date"}


class Referred(Protocol):
    """The values of an attribute that stands as operand, beside the row that is compared with them."""

    def bound(self, kind: Kind, *, is_lowest: bool) -> exp.Expr:
        """Return the lowest or highest of them; NULL where there is none."""
        ...

    def holds(self, kind: Kind, place: exp.Expr) -> exp.Expr:
        """Whether *place* is one of them."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a row is a value for the criterion (None: always), whether it fulfils it, and how it ranks."""

    is_value: exp.Expr | None
    is_so: exp.Expr
    rank: exp.Expr


def as_date(value: Value) -> date | None:
    """Return *value* as a date where it is written as one."""
    try:
        return (
            date.fromisoformat(value) if isinstance(value, str) and len(value) == len("YYYY-MM-DD") else None
        )
    except ValueError:
        return None


class Judge:
    """Turns a criterion on *named* attributes (none: documents) into verdicts on values of certain parts.

    *referred* are the operands that are attributes, each with the attribute itself.
    """

    def __init__(
        self,
        criterion: Criterion,
        named: tuple[Attribute, ...],
        dialect: Dialect,
        bind: Bind,
        referred: Mapping[AttributeRef, tuple[Attribute, Referred]],
    ) -> None:
        self._criterion = criterion
        self._named = named
        self._dialect = dialect
        self._bind = bind
        self._referred = referred
        self._own = {attribute.type for attribute in named}

    def verdict(self, parts: Parts) -> Verdict | None:
        """Return the verdict on a value of *parts*; None where such a value never is one.

        Raises:
            InvalidRequest: the operator or operand does not fit the one attribute's type.

        """
        operator = self._criterion.operator
        if operator is Operator.EXISTS:
            is_value = None if parts.is_value is None else parts.is_value.copy()
            return Verdict(is_value, exp.true(), exp.Literal.number(0))
        if operator in TEXTUAL:
            found = self._textual(parts)
        elif operator is Operator.UNDER:
            found = self._under(parts)
        else:
            found = self._compared(parts)
        if found is None and len(self._named) == 1 and self._named[0].source is Source.COLUMN:
            raise self._refusal()
        return found

    def _refusal(self) -> InvalidRequest:
        holds = {Type.NUMBER: "numbers", Type.DATE: "dates"}.get(self._named[0].type, "text")
        return InvalidRequest(
            self._criterion.name,
            f"holds {holds}; {self._criterion.operator} does not apply to that with this operand",
            "compare numbers with numbers, dates with YYYY-MM-DD, text with equals, in, contains or regex",
        )

    def _textual(self, parts: Parts) -> Verdict | None:
        if not parts.texts:
            return None
        rank = _first(parts.members[: len(parts.texts)])
        tests = (
            text_condition(self._criterion, place, parts.negated, self._dialect, self._bind)
            for place in parts.texts
        )
        is_so: exp.Expr = exp.or_(*tests, copy=False)
        if self._criterion.subject == "document":
            is_so = self._dialect.last(is_so, column("document_key", ROW))
        return self._verdict(is_there(rank), is_so, rank)

    def _under(self, parts: Parts) -> Verdict | None:
        if not parts.texts:
            return None
        rank = _first(parts.members)
        codes = [*parts.texts, *parts.members[len(parts.texts) :]]  # the empty text is under nothing
        tests = [self._is_under(c, str(v), parts) for c in codes for v in self._criterion.values]
        return self._verdict(is_there(rank.copy()), exp.or_(*tests, copy=False), rank)

    def _is_under(self, code: exp.Expr, node: str, parts: Parts) -> exp.Expr:
        ends = code_range(node)
        if parts.is_multi:
            if ends is not None:
                raise InvalidRequest(
                    self._criterion.name, "holds several values at once, of which no range is asked", "use in"
                )
            joined = exp.Anonymous(this="concat", expressions=[exp.Literal.string("\\"), code.copy()])
            return self._dialect.contains(joined, f"\\{node}", self._bind)
        if ends is None:
            return self._dialect.starts_with(code.copy(), node, self._bind)
        low, high = ends
        return self._dialect.from_up_to(code.copy(), low, behind(high), self._bind)

    def _compared(self, parts: Parts) -> Verdict | None:
        asked = {kind for operand in self._criterion.values for kind in self._kinds(operand)}
        values, tests = [], []
        for kind in Kind:
            place = _part(parts, kind)
            if kind in asked and place is not None:
                values.append(is_there(place.copy()))
                tests.append(self._test(kind, place, parts))
        if not tests:
            return None
        rank = self._rank(next(kind for kind in Kind if kind in asked), parts)
        return Verdict(exp.or_(*values, copy=False), exp.or_(*tests, copy=False), rank)

    def _rank(self, kind: Kind, parts: Parts) -> exp.Expr:
        """Return how a value ranks by its part of *kind*, NULL where it has none: the same type for all."""
        place = _part(parts, kind)
        if place is None:
            return exp.Cast(this=exp.Null(), to=exp.DataType.build(_TYPES[kind]))
        return self._dialect.by_code_point(place.copy()) if kind is Kind.TEXT else place.copy()

    def _kinds(self, operand: Value) -> tuple[Kind, ...]:
        if isinstance(operand, AttributeRef):
            if Type.DATE in {*self._own, self._referred[operand][0].type}:
                if operand.is_calculated or self._criterion.reduce is Reduce.MEAN:
                    raise _no_calculation(operand)
                return (Kind.DAY,)
            is_text_too = (
                self._criterion.operator in _EQUAL
                and operand.is_plain
                and self._criterion.reduce is not Reduce.MEAN
            )
            return (Kind.NUMBER, Kind.TEXT) if is_text_too else (Kind.NUMBER,)
        if isinstance(operand, float):
            return (Kind.NUMBER,)
        return (Kind.DAY,) if isinstance(operand, date) or self._own == {Type.DATE} else (Kind.TEXT,)

    def _test(self, kind: Kind, place: exp.Expr, parts: Parts) -> exp.Expr:
        operator, operands = self._criterion.operator, self._criterion.values
        if operator in _EQUAL:
            tests = [self._equals(kind, place, parts)]
            tests += [
                self._referred[o][1].holds(kind, member.copy())
                for o in operands
                if isinstance(o, AttributeRef) and kind in self._kinds(o)
                for member in (parts.members if kind is Kind.TEXT else (place,))
            ]
            return exp.or_(*(test for test in tests if test is not None), copy=False)
        if operator is Operator.BETWEEN:
            low = exp.GTE(this=place.copy(), expression=self._bound(operands[0], kind, is_lowest=True))
            high = exp.LTE(this=place.copy(), expression=self._bound(operands[1], kind, is_lowest=False))
            return exp.and_(low, high, copy=False)
        bound = self._bound(operands[0], kind, is_lowest=operator not in _BELOW)
        return _COMPARISONS[operator](this=place.copy(), expression=bound)

    def _bound(self, operand: Value, kind: Kind, *, is_lowest: bool) -> exp.Expr:
        if isinstance(operand, AttributeRef):
            return self._referred[operand][1].bound(kind, is_lowest=is_lowest)
        return self._bind(operand) if kind in self._kinds(operand) else exp.Null()

    def _equals(self, kind: Kind, place: exp.Expr, parts: Parts) -> exp.Expr | None:
        plain = [v for v in self._criterion.values if not isinstance(v, AttributeRef)]
        wanted: list[Value] = [value for value in plain if kind in self._kinds(value)]
        if kind is Kind.DAY:
            days = [value if isinstance(value, date) else as_date(value) for value in wanted]
            wanted = [day for day in days if day is not None]
            if len(wanted) < len(days):
                raise self._refusal()
        if not wanted:
            return None
        if kind is not Kind.TEXT:
            return _is_one_of(place, wanted, self._bind)
        if parts.is_multi:
            tests = [self._dialect.has_value(parts.texts[0].copy(), str(v), self._bind) for v in wanted]
            return exp.or_(*tests, copy=False)
        tests = [_is_one_of(text, wanted, self._bind) for text in parts.texts]
        written = [day for day in map(as_date, wanted) if day is not None]
        if parts.is_iso and parts.day is not None and written:
            tests.append(_is_one_of(parts.day, written, self._bind))
        return exp.or_(*tests, copy=False)

    def _verdict(self, is_value: exp.Expr, is_so: exp.Expr, rank: exp.Expr) -> Verdict:
        return Verdict(is_value, is_so, self._dialect.by_code_point(rank.copy()))


def _no_calculation(operand: AttributeRef) -> InvalidRequest:
    problem = "is compared as a day, of which there is no mean, factor or sum"
    return InvalidRequest(operand.name, problem, "use first, last, min or max; days apart are for events")


def _part(parts: Parts, kind: Kind) -> exp.Expr | None:
    if kind is Kind.NUMBER:
        return parts.number
    if kind is Kind.DAY:
        return parts.day
    return _first(parts.members) if parts.texts else None


def _first(members: tuple[exp.Expr, ...]) -> exp.Expr:
    if len(members) == 1:
        return members[0].copy()
    return exp.Coalesce(this=members[0].copy(), expressions=[place.copy() for place in members[1:]])


def _is_one_of(place: exp.Expr, values: list[Value] | list[date], bind: Bind) -> exp.Expr:
    if len(values) == 1:
        return exp.EQ(this=place.copy(), expression=bind(values[0]))
    return exp.In(this=place.copy(), expressions=[bind(value) for value in values])
