"""The columns of a result table: the values that belong to a row, reduced to one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlglot import exp

from p2d.warehouse.query.attributes import Attribute, Source, Type
from p2d.warehouse.query.compile import Compiler
from p2d.warehouse.query.foremost import BY_DAY, foremost
from p2d.warehouse.query.holders import ROW, Holder, attribute_holders
from p2d.warehouse.query.nodes import Column, Frame, Reduce
from p2d.warehouse.query.relations import column, is_missing, is_there, key_of

IMAGING: Final = (Frame.STUDY, Frame.SERIES, Frame.INSTANCE)
_OWN_FACTS: Final = frozenset({Frame.PATIENT, Frame.CASE, Frame.DOCUMENT, Frame.GROUP})


@dataclass(frozen=True, slots=True)
class Shown:
    """The values of one attribute for rows of a level.

    ``frame`` is whose keys the values go by: the level's, or the patient's for what only the patient has.
    ``chosen`` are the imaging frames whose matching keys the values are restricted to.
    """

    attribute: Attribute
    level: Frame

    @property
    def frame(self) -> Frame:
        """Whose keys the values go by."""
        if self.attribute.source is Source.FACT:
            return self.level if self.level in _OWN_FACTS else Frame.PATIENT
        return Frame.PATIENT if self.is_of_person else self.level

    @property
    def is_of_person(self) -> bool:
        """Whether the attribute is a demographic one, of which a patient has one value."""
        return self.attribute.source is Source.COLUMN and self.attribute.frame is Frame.PATIENT

    @property
    def chosen(self) -> tuple[Frame, ...]:
        """The imaging frames whose matching things the values come from."""
        if self.attribute.source is Source.HEADER:
            return IMAGING
        return (self.attribute.frame,) if self.attribute.frame.is_imaging else ()

    def values(
        self,
        compiler: Compiler,
        is_chosen: Callable[[Frame, exp.Expr], exp.Expr],
        *,
        with_day: bool,
        is_decided: bool = False,
    ) -> exp.Query:
        """Return rows of ``k``, ``val`` and ``day``; *is_chosen* tells that a key of a frame matches.

        With *is_decided* all values of a thing of the level do that matches itself; whether it does is not
        asked here.
        """
        found: list[exp.Select] = []
        for holder in attribute_holders((self.attribute,), compiler.bind):
            for rows in holder.found(self.frame, with_day=with_day):
                value = self._value(holder)
                select = rows.select.where(*compiler.restriction(), is_there(value), copy=False)
                is_of_key = is_decided and self.frame in IMAGING
                condition = None if is_of_key else self._of_matching(holder, is_chosen)
                if condition is not None:
                    select.where(condition, copy=False)
                found.append(
                    select.select(
                        exp.alias_(rows.key, "k", copy=False),
                        exp.alias_(value.copy(), "val", copy=False),
                        exp.alias_(rows.day, "day", copy=False),
                        copy=False,
                    )
                )
        whole: exp.Query = found[0]
        for select in found[1:]:
            whole = exp.union(whole, select, distinct=False, copy=False)
        return whole

    @property
    def is_text(self) -> bool:
        """Whether the values are texts."""
        if self.attribute.source is Source.COLUMN:
            return self.attribute.type in {Type.TEXT, Type.MULTI}
        return not self.attribute.has_number

    def _value(self, holder: Holder) -> exp.Expr:
        parts = holder.parts
        if self.attribute.source is not Source.COLUMN and not self.attribute.has_number:
            first, *others = parts.members
            return exp.Coalesce(this=first, expressions=others)
        place = parts.number if parts.number is not None else parts.day
        return parts.members[0] if place is None else place.copy()

    def _of_matching(
        self, holder: Holder, is_chosen: Callable[[Frame, exp.Expr], exp.Expr]
    ) -> exp.Expr | None:
        if holder.table != "header":
            home = holder.home
            return is_chosen(home, column(key_of(home), ROW)) if home.is_imaging else None
        study, series, instance = (column(key_of(frame), ROW) for frame in IMAGING)
        return exp.or_(
            is_chosen(Frame.INSTANCE, instance),
            exp.and_(is_missing(instance.copy()), is_chosen(Frame.SERIES, series)),
            exp.and_(is_missing(series.copy()), is_chosen(Frame.STUDY, study)),
            copy=False,
        )


def reduced(values: exp.Query, shown: Shown, wanted: Column, compiler: Compiler) -> exp.Select:
    """Return rows of a key ``k`` and a value ``val``: what *wanted* makes of *values*, one of each key.

    With ``top`` there are up to so many of each, and a third column, the place: 1 of the foremost.
    """
    key, reduce = exp.column("k", table="n"), wanted.reduce
    value: exp.Expr = exp.column("val", table="n")
    if shown.is_text:
        value = compiler.dialect.by_code_point(value)
    if wanted.top is not None or reduce in BY_DAY:
        return foremost(values, "val", reduce, most=wanted.top or 1, ranked=value)
    functions: dict[Reduce, type[exp.Func]] = {
        Reduce.MIN: exp.Min,
        Reduce.ANY: exp.Min,
        Reduce.MAX: exp.Max,
        Reduce.COUNT: exp.Count,
        Reduce.MEAN: exp.Avg,
    }
    if reduce is Reduce.MEAN:  # of whole numbers, too, whose mean is a DECIMAL elsewhere
        value = exp.Cast(this=value, to=exp.DataType.build("double"))
    one = exp.alias_(functions[reduce](this=value), "val")
    return (
        exp.select(key, one, copy=False)
        .from_(values.subquery("n", copy=False), copy=False)
        .group_by(key.copy(), copy=False)
    )
