"""The cohort language as frozen types; ``as_json.query_json`` gives back what ``parse`` reads.

A node says which keys of a *frame* it holds for: patients at the outside, series inside ``same series``.
A frame's things are dated: a case by its start, a document and a group by their own date (a group by its
earliest fact), a study by StudyDate, a series by SeriesDate or else its study's, an instance by its series'.
"""

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Final, Literal

VERSION: Final = 2


class Frame(StrEnum):
    """What a node is asked of; also the grain of a result table.

    A group is what was recorded together in a document, such as one laboratory value with its limits: the
    facts of one patient and document with the same group. A fact without a group is one by itself.
    """

    PATIENT = "patient"
    CASE = "case"
    DOCUMENT = "document"
    GROUP = "group"
    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"

    @property
    def is_imaging(self) -> bool:
        """Whether the frame is a level of the DICOM information model below the patient."""
        return self in {Frame.STUDY, Frame.SERIES, Frame.INSTANCE}


class Operator(StrEnum):
    """What a criterion does with the values it finds."""

    EXISTS = "exists"
    EQUALS = "equals"
    IN = "in"
    UNDER = "under"
    """A code at or below one of these in its hierarchy: a prefix such as ``I21``, or a range, ``I00-I99``.

    ``codes.is_under`` says what lies below.
    """
    LESS = "less"
    AT_MOST = "at_most"
    GREATER = "greater"
    AT_LEAST = "at_least"
    BETWEEN = "between"
    CONTAINS = "contains"
    """Every word, in any order, also inside longer words, ignoring case."""
    PHRASE = "phrase"
    """These words one after another with nothing but blanks and punctuation between, ignoring case."""
    REGEX = "regex"
    NEXT_NUMBER = "next_number"
    """The first number within 20 characters behind the words; ``captured``, which it needs, compares it."""


class Reduce(StrEnum):
    """How the many values of one key become one."""

    FIRST = "first"
    LAST = "last"
    MIN = "min"
    MAX = "max"
    MEAN = "mean"
    COUNT = "count"
    ANY = "any"
    ALL = "all"
    """For criteria only: there is a value, and every value fulfils the condition."""


@dataclass(frozen=True, slots=True)
class AttributeRef:
    """The values of another attribute of the same key, as an operand.

    With ``reduce`` (FIRST, LAST, MIN, MAX or MEAN) it is one of them instead; ``factor`` and ``plus`` are
    applied to numbers. Such an operand is a number or a day, never a text.
    """

    name: str
    reduce: Reduce = Reduce.ANY
    factor: float = 1.0
    plus: float = 0.0

    @property
    def is_plain(self) -> bool:
        """Whether it stands for the values as they are."""
        return self.reduce is Reduce.ANY and not self.is_calculated

    @property
    def is_calculated(self) -> bool:
        """Whether it is no value that was recorded, but made of numbers."""
        return self.reduce is Reduce.MEAN or (self.factor, self.plus) != (1.0, 0.0)


Value = str | float | date | AttributeRef


@dataclass(frozen=True, slots=True)
class Comparison:
    """A number compared: LESS, AT_MOST, GREATER, AT_LEAST, EQUALS or BETWEEN (both bounds included)."""

    operator: Operator
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Period:
    """From one day to another, both included; an open end is None. What is undated lies in no period."""

    start: date | None = None
    end: date | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """How many there have to be; ``most`` None is no upper bound. With ``least`` 0 none at all will do.

    With ``within_days`` some ``least`` of them lie within that many days (first and last day differ by at
    most that number); with ``per`` some calendar year or month alone holds as many. Only dated things count
    then, and ``most`` is None with ``within_days``.
    """

    least: int = 1
    most: int | None = None
    within_days: int | None = None
    per: Literal["year", "month"] | None = None


