"""Make ``ps3_3_iods.tsv``: the type of every attribute of every IOD, at any depth, PS3.3 in compact form.

The source are ``sop_class_iod_map.json``, ``iod_module_map.json`` and ``module_attribute_map.json`` of the
PyPI package highdicom 0.28.2 (MIT), folder ``highdicom/_standard``. The package does not state the edition;
it knows Synthetic Data (0008,001C) and not yet Person Names to Use Sequence (0010,0011), so it is of 2023 or
2024. Run::

    python -m p2d.deid.data.generate_iods FOLDER > src/p2d/deid/data/ps3_3_iods.tsv

Lines are of three kinds. ``class UID IOD``: a storage SOP class. ``iod NAME complete|partial
MODULE:USAGE:PLACE ...``: its modules with usage (M, C or U) and place; partial where the source lacks a
module. ``place N TAG:TYPE[:PLACE] ...``: the attributes at one place, a sequence with the place inside its
items; equal places are written once.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydicom._dicom_dict import RepeatersDictionary
from pydicom.datadict import tag_for_keyword

_HEADER: Final = """\
# Attribute types by IOD (PS3.3) and the IODs of storage SOP classes (PS3.4); of the retired classes those
# of ultrasound and nuclear medicine. Made by p2d.deid.data.generate_iods, which explains the lines, from
# the PyPI package highdicom 0.28.2 (MIT), edition not stated there (2023 or 2024).
"""
_TYPES: Final = ("1", "1C", "2", "2C", "3")
_RETIRED_CLASSES: Final = {
    "1.2.840.10008.5.1.4.1.1.3": "1.2.840.10008.5.1.4.1.1.3.1",
    "1.2.840.10008.5.1.4.1.1.5": "1.2.840.10008.5.1.4.1.1.20",
    "1.2.840.10008.5.1.4.1.1.6": "1.2.840.10008.5.1.4.1.1.6.1",
}
_REPEATERS: Final = {entry[4]: mask for mask, entry in RepeatersDictionary.items()}


@dataclass(slots=True)
class _Place:
    """The attributes at one place while a module is read: type and the place inside, by tag."""

    types: dict[str, str] = field(default_factory=dict)
    inside: "dict[str, _Place]" = field(default_factory=dict)


@dataclass(slots=True)
class _Places:
    """Equal places once, numbered in the order they are first met."""

    numbers: dict[str, int] = field(default_factory=dict)

    def number_of(self, place: _Place) -> int:
        """Return the number of *place*, whose inner places are numbered before it."""
        cells = []
        for tag in sorted(place.types):
            inside = f":{self.number_of(place.inside[tag])}" if tag in place.inside else ""
            cells.append(f"{tag}:{place.types[tag]}{inside}")
        return self.numbers.setdefault("\t".join(cells), len(self.numbers))


def table(
    classes: Mapping[str, str],
    iods: Mapping[str, Sequence[Mapping[str, str]]],
    modules: Mapping[str, Sequence[Mapping[str, Any]]],
) -> str:
    """Return the lines for the three maps of the source, storage SOP classes and their IODs only."""
    places = _Places()
    lines = [f"class\t{uid}\t{iod}" for uid, iod in sorted(classes.items())]
    lines += [
        f"class\t{retired}\t{classes[current]}"
        for retired, current in _RETIRED_CLASSES.items()
        if current in classes
    ]
    for iod in sorted(set(classes.values())):
        known = [module for module in iods[iod] if module["key"] in modules]
        completeness = "complete" if len(known) == len(iods[iod]) else "partial"
        cells = [
            f"{module['key']}:{module['usage']}:{places.number_of(_module(modules[module['key']]))}"
            for module in known
        ]
        lines.append("\t".join(["iod", iod, completeness, *cells]))
    lines += [f"place\t{number}\t{cells}" for cells, number in places.numbers.items()]
    return _HEADER + "\n".join(lines) + "\n"


def _module(attributes: Sequence[Mapping[str, Any]]) -> _Place:
    top = _Place()
    for attribute in attributes:
        place = top
        for keyword in attribute["path"]:
            place = place.inside.setdefault(_tag(keyword), _Place())
        tag = _tag(attribute["keyword"])
        if attribute["type"] in _TYPES:
            earlier = place.types.get(tag, _TYPES[-1])
            place.types[tag] = min(earlier, attribute["type"], key=_TYPES.index)
    return top


def _tag(keyword: str) -> str:
    """Return the tag of *keyword*; a repeating group as the dictionary prints it (``60xx3000``)."""
    tag = tag_for_keyword(keyword)
    return f"{int(tag):08X}" if tag is not None else _REPEATERS[keyword]


def main(arguments: Sequence[str]) -> None:
    """Write the table made from the maps in the folder named by the only argument to standard output."""
    (folder,) = (Path(argument) for argument in arguments)
    names = ("sop_class_iod_map", "iod_module_map", "module_attribute_map")
    classes, iods, modules = (
        json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in names
    )
    sys.stdout.write(table(classes, iods, modules))


if __name__ == "__main__":
    main(sys.argv[1:])
