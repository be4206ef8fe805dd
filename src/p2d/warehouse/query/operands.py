"""The values of an attribute that stands as operand, beside the rows that are compared with them."""

from dataclasses import dataclass
from typing import Final

from sqlglot import exp

from p2d.warehouse.query.attributes import Attribute
from p2d.warehouse.query.conditions import Kind
from p2d.warehouse.query.dialects import Bind
from p2d.warehouse.query.holders import ROW, attribute_holders
from p2d.warehouse.query.nodes import Frame
from p2d.warehouse.query.relations import TABLES, column, key_of, together

_TYPES: Final = {Kind.NUMBER: "double", Kind.DAY: "date", Kind.TEXT: "varchar"}


@dataclass(slots=True)
class ReferredValues:
    """The values of an attribute that stands as operand, beside the rows of a select; joined once asked."""

    bind: Bind
    attribute: Attribute
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
            bounds.from_(self._all(kind).subquery("n", copy=False), copy=False).group_by(
                key.copy(), copy=False
            )
            on = exp.EQ(this=exp.column("k", table=alias), expression=self.key.copy())
            self.select.join(bounds.subquery(alias, copy=False), on=on, join_type="left", copy=False)
        return exp.column("low" if is_lowest else "high", table=alias)

    def holds(self, kind: Kind, place: exp.Expr) -> exp.Expr:
        """Return the condition that *place* is one of the values of the row's key."""
        found = exp.select(exp.Literal.number(1)).from_(self._all(kind).subquery("e", copy=False), copy=False)
        found.where(
            exp.EQ(this=exp.column("k", table="e"), expression=self.key.copy()),
            exp.EQ(this=exp.column("x", table="e"), expression=place),
            copy=False,
        )
        return exp.Exists(this=found)

    def _all(self, kind: Kind) -> exp.Query:
        found = []
        for holder in attribute_holders((self.attribute,), self.bind):
            parts = holder.parts
            places = {Kind.NUMBER: (parts.number,), Kind.DAY: (parts.day,), Kind.TEXT: parts.members}[kind]
            for rows in holder.found(self.frame, with_day=False):
                for place in places:
                    if place is not None:
                        key, value = (exp.alias_(e.copy(), n) for e, n in ((rows.key, "k"), (place, "x")))
                        found.append(rows.select.copy().select(key, value, copy=False))
        if found:
            return together(found)
        empty = exp.Cast(this=exp.Null(), to=exp.DataType.build(_TYPES[kind]))
        nothing = exp.select(exp.alias_(column(key_of(self.frame), ROW), "k"), exp.alias_(empty, "x"))
        return nothing.from_(exp.to_table(TABLES[self.frame], alias=ROW)).where(exp.false())
