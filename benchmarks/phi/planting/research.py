"""What research needs and nobody is identified by: numbers, geometry, codes and parameters."""

import re
from importlib import resources
from typing import Final

from phi.key import Act
from phi.places import content_name, named_items, text_of, walk
from phi.planting.plot import Plot


def _listed(name: str) -> frozenset[str]:
    lines = resources.files("phi").joinpath(name).read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


_KEPT: Final = _listed("data_research.txt")
_INSIDE: Final = _listed("data_sequences.txt")
_MOST: Final = 30
_EVERY: Final = ("InstanceNumber", "SeriesNumber", "Modality", "Rows", "Columns")
_STEP: Final = re.compile(r"([0-9A-F]{8})\[([^\]]+)\]")
_FIRST_ITEMS: Final = 12


def plant_research(plot: Plot) -> None:
    """Expect of up to thirty research values of the object that they stay as they are."""
    planted = {row.path for row in plot.rows}
    found = [
        (path, element.keyword, text_of(element))
        for path, element in walk(plot.dataset)
        if element.keyword in _KEPT and path not in planted and text_of(element) and _is_inside(path, plot)
    ]
    always = [one for one in found if one[1] in _EVERY and "." not in one[0]]
    others = [one for one in found if one not in always]
    if len(others) > _MOST:
        others = plot.rng.sample(others, _MOST)
    for path, _, text in always + others:
        plot.expect(path, Act.TEXT_RETAINED, f"research value{' nested' if '.' in path else ''}", text)


def _is_inside(path: str, plot: Plot) -> bool:
    """Say whether every sequence on the way is one that the profile keeps, and the item is an early one.

    Names and identifiers in content items are the business of other rows: values beside them are left out.
    """
    if path[:4] in ("0002", "0012"):
        return False
    steps = _STEP.findall(path)
    if any(tag not in _INSIDE or int(name.rpartition("~")[2]) >= _FIRST_ITEMS for tag, name in steps):
        return False
    place = plot.dataset
    for tag, name in steps:
        place = dict(named_items(tag, place[tag].value))[name]
        if tag == "0040A730" and (
            place.get("ValueType") in _TELLING_TYPES or content_name(place).startswith(_PEOPLE)
        ):
            return False
    return True


_TELLING_TYPES: Final = ("PNAME", "UIDREF", "DATE", "DATETIME", "TIME", "TEXT")
_PEOPLE: Final = ("1210", "113870", "113871", "113872", "113873", "113874", "113876")
