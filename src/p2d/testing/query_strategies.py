"""Hypothesis strategies for random queries that ``parse`` accepts; they know names, but no warehouse."""

import string
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any as Untyped
from typing import Final, Literal

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from p2d.model.ids import Pseudonym
from p2d.warehouse.query.criterion_form import (
    COMPARING,
    OPERAND_REDUCTIONS,
    ORDERED,
    REDUCTIONS,
    TEXTUAL,
)
from p2d.warehouse.query.nodes import (
    All,
    Any,
    AttributeRef,
    Cohort,
    Column,
    Comparison,
    Count,
    Criterion,
    Event,
    Frame,
    Node,
    NoneOf,
    Operator,
    Order,
    Patients,
    Period,
    Query,
    Reduce,
    Relation,
    Same,
    Some,
    Span,
    Value,
)
from p2d.warehouse.query.parse import RANKED, has_criterion

LEVELS: Final = tuple(Frame)
PATTERNS: Final = (
    r"NYHA[- ]*(III|IV)\b",
    "thorax",
    r"[^.]*x?",
    r'"quoted" \(so\)',
    r"(?:a|b){2,3}",
    "Schädel",
    r"a\\b",
)
NUMBER_PATTERNS: Final = (r"LVEF:? (\d+)", r"(\d{1,3}(?:[.,]\d+)?) mm", r"EF ([+-]?\d+[.,]?\d*) %")
_PICKS: SearchStrategy[Literal["any", "first", "last"]] = st.sampled_from(["any", "first", "last"])
_DATED: Final = tuple(frame for frame in Frame if frame is not Frame.PATIENT)


@dataclass(frozen=True, slots=True)
class Names:
    """What random queries name; tuples, so that strategies are made once."""

    attributes: tuple[str, ...] = (
        "LVEF",
        "Modality",
        "StudyDescription",
        "Tumor marker, serum",
        "sex",
        "and",
        "Größe",
    )
    branches: tuple[str, ...] = ("ICD10", "Labor/Blutbild")
    documents: tuple[str, ...] = ("discharge_letter", "report")
    cohorts: tuple[str, ...] = ("heart failure", "pilot-1")
    units: tuple[str, ...] = ("%", "ng/l", "10^9/l [x]")


texts: SearchStrategy[str] = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12
) | st.sampled_from(["CT", "thorax", "I21.0", "45", "2020-03-01", 'a "b" c', "\\", "and", "Größe 3", "null"])
words: SearchStrategy[str] = texts.filter(lambda text: any(c.isalnum() for c in text))
numbers: SearchStrategy[float] = st.integers(-100, 1000).map(float) | st.floats(
    -1e299, 1e299, allow_nan=False, allow_infinity=False
)
days: SearchStrategy[date] = st.dates(date(1900, 1, 1), date(2100, 1, 1))
codes: SearchStrategy[str] = st.sampled_from(["I21", "I00-I99", "5-35", "C50.1-C50.9"]) | texts.filter(
    lambda text: "-" not in text
)


@cache
def counts(frame: Frame | None = None) -> SearchStrategy[Count]:
    """Return counts of values, or of things of *frame*."""
    plain = st.builds(Count, st.integers(1, 5)) | st.tuples(st.integers(0, 3), st.integers(0, 4)).map(
        lambda pair: Count(pair[0], pair[0] + pair[1])
    )
    if frame is Frame.PATIENT:
        return plain
    per: SearchStrategy[Literal["year", "month"]] = st.sampled_from(["year", "month"])
    within = st.builds(Count, st.integers(1, 5), st.none(), st.integers(0, 400))
    yearly = st.builds(
        lambda least, more, unit: Count(least, None if more is None else least + more, None, unit),
        st.integers(1, 5),
        st.none() | st.integers(0, 3),
        per,
    )
    return plain | within | yearly


@cache
def periods() -> SearchStrategy[Period]:
    """Return periods with one end at least."""
    both = st.tuples(days, days).map(lambda pair: Period(min(pair), max(pair)))
    return both | days.map(lambda day: Period(start=day)) | days.map(lambda day: Period(end=day))


