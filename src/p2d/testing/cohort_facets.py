"""What a facet counts, by going through every matching thing.

- A thing counts once for each combination of its labels, one of each dimension; a thing without a label in
  some dimension is missing, once.
- The labels of a thing are those of the values that a table would show of it (``cohort_results``), each once:
  the values themselves, days as YYYY-MM-DD, or the calendar years of days (of other values, of the day they
  are of).
"""

import itertools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from p2d.testing.cohort_results import is_shown, shown_value
from p2d.testing.cohort_world import Thing, Value, World
from p2d.warehouse.query.attributes import Attribute, Source, Type
from p2d.warehouse.query.nodes import Frame
from p2d.warehouse.query.results import Dimension, FacetRequest, Label

Counted = tuple[int, int]
"""Things, and the patients they are of."""


@dataclass(slots=True)
class FacetFound:
    """Cells by their labels, what has one beyond them, what has none, and everything."""

    cells: dict[tuple[Label, ...], Counted] = field(default_factory=dict)
    others: Counted = (0, 0)
    missing: Counted = (0, 0)
    total: Counted = (0, 0)


def facet_of(world: World, request: FacetRequest, chosen: Mapping[Frame, set[Thing]]) -> FacetFound:
    """Return the facet of the things in *chosen*, which holds what matches of every frame."""
    things = chosen[request.level]
    cells: dict[tuple[Label, ...], list[Thing]] = defaultdict(list)
    missing = []
    for thing in things:
        labels = [_labels(world, dimension, thing, chosen) for dimension in request.dimensions]
        if not all(labels):
            missing.append(thing)
        for combination in itertools.product(*labels):
            cells[combination].append(thing)
    ordered = sorted(cells, key=lambda combination: (-len(cells[combination]), [*map(str, combination)]))
    beyond = {thing for combination in ordered[request.top :] for thing in cells[combination]}
    return FacetFound(
        {combination: _counted(cells[combination]) for combination in ordered[: request.top]},
        _counted([*beyond]),
        _counted(missing),
        _counted([*things]),
    )


def _counted(things: list[Thing]) -> Counted:
    return len(things), len({thing.patient for thing in things})


def _labels(world: World, dimension: Dimension, row: Thing, chosen: Mapping[Frame, set[Thing]]) -> set[Label]:
    attribute = world.attribute(dimension.attribute)
    values = [v for v in world.values(attribute) if is_shown(v, attribute, row, chosen)]
    labels = {_label(value, attribute, dimension) for value in values}
    return {label for label in labels if label is not None}


def _label(value: Value, attribute: Attribute, dimension: Dimension) -> Label:
    shown = shown_value(value, attribute)
    if shown is None:
        return None
    is_date = attribute.source is Source.COLUMN and attribute.type is Type.DATE
    if dimension.by == "year":
        day = value.moment if is_date else value.day
        return None if day is None else day.year
    if is_date:
        return None if value.moment is None else value.moment.isoformat()
    assert isinstance(shown, str | float | int)  # noqa: S101 - what values are
    return shown
