"""The values of each key that a reduction would choose first."""

from typing import Final

from sqlglot import exp

from p2d.warehouse.query.nodes import Reduce
from p2d.warehouse.query.relations import is_there

BY_DAY: Final = frozenset({Reduce.FIRST, Reduce.LAST})
"""Reductions that go by the day of a value, undated ones behind all others, then by the value."""


def foremost(
    values: exp.Query, value: str, reduce: Reduce, *, most: int = 1, ranked: exp.Expr | None = None
) -> exp.Select:
    """Return, of *values* (rows of ``k``, *value* and ``day``), up to *most* a key, with their ``place``.

    *reduce* is FIRST, LAST, MIN or MAX; the value that it chooses has place 1. *ranked* is what values are
    ordered by, a column of ``n``, where that is not the value itself.
    """
    key, own = exp.column("k", table="n"), exp.column(value, table="n")
    ranks = [*([exp.column("day", table="n")] if reduce in BY_DAY else []), own if ranked is None else ranked]
    is_down = reduce in {Reduce.LAST, Reduce.MAX}
    order = [exp.Ordered(this=rank.copy(), desc=is_down, nulls_first=False) for rank in ranks]
    place = exp.Window(this=exp.RowNumber(), partition_by=[key.copy()], order=exp.Order(expressions=order))
    numbered = exp.select(key, own.copy(), exp.alias_(place, "place"), copy=False)
    numbered.from_(values.subquery("n", copy=False), copy=False).where(is_there(own.copy()), copy=False)
    found = exp.select(*(exp.column(name, table="m") for name in ("k", value, "place")), copy=False)
    is_chosen = exp.LTE(this=exp.column("place", table="m"), expression=exp.Literal.number(most))
    return found.from_(numbered.subquery("m", copy=False), copy=False).where(is_chosen, copy=False)
