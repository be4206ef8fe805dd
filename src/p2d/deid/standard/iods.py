"""Attribute types by IOD: what PS3.3 demands of an attribute at its place in an object of a SOP class.

The table is read once and lazily: a first look-up reads the file and the modules of one IOD (milliseconds),
later ones are cached. Where it comes from: ``p2d.deid.data.generate_iods``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from p2d.deid.standard.tsv import lines_of

_STRICTNESS: Final = ("1", "1C", "2", "2C", "3")
_CONDITIONAL: Final = {"1": "1C", "2": "2C"}
_UNDEFINED: Final = "3"
_REPEATING: Final = frozenset({"50", "60"})


@dataclass(frozen=True, slots=True)
class _Iod:
    """The modules of an IOD as (usage, place); *complete* unless the source lacks one of its modules."""

    complete: bool
    modules: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Lines:
    """The lines of the table, not yet parsed, by their key."""

    classes: Mapping[str, str]
    iods: Mapping[str, str]
    places: Mapping[str, str]


@lru_cache(maxsize=65536)
def attribute_type(sop_class_uid: str, path: tuple[str, ...]) -> str:
    """Return the type (1, 1C, 2, 2C, 3 or ``""``) of the attribute at *path* in objects of a SOP class.

    *path* are the tags of the sequences and of the attribute, eight upper-case hexadecimal digits each,
    outermost first, without item numbers. Where several modules of the IOD define the attribute at that
    place, the strictest type counts (1 < 1C < 2 < 2C < 3). In a module that may be absent (usage C or U) type
    1 counts as 1C and 2 as 2C.

    An attribute that a known IOD does not define at a place it does define is type 3: a Standard Extended SOP
    Class may add it, so nothing asks for it (PS3.2). The answer is empty where nothing is known: the SOP
    class is not in the table, a module of its IOD is missing in the source, or the sequence around the
    attribute is itself not defined there or holds any attribute (Modified Attributes Sequence). Items that
    nest in items of the same sequence (Content Sequence) are looked up as one level when PS3.3 does not spell
    out the deeper one.
    """
    iod = _iod(sop_class_uid)
    if iod is None or not path:
        return ""
    path = tuple(_folded(tag) for tag in path)
    shorter = _without_nesting(path)
    found = _types(iod, path) or (_types(iod, shorter) if shorter != path else [])
    if found:
        return min(found, key=_STRICTNESS.index)
    if iod.complete and (_is_defined(iod, path[:-1]) or _is_defined(iod, shorter[:-1])):
        return _UNDEFINED
    return ""


@lru_cache(maxsize=512)
def iod_of(sop_class_uid: str) -> str:
    """Return the name of the IOD of a SOP class (``ct-image``), empty where it is not in the table."""
    return _lines().classes.get(sop_class_uid, "")


def _types(iod: _Iod, path: tuple[str, ...]) -> list[str]:
    """Return the types that the modules of *iod* give the attribute at *path*."""
    found = []
    for usage, top in iod.modules:
        place = _inside(top, path[:-1])
        kind = _place(place).get(path[-1], ("", ""))[0] if place else ""
        if kind:
            found.append(kind if usage == "M" else _CONDITIONAL.get(kind, kind))
    return found


def _is_defined(iod: _Iod, sequences: tuple[str, ...]) -> bool:
    """Whether any module of *iod* defines attributes in the items of *sequences*; the top level always is."""
    return any(_inside(top, sequences) for _usage, top in iod.modules)


def _inside(place: str, sequences: tuple[str, ...]) -> str:
    """Return the place in the items of *sequences*, nested from *place* on; empty where none is defined."""
    for tag in sequences:
        if not place:
            return ""
        place = _place(place).get(tag, ("", ""))[1]
    return place


def _without_nesting(path: tuple[str, ...]) -> tuple[str, ...]:
    """Return *path* with a sequence that directly nests in itself written once."""
    return tuple(tag for index, tag in enumerate(path) if index == 0 or path[index - 1] != tag)


def _folded(tag: str) -> str:
    """Return *tag* as the table prints it: repeating groups by their mask."""
    return f"{tag[:2]}xx{tag[4:]}" if tag[:2] in _REPEATING else tag


@lru_cache(maxsize=512)
def _iod(sop_class_uid: str) -> _Iod | None:
    name = iod_of(sop_class_uid)
    if not name:
        return None
    completeness, *modules = _lines().iods[name].split("\t")
    parsed = (module.split(":") for module in modules)
    return _Iod(completeness == "complete", [(usage, place) for _name, usage, place in parsed])


@lru_cache(maxsize=4096)
def _place(number: str) -> Mapping[str, tuple[str, str]]:
    """Return type and inner place by tag for one place; the inner place is empty where there is none."""
    cells = (cell.split(":") for cell in _lines().places[number].split("\t") if cell)
    return {tag: (kind, inside[0] if inside else "") for tag, kind, *inside in cells}


@lru_cache(maxsize=1)
def _lines() -> _Lines:
    kinds: dict[str, dict[str, str]] = {"class": {}, "iod": {}, "place": {}}
    for line in lines_of("ps3_3_iods.tsv"):
        kind, key, rest = line.split("\t", 2)
        kinds[kind][key] = rest
    return _Lines(kinds["class"], kinds["iod"], kinds["place"])
