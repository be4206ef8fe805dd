"""A slow, obvious evaluator of the cohort language over plain rows: what every engine is compared with.

It reads the rows that were loaded (one batch's worth, natural keys unique) and answers by going through every
thing for every node. It shares the language's types with the engines, nothing else. The fine print stands in
``cohort_criteria`` (values), ``cohort_texts`` (texts), ``cohort_placement`` (which frame), ``cohort_answer``
(events), ``cohort_world`` (what belongs to what) ``cohort_results`` (tables) and ``cohort_facets``.
"""

from collections.abc import Mapping

from p2d.testing.cohort_answer import Answer
from p2d.testing.cohort_criteria import Negated
from p2d.testing.cohort_facets import FacetFound, facet_of
from p2d.testing.cohort_placement import placed
from p2d.testing.cohort_results import cells, matching_things
from p2d.testing.cohort_world import NaturalKey, Thing, World
from p2d.testing.warehouse_rows import Rows
from p2d.warehouse.query.attributes import Catalogue
from p2d.warehouse.query.nodes import Frame, Query
from p2d.warehouse.query.results import FacetRequest


class CohortOracle:
    """Answers queries over *rows* by table name; missing columns are None.

    ``branches`` names the attributes of catalogue branches. ``negated`` gives the negated passages of a text,
    one a line, None where there are none.
    """

    def __init__(
        self, rows: Rows, branches: Mapping[str, frozenset[str]] | None = None, negated: Negated | None = None
    ) -> None:
        self._world = World(rows, branches)
        self._negated = negated or _negated_text

    @property
    def catalogue(self) -> Catalogue:
        """What there is to ask for."""
        return self._world.catalogue

    def patients(self, query: Query) -> list[str]:
        """Return the pseudonyms of the cohort, in order."""
        return sorted(thing.patient for thing in self._keys(query, Frame.PATIENT))

    def matching(self, query: Query, frame: Frame) -> list[NaturalKey]:
        """Return the keys of *frame* that the cohort has, in order; what is missing in a key comes last.

        Cases are all cases of its patients. Documents, groups, studies, series and instances are those that
        speak for the match, or all of its patients' where none of their kind can.
        """
        return sorted((thing.natural for thing in self._keys(query, frame)), key=_order)

    def counts(self, query: Query) -> dict[Frame, int]:
        """Return the number of keys of every frame."""
        return {frame: len(self._keys(query, frame)) for frame in Frame}

    def table(self, query: Query) -> list[tuple[object, ...]]:
        """Return the rows of the result table, in order of their keys."""
        chosen = {frame: self._keys(query, frame) for frame in Frame}
        things = sorted(chosen[query.level], key=lambda thing: _order(thing.natural))
        return [(*thing.natural, *cells(self._world, query, thing, chosen)) for thing in things]

    def facet(self, query: Query, request: FacetRequest) -> FacetFound:
        """Return how often values occur among what *query* finds; every cell of it."""
        return facet_of(self._world, request, {frame: self._keys(query, frame) for frame in Frame})

    def _keys(self, query: Query, frame: Frame) -> set[Thing]:
        answer = Answer(self._world, self._negated)
        where = placed(query.where, Frame.PATIENT, self._world)
        patients = answer.holders(where, Frame.PATIENT)
        if frame is Frame.PATIENT:
            return patients
        speaking = [] if frame is Frame.CASE else matching_things(answer, where, Frame.PATIENT, frame)
        psns = {thing.patient for thing in patients}
        return {
            thing
            for thing in self._world.things[frame]
            if thing.patient in psns and (not speaking or any(thing in found for found in speaking))
        }


def _order(key: NaturalKey) -> list[tuple[bool, str]]:
    return [(part is None, part or "") for part in key]


def _negated_text(text: str) -> str | None:
    from p2d.warehouse.negation import negated_text  # noqa: PLC0415 - only queries that ask for it need it

    return negated_text(text)
