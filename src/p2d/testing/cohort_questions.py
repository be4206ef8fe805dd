"""Random queries that fit the warehouses of ``cohort_rows``: well-typed, of every form, seldom trivial.

``query_strategies`` draws whatever ``parse`` reads; these draw what an engine can answer, about values that
occur. ``question`` throws dice and is fast; ``questions`` is the same for Hypothesis, which simplifies what
fails.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Final, Literal, Protocol, TypeVar, cast

from hypothesis import strategies as st

from p2d.model.ids import Pseudonym
from p2d.testing.cohort_rows import BRANCHES, CODES, DAYS, PATIENTS, TEXTS
from p2d.warehouse.query.nodes import (
    All,
    Any,
    AttributeRef,
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
from p2d.warehouse.query.parse import RANKED

NUMBERS: Final[dict[str, Sequence[float]]] = {
    "LVEF": (30, 45, 60),
    "TROPONIN": (5, 14, 52, 0.05),
    "birth_year": (1950, 1960, 1980),
    "Rows": (256, 512),
    "KVP": (100, 120),
    "SeriesNumber": (1, 2),
}
UNITS: Final = {"LVEF": ("%",), "TROPONIN": ("ng/l", "µg/l")}
DATES: Final = ("StudyDate", "SeriesDate", "AcquisitionDate", "LVEF", "ICD10")
WORDED: Final = ("ICD10", "LVEF", "StudyDescription", "SeriesDescription", "ContrastBolusAgent")
MEMBERS: Final[dict[str, Sequence[str]]] = {
    "Modality": ("CT", "MR", "US"),
    "ModalitiesInStudy": ("CT", "SR", "MR"),
    "ICD10": (*CODES, TEXTS[4]),
    "StudyDescription": TEXTS[:4],
    "sex": ("F", "M"),
    "StudyDate": tuple(day.isoformat() for day in DAYS),
    "AcquisitionDate": tuple(day.isoformat() for day in DAYS),
}
REFERENCES: Final[Sequence[tuple[str, Operator, str]]] = (
    ("TROPONIN", Operator.GREATER, "TROPONIN_LIMIT"),
    ("TROPONIN", Operator.AT_MOST, "TROPONIN_LIMIT"),
    ("SeriesDate", Operator.AT_LEAST, "StudyDate"),
    ("SeriesDate", Operator.EQUALS, "StudyDate"),
    ("StudyDate", Operator.AT_LEAST, "LVEF"),
    ("AcquisitionDate", Operator.LESS, "SeriesDate"),
    ("StudyDescription", Operator.EQUALS, "SeriesDescription"),
    ("LVEF", Operator.EQUALS, "TROPONIN"),
    ("KVP", Operator.LESS, "Rows"),
    ("LVEF", Operator.LESS, "LVEF"),
    ("LVEF", Operator.AT_LEAST, "LVEF"),
    ("Rows", Operator.GREATER, "Rows"),
)
_CALCULABLE: Final = frozenset({"LVEF", "Rows", "KVP", "TROPONIN", "TROPONIN_LIMIT"})
_WORDS_ONLY: Final = frozenset({"StudyDescription", "SeriesDescription"})
EVERY: Final = tuple(dict.fromkeys([*NUMBERS, *DATES, *WORDED, *MEMBERS, "TROPONIN_LIMIT"]))
KINDS: Final = ("letter", "report")
WORDS: Final = ("thorax", "CT", "schädel thorax", "nyha iii", "I50.1", "erguss", "LVEF")
PHRASES: Final = ("thorax", "CT thorax", "nyha ii", "kein Erguss", "T-Score", "und thorax", "I50")
PATTERNS: Final = (
    r"NYHA (III|IV)\b",
    "^CT",
    "x$",
    r"I50\.\d",
    "[Tt]horax.*nativ",
    "Sch.del",
    r"\W\d\d\b",
    "Erguss",
)
CAPTURING: Final = (r"LVEF[ :-]*(\d+(?:[.,]\d+)?)", r"(\d+) ?mm", r"Score: ([+-]?\d+[.,]?\d*)")
NUMBERED: Final = ("LVEF", "rundherd", "T-Score", "nyha")
_UNDER: Final = ("I50", "I", "I00-I99", "E10-E14", "5-35", "5-35...5-37", "I50.1")
_ORDERED: Final = (Operator.LESS, Operator.AT_MOST, Operator.GREATER, Operator.AT_LEAST)
_WITHIN: Final = (0, 12, 24, 60)
_DEMOGRAPHIC: Final = frozenset({"sex", "birth_year"})
_DATED_FRAMES: Final = tuple(frame for frame in Frame if frame is not Frame.PATIENT)
_ALL_DAYS: Final = tuple(sorted({*DAYS, *(day + timedelta(days=5) for day in DAYS)}))
ALL_BRANCHES: Final = tuple(sorted(BRANCHES))
EVERYBODY: Final = All(())
_T = TypeVar("_T")
_Asked = Literal["patient", "case", "inner"]


class Dice(Protocol):
    """What chance is to a question; ``random.Random`` is one."""

    def choice(self, seq: Sequence[_T], /) -> _T:
        """Return one of *seq*, the first ones being the simplest."""
        ...


def question(seed: int, levels: Sequence[Frame] = (Frame.PATIENT,), branches: Sequence[str] = ()) -> Query:
    """Return the query of *seed* at one of *levels*; it names no catalogue branch but *branches*."""
    return _Draw(random.Random(seed), branches).query(levels)


@st.composite
def questions(
    draw: st.DrawFn, levels: Sequence[Frame] = (Frame.PATIENT,), branches: Sequence[str] = ()
) -> Query:
    """Draw such a query for Hypothesis."""
    return _Draw(_Drawn(draw), branches).query(levels)


class _Drawn:
    """Dice that Hypothesis throws."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def choice(self, seq: Sequence[_T], /) -> _T:
        return self._draw(st.sampled_from(seq))


