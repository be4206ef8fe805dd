"""Choose images of each series: the first, the middle one, or all."""

from collections.abc import Iterable
from typing import Final

from p2d.model.identified import IdentifiedHeader
from p2d.model.level import Choice

_INSTANCE_NUMBER: Final = "00200013"


def pick(headers: Iterable[IdentifiedHeader], choice: Choice) -> list[IdentifiedHeader]:
    """Return the instances of *headers* that *choice* names, per series, each series in order.

    The order is InstanceNumber (0020,0013), those without one last, then SOPInstanceUID; the middle one of
    *n* is number ``n // 2``, counted from 0. An instance listed twice counts once. Series keep the order in
    which they first appear.
    """
    series: dict[tuple[str, str], dict[str, IdentifiedHeader]] = {}
    for header in headers:
        key = (header.study_instance_uid, header.series_instance_uid)
        series.setdefault(key, {}).setdefault(header.sop_instance_uid, header)
    chosen: list[IdentifiedHeader] = []
    for instances in series.values():
        ordered = sorted(instances.values(), key=_position)
        match choice:
            case Choice.FIRST:
                chosen.append(ordered[0])
            case Choice.MIDDLE:
                chosen.append(ordered[len(ordered) // 2])
            case Choice.ALL:
                chosen.extend(ordered)
    return chosen


def _position(header: IdentifiedHeader) -> tuple[int, float, str]:
    element = header.elements.get(_INSTANCE_NUMBER)
    number = element.values[0] if element and element.values else None
    if isinstance(number, str):  # an archive may answer with text that is no number
        number = None
    return (1, 0, header.sop_instance_uid) if number is None else (0, number, header.sop_instance_uid)
