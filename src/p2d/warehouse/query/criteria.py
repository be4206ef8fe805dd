"""A criterion as SQL: the keys of a frame whose values are as it asks, and the rows that speak for it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from sqlglot import exp

from p2d.warehouse.query.attributes import Attribute, Catalogue, Source
from p2d.warehouse.query.conditions import Judge, Verdict
from p2d.warehouse.query.counting import counted
from p2d.warehouse.query.dialects import Bind, Dialect
from p2d.warehouse.query.holders import (
    ROW,
    Found,
    Holder,
    Parts,
    attribute_holders,
    document_holder,
    join_day,
)
from p2d.warehouse.query.nodes import AttributeRef, Criterion, Frame, Operator, Period, Reduce
from p2d.warehouse.query.operands import ReferredValues
from p2d.warehouse.query.relations import (
    TABLES,
    carries,
    chosen,
    column,
    is_in,
    is_there,
    key_of,
    keys_from,
    mapped,
    rows_of,
    together,
    united,
    universe,
)
from p2d.warehouse.query.texts import TEXTUAL, Terms, indexed

_ORDERS: Final[Mapping[Reduce, tuple[tuple[str, bool], ...]]] = {
    Reduce.FIRST: (("day", False), ("rank", False)),
    Reduce.LAST: (("day", True), ("rank", True)),
    Reduce.MIN: (("rank", False),),
    Reduce.MAX: (("rank", True),),
}
_DATED: Final = frozenset({"study", "document", "clinical_case"})
"""Tables whose rows carry their own day."""

_ABOVE_IMAGES: Final = frozenset({Frame.PATIENT, Frame.STUDY})
_IMAGING_TABLES: Final = frozenset({"study", "series", "instance", "header"})
"""Tables whose rows carry the keys of their patient and their study."""


@dataclass(frozen=True, slots=True)
class Criteria:
    """Compiles criteria for one engine; *terms* asks its index of words, None where it has none.

    *only* is the condition that a patient key is one of those that are looked at, None for all.
    """

    catalogue: Catalogue
    dialect: Dialect
    bind: Bind
    terms: Terms | None = None
    only: Callable[[exp.Expr], exp.Expr] | None = None

    def keys(self, criterion: Criterion, frame: Frame) -> exp.Select:
        """Return the keys ``k`` of *frame* that *criterion* holds for; a key may come more than once.

        Raises:
            InvalidRequest: an operator or operand that does not fit its attribute.

        """
        if criterion.is_absence:
            return self._absent(criterion, frame)
        if criterion.times is not None:
            rows = self.rows(criterion, frame, with_day=True)
            return counted(rows, criterion.times, frame, self.dialect)
        if criterion.reduce is Reduce.ANY:
            return self._any(criterion, frame)
        return self._reduced(criterion, frame)

    def projected(self, criterion: Criterion, frame: Frame, target: Frame) -> exp.Select | None:
        """Return the keys of *target* that things of *frame* with *criterion* lie in, or None.

        Where the rows that hold the values carry the key of *target* themselves, they need not be led to it
        through the table of *frame*.
        """
        is_led_up = frame.is_imaging and target in _ABOVE_IMAGES and target is not frame
        is_any = criterion.times is None and criterion.reduce is Reduce.ANY and not criterion.is_absence
        if not (is_led_up and is_any):
            return None
        sets = []
        for rows, verdict, holder in self._judged(criterion, frame, with_day=criterion.period is not None):
            if holder.table not in _IMAGING_TABLES:
                return None
            place = column(key_of(target), ROW)
            rows.select.where(*_fulfilled(criterion, verdict), copy=False)
            sets.append(rows.select.select(exp.alias_(place, "k", copy=False), copy=False))
        return united(sets) if sets else None

    def local(self, criterion: Criterion, frame: Frame) -> exp.Expr | None:
        """Return *criterion* as a condition on the rows *v* of the table of *frame*, or None.

        It is one where a row of the table alone, or a thing that it lies in, decides.
        """
        named = self._named(criterion)
        if criterion.is_absence or not _is_plain(criterion) or len(named) > 1:
            return None
        if any(attribute.source is not Source.COLUMN for attribute in named):
            return None
        home = named[0].frame if named else Frame.DOCUMENT
        table = TABLES[frame]
        if home is not frame:
            is_inherited = bool(named) and carries(table, home) and frame is not Frame.GROUP
            return is_in(column(key_of(home), ROW), self.keys(criterion, home)) if is_inherited else None
        if criterion.period is not None and table not in _DATED:
            return None
        (holder,) = self._holders(criterion, named)
        verdict = self._judge(criterion, named).verdict(holder.parts)
        if verdict is None:
            return exp.false()
        conditions = [c for c in (holder.rows, *_fulfilled(criterion, verdict)) if c is not None]
        if criterion.period is not None:
            conditions.append(self.in_period(criterion.period, join_day(exp.Select(), table, ROW)))
        return exp.and_(*conditions, *self._indexed(criterion, holder), copy=False)

    def rows(
        self,
        criterion: Criterion,
        frame: Frame,
        *,
        with_day: bool,
        owner: Frame | None = None,
        with_value: bool = False,
    ) -> exp.Select:
        """Return the values that fulfil *criterion*, as rows of key ``k`` of *frame* and ``day``.

        With *owner* there is a third column ``o``: the key of that frame in the row that holds the value;
        with *with_value* one ``val``, the value as a text.
        """
        found = []
        for rows, verdict, holder in self._judged(criterion, frame, with_day=with_day):
            columns = [exp.alias_(rows.key, "k", copy=False), exp.alias_(rows.day, "day", copy=False)]
            if owner is not None:
                columns.append(exp.alias_(column(key_of(owner), ROW), "o", copy=False))
            if with_value:
                columns.append(exp.alias_(_as_text(holder.parts), "val", copy=False))
            rows.select.where(*_fulfilled(criterion, verdict), copy=False)
            found.append(rows.select.select(*columns, copy=False))
        return together(found) if found else self._no_rows(frame, has_owner=owner is not None)

    def in_period(self, period: Period, day: exp.Expr) -> exp.Expr:
        """Return the condition that *day* lies in *period*; NULL does in none."""
        conditions: list[exp.Expr] = []
        if period.start is not None:
            conditions.append(exp.GTE(this=day.copy(), expression=self.bind(period.start)))
        if period.end is not None:
            conditions.append(exp.LTE(this=day.copy(), expression=self.bind(period.end)))
        return exp.and_(*conditions, copy=False) if conditions else is_there(day.copy())

    def _named(self, criterion: Criterion) -> tuple[Attribute, ...]:
        return self.catalogue.named(criterion, criterion.name)

    def _holders(self, criterion: Criterion, named: tuple[Attribute, ...]) -> list[Holder]:
        if criterion.subject == "document":
            return [document_holder(criterion.name, self.bind)]
        holders = attribute_holders(named, self.bind)
        if criterion.operator is not Operator.UNDER:
            return holders
        # the code of a fact goes before its text
        return [
            one
            for holder in holders
            for one in (holder.by_first_text() if len(holder.parts.texts) > 1 else (holder,))
        ]

    def _judge(self, criterion: Criterion, named: tuple[Attribute, ...]) -> Judge:
        return Judge(criterion, named, self.dialect, self.bind, {})

    def _any(self, criterion: Criterion, frame: Frame) -> exp.Select:
        sets = [
            rows.select.where(*_fulfilled(criterion, verdict), copy=False).select(
                exp.alias_(rows.key, "k", copy=False), copy=False
            )
            for rows, verdict, _ in self._judged(criterion, frame, with_day=criterion.period is not None)
        ]
        return united(sets) if sets else self._nobody(frame)

    def _reduced(self, criterion: Criterion, frame: Frame) -> exp.Select:
        judged = []
        with_day = criterion.reduce in {Reduce.FIRST, Reduce.LAST} or criterion.period is not None
        for rows, verdict, _ in self._judged(criterion, frame, with_day=with_day):
            is_so = exp.Case(
                ifs=[exp.If(this=verdict.is_so, true=exp.Literal.number(1))], default=exp.Literal.number(0)
            )
            rows.select.select(
                exp.alias_(rows.key, "k", copy=False),
                exp.alias_(rows.day, "day", copy=False),
                exp.alias_(is_so, "is_so", copy=False),
                exp.alias_(verdict.rank, "rank", quoted=True, copy=False),
                copy=False,
            )
            if verdict.is_value is not None:
                rows.select.where(verdict.is_value, copy=False)
            judged.append(rows.select)
        if not judged:
            return self._nobody(frame)
        values = together(judged)
        if criterion.reduce is Reduce.ALL:
            return _every(values)
        if criterion.reduce is Reduce.MEAN:
            return self._mean(criterion, values, frame)
        return _ranked(values, _ORDERS[criterion.reduce])

    def _mean(self, criterion: Criterion, values: exp.Query, frame: Frame) -> exp.Select:
        key = exp.column("k", table="n")
        mean = exp.Avg(this=exp.Cast(this=column("rank", "n"), to=exp.DataType.build("double")))
        means = (
            exp.select(key, exp.alias_(mean, "number", quoted=True), copy=False)
            .from_(values.subquery("n", copy=False), copy=False)
            .group_by(key.copy(), copy=False)
        )
        found = exp.select(exp.column("k", table=ROW)).from_(means.subquery(ROW, copy=False), copy=False)
        referred = self._referred(criterion, frame, found, exp.column("k", table=ROW))
        judge = Judge(criterion, (), self.dialect, self.bind, referred)
        verdict = judge.verdict(Parts(number=column("number", ROW)))
        return self._nobody(frame) if verdict is None else found.where(verdict.is_so, copy=False)

    def _absent(self, criterion: Criterion, frame: Frame) -> exp.Select:
        """Return what has no such value; of extended headers only what has a series that was read."""
        named = self._named(criterion)
        present = replace(criterion, values=("true",))
        is_extended = any(attribute.is_extended or attribute.source is Source.HEADER for attribute in named)
        everything = universe(frame)
        if is_extended:
            everything = mapped(
                keys_from("series", Frame.SERIES, is_there(column("extended_run", ROW))), Frame.SERIES, frame
            )
        return chosen(everything, exp.Not(this=is_in(exp.column("k", table="d"), self._any(present, frame))))

    def _judged(
        self, criterion: Criterion, frame: Frame, *, with_day: bool
    ) -> Iterator[tuple[Found, Verdict, Holder]]:
        """Yield the rows of each holder, in the unit and period, with the verdict on them."""
        named = self._named(criterion)
        needs_day = with_day or criterion.period is not None
        for holder in self._holders(criterion, named):
            for rows in holder.found(frame, with_day=needs_day):
                referred = self._referred(criterion, frame, rows.select, rows.key)
                verdict = Judge(criterion, named, self.dialect, self.bind, referred).verdict(holder.parts)
                if verdict is None:
                    continue
                if self.only is not None:
                    rows.select.where(self.only(column(key_of(Frame.PATIENT), ROW)), copy=False)
                if criterion.unit is not None:
                    rows.select.where(self._in_unit(holder.parts, criterion.unit), copy=False)
                if criterion.period is not None:
                    rows.select.where(self.in_period(criterion.period, rows.day), copy=False)
                indexed_too = self._indexed(criterion, holder)
                if indexed_too:
                    rows.select.where(*indexed_too, copy=False)
                yield rows, verdict, holder

    def _in_unit(self, parts: Parts, unit: str) -> exp.Expr:
        if parts.unit is None:
            return exp.false()
        return exp.EQ(
            this=exp.Coalesce(this=parts.unit.copy(), expressions=[exp.Literal.string("")]),
            expression=self.bind(unit),
        )

    def _indexed(self, criterion: Criterion, holder: Holder) -> list[exp.Expr]:
        """Return what the index of words knows of a criterion on texts that only matching ones matter to."""
        if self.terms is None or holder.table != "document" or criterion.operator not in TEXTUAL:
            return []
        if criterion.reduce is not Reduce.ANY:
            return []
        found = indexed(criterion, column("document_key", ROW), self.terms, self.bind)
        return [] if found is None else [found]

    def _referred(
        self,
        criterion: Criterion,
        frame: Frame,
        select: exp.Select,
        key: exp.Expr,
    ) -> dict[AttributeRef, tuple[Attribute, ReferredValues]]:
        """Return the operands that are attributes, beside the rows of *select* with their *key*."""
        operands = [value for value in criterion.values if isinstance(value, AttributeRef)]
        found = {}
        for index, operand in enumerate(dict.fromkeys(operands)):
            attribute = self.catalogue.attribute(operand.name, criterion.name)
            values = ReferredValues(self.bind, attribute, operand, frame, select, key, f"q{index}")
            found[operand] = attribute, values
        return found

    def _no_rows(self, frame: Frame, *, has_owner: bool) -> exp.Select:
        nothing = self._nothing(frame)
        names = ["day", "val", *(["o"] if has_owner else [])]
        columns = [exp.alias_(nothing.key, "k"), *(exp.alias_(exp.Null(), name) for name in names)]
        return nothing.select.select(*columns, copy=False)

    def _nothing(self, frame: Frame) -> Found:
        table = TABLES[frame]
        select = exp.Select().from_(rows_of(table, ROW), copy=False).where(exp.false(), copy=False)
        return Found(select, column(key_of(frame), ROW), exp.Null())

    def _nobody(self, frame: Frame) -> exp.Select:
        return keys_from(TABLES[frame], frame, exp.false())


def _is_plain(criterion: Criterion) -> bool:
    has_refs = any(isinstance(value, AttributeRef) for value in criterion.values)
    return (
        criterion.reduce is Reduce.ANY and criterion.times is None and criterion.unit is None and not has_refs
    )


def _fulfilled(criterion: Criterion, verdict: Verdict) -> list[exp.Expr]:
    if criterion.operator is Operator.EXISTS:
        return [] if verdict.is_value is None else [verdict.is_value]
    return [verdict.is_so]


def _as_text(parts: Parts) -> exp.Expr:
    places = [place.copy() for place in (parts.number, *parts.members, parts.day) if place is not None]
    texts: list[exp.Expr] = [exp.Cast(this=place, to=exp.DataType.build("varchar")) for place in places]
    return exp.Coalesce(this=texts[0], expressions=texts[1:])


def _every(values: exp.Query) -> exp.Select:
    key = exp.column("k", table="n")
    return (
        exp.select(key, copy=False)
        .from_(values.subquery("n", copy=False), copy=False)
        .group_by(key.copy(), copy=False)
        .having(
            exp.EQ(this=exp.Min(this=exp.column("is_so", table="n")), expression=exp.Literal.number(1)),
            copy=False,
        )
    )


def _ranked(values: exp.Query, order: tuple[tuple[str, bool], ...]) -> exp.Select:
    """Return the keys of whose best-ranking values one is so."""
    window = exp.Window(
        this=exp.Anonymous(this="rank"),
        partition_by=[exp.column("k", table="n")],
        order=exp.Order(
            expressions=[
                exp.Ordered(this=column(name, "n"), desc=is_down, nulls_first=False)
                for name, is_down in order
            ]
        ),
    )
    ranked = exp.select(
        exp.column("k", table="n"), exp.column("is_so", table="n"), exp.alias_(window, "place"), copy=False
    ).from_(values.subquery("n", copy=False), copy=False)
    return chosen(
        ranked,
        exp.EQ(this=exp.column("place", table="d"), expression=exp.Literal.number(1)),
        exp.EQ(this=exp.column("is_so", table="d"), expression=exp.Literal.number(1)),
    )
