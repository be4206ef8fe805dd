"""What a result table shows: which documents, groups and images match, and the cells of their rows.

- Things *speak for a match* where they fulfil, under ``all``, ``any`` and ``n_of``: a frame of their kind
  (study, series and instance are one kind; a study whose series matched matches too, and so do its other
  levels), an event of their kind, or a criterion on a document's text (documents) or on a fact (groups) that
  stands outside any frame of their kind. In a frame of another kind they have to belong to it as well. Under
  ``none`` nothing speaks, nor does the other event of a relation.
- Where nothing in the query can speak for a kind, all things of the cohort's patients match.
- Cells of imaging attributes come from matching images alone. Cells of facts are the patient's; at level
  case, document and group those of the key. Demographics are the patient's.
- The value of a fact or header is its number where the attribute has any number in the warehouse; else a
  fact's code or else its text, a header's text or else its date. Empty texts are no values.
"""

from collections.abc import Mapping
from typing import Final

from p2d.testing.cohort_answer import Answer
from p2d.testing.cohort_comparison import Dated, foremost, reduced
from p2d.testing.cohort_criteria import fulfilling
from p2d.testing.cohort_world import Thing, Value, World, related
from p2d.warehouse.query.attributes import Attribute, Source
from p2d.warehouse.query.nodes import (
    All,
    Any,
    Criterion,
    Event,
    Frame,
    Node,
    Query,
    Same,
    Some,
)

_OWN_FACTS: Final = frozenset({Frame.CASE, Frame.DOCUMENT, Frame.GROUP})


def matching_things(answer: Answer, node: Node, frame: Frame, level: Frame) -> list[set[Thing]]:
    """Return the things of *level* that *node*, placed, speaks for: a set for each part that can speak."""
    things = answer.world.things
    match node:
        case All(nodes) | Any(nodes) | Some(nodes):
            return [found for n in nodes for found in matching_things(answer, n, frame, level)]
        case Same(inner, where):
            own = answer.holders(where, inner)
        case Event(frame=Frame() as inner, where=where):
            own = {found for key in things[frame] for found in answer.events(node, key)}
        case Criterion() if _speaks(answer.world, node, level):
            values = [v for key in things[frame] for v in fulfilling(answer.world, node, key, answer.negated)]
            return [{thing for thing in things[level] if any(related(v.owner, thing) for v in values)}]
        case _:
            return []
    belonging = {thing for thing in things[level] if any(related(found, thing) for found in own)}
    if inner is level or (inner.is_imaging and level.is_imaging):
        return [belonging]
    return [found & belonging for found in matching_things(answer, where, inner, level)]


def _speaks(world: World, criterion: Criterion, level: Frame) -> bool:
    if criterion.is_absence:
        return False
    if criterion.subject == "document":
        return level is Frame.DOCUMENT
    return level is Frame.GROUP and all(a.source is Source.FACT for a in world.named(criterion))


def cells(world: World, query: Query, row: Thing, chosen: Mapping[Frame, set[Thing]]) -> list[object]:
    """Return the cells of the row of *row*; *chosen* are the matching things."""
    found = []
    for column in query.columns:
        attribute = world.attribute(column.attribute)
        values = [v for v in world.values(attribute) if is_shown(v, attribute, row, chosen)]
        dated: list[Dated] = [
            (v.day, shown) for v in values if (shown := shown_value(v, attribute)) is not None
        ]
        found.append(
            reduced(column.reduce, dated)
            if column.top is None
            else foremost(column.reduce, dated, column.top)
        )
    return found


def is_shown(value: Value, attribute: Attribute, row: Thing, chosen: Mapping[Frame, set[Thing]]) -> bool:
    """Whether *value* is one of the row of *row*; *chosen* are the matching things."""
    if attribute.source is Source.FACT:
        return related(value.owner, row) if row.frame in _OWN_FACTS else value.owner.patient == row.patient
    owner = value.owner
    is_chosen = owner.frame is None or not owner.frame.is_imaging or owner in chosen[owner.frame]
    return is_chosen and related(owner, row)


def shown_value(value: Value, attribute: Attribute) -> object:
    """Return what is shown of *value*; None where that is nothing."""
    if attribute.source is Source.COLUMN:
        return value.number if value.number is not None else value.moment or value.texts[0]
    if attribute.has_number:
        return value.number
    return (*value.texts, *value.members, None)[0]