@dataclass(frozen=True, slots=True)
class Criterion:
    """One condition on an attribute, on all attributes of a catalogue branch, or on texts of a kind.

    ``values`` are the operands; ``exists`` has one, the text ``true`` or ``false``. ``ignore_case`` matters
    to ``regex`` only; ``contains`` and ``phrase`` always ignore case.

    The values looked at are those of the frame's key, in the unit and the period named. ``reduce`` says which
    of them has to fulfil the condition: any (default), all, or the first, last, least, greatest or mean.
    First and last go by day, undated ones behind all others, then by value. ``times`` asks for the number of
    values that fulfil it instead.

    ``affirmed`` counts occurrences of a text pattern outside negated passages only ("kein Pneumothorax"):
    of ``contains`` each word for itself, of ``captured`` the occurrences whose number fulfils it.
    ``captured`` compares the number in the first group of ``regex`` or behind the words of ``next_number``;
    any occurrence may fulfil it, a decimal comma is a point.
    """

    subject: Literal["attribute", "branch", "document"]
    name: str
    operator: Operator
    values: tuple[Value, ...]
    unit: str | None = None
    ignore_case: bool = False
    reduce: Reduce = Reduce.ANY
    times: Count | None = None
    period: Period | None = None
    affirmed: bool = False
    captured: Comparison | None = None

    @property
    def is_absence(self) -> bool:
        """Whether it asks that nothing is there."""
        return self.operator is Operator.EXISTS and self.values == ("false",)


@dataclass(frozen=True, slots=True)
class All:
    """Every node holds for the key; without nodes, every key. The only group that may be empty in JSON."""

    nodes: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Any:
    """At least one node holds for the key; without nodes, no key."""

    nodes: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class NoneOf:
    """No node holds for the key."""

    nodes: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """At least ``least`` and, where given, at most ``most`` of the nodes hold for the key."""

    nodes: tuple["Node", ...]
    least: int
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Same:
    """Something of *frame* that belongs to the key fulfils *where* on its own; with ``count``, so many do."""

    frame: Frame
    where: "Node"
    count: Count | None = None


class Order(StrEnum):
    """How two events lie to each other."""

    AFTER = "after"
    BEFORE = "before"
    AROUND = "around"
    DURING = "during"


class Span(StrEnum):
    """What the distance of two events is counted in; months and years are those of the calendar.

    A month behind a day is the same day of the next month, or its last one: of 31 January it is 28 February.
    """

    DAYS = "days"
    MONTHS = "months"
    YEARS = "years"


@dataclass(frozen=True, slots=True)
class Relation:
    """An event's day against that of ``other``, an event of the same key.

    AFTER: other's day + least <= day <= other's day + most. BEFORE: the same with both days exchanged.
    AROUND: one of the two. ``least`` is 0 unless given and may be negative for AFTER and BEFORE; ``most``
    None is no bound; both are counted in ``span``. DURING: ``other`` is a case and the day
    lies in its stay; an open stay has no end.

    An event stands at the outside or in ``same case``, under groups at most, never inside an event.
    """

    order: Order
    other: "Event"
    least: int = 0
    most: int | None = None
    span: Span = Span.DAYS


@dataclass(frozen=True, slots=True)
class Event:
    """A dated thing of *frame* that belongs to the key (a patient or a case) and fulfils *where*.

    Of all that do, ``pick`` takes any, those of the first or last day, or the n-th by day (1 is the first;
    several on one day count as several); what was picked then has to lie in ``period``, at an ``age`` (its
    year less the patient's year of birth) and in ``relation``. ``frame`` None is inferred: an imaging frame
    as for criteria, a document for texts, a group for clinical facts.
    """

    frame: Frame | None
    where: "Node"
    pick: Literal["any", "first", "last"] | int = "any"
    period: Period | None = None
    age: Comparison | None = None
    relation: Relation | None = None


@dataclass(frozen=True, slots=True)
class Patients:
    """The patients of a list of pseudonyms; unknown ones are nobody."""

    pseudonyms: frozenset[str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cohort:
    """The patients of a saved cohort; replaced by its query or list before anything is compiled."""

    name: str


Node = Criterion | All | Any | NoneOf | Some | Same | Event | Patients | Cohort


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the result table; with ``top`` up to so many values, the one of the reduction first."""

    attribute: str
    reduce: Reduce = Reduce.LAST
    top: int | None = None

    @property
    def title(self) -> str:
        """Heading of the column: the attribute, with the reduction where it is not the ``last`` alone."""
        if self.top is not None:
            return f"{self.attribute} ({self.reduce} {self.top})"
        return self.attribute if self.reduce is Reduce.LAST else f"{self.attribute} ({self.reduce})"


@dataclass(frozen=True, slots=True)
class Query:
    """A cohort and the table to make of it."""

    where: Node
    columns: tuple[Column, ...] = ()
    level: Frame = Frame.PATIENT
