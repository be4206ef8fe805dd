"""Dated things as SQL: rows of key (``k``), thing (``e``) and its day, and events out of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from sqlglot import exp

from p2d.warehouse.query.criteria import Criteria
from p2d.warehouse.query.dialects import Dialect
from p2d.warehouse.query.holders import ROW, join_day
from p2d.warehouse.query.nodes import Comparison, Event, Frame, Node, Order, Relation, Span, Value
from p2d.warehouse.query.relations import (
    TABLES,
    carries,
    column,
    is_in,
    is_there,
    key_of,
    may_miss,
    relation,
    rows_of,
)
from p2d.warehouse.query.texts import compared

_OPEN_END: Final = "9999-12-31"
_ENDS: Final[Mapping[str | int, type[exp.AggFunc]]] = {"first": exp.Min, "last": exp.Max}
_MONTHS: Final = {Span.MONTHS: 1, Span.YEARS: 12}


class Nodes(Protocol):
    """The compiler of nodes, as events need it; see ``compile.Compiler``."""

    dialect: Dialect
    criteria: Criteria

    def bind(self, value: Value) -> exp.Expr:
        """Return a parameter that stands for *value*."""
        ...

    def keys(self, node: Node, frame: Frame) -> exp.Select:
        """Return the keys of *frame* that *node* holds for."""
        ...

    def condition(self, node: Node, frame: Frame) -> exp.Expr:
        """Return *node* as a condition on rows *v* of the table of *frame*."""
        ...

    def restriction(self) -> list[exp.Expr]:
        """Return the condition that rows *v* are of the patients that are looked at, if not of all."""
        ...


@dataclass(frozen=True, slots=True)
class Things:
    """Those of *frame* that fulfil *where*."""

    where: Node
    frame: Frame


def things_of(compiler: Nodes, things: Things, owner: Frame, *, with_day: bool) -> exp.Select:
    """Return the things that belong to a key of *owner*: ``k``, ``e``, ``day``; each once for a key.

    ``p`` is the key of the patient. The day is NULL unless asked for. Cases have their last day as ``until``.
    """
    if things.frame is Frame.GROUP:
        return _groups(compiler, things, owner)
    table, key = TABLES[things.frame], column(key_of(things.frame), ROW)
    found = exp.Select().from_(rows_of(table, ROW), copy=False)
    found.where(*compiler.restriction(), compiler.condition(things.where, things.frame), copy=False)
    if owner is things.frame or carries(table, owner):
        place: exp.Expr = column(key_of(owner), ROW)
        if may_miss(table, owner):
            found.where(is_there(place.copy()), copy=False)
    else:
        pairs = relation(things.frame, owner).subquery("r", copy=False)
        on = exp.EQ(this=column(key_of(things.frame), "r"), expression=key.copy())
        found.join(pairs, on=on, copy=False)
        place = column(key_of(owner), "r")
    day = join_day(found, table, ROW) if with_day else exp.Null()
    patient = column(key_of(Frame.PATIENT), ROW)
    columns = [exp.alias_(place, "k"), exp.alias_(key, "e"), exp.alias_(day, "day"), exp.alias_(patient, "p")]
    if things.frame is Frame.CASE:
        columns.append(exp.alias_(column("end", ROW), "until"))
    return found.select(*columns, copy=False)


def _groups(compiler: Nodes, things: Things, owner: Frame) -> exp.Select:
    """Return groups with the day of their earliest fact, whichever attribute that is of."""
    key = column(key_of(Frame.GROUP), ROW)
    patient = exp.Min(this=column(key_of(Frame.PATIENT), ROW))
    dated = (
        exp.select(
            exp.alias_(patient, "k"),
            exp.alias_(key, "e"),
            exp.alias_(exp.Min(this=column("date", ROW)), "day"),
            exp.alias_(patient.copy(), "p"),
            copy=False,
        )
        .from_(rows_of("fact", ROW), copy=False)
        .where(is_in(key.copy(), compiler.keys(things.where, Frame.GROUP)), copy=False)
        .group_by(key.copy(), copy=False)
    )
    if owner is Frame.PATIENT:
        return dated
    columns = [exp.column(name, table="g") for name in ("e", "day", "p")]
    found = exp.Select().from_(dated.subquery("g", copy=False), copy=False)
    own = exp.column("e", table="g")
    if owner is Frame.GROUP:
        return found.select(exp.alias_(own, "k"), *columns, copy=False)
    pairs = rows_of("fact", "r") if carries("fact", owner) else relation(Frame.GROUP, owner)
    joined = pairs if isinstance(pairs, exp.Table) else pairs.subquery("r", copy=False)
    place = column(key_of(owner), "r")
    on = exp.EQ(this=column(key_of(Frame.GROUP), "r"), expression=own)
    found.join(joined, on=on, copy=False).where(is_there(place), copy=False)
    return found.select(exp.alias_(place.copy(), "k"), *columns, copy=False).distinct()


def event_rows(
    compiler: Nodes, event: Event, owner: Frame, *, with_things: bool = True, is_compared: bool = False
) -> exp.Select:
    """Return the rows of *event* at keys of *owner*: what was picked and lies as it has to.

    Without its things (``e``) each picked day of a key is one row, which takes one pass. With *is_compared*
    the day may be NULL: whoever asks compares it.
    """
    assert event.frame is not None  # noqa: S101 - placement infers it
    rows = things_of(compiler, Things(event.where, event.frame), owner, with_day=True)
    names = ["k", "e", "day", "p", *(["until"] if event.frame is Frame.CASE else [])]
    is_by_day = event.pick != "any" and event.frame is not Frame.CASE and not with_things
    if is_by_day:
        names.remove("e")
        picked = _picked_days(rows, event, compiler.dialect)
    else:
        picked = _picked(rows, event, names)
    found = exp.select(*(exp.column(name, table="t") for name in names), copy=False)
    found.from_(picked.subquery("t", copy=False), copy=False)
    day = exp.column("day", table="t")
    if event.pick != "any" and not is_by_day:
        found.where(exp.EQ(this=day, expression=exp.column("picked", table="t")), copy=False)
    elif not (is_compared or event.period or event.age or event.relation):
        # what compares the day says it, too: said twice, it may keep an engine from reading less
        found.where(is_there(day), copy=False)
    if event.period is not None:
        found.where(compiler.criteria.in_period(event.period, day.copy()), copy=False)
    if event.age is not None:
        found.where(_is_of_age(compiler, event.age), copy=False)
    if event.relation is not None:
        found.where(_lies(compiler, event.relation, owner), copy=False)
    return found


def _picked(rows: exp.Select, event: Event, names: list[str]) -> exp.Select:
    """Return *rows* with the day that is picked for their key as ``picked``, where any is."""
    if event.pick == "any":
        return rows
    day = exp.column("day", table="n")
    over = {"partition_by": [exp.column("k", table="n")]}
    if event.pick not in _ENDS:
        return _nth(rows, int(event.pick), names)
    picked = exp.Window(this=_ENDS[event.pick](this=day), **over)
    columns = [*(exp.column(name, table="n") for name in names), exp.alias_(picked, "picked")]
    return exp.select(*columns, copy=False).from_(rows.subquery("n", copy=False), copy=False)


def _picked_days(rows: exp.Select, event: Event, dialect: Dialect) -> exp.Select:
    """Return the day that is picked for each key of *rows*, and the patient, who is one for a key."""
    key, day, patient = (exp.column(name, table="n") for name in ("k", "day", "p"))
    if event.pick in _ENDS:
        picked: exp.Expr | None = _ENDS[event.pick](this=day)
    else:
        picked = dialect.nth_least(day, int(event.pick))
    if picked is None:
        days = exp.select(*(exp.column(name, table="m") for name in ("k", "day", "p")), copy=False)
        numbered = _numbered(rows, ["k", "day", "p"]).subquery("m", copy=False)
        return days.from_(numbered, copy=False).where(_is_place(int(event.pick)), copy=False)
    columns = [key, exp.alias_(picked, "day"), exp.alias_(exp.Min(this=patient), "p")]
    found = exp.select(*columns, copy=False).from_(rows.subquery("n", copy=False), copy=False)
    return found.group_by(key.copy(), copy=False)


def _numbered(rows: exp.Select, names: list[str]) -> exp.Select:
    """Return *rows* with their ``place`` among those of their key, by day."""
    place = exp.Window(
        this=exp.RowNumber(),
        partition_by=[exp.column("k", table="n")],
        order=exp.Order(expressions=[exp.Ordered(this=exp.column("day", table="n"), nulls_first=False)]),
    )
    columns = [*(exp.column(name, table="n") for name in names), exp.alias_(place, "place")]
    return exp.select(*columns, copy=False).from_(rows.subquery("n", copy=False), copy=False)


def _is_place(number: int) -> exp.EQ:
    return exp.EQ(this=exp.column("place", table="m"), expression=exp.Literal.number(number))


def _nth(rows: exp.Select, number: int, names: list[str]) -> exp.Select:
    numbered, is_it = _numbered(rows, names), _is_place(number)
    picked = exp.Window(
        this=exp.Max(this=exp.Case(ifs=[exp.If(this=is_it, true=exp.column("day", table="m"))])),
        partition_by=[exp.column("k", table="m")],
    )
    shown = [*(exp.column(name, table="m") for name in names), exp.alias_(picked, "picked")]
    return exp.select(*shown, copy=False).from_(numbered.subquery("m", copy=False), copy=False)


def _is_of_age(compiler: Nodes, age: Comparison) -> exp.Expr:
    """Return the condition that the year of the day less the patient's year of birth compares so."""
    years = exp.Sub(
        this=compiler.dialect.year(exp.column("day", table="t")), expression=column("birth_year", "b")
    )
    found = exp.select(exp.Literal.number(1)).from_(rows_of("patient", "b"), copy=False)
    found.where(
        exp.EQ(this=column(key_of(Frame.PATIENT), "b"), expression=exp.column("p", table="t")),
        compared(age, compiler.bind)(exp.Paren(this=years)),
        copy=False,
    )
    return exp.Exists(this=found)


