"""Facets: how often values, years, months or bins of numbers occur among what a query finds."""

from typing import Final

from sqlglot import exp

from p2d.model.errors import InvalidRequest
from p2d.warehouse.query.evaluation import Evaluation
from p2d.warehouse.query.facet_counting import Cell, Counting, counting_of
from p2d.warehouse.query.facet_labels import of_engine
from p2d.warehouse.query.nodes import Node
from p2d.warehouse.query.relations import is_missing, is_there
from p2d.warehouse.query.results import Facet, FacetRequest
from p2d.warehouse.query.tally import NOTHING

MOST_DIMENSIONS: Final = 2
MOST_CELLS: Final = 1000


def read_facet(asked: Evaluation, where: Node, request: FacetRequest) -> Facet:
    """Return the facet of the cohort *where*, placed.

    Raises:
        InvalidRequest: no or too many dimensions, an unknown attribute, or one without years or numbers.

    """
    if not 1 <= len(request.dimensions) <= MOST_DIMENSIONS:
        problem = f"has not 1 to {MOST_DIMENSIONS} dimensions"
        raise InvalidRequest("facet.dimensions", problem, "name one or two attributes")
    counting = counting_of(asked, where, request)
    found = counting.cells()
    if len(found) > MOST_CELLS and request.top > MOST_CELLS:
        raise InvalidRequest("facet.top", f"makes more than {MOST_CELLS} cells", "ask for fewer")
    found.sort(key=lambda cell: (-cell[1].number, [(v is None, str(v)) for v in cell[0]]))
    cells = [cell for cell in found if None not in cell[0]]
    without = [tally for labels, tally in found if None in labels]
    missing = without[0] if without else NOTHING
    if len(without) > 1:
        missing = counting.tally(exp.or_(*map(is_missing, counting.labels), copy=False))
    listed, rest = cells[: request.top], cells[request.top :]
    others = counting.tally(_is_beyond(counting, request, listed)) if rest else NOTHING
    return Facet(tuple(listed), others, missing, counting.total())


def _is_beyond(counting: Counting, request: FacetRequest, listed: list[Cell]) -> exp.Expr:
    """Return the condition that labels are there, and other ones than those listed."""
    is_listed = [
        exp.and_(
            *(
                exp.EQ(this=place, expression=counting.compiler.bind(of_engine(label, dimension)))  # type: ignore[arg-type]  # no NULL in cells
                for place, label, dimension in zip(counting.labels, labels, request.dimensions, strict=True)
            ),
            copy=False,
        )
        for labels, _ in listed
    ]
    is_new = exp.Not(this=exp.Paren(this=exp.or_(*is_listed)))
    return exp.and_(*map(is_there, counting.labels), is_new, copy=False)
