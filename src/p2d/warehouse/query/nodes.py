"""The cohort language as frozen types; ``as_json`` gives back what ``parse`` reads.

A node says which keys of a *frame* it holds for: patients at the outside, series inside ``same series``.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final, Literal

VERSION: Final = 1
Value = str | float | date


class Frame(StrEnum):
    """What a node is asked of; also the grain of a result table."""

    PATIENT = "patient"
    CASE = "case"
    DOCUMENT = "document"
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
    LESS = "less"
    AT_MOST = "at_most"
    GREATER = "greater"
    AT_LEAST = "at_least"
    BETWEEN = "between"
    CONTAINS = "contains"
    REGEX = "regex"


class Reduce(StrEnum):
    """How the many values of one result row become one."""

    FIRST = "first"
    LAST = "last"
    MIN = "min"
    MAX = "max"
    COUNT = "count"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Criterion:
    """One condition on an attribute, or on the text of documents of a kind.

    ``values`` are the operands; ``exists`` has one, the text ``true`` or ``false``. ``ignore_case`` matters
    to ``regex`` only; ``contains`` always ignores case.
    """

    subject: Literal["attribute", "document"]
    name: str
    operator: Operator
    values: tuple[Value, ...]
    unit: str | None = None
    ignore_case: bool = False

    @property
    def is_absence(self) -> bool:
        """Whether it asks that nothing is there."""
        return self.operator is Operator.EXISTS and self.values == ("false",)


@dataclass(frozen=True, slots=True)
class All:
    """Every node holds for the key; without nodes, every key."""

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
class Same:
    """Something of *frame* that belongs to the key fulfils *where* on its own."""

    frame: Frame
    where: "Node"


Node = Criterion | All | Any | NoneOf | Same


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the result table."""

    attribute: str
    reduce: Reduce = Reduce.LAST

    @property
    def title(self) -> str:
        """Heading of the column: the attribute, with the reduction where it is not ``last``."""
        return self.attribute if self.reduce is Reduce.LAST else f"{self.attribute} ({self.reduce})"


@dataclass(frozen=True, slots=True)
class Query:
    """A cohort and the table to make of it."""

    where: Node
    columns: tuple[Column, ...] = ()
    level: Frame = Frame.PATIENT

    def as_json(self) -> dict[str, object]:
        """Return the query as JSON-like data that ``parse`` reads back to an equal query."""
        return {
            "version": VERSION,
            "where": node_json(self.where),
            "columns": [{"attribute": c.attribute, "reduce": str(c.reduce)} for c in self.columns],
            "level": str(self.level),
        }


def node_json(node: Node) -> dict[str, object]:
    """Return *node* as JSON-like data."""
    match node:
        case All(nodes):
            return {"all": [node_json(n) for n in nodes]}
        case Any(nodes):
            return {"any": [node_json(n) for n in nodes]}
        case NoneOf(nodes):
            return {"none": [node_json(n) for n in nodes]}
        case Same(frame, where):
            return {"same": str(frame), "where": node_json(where)}
        case Criterion():
            return _criterion_json(node)


def _criterion_json(criterion: Criterion) -> dict[str, object]:
    values: list[object] = [v.isoformat() if isinstance(v, date) else v for v in criterion.values]
    operand: object = values if criterion.operator in {Operator.IN, Operator.BETWEEN} else values[0]
    if criterion.operator is Operator.EXISTS:
        operand = values == ["true"]
    found: dict[str, object] = {criterion.subject: criterion.name, str(criterion.operator): operand}
    if criterion.unit is not None:
        found["unit"] = criterion.unit
    if criterion.ignore_case:
        found["ignore_case"] = True
    return found
