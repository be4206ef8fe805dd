"""Where the values of an attribute, or the texts of documents, lie: tables, the parts of a value, its day."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from sqlglot import exp

from p2d.warehouse.query.attributes import Attribute, Source, Type
from p2d.warehouse.query.dialects import Bind
from p2d.warehouse.query.nodes import Frame
from p2d.warehouse.query.relations import (
    TABLES,
    carries,
    column,
    is_missing,
    is_there,
    key_of,
    may_miss,
    relation,
    rows_of,
)

ROW: Final = "v"
"""What the rows that hold values are called."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What one row says: up to a number, a date and texts, as expressions; empty texts are none.

    ``texts`` are searched; with ``is_multi`` the text holds several values joined by backslashes; with
    ``is_iso`` the date counts as a text, too. ``is_value`` is the condition that there is a value, None where
    every row is one.
    """

    number: exp.Expr | None = None
    day: exp.Expr | None = None
    texts: tuple[exp.Expr, ...] = ()
    negated: exp.Expr | None = None
    unit: exp.Expr | None = None
    is_multi: bool = False
    is_iso: bool = False
    is_value: exp.Expr | None = None

    @property
    def members(self) -> tuple[exp.Expr, ...]:
        """The texts that a text operand is compared with, NULL where there is none, the first one first."""
        found = [filled_text(place) for place in self.texts]
        if self.is_iso and self.day is not None:
            found.append(exp.Cast(this=self.day.copy(), to=exp.DataType.build("varchar")))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Found:
    """Rows *v* that hold values, their ``key`` of the frame asked and the ``day`` they are of."""

    select: exp.Select
    key: exp.Expr
    day: exp.Expr


@dataclass(frozen=True, slots=True)
class Holder:
    """The rows of ``table`` that ``rows`` (None: all) chooses; ``home`` is the frame they belong to.

    ``is_of_study`` tells that some headers may belong to a study alone.
    """

    table: str
    home: Frame
    parts: Parts
    rows: exp.Expr | None = None
    is_of_study: bool = True

    def by_first_text(self) -> "Iterator[Holder]":
        """Yield the rows apart by the text that is their first one, which is then the only one.

        So a condition on it is one on a column, which an index or a dictionary of its values answers.
        """
        earlier: list[exp.Expr] = []
        for place in self.parts.texts:
            conditions = [*earlier, *([is_there(filled_text(place))] if earlier else [])]
            rows = [condition for condition in (self.rows, *conditions) if condition is not None]
            yield replace(
                self,
                parts=replace(self.parts, texts=(place,)),
                rows=exp.and_(*(row.copy() for row in rows), copy=False) if rows else None,
            )
            earlier.append(is_missing(filled_text(place)))

    def found(self, frame: Frame, *, with_day: bool) -> Iterator[Found]:
        """Yield the rows with their keys of *frame*; the day is NULL unless asked for."""
        for home, condition in self._homes(frame):
            select = exp.Select().from_(rows_of(self.table, ROW), copy=False)
            conditions = [c.copy() for c in (self.rows, condition) if c is not None]
            if carries(self.table, frame) and home is None:
                key: exp.Expr = column(key_of(frame), ROW)
                if may_miss(self.table, frame):
                    conditions.append(is_there(key.copy()))
            else:
                source = home or self.home
                pairs = relation(source, frame).subquery("r", copy=False)
                on = exp.EQ(this=column(key_of(source), "r"), expression=column(key_of(source), ROW))
                select.join(pairs, on=on, copy=False)
                key = column(key_of(frame), "r")
            day = self._joined_day(select) if with_day else exp.Null()
            yield Found(select.where(*conditions, copy=False) if conditions else select, key, day)

    def _homes(self, frame: Frame) -> Iterator[tuple[Frame | None, exp.Expr | None]]:
        """Yield by which key rows are led to *frame* (None: they carry it), and which rows.

        A header lies at the study, the series or the instance: finer frames inherit, coarser ones contain.
        """
        if self.table != "header" or frame in {Frame.PATIENT, Frame.STUDY}:
            yield None, None
        elif not frame.is_imaging:
            yield Frame.STUDY, None
        else:
            yield None, None
            is_of_study = is_missing(column("series_key", ROW))
            if frame is Frame.INSTANCE:
                is_of_series = exp.and_(
                    is_there(column("series_key", ROW)), is_missing(column("instance_key", ROW))
                )
                yield Frame.SERIES, is_of_series
            if self.is_of_study:
                yield Frame.STUDY, is_of_study

    def _joined_day(self, select: exp.Select) -> exp.Expr:
        return join_day(select, self.table, ROW)


def join_day(select: exp.Select, table: str, alias: str) -> exp.Expr:
    """Return the day of the rows *alias* of *table*, joining to *select* what it takes (as *ys*, *ye*)."""
    if table in {"document", "fact"}:
        return column("date", alias)
    if table == "clinical_case":
        return column("start", alias)
    if table == "study":
        return column("StudyDate", alias)
    if table == "patient":
        return exp.Cast(this=exp.Null(), to=exp.DataType.build("date"))
    _join(select, "study", "ys", alias)
    own = alias
    if table != "series":
        own = "ye"
        _join(select, "series", own, alias, side="LEFT" if table == "header" else "")
    return exp.Coalesce(this=column("SeriesDate", own), expressions=[column("StudyDate", "ys")])


def _join(select: exp.Select, table: str, name: str, alias: str, side: str = "") -> None:
    key = f"{table}_key"
    on = exp.EQ(this=column(key, name), expression=column(key, alias))
    select.join(rows_of(table, name), on=on, join_type=side, copy=False)


def filled_text(place: exp.Expr) -> exp.Expr:
    """Return *place*, or NULL where it is the empty text."""
    return exp.Nullif(this=place.copy(), expression=exp.Literal.string(""))


def document_holder(kind: str, bind: Bind) -> Holder:
    """Return the documents of *kind*."""
    parts = Parts(texts=(column("text", ROW),), negated=column("negated", ROW))
    return Holder("document", Frame.DOCUMENT, parts, exp.EQ(this=column("kind", ROW), expression=bind(kind)))


def attribute_holders(attributes: tuple[Attribute, ...], bind: Bind) -> list[Holder]:
    """Return what holds the values of *attributes*; facts come together in one."""
    facts = [attribute.name for attribute in attributes if attribute.source is Source.FACT]
    found = [_facts(facts, bind)] if facts else []
    for attribute in attributes:
        if attribute.source is Source.COLUMN:
            found.append(_column(attribute))
        elif attribute.source is Source.HEADER:
            found.append(_header(attribute, bind))
    return found


def _facts(names: list[str], bind: Bind) -> Holder:
    place = column("attribute", ROW)
    if len(names) == 1:
        rows: exp.Expr = exp.EQ(this=place, expression=bind(names[0]))
    else:
        rows = exp.In(this=place, expressions=[bind(name) for name in names])
    parts = Parts(
        number=column("number", ROW),
        day=column("date", ROW),
        texts=(column("code", ROW), column("text", ROW)),
        unit=column("unit", ROW),
    )
    return Holder("fact", Frame.DOCUMENT, parts, rows)


def _column(attribute: Attribute) -> Holder:
    place = column(attribute.name, ROW)
    if attribute.type is Type.NUMBER:
        parts = Parts(number=place, is_value=is_there(place.copy()))
    elif attribute.type is Type.DATE:
        parts = Parts(day=place, is_value=is_there(place.copy()))
    else:
        is_value = exp.NEQ(this=place.copy(), expression=exp.Literal.string(""))
        parts = Parts(texts=(place,), is_multi=attribute.type is Type.MULTI, is_value=is_value)
    return Holder(TABLES[attribute.frame], attribute.frame, parts)


def _header(attribute: Attribute, bind: Bind) -> Holder:
    rows: exp.Expr = exp.EQ(this=column("keyword", ROW), expression=bind(attribute.name))
    if attribute.path:
        *sequences, leaf = attribute.path.split(".")
        place = column("path", ROW)
        is_so = exp.Like(this=place, expression=bind("".join(f"{tag}[%]." for tag in sequences) + leaf))
        is_deeper = exp.Like(
            this=place.copy(), expression=exp.Literal.string("%".join("." * (len(sequences) + 1)).join("%%"))
        )
        rows = exp.and_(rows, is_so, exp.Not(this=is_deeper), copy=False)
    number, day, text = (column(name, ROW) for name in ("number", "date", "text"))
    is_value = exp.or_(
        is_there(number.copy()),
        is_there(day.copy()),
        exp.NEQ(this=text.copy(), expression=exp.Literal.string("")),
    )
    parts = Parts(number=number, day=day, texts=(text,), is_iso=True, is_value=is_value)
    return Holder("header", Frame.STUDY, parts, rows, attribute.is_of_study)
