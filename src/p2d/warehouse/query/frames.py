"""The rewrite that puts imaging criteria into frames, so that "CT" and "thorax" are asked of one series.

An imaging criterion outside a frame of study, series or instance speaks of *a series*: it is wrapped in
``same series``. Those that stand together in one ``all`` share the frame, and so does an ``any`` or ``all``
between them that holds imaging criteria only. ``none`` is never drawn in: outside a frame it says that there
is no such series at all. Where every criterion of a frame describes the study, the frame is ``same study``,
because a study may be known without its series. The attributes of a study are inherited by its series, those
of an instance count for the series that contains it.
"""

from p2d.warehouse.query.attributes import Catalogue
from p2d.warehouse.query.nodes import All, Any, Criterion, Frame, Node, NoneOf, Same


def place(node: Node, frame: Frame, catalogue: Catalogue) -> Node:
    """Return *node*, to be asked of *frame*, with its imaging criteria in imaging frames."""
    if not frame.is_imaging and _is_imaging(node, catalogue):
        return _framed((node,), catalogue)
    match node:
        case Same(inner, where):
            return Same(inner, place(where, inner, catalogue))
        case All(nodes) if not frame.is_imaging:
            together = tuple(n for n in nodes if _is_imaging(n, catalogue))
            apart = tuple(place(n, frame, catalogue) for n in nodes if not _is_imaging(n, catalogue))
            return All((*apart, _framed(together, catalogue)) if together else apart)
        case All(nodes) | Any(nodes) | NoneOf(nodes):
            return type(node)(tuple(place(n, frame, catalogue) for n in nodes))
        case Criterion():
            return node


def _is_imaging(node: Node, catalogue: Catalogue) -> bool:
    match node:
        case Criterion(subject="attribute"):
            return catalogue.attribute(node.name, "attribute").is_imaging
        case All(nodes) | Any(nodes):
            return bool(nodes) and all(_is_imaging(n, catalogue) for n in nodes)
        case _:
            return False


def _framed(nodes: tuple[Node, ...], catalogue: Catalogue) -> Same:
    frames = {frame for node in nodes for frame in _frames(node, catalogue)}
    frame = Frame.STUDY if frames == {Frame.STUDY} else Frame.SERIES
    return Same(frame, nodes[0] if len(nodes) == 1 else All(nodes))


def _frames(node: Node, catalogue: Catalogue) -> set[Frame]:
    match node:
        case All(nodes) | Any(nodes):
            return {frame for inner in nodes for frame in _frames(inner, catalogue)}
        case Criterion():
            return {catalogue.attribute(node.name, "attribute").frame}
        case _:
            return set()
