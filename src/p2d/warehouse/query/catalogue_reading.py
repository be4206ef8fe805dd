"""The catalogue as an engine's tables hold it."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Final

import sqlglot

from p2d.warehouse.query.attributes import TYPED, Attribute, Catalogue, Source, Type
from p2d.warehouse.query.nodes import Frame
from p2d.warehouse.query.session import Session

Branches = Callable[[Iterable[tuple[str, str]]], Mapping[str, Collection[str]]]
"""Tells, of attributes by kind (fact, header, column) and name, those below each branch of the tree."""


def no_branches(known: Iterable[tuple[str, str]]) -> Mapping[str, Collection[str]]:  # noqa: ARG001 - of the type above
    """Return no branch: a catalogue without a tree."""
    return {}


_ATTRIBUTES: Final = "SELECT kind, name, unit, has_number, has_text FROM attribute"
_OF_STUDIES: Final = "SELECT DISTINCT keyword FROM header WHERE series_key IS NULL"
_PATIENTS: Final = "SELECT count(*) FROM patient"
_PROMOTED: Final = 'SELECT keyword, "level", type FROM promotion'


def read_catalogue(session: Session, branches: Branches) -> Catalogue:
    """Return what can be asked for in the snapshot of *session*, with the *branches* that hold any of it."""
    units: dict[tuple[str, str], set[str]] = defaultdict(set)
    numbers: dict[tuple[str, str], bool] = defaultdict(bool)
    texts: dict[tuple[str, str], bool] = defaultdict(bool)
    for kind, name, unit, has_number, has_text in session.rows(sqlglot.parse_one(_ATTRIBUTES), {}):
        key = (str(kind), str(name))
        units[key].add(str(unit or ""))
        numbers[key] |= bool(has_number)
        texts[key] |= bool(has_text)

    of_studies = {str(keyword) for (keyword,) in session.rows(sqlglot.parse_one(_OF_STUDIES), {})}

    def attributes(source: Source, frame: Frame) -> dict[str, Attribute]:
        return {
            name: Attribute(
                name,
                source,
                frame,
                units=frozenset(u),
                has_number=numbers[kind, name],
                has_text=texts[kind, name],
                is_of_study=name in of_studies,
            )
            for (kind, name), u in units.items()
            if kind == source
        }

    promoted = {
        str(keyword): Attribute(
            str(keyword),
            Source.COLUMN,
            Frame(str(level)),
            Type(str(kind)),
            has_number=str(kind) == Type.NUMBER,
            is_extended=True,
        )
        for keyword, level, kind in session.rows(sqlglot.parse_one(_PROMOTED), {})
    }
    ((patients,),) = session.rows(sqlglot.parse_one(_PATIENTS), {})
    known = Catalogue(
        attributes(Source.FACT, Frame.PATIENT),
        attributes(Source.HEADER, Frame.SERIES),
        frozenset(name for kind, name in units if kind == "document"),
        promoted,
        patients=int(str(patients)),
    )
    kinds = [(kind, name) for kind, name in units if kind != "document"]
    kinds += [("column", name) for name in (*TYPED, *promoted)]
    held = {name: tuple(sorted(listed)) for name, listed in branches(kinds).items() if listed}
    return replace(known, branches=held)
