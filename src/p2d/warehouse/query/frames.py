"""The rewrite that puts imaging criteria into frames, so that "CT" and "thorax" are asked of one series.

An imaging criterion outside a frame of study, series or instance speaks of *a series*: it is wrapped in
``same series``. Imaging is a criterion all of whose attributes, its operands too, describe images, unless it
asks about several values at once (``times``, or ``reduce`` other than any, its operand's too): such a one
speaks of its key as a whole. Those that stand together in one ``all`` share the frame, and so does an
``any``, ``all`` or ``n_of`` without upper bound between them that holds imaging criteria only. ``none``,
``n_of`` with an upper bound, frames and events are never drawn in: ``none`` outside a frame says that there
is no such series at all. Where every criterion of a frame describes the study, the frame is ``same study``,
because a study may be known without its series.

An event without frame lies in the frame that its criteria agree on: that of imaging criteria, the document
for texts, the group for facts; demographics, and criteria in a frame of their own, do not matter.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from p2d.model.errors import InvalidRequest
from p2d.warehouse.query.attributes import Catalogue, Source, inner_nodes
from p2d.warehouse.query.nodes import (
    All,
    Any,
    AttributeRef,
    Criterion,
    Event,
    Frame,
    Node,
    NoneOf,
    Reduce,
    Same,
    Some,
)

CHOICES = (Frame.INSTANCE, Frame.SERIES, Frame.STUDY, Frame.CASE, Frame.PATIENT)
"""From the narrowest to the widest frame that imaging criteria can be asked in."""


@dataclass(frozen=True, slots=True)
class ImagingFrame:
    """Where imaging criteria are held together: ``places`` in the query, and whether it says so itself."""

    frame: Frame
    places: tuple[str, ...]
    is_explicit: bool

    @property
    def choices(self) -> tuple[Frame, ...]:
        """The frames that can stand in its place: instance only where it was asked for."""
        return CHOICES if self.frame is Frame.INSTANCE else CHOICES[1:]


@dataclass(slots=True)
class Placement:
    """Places the nodes of one query; ``frames`` are the imaging frames met, in order.

    ``instead`` names, by number in that order, frames to ask instead.
    """

    catalogue: Catalogue
    instead: Mapping[int, Frame] = field(default_factory=dict)
    frames: list[ImagingFrame] = field(default_factory=list)

    def place(self, node: Node, frame: Frame, path: str = "where") -> Node:
        """Return *node*, to be asked of *frame*, with its imaging criteria in imaging frames.

        Raises:
            InvalidRequest: the criteria of an event without frame do not agree on one.

        """
        if not frame.is_imaging and _is_imaging(node, self.catalogue):
            return self._framed({path: node})
        inner = dict(inner_nodes(node, path))
        match node:
            case All() if not frame.is_imaging:
                together = {p: n for p, n in inner.items() if _is_imaging(n, self.catalogue)}
                apart = [self.place(n, frame, p) for p, n in inner.items() if p not in together]
                return All((*apart, *([self._framed(together)] if together else [])))
            case All() | Any() | NoneOf() | Some():
                return replace(node, nodes=tuple(self.place(n, frame, p) for p, n in inner.items()))
            case Same(own, where):
                if own.is_imaging and not frame.is_imaging and node.count is None:
                    own = self._met(ImagingFrame(own, (path,), is_explicit=True))
                return replace(node, frame=own, where=self.place(where, node.frame, f"{path}.where"))
            case Event():
                return self._event(node, path)
            case _:
                return node

    def steps(self, node: Node, path: str = "where") -> list[tuple[tuple[str, ...], Node]]:
        """Return the parts of the outermost ``all``, placed, with their places in the query, in its order."""
        if not isinstance(node, All) or not node.nodes or _is_imaging(node, self.catalogue):
            return [((path,), self.place(node, Frame.PATIENT, path))]
        inner = dict(inner_nodes(node, path))
        together = {p: n for p, n in inner.items() if _is_imaging(n, self.catalogue)}
        found: list[tuple[tuple[str, ...], Node]] = []
        found += [((p,), self.place(n, Frame.PATIENT, p)) for p, n in inner.items() if p not in together]
        if together:
            found.append((tuple(together), self._framed(together)))
        order = list(inner)
        return sorted(found, key=lambda step: order.index(step[0][0]))

    def _event(self, event: Event, path: str) -> Event:
        frame = event.frame or _inferred(event.where, self.catalogue, path)
        relation = event.relation
        where = self.place(event.where, frame, f"{path}.event")
        if relation is not None:
            other = self._event(relation.other, f"{path}.{relation.order}")
            relation = replace(relation, other=other)
        return replace(event, frame=frame, where=where, relation=relation)

    def _framed(self, nodes: Mapping[str, Node]) -> Same:
        frames = {frame for node in nodes.values() for frame in _frames(node, self.catalogue)}
        frame = Frame.STUDY if frames == {Frame.STUDY} else Frame.SERIES
        together = tuple(nodes.values())
        own = self._met(ImagingFrame(frame, tuple(nodes), is_explicit=False))
        return Same(own, together[0] if len(together) == 1 else All(together))

    def _met(self, found: ImagingFrame) -> Frame:
        self.frames.append(found)
        return self.instead.get(len(self.frames) - 1, found.frame)


def place(node: Node, frame: Frame, catalogue: Catalogue) -> Node:
    """Return *node*, to be asked of *frame*, with its imaging criteria in imaging frames.

    Raises:
        InvalidRequest: the criteria of an event without frame do not agree on one.

    """
    return Placement(catalogue).place(node, frame)


def _is_imaging(node: Node, catalogue: Catalogue) -> bool:
    match node:
        case Criterion(subject="document"):
            return False
        case Criterion():
            speaks_of_one = node.reduce is Reduce.ANY and node.times is None
            speaks_of_one &= all(v.reduce is Reduce.ANY for v in node.values if isinstance(v, AttributeRef))
            return speaks_of_one and all(frame.is_imaging for frame in _frames(node, catalogue))
        case Some(most=int()):
            return False
        case All(nodes) | Any(nodes) | Some(nodes):
            return bool(nodes) and all(_is_imaging(n, catalogue) for n in nodes)
        case _:
            return False


def _frames(node: Node, catalogue: Catalogue) -> set[Frame]:
    """Return the frames of all attributes that the criteria of *node* name; facts are of the group."""
    match node:
        case Criterion(subject="document"):
            return {Frame.DOCUMENT}
        case Criterion():
            named = [*catalogue.named(node, node.name)]
            named += [
                catalogue.attribute(v.name, "attribute") for v in node.values if isinstance(v, AttributeRef)
            ]
            return {Frame.GROUP if a.source is Source.FACT else a.frame for a in named}
        case All(nodes) | Any(nodes) | NoneOf(nodes) | Some(nodes):
            return {frame for inner in nodes for frame in _frames(inner, catalogue)}
        case _:
            return set()


def _inferred(where: Node, catalogue: Catalogue, path: str) -> Frame:
    frames = _frames(where, catalogue) - {Frame.PATIENT}
    if frames and all(frame.is_imaging for frame in frames):
        return Frame.STUDY if frames == {Frame.STUDY} else Frame.SERIES
    if len(frames) == 1:
        return frames.pop()
    remedy = 'name it: "frame": "case", "document", "group", "study", "series" or "instance"'
    raise InvalidRequest(f"{path}.frame", "is missing, and its criteria do not agree on one", remedy)
