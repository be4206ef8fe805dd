"""What a query gives back: numbers, tables, the steps of an attrition, facets, and counts of wider frames.

Every number is a ``Tally``: it carries the set of patients behind it, so that small ones can be hidden in one
place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, Protocol

from p2d.model.ids import Pseudonym
from p2d.warehouse.query.attributes import Catalogue
from p2d.warehouse.query.nodes import Frame, Query
from p2d.warehouse.query.tally import Tally

MOST_ROWS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a query finds, and of how many of the warehouse's patients images are known at all.

    ``basic_patients`` and ``extended_patients`` count the patients of the whole warehouse whose headers
    were extracted: a patient outside was not asked, which is another thing than having no images.
    """

    patients: Tally
    cases: Tally
    studies: Tally
    series: Tally
    instances: Tally
    all_patients: Tally
    basic_patients: Tally
    extended_patients: Tally


@dataclass(frozen=True, slots=True)
class ResultTable:
    """Rows at the query's level in order of their pseudonyms; ``total`` counts those beyond the limit too."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    total: int


@dataclass(frozen=True, slots=True)
class Step:
    """One part of the outermost ``all``: the patients it holds for alone, and together with those before it.

    ``places`` say where in the query it stands; several where imaging criteria are held together.
    """

    places: tuple[str, ...]
    alone: Tally
    together: Tally


@dataclass(frozen=True, slots=True)
class Dimension:
    """What a facet counts by: the values of an attribute, or their years, months or bins of ``width``."""

    attribute: str
    by: Literal["value", "year", "month", "number"] = "value"
    width: float = 1.0


@dataclass(frozen=True, slots=True)
class FacetRequest:
    """How often values occur among what a query finds, at ``level``; the ``top`` commonest apart."""

    dimensions: tuple[Dimension, ...]
    level: Frame = Frame.PATIENT
    top: int = 20


Label = str | float | int | None
"""A value, a year, a month as ``2020-03``, or the lower bound of a bin."""


@dataclass(frozen=True, slots=True)
class Facet:
    """Things by value; one with several values counts for each.

    ``cells`` hold one label for each dimension, the commonest first; ``others`` have a value beyond them,
    ``missing`` lack one in some dimension.
    """

    cells: tuple[tuple[tuple[Label, ...], Tally], ...]
    others: Tally
    missing: Tally
    total: Tally


@dataclass(frozen=True, slots=True)
class Widening:
    """What the query would find if the imaging criteria at ``places`` were held together in another frame."""

    places: tuple[str, ...]
    frame: Frame
    is_explicit: bool
    patients: Mapping[Frame, Tally]


@dataclass(frozen=True, slots=True)
class Reason:
    """A value that speaks for a patient of the cohort: which criterion, what it found and of which day."""

    patient: Pseudonym
    place: str
    value: Label
    day: date | None


class CohortEngine(Protocol):
    """What answers queries; safe to share between threads.

    Every method but ``catalogue`` raises InvalidRequest for what the warehouse cannot answer to, and
    Unavailable where it takes too long.
    """

    def catalogue(self) -> Catalogue:
        """Return what can be asked for."""
        ...

    def count(self, query: Query) -> Counts:
        """Return the numbers of *query*."""
        ...

    def table(self, query: Query, limit: int) -> ResultTable:
        """Return the first *limit* rows of *query*."""
        ...

    def cohort(self, query: Query) -> tuple[Pseudonym, ...]:
        """Return the pseudonyms of all patients of *query*, in order."""
        ...

    def attrition(self, query: Query) -> tuple[Step, ...]:
        """Return the parts of the outermost ``all``, in the order of the query."""
        ...

    def facet(self, query: Query, request: FacetRequest) -> Facet:
        """Return how often values occur among what *query* finds."""
        ...

    def widen(self, query: Query) -> tuple[Widening, ...]:
        """Return, for every imaging frame of *query*, how many patients each choice of frame finds."""
        ...

    def reasons(self, query: Query, patients: Sequence[Pseudonym]) -> tuple[Reason, ...]:
        """Return what speaks for *patients*, as far as they are of the cohort."""
        ...