class _Draw:
    """Draws the parts of one query."""

    def __init__(self, dice: Dice, branches: Sequence[str]) -> None:
        self._dice = dice
        self._branches = tuple(branches)

    def query(self, levels: Sequence[Frame]) -> Query:
        where = self._node("patient", 3)
        columns = [self._column() for _ in range(self._of(0, 1, 2, 3))]
        return Query(where, tuple(dict.fromkeys(columns)), self._of(*levels))

    def _of(self, *choices: _T) -> _T:
        return self._dice.choice(choices)

    def _is(self, parts: int) -> bool:
        """Return true in one of *parts* cases."""
        return self._dice.choice([False] * (parts - 1) + [True])

    def _distinct(self, choices: Sequence[_T], most: int) -> list[_T]:
        return list(dict.fromkeys(self._of(*choices) for _ in range(self._of(*range(1, most + 1)))))

    def _node(self, asked: _Asked, depth: int) -> Node:
        """Return a node of at most *depth* levels; *inner* stands for all frames without events."""
        forms: list[Callable[[_Asked, int], Node]] = [self._leaf, self._leaf]
        if depth > 1:
            forms += [self._group, self._group, self._same]
        if asked != "inner":
            forms += [self._same, self._event, self._listed]
        return self._of(*forms)(asked, depth)

    def _leaf(self, _: _Asked, __: int) -> Node:
        return self.criterion()

    def _listed(self, *_: object) -> Node:
        return Patients(frozenset(map(Pseudonym, self._distinct(PATIENTS, 6))))

    def _group(self, asked: _Asked, depth: int) -> Node:
        kind = self._of(All, Any, NoneOf, Some, "nothing")
        if kind == "nothing":
            return EVERYBODY
        number = self._of(1, 2) if kind is NoneOf else self._of(2, 3)
        nodes = tuple(self._node(asked, depth - 1) for _ in range(number))
        if kind is not Some:
            return cast("type[All | Any | NoneOf]", kind)(nodes)
        least = self._of(*range(1, number + 1))
        most = self._of(None, *range(number + 1))
        return Some(nodes, least) if most is None else Some(nodes, min(least, most), max(least, most))

    def _same(self, asked: _Asked, depth: int) -> Node:
        frame = self._of(*Frame)
        inner: _Asked = "case" if frame is Frame.CASE and asked == "patient" and depth > 2 else "inner"
        count = self._count(is_dated=frame is not Frame.PATIENT) if self._is(2) else None
        return Same(frame, self._node(inner, depth - 1), count)

    def _event(self, _: object = None, depth: int = 2) -> Event:
        where = self._node("inner", self._of(1, 1, 2))
        frames: tuple[Frame | None, ...] = _DATED_FRAMES
        if isinstance(where, Criterion) and _tells_frame(where):
            frames = (None, *_DATED_FRAMES)
        pick: Literal["any", "first", "last"] | int = self._of("any", "any", "first", "last", 1, 2, 3)
        return Event(
            self._of(*frames),
            where,
            pick,
            self._period() if self._is(4) else None,
            self._comparison((40, 60, 70)) if self._is(4) else None,
            self._relation(min(depth, 3) - 1) if depth > 0 and self._is(2) else None,
        )

    def _relation(self, depth: int) -> Relation:
        order, other = self._of(*Order), self._event(None, depth)
        if order is Order.DURING:
            return Relation(order, replace(other, frame=Frame.CASE, where=self._of(EVERYBODY, other.where)))
        least = self._of(0, 0, 1, 12) if order is Order.AROUND else self._of(0, 0, 1, 12, -12)
        most = self._of(None, least, least + 12, least + 60)
        is_said = (least, most) != (0, None)  # a distance that is none has no unit
        span = self._of(Span.DAYS, Span.DAYS, Span.MONTHS, Span.YEARS)
        return Relation(order, other, least, most, span if is_said else Span.DAYS)

    def _period(self) -> Period:
        first, last = sorted([self._of(*_ALL_DAYS), self._of(*_ALL_DAYS)])
        return self._of(Period(first, last), Period(start=first), Period(end=last))

    def _count(self, *, is_dated: bool) -> Count:
        least, more = self._of(1, 2, 3), self._of(0, 1, 2)
        form = self._of("least", "most", *(["within", "year", "month"] if is_dated else []))
        if form == "least":
            return Count(least)
        if form == "most":
            return Count(least - 1, least - 1 + more)
        if form == "within":
            return Count(least, within_days=self._of(*_WITHIN))
        most = self._of(None, least + more)
        return Count(least, most, per="year" if form == "year" else "month")

    def _comparison(self, numbers: Sequence[float]) -> Comparison:
        operator = self._of(*_ORDERED, Operator.EQUALS, Operator.BETWEEN)
        low, high = sorted([float(self._of(*numbers)), float(self._of(*numbers))])
        return Comparison(operator, (low, high) if operator is Operator.BETWEEN else (low,))

    def _column(self) -> Column:
        name = self._of(*EVERY)
        fitting = [r for r in Reduce if r not in {Reduce.ALL, Reduce.MEAN}]
        reduce = self._of(*fitting, *([Reduce.MEAN] if name in NUMBERS else []))
        return Column(name, reduce, self._of(1, 2, 5) if reduce in RANKED and self._is(4) else None)

    def criterion(self) -> Criterion:
        """Return a criterion of any form, with one of its modifiers more often than not."""
        forms = (self._exists, self._number, self._day, self._member, self._under, self._other)
        found = self._of(*forms, self._words, self._words)()
        if self._branches and found.subject == "attribute" and self._is(6):
            found = self._branch()
        if self._is(4):
            found = replace(found, period=self._period())
        modifier = self._of("none", "none", "reduce", "times")
        if modifier == "reduce" and found.operator is not Operator.EXISTS:
            return replace(found, reduce=self._of(*_reductions(found)))
        if modifier == "times" and not found.is_absence:
            return replace(found, times=self._count(is_dated=True))
        return found

    def _exists(self) -> Criterion:
        subject, names = self._of(("attribute", EVERY), ("attribute", EVERY), ("document", KINDS))
        kind = cast('Literal["attribute", "document"]', subject)
        return Criterion(kind, self._of(*names), Operator.EXISTS, (self._of("true", "false"),))

    def _number(self) -> Criterion:
        name = self._of(*NUMBERS)
        wanted, unit = self._comparison(NUMBERS[name]), self._of(None, *UNITS.get(name, ()))
        return Criterion("attribute", name, wanted.operator, wanted.values, unit=unit)

    def _day(self) -> Criterion:
        operator = self._of(*_ORDERED, Operator.BETWEEN)
        first, last = sorted([self._of(*_ALL_DAYS), self._of(*_ALL_DAYS)])
        values = (first, last) if operator is Operator.BETWEEN else (first,)
        return Criterion("attribute", self._of(*DATES), operator, values)

    def _member(self) -> Criterion:
        name, operator = self._of(*MEMBERS), self._of(Operator.EQUALS, Operator.IN)
        values = self._distinct(MEMBERS[name], 1 if operator is Operator.EQUALS else 3)
        return Criterion("attribute", name, operator, tuple(values))

    def _under(self) -> Criterion:
        return Criterion("attribute", "ICD10", Operator.UNDER, tuple(self._distinct(_UNDER, 2)))

    def _other(self) -> Criterion:
        name, operator, other = self._of(*REFERENCES)
        if name == "LVEF" and self._is(2):
            return Criterion("attribute", name, Operator.BETWEEN, (AttributeRef("TROPONIN"), 60.0))
        return Criterion(
            "attribute", name, operator, (self._reference(other, is_day=name in DATES and name != "LVEF"),)
        )

    def _reference(self, name: str, *, is_day: bool) -> AttributeRef:
        """Return the attribute as it is, as one of its values, or calculated where it is numbers."""
        if name in _WORDS_ONLY:
            return AttributeRef(name)
        reduce = self._of(Reduce.ANY, Reduce.ANY, Reduce.FIRST, Reduce.LAST, Reduce.MIN, Reduce.MAX)
        if is_day or name not in _CALCULABLE:
            return AttributeRef(name, reduce)
        if name in {"LVEF", "Rows", "KVP"} and self._is(6):  # means of these are exact on every engine
            reduce = Reduce.MEAN
        if not self._is(4):
            return AttributeRef(name, reduce)
        return AttributeRef(name, reduce, self._of(1.0, 2.0, 0.5), self._of(0.0, 15.0, -1.5))

    def _words(self) -> Criterion:
        subject, names = self._of(("attribute", WORDED), ("document", KINDS), ("document", KINDS))
        kind = cast('Literal["attribute", "document"]', subject)
        operator = self._of(Operator.CONTAINS, Operator.PHRASE, Operator.REGEX, Operator.NEXT_NUMBER)
        is_captured = operator is Operator.NEXT_NUMBER or (operator is Operator.REGEX and self._is(2))
        sought = {
            Operator.CONTAINS: WORDS,
            Operator.PHRASE: PHRASES,
            Operator.REGEX: CAPTURING if is_captured else PATTERNS,
            Operator.NEXT_NUMBER: NUMBERED,
        }[operator]
        return Criterion(
            kind,
            self._of(*names),
            operator,
            (self._of(*sought),),
            ignore_case=operator is Operator.REGEX and self._is(2),
            affirmed=kind == "document" and self._is(2),
            captured=self._comparison((-2.5, 4, 12, 30.5, 45, 60)) if is_captured else None,
        )

    def _branch(self) -> Criterion:
        forms: tuple[tuple[Operator, Value], ...] = (
            (Operator.EXISTS, "true"),
            (Operator.EXISTS, "false"),
            (Operator.AT_LEAST, 45.0),
            (Operator.LESS, 100.0),
            (Operator.CONTAINS, "thorax"),
            (Operator.EQUALS, TEXTS[0]),
        )
        operator, value = self._of(*forms)
        return Criterion("branch", self._of(*self._branches), operator, (value,))


def _tells_frame(criterion: Criterion) -> bool:
    """Whether an event about *criterion* needs no frame."""
    has_other = any(isinstance(value, AttributeRef) for value in criterion.values)
    return not has_other and criterion.subject != "branch" and criterion.name not in _DEMOGRAPHIC


def _reductions(criterion: Criterion) -> list[Reduce]:
    """Return the reductions that fit the operands and the attribute."""
    found = [Reduce.ALL, Reduce.FIRST, Reduce.LAST]
    is_text = criterion.name in {"StudyDescription", "SeriesDescription"}
    if is_text or any(isinstance(value, str) for value in criterion.values):
        return found
    is_day = criterion.name in {"StudyDate", "SeriesDate", "AcquisitionDate"}
    is_day |= any(isinstance(value, date) for value in criterion.values)
    return [*found, Reduce.MIN, Reduce.MAX, *([] if is_day else [Reduce.MEAN])]