def _lies(compiler: Nodes, relation: Relation, owner: Frame) -> exp.Expr:
    others = event_rows(compiler, relation.other, owner, with_things=False, is_compared=True)
    conditions: list[exp.Expr] = [
        exp.EQ(this=exp.column("k", table="o"), expression=exp.column("k", table="t"))
    ]
    day, other = exp.column("day", table="t"), exp.column("day", table="o")
    if relation.order is Order.DURING:
        last = exp.Cast(this=exp.Literal.string(_OPEN_END), to=exp.DataType.build("date"))
        until = exp.Coalesce(this=exp.column("until", table="o"), expressions=[last])
        conditions += [exp.GTE(this=day, expression=other), exp.LTE(this=day.copy(), expression=until)]
    elif relation.order is Order.AFTER:
        conditions += _between(compiler.dialect, day, other, relation)
    elif relation.order is Order.BEFORE:
        conditions += _between(compiler.dialect, other, day, relation)
    else:
        conditions.append(
            exp.or_(
                exp.and_(*_between(compiler.dialect, day, other, relation)),
                exp.and_(*_between(compiler.dialect, other, day, relation)),
                copy=False,
            )
        )
    found = exp.select(exp.Literal.number(1)).from_(others.subquery("o", copy=False), copy=False)
    found.where(*conditions, copy=False)
    return exp.Exists(this=found)


def _between(dialect: Dialect, later: exp.Expr, earlier: exp.Expr, relation: Relation) -> list[exp.Expr]:
    """Return the conditions least <= later - earlier <= most, each side of one row's day."""

    def behind(number: int) -> exp.Expr:
        if relation.span is Span.DAYS:
            return dialect.plus_days(earlier.copy(), number)
        return dialect.plus_months(earlier.copy(), number * _MONTHS[relation.span])

    found: list[exp.Expr] = [exp.GTE(this=later.copy(), expression=behind(relation.least))]
    if relation.most is not None:
        found.append(exp.LTE(this=later.copy(), expression=behind(relation.most)))
    return found
