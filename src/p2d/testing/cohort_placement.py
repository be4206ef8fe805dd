"""Where a criterion is asked: an independent reading of the rule that puts imaging criteria into frames.

- *Imaging* is a criterion all of whose attributes (its operands, too) describe images, unless it asks about
  several values at once (``reduce`` other than any, the operand's too, or ``times``): such a one speaks
  of its key as a whole, "the patient's thinnest slice". Imaging is also an ``all``, ``any`` or
  ``n_of`` without upper bound that holds imaging nodes only.
- Outside an imaging frame an imaging node speaks of a series, or of a study where it names attributes of the
  study only. Imaging nodes that stand together in one ``all`` speak of the same one. ``none``, ``n_of`` with
  an upper bound, ``same`` and ``event`` are drawn in by no neighbour; what stands in them is placed as if it
  stood alone.
- An event without frame lies in the frame its criteria agree on: that of imaging criteria, the document for
  texts, the group for facts; demographics, and criteria in a frame of
  their own, do not matter.
"""

from dataclasses import replace

from p2d.testing.cohort_world import World
from p2d.warehouse.query.attributes import Source
from p2d.warehouse.query.nodes import (
    All,
    Any,
    AttributeRef,
    Cohort,
    Criterion,
    Event,
    Frame,
    Node,
    NoneOf,
    Patients,
    Reduce,
    Same,
    Some,
)


def placed(node: Node, frame: Frame, world: World) -> Node:  # noqa: PLR0911 - one for each node
    """Return *node*, asked of *frame*, with every criterion where it is asked.

    Raises:
        ValueError: the criteria of an event without frame do not agree on one.

    """
    if not frame.is_imaging and _is_imaging(node, world):
        return _framed([node], world)
    match node:
        case All(nodes) if not frame.is_imaging:
            together = [n for n in nodes if _is_imaging(n, world)]
            apart = [placed(n, frame, world) for n in nodes if not _is_imaging(n, world)]
            return All((*apart, *([_framed(together, world)] if together else [])))
        case All(nodes) | Any(nodes) | NoneOf(nodes):
            return type(node)(tuple(placed(n, frame, world) for n in nodes))
        case Some(nodes):
            return replace(node, nodes=tuple(placed(n, frame, world) for n in nodes))
        case Same(inner, where):
            return replace(node, where=placed(where, inner, world))
        case Event():
            return _placed_event(node, world)
        case Criterion() | Patients() | Cohort():
            return node


def _placed_event(event: Event, world: World) -> Event:
    frame = event.frame or _inferred(event.where, world)
    relation = event.relation
    if relation is not None:
        relation = replace(relation, other=_placed_event(relation.other, world))
    return replace(event, frame=frame, where=placed(event.where, frame, world), relation=relation)


def _is_imaging(node: Node, world: World) -> bool:
    match node:
        case Criterion(subject="document"):
            return False
        case Criterion():
            reductions = {node.reduce, *(v.reduce for v in node.values if isinstance(v, AttributeRef))}
            speaks_of_one = reductions == {Reduce.ANY} and node.times is None
            return speaks_of_one and all(frame.is_imaging for frame in _frames(node, world))
        case Some(most=int()):
            return False
        case All(nodes) | Any(nodes) | Some(nodes):
            return bool(nodes) and all(_is_imaging(n, world) for n in nodes)
        case _:
            return False


def _framed(nodes: list[Node], world: World) -> Same:
    frames = {frame for node in nodes for frame in _frames(node, world)}
    frame = Frame.STUDY if frames == {Frame.STUDY} else Frame.SERIES
    return Same(frame, nodes[0] if len(nodes) == 1 else All(tuple(nodes)))


def _frames(node: Node, world: World) -> set[Frame]:
    """Return the frames of all attributes that the criteria of *node* name; facts are of the group."""
    match node:
        case Criterion(subject="document"):
            return {Frame.DOCUMENT}
        case Criterion():
            named = [*world.named(node)]
            named += [world.attribute(v.name) for v in node.values if isinstance(v, AttributeRef)]
            return {Frame.GROUP if a.source is Source.FACT else a.frame for a in named}
        case All(nodes) | Any(nodes) | NoneOf(nodes) | Some(nodes):
            return {frame for n in nodes for frame in _frames(n, world)}
        case _:
            return set()


def _inferred(where: Node, world: World) -> Frame:
    frames = _frames(where, world) - {Frame.PATIENT}
    if frames and all(frame.is_imaging for frame in frames):
        return Frame.STUDY if frames == {Frame.STUDY} else Frame.SERIES
    if len(frames) == 1:
        return frames.pop()
    raise ValueError("an event needs a frame where its criteria do not agree on one")
