"""The search line: a query as text becomes JSON and words, and words at the cursor are completed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from p2d.flows.research.cohort import Asker, CohortDesk
from p2d.model.errors import InvalidRequest
from p2d.warehouse.query.attributes import Catalogue, resolve
from p2d.warehouse.query.frames import place
from p2d.warehouse.query.nodes import Frame, Query
from p2d.warehouse.query.parse import parse
from p2d.warehouse.query.text_form.completion import Completion, complete
from p2d.warehouse.query.text_form.grammar import parse_text
from p2d.warehouse.query.text_form.vocabulary import Names
from p2d.warehouse.query.text_form.writer import as_text
from p2d.warehouse.query.words.sentences import LANGUAGES, query_words

CommonValues = Callable[[str], Sequence[str]]
"""The common values of an attribute, the commonest first; none where it is not counted."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A query, how it is written as text, and what it says in each language."""

    query: Query
    text: str
    words: dict[str, str]


def _none_of(_: str) -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True)
class SearchLine:
    """Reads queries against what a warehouse holds; *values* and *cohorts* are only offered."""

    catalogue: Catalogue
    values: CommonValues = _none_of
    cohorts: frozenset[str] = frozenset()

    def read_text(self, source: str) -> Reading:
        """Return what *source*, a query as text, says.

        Raises:
            InvalidRequest: no query, or a name or unit the warehouse does not hold; by line and column.

        """
        return self._reading(parse_text(source, self._names(), partial(resolve, catalogue=self.catalogue)))

    def read_json(self, source: object) -> Reading:
        """Return what *source*, a query as JSON-like data, says.

        Raises:
            InvalidRequest: no query, or a name or unit the warehouse does not hold; by JSON path.

        """
        query = parse(source)
        resolve(query, self.catalogue)
        return self._reading(query)

    def complete(self, source: str, cursor: int) -> list[Completion]:
        """Return what may come at *cursor* of *source*."""
        return complete(source, cursor, replace(self._names(), values=self.values))

    def _reading(self, query: Query) -> Reading:
        placed = place(query.where, Frame.PATIENT, self.catalogue)
        words = {str(name): query_words(query, name, placed=placed) for name in LANGUAGES}
        return Reading(query, as_text(query), words)

    def _names(self) -> Names:
        return Names(
            attributes=frozenset(self.catalogue.names),
            branches=frozenset(self.catalogue.branches),
            documents=self.catalogue.documents,
            cohorts=self.cohorts,
            is_attribute=self._is_attribute,
        )

    def _is_attribute(self, name: str) -> bool:
        try:
            self.catalogue.attribute(name, "attribute")
        except InvalidRequest:
            return False
        return True


def search_line(desk: CohortDesk, asker: Asker, values: CommonValues) -> SearchLine:
    """Return *asker*'s search line: with the cohorts that *asker* may name, and *values* where shown.

    Who sees shielded numbers only is offered none: that a value occurs is told by no number, either.

    Raises:
        Unavailable: the warehouse, or the saved cohorts, cannot be read.

    """
    saved = () if desk.saved is None else desk.saved.listed(asker.user)
    return SearchLine(
        desk.engine.catalogue(),
        _none_of if desk.is_shielded(asker) else values,
        frozenset(cohort.name for cohort in saved),
    )