@cache
def comparisons() -> SearchStrategy[Comparison]:
    """Return comparisons of a number."""
    one = st.builds(Comparison, st.sampled_from(sorted(COMPARING - {Operator.BETWEEN})), st.tuples(numbers))
    return one | st.tuples(numbers, numbers).map(
        lambda pair: Comparison(Operator.BETWEEN, (min(pair), max(pair)))
    )


@cache
def _operands(operator: Operator, names: Names) -> SearchStrategy[tuple[Value, ...]]:
    reductions = st.sampled_from(OPERAND_REDUCTIONS)
    refs = st.builds(
        AttributeRef, st.sampled_from(names.attributes), reductions, numbers, st.just(0.0) | numbers
    ) | st.sampled_from(names.attributes).map(AttributeRef)
    plain: SearchStrategy[Value] = texts | numbers
    if operator is Operator.EXISTS:
        return st.sampled_from([("true",), ("false",)])
    if operator is Operator.EQUALS:
        return st.tuples(plain | refs)
    if operator is Operator.IN:
        return st.lists(plain, min_size=1, max_size=4).map(tuple)
    if operator is Operator.UNDER:
        return st.lists(codes, min_size=1, max_size=3).map(tuple)
    if operator in ORDERED:
        return st.tuples(numbers | days | refs)
    bounds: SearchStrategy[tuple[Value, ...]] = st.tuples(numbers, numbers).map(lambda p: (min(p), max(p)))
    dated: SearchStrategy[tuple[Value, ...]] = st.tuples(days, days).map(lambda p: (min(p), max(p)))
    return bounds | dated | st.tuples(refs, numbers)


@st.composite
def criteria(draw: st.DrawFn, names: Names = Names()) -> Criterion:
    """Draw a criterion with all its parts."""
    subject: Literal["attribute", "branch", "document"] = draw(
        st.sampled_from(["attribute", "attribute", "branch", "document"])
    )
    named = {"attribute": names.attributes, "branch": names.branches, "document": names.documents}[subject]
    known = sorted(TEXTUAL | {Operator.EXISTS}) if subject == "document" else list(Operator)
    operator = draw(st.sampled_from(known))
    captured = draw(st.none() | comparisons()) if operator is Operator.REGEX else None
    values: tuple[Value, ...]
    if operator is Operator.REGEX:
        values = (draw(st.sampled_from(PATTERNS if captured is None else NUMBER_PATTERNS)),)
    elif operator in TEXTUAL:
        values = (draw(words),)
        captured = draw(comparisons()) if operator is Operator.NEXT_NUMBER else None
    else:
        values = draw(_operands(operator, names))
    is_absence = values == ("false",) and operator is Operator.EXISTS
    reduce = Reduce.ANY
    times = None if is_absence else draw(st.none() | counts())
    if times is None and operator is not Operator.EXISTS:
        reduce = draw(st.sampled_from(_reductions(operator, values)))
    has_unit = operator in COMPARING | {Operator.IN}
    return Criterion(
        subject,
        draw(st.sampled_from(named)),
        operator,
        values,
        unit=draw(st.none() | st.sampled_from(names.units)) if has_unit else None,
        ignore_case=operator is Operator.REGEX and draw(st.booleans()),
        reduce=reduce,
        times=times,
        period=draw(st.none() | periods()),
        affirmed=subject == "document" and operator in TEXTUAL and draw(st.booleans()),
        captured=captured,
    )


def _reductions(operator: Operator, values: tuple[Value, ...]) -> list[Reduce]:
    fitting = [Reduce.ANY, Reduce.ALL, Reduce.FIRST, Reduce.LAST]
    if operator in COMPARING | {Operator.IN} and not any(isinstance(v, str) for v in values):
        is_dated = any(isinstance(v, date) for v in values)
        fitting = [r for r in REDUCTIONS if not (is_dated and r is Reduce.MEAN)]
    return fitting


