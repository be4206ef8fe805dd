"""The values of an attribute that stands as operand, beside the rows that are compared with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlglot import exp

from p2d.warehouse.query.attributes import Attribute
from p2d.warehouse.query.conditions import Kind
from p2d.warehouse.query.dialects import Bind
from p2d.warehouse.query.foremost import BY_DAY, foremost
from p2d.warehouse.query.holders import ROW, attribute_holders
from p2d.warehouse.query.nodes import AttributeRef, Frame, Reduce
from p2d.warehouse.query.relations import TABLES, column, key_of, rows_of, together

_ONE_OF: Final[Mapping[Reduce, type[exp.AggFunc]]] = {
    Reduce.MIN: exp.Min,
    Reduce.MAX: exp.Max,
    Reduce.MEAN: exp.Avg,
}
_TYPES: Final = {Kind.NUMBER: "double", Kind.DAY: "date", Kind.TEXT: "varchar"}


@dataclass(slots=True)
class ReferredValues:
    """The values of an attribute that stands as operand, beside the rows of a select; joined once asked."""

    bind: Bind
    attribute: Attribute
    operand: AttributeRef
    frame: Frame
    select: exp.Select
    key: exp.Expr
    name: str

    def bound(self, kind: Kind, *, is_lowest: bool) -> exp.Expr:
        """Return the lowest or highest value of the row's key."""
        alias = f"{self.name}_{kind}"
        if not any(join.alias_or_name == alias for join in self.select.args.get("joins") or ()):
            key, value = exp.column("k", table="n"), exp.column("x", table="n")
            bounds = exp.select(
                key,
                exp.alias_(exp.Min(this=value), "low"),
                exp.alias_(exp.Max(this=value.copy()), "high"),
                copy=False,
            )
            bounds.from_(self._compared(kind).subquery("n", copy=False), copy=False).group_by(
                key.copy(), copy=False
            )
            on = exp.EQ(this=exp.column("k", table=alias), expression=self.key.copy())
            self.select.join(bounds.subquery(alias, copy=False), on=on, join_type="left", copy=False)
        return exp.column("low" if is_lowest else "high", table=alias)

    def holds(self, kind: Kind, place: exp.Expr) -> exp.Expr:
        """Return the condition that *place* is one of the values of the row's key."""
        found = exp.select(exp.Literal.number(1)).from_(
            self._compared(kind).subquery("e", copy=False), copy=False
        )
        found.where(
            exp.EQ(this=exp.column("k", table="e"), expression=self.key.copy()),
            exp.EQ(this=exp.column("x", table="e"), expression=place),
            copy=False,
        )
        return exp.Exists(this=found)

    def _compared(self, kind: Kind) -> exp.Query:
        """Return what stands for the attribute, as rows of key ``k`` and value ``x``."""
        reduce, operand = self.operand.reduce, self.operand
        values = self._all(kind, with_day=reduce in BY_DAY)
        if reduce is not Reduce.ANY:
            is_dated = reduce in BY_DAY
            values = foremost(values, "x", reduce) if is_dated else _aggregated(values, _ONE_OF[reduce])
        if (operand.factor, operand.plus) == (1.0, 0.0):
            return values
        product = exp.Mul(this=exp.column("x", table="c"), expression=self.bind(operand.factor))
        moved = exp.Add(this=product, expression=self.bind(operand.plus))
        calculated = exp.select(exp.column("k", table="c"), exp.alias_(moved, "x"), copy=False)
        return calculated.from_(values.subquery("c", copy=False), copy=False)

    def _all(self, kind: Kind, *, with_day: bool = False) -> exp.Query:
        found = []
        for holder in attribute_holders((self.attribute,), self.bind):
            parts = holder.parts
            places = {Kind.NUMBER: (parts.number,), Kind.DAY: (parts.day,), Kind.TEXT: parts.members}[kind]
            for rows in holder.found(self.frame, with_day=with_day):
                for place in places:
                    if place is not None:
                        named = ((rows.key, "k"), (place, "x"), (rows.day, "day"))
                        shown = (exp.alias_(e.copy(), n) for e, n in named)
                        found.append(rows.select.copy().select(*shown, copy=False))
        if found:
            return together(found)
        empty = exp.Cast(this=exp.Null(), to=exp.DataType.build(_TYPES[kind]))
        key, day = column(key_of(self.frame), ROW), exp.Cast(this=exp.Null(), to=exp.DataType.build("date"))
        nothing = exp.select(exp.alias_(key, "k"), exp.alias_(empty, "x"), exp.alias_(day, "day"))
        return nothing.from_(rows_of(TABLES[self.frame], ROW)).where(exp.false())


def _aggregated(values: exp.Query, function: type[exp.AggFunc]) -> exp.Select:
    key, one = exp.column("k", table="n"), exp.alias_(function(this=exp.column("x", table="n")), "x")
    found = exp.select(key, one, copy=False).from_(values.subquery("n", copy=False), copy=False)
    return found.group_by(key.copy(), copy=False)
