"""How many there have to be: keys chosen by the number of their dated rows."""

from sqlglot import exp

from p2d.warehouse.query.dialects import Dialect
from p2d.warehouse.query.nodes import Count, Frame
from p2d.warehouse.query.relations import chosen, is_in, is_there, universe


def counted(rows: exp.Query, count: Count, frame: Frame, dialect: Dialect) -> exp.Select:
    """Return the keys of *frame* for which *rows* (``k``, ``day``), one a thing, are as many as asked."""
    if count.within_days is not None:
        return universe(frame) if count.least == 0 else _within(rows, count.least, count.within_days, dialect)
    if count.per is not None:
        return universe(frame) if count.least == 0 else _per(rows, count, dialect)
    if count.least > 0:
        return _grouped(rows).having(_is_enough(count), copy=False)
    if count.most is None:
        return universe(frame)
    too_many = _grouped(rows).having(_compared(exp.GT, count.most), copy=False)
    everything = universe(frame)
    return chosen(everything, exp.Not(this=is_in(exp.column("k", table="d"), too_many)))


def _within(rows: exp.Query, least: int, days: int, dialect: Dialect) -> exp.Select:
    day = exp.column("day", table="n")
    following = exp.Window(
        this=exp.Lead(this=day, offset=exp.Literal.number(least - 1)),
        partition_by=[exp.column("k", table="n")],
        order=exp.Order(expressions=[exp.Ordered(this=day.copy(), nulls_first=False)]),
    )
    spans = (
        exp.select(exp.column("k", table="n"), day.copy(), exp.alias_(following, "until"), copy=False)
        .from_(rows.subquery("n", copy=False), copy=False)
        .where(is_there(day.copy()), copy=False)
    )
    is_near = exp.LTE(
        this=exp.column("until", table="d"),
        expression=dialect.plus_days(exp.column("day", table="d"), days),
    )
    return chosen(spans, is_near)


def _per(rows: exp.Query, count: Count, dialect: Dialect) -> exp.Select:
    day = exp.column("day", table="n")
    part = dialect.year(day) if count.per == "year" else dialect.month(day)
    found = _grouped(rows).where(is_there(day.copy()), copy=False).group_by(part, copy=False)
    return found.having(_is_enough(count), copy=False)


def _grouped(rows: exp.Query) -> exp.Select:
    place = exp.column("k", table="n")
    return (
        exp.select(place, copy=False).from_(rows.subquery("n", copy=False), copy=False).group_by(place.copy())
    )


def _is_enough(count: Count) -> exp.Expr:
    enough = _compared(exp.GTE, count.least)
    return enough if count.most is None else exp.and_(enough, _compared(exp.LTE, count.most), copy=False)


def _compared(operator: type[exp.Binary], number: int) -> exp.Expr:
    return operator(this=exp.Count(this=exp.Star()), expression=exp.Literal.number(number))