@st.composite
def events(draw: st.DrawFn, names: Names = Names(), *, related: int = 2) -> Event:
    """Draw an event with at most *related* events behind it."""
    where = draw(nodes(names, frame=None, leaves=3))
    relation = draw(st.none() | _relations(names, related - 1)) if related else None
    return Event(
        frame=draw(st.sampled_from([None, *_DATED] if has_criterion(where) else _DATED)),
        where=where,
        pick=draw(_PICKS | st.integers(1, 20)),
        period=draw(st.none() | periods()),
        age=draw(st.none() | comparisons()),
        relation=relation,
    )


@st.composite
def _relations(draw: st.DrawFn, names: Names, related: int) -> Relation:
    order = draw(st.sampled_from(Order))
    other = draw(events(names, related=related))
    if order is Order.DURING:
        return Relation(order, Event(Frame.CASE, other.where, other.pick, other.period, other.age))
    least = draw(st.integers(0 if order is Order.AROUND else -30, 60))
    most = draw(st.none() | st.integers(least, 250))
    is_said = (least, most) != (0, None)  # a distance that is none has no unit
    return Relation(order, other, least, most, draw(st.sampled_from(Span)) if is_said else Span.DAYS)


@cache
def nodes(
    names: Names = Names(),
    *,
    frame: Frame | None = Frame.PATIENT,
    leaves: int = 6,
) -> SearchStrategy[Node]:
    """Return nodes to be asked of *frame*, with about *leaves* criteria; None inside an event.

    Events stand where they may: at a patient or a case.
    """
    own: SearchStrategy[Untyped] = criteria(names)
    own |= st.sets(pseudonyms, min_size=1, max_size=3).map(lambda found: Patients(frozenset(found)))
    own |= st.sampled_from(names.cohorts).map(Cohort)
    if frame in {Frame.PATIENT, Frame.CASE}:
        own |= events(names) | _framed(Frame, nodes(names, frame=None, leaves=3))
    if frame is Frame.PATIENT:
        own |= _framed((Frame.CASE,), nodes(names, frame=Frame.CASE, leaves=3))
    return st.recursive(own, lambda inner: _groups(inner, frame), max_leaves=leaves)


def _framed(frames: Iterable[Frame], inner: SearchStrategy[Untyped]) -> SearchStrategy[Same]:
    return st.sampled_from(list(frames)).flatmap(
        lambda frame: st.builds(Same, st.just(frame), inner, st.none() | counts(frame))
    )


def _groups(inner: SearchStrategy[Untyped], frame: Frame | None) -> SearchStrategy[Untyped]:
    many = st.lists(inner, min_size=1, max_size=3).map(tuple)
    found: SearchStrategy[Untyped] = (many | st.just(())).map(All) | many.map(Any) | many.map(NoneOf)
    found |= many.flatmap(_some)
    return found | _framed(Frame, inner) if frame is None else found


def _some(found: tuple[Node, ...]) -> SearchStrategy[Some]:
    lower = st.integers(1, len(found)).map(lambda least: Some(found, least))
    both = st.tuples(st.integers(0, len(found)), st.integers(0, len(found)))
    return lower | both.map(lambda pair: Some(found, min(pair), max(pair)))


pseudonyms: SearchStrategy[Pseudonym] = st.text(
    string.ascii_letters + string.digits, min_size=1, max_size=8
).map(Pseudonym)


@st.composite
def queries(draw: st.DrawFn, names: Names = Names()) -> Query:
    """Draw a query with columns and level."""
    reductions = [r for r in Reduce if r is not Reduce.ALL]
    column = st.builds(Column, st.sampled_from(names.attributes), st.sampled_from(reductions))
    column |= st.builds(
        Column, st.sampled_from(names.attributes), st.sampled_from(sorted(RANKED)), st.integers(1, 100)
    )
    columns = draw(st.lists(column, max_size=4, unique=True).map(tuple))
    return Query(draw(nodes(names)), columns, draw(st.sampled_from(LEVELS)))
