"""Comparisons and reductions of the cohort language on lists of plain values."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from fractions import Fraction
from typing import Any, Final

from p2d.warehouse.query.nodes import Count, Operator, Period, Reduce

FIRST_DAY, LAST_DAY = date(1, 1, 1), date(9999, 12, 31)
Dated = tuple[date | None, Any]
"""A value with the day it is of."""

_COMPARISONS: Final[Mapping[Operator, Callable[[Any, Sequence[Any]], bool]]] = {
    Operator.EQUALS: lambda value, operands: value == operands[0],
    Operator.IN: lambda value, operands: value in operands,
    Operator.LESS: lambda value, operands: value < operands[0],
    Operator.AT_MOST: lambda value, operands: value <= operands[0],
    Operator.GREATER: lambda value, operands: value > operands[0],
    Operator.AT_LEAST: lambda value, operands: value >= operands[0],
    Operator.BETWEEN: lambda value, operands: operands[0] <= value <= operands[1],
}


def compares(operator: Operator, value: Any, operands: Sequence[Any]) -> bool:
    """Whether *value* compares so with *operands*, all of one type."""
    return _COMPARISONS[operator](value, operands)


def is_in(period: Period | None, day: date | None) -> bool:
    """Whether *day* lies in *period*; what is undated lies in none."""
    if period is None:
        return True
    return day is not None and (period.start or FIRST_DAY) <= day <= (period.end or LAST_DAY)


def suffices(count: Count, days: Sequence[date | None]) -> bool:
    """Whether things of these days are as many as *count* asks for; undated ones are None.

    With ``within_days`` or ``per`` undated things do not count. An interval or calendar year without anything
    is one, too, so ``least`` 0 is always fulfilled then.
    """
    most = len(days) if count.most is None else count.most
    if count.per is None and count.within_days is None:
        return count.least <= len(days) <= most
    if count.least == 0:
        return True
    dated = sorted(day for day in days if day is not None)
    length = 4 if count.per == "year" else 7 if count.per == "month" else 0  # of YYYY-MM-DD
    for part in {day.isoformat()[:length] for day in dated}:
        inside = [day for day in dated if day.isoformat().startswith(part)]
        if count.within_days is None:
            if count.least <= len(inside) <= most:
                return True
        elif any(
            (last - first).days <= count.within_days
            for first, last in zip(inside, inside[count.least - 1 :], strict=False)
        ):
            return True
    return False


def chosen(reduce: Reduce, found: Sequence[Dated]) -> list[int]:
    """Return the places in *found* that FIRST, LAST, MIN or MAX chooses: several where they are all alike.

    FIRST and LAST go by day, undated ones behind all others, then by value (LAST: the greatest). None, a
    value that has no such part, stands behind all others.
    """
    if not found:
        return []
    is_least = reduce in {Reduce.MIN, Reduce.FIRST}  # what is behind is greater than all others, or less
    ranks: list[Any] = [((value is None) is is_least, 0 if value is None else value) for _, value in found]
    if reduce in {Reduce.FIRST, Reduce.LAST}:
        days = [((day is None) is is_least, day or FIRST_DAY) for day, _ in found]
        ranks = list(zip(days, ranks, strict=True))
    best = min(ranks) if is_least else max(ranks)
    return [place for place, rank in enumerate(ranks) if rank == best]


def mean(numbers: Sequence[float]) -> float | None:
    """Return the mean, exact until the last step; of no numbers there is none."""
    return float(sum(map(Fraction, numbers)) / len(numbers)) if numbers else None


def foremost(reduce: Reduce, found: Sequence[Dated], most: int) -> tuple[object, ...]:
    """Return up to *most* values, in the order in which FIRST, LAST, MIN or MAX would choose one by one."""
    left, shown = list(found), list[object]()
    while left and len(shown) < most:
        shown.append(left.pop(chosen(reduce, left)[0])[1])
    return tuple(shown)


def reduced(reduce: Reduce, found: Sequence[Dated]) -> object:
    """Return what a column shows of *found*; ANY is the least value, so that it is always the same."""
    values = [value for _, value in found]
    if reduce is Reduce.COUNT:
        return len(values)
    if reduce is Reduce.MEAN:
        return mean(values)
    places = chosen(Reduce.MIN if reduce is Reduce.ANY else reduce, found)
    return values[places[0]] if places else None
