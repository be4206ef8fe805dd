"""What can be asked for: typed columns by name, and the catalogue of everything else that was loaded.

A name is looked up in this order: demographics, typed DICOM columns, clinical facts, extended headers.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from p2d.model.errors import InvalidRequest
from p2d.warehouse.query.nodes import All, Any, Criterion, Frame, Node, NoneOf, Query, Same


class Source(StrEnum):
    """Where an attribute's values lie."""

    COLUMN = "column"
    FACT = "fact"
    HEADER = "header"
    DOCUMENT = "document"


class Type(StrEnum):
    """Type of an attribute's values; MULTI is text whose values are joined by a backslash (PS3.5 6.4)."""

    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    MULTI = "multi"


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute as the compiler needs it.

    ``frame`` is where its values lie, ``type`` the type of a typed column. Facts and headers have number,
    date and text side by side; ``has_number`` and ``has_text`` tell which of them occur.
    """

    name: str
    source: Source
    frame: Frame
    type: Type = Type.TEXT
    units: frozenset[str] = frozenset()
    has_number: bool = False
    has_text: bool = True

    @property
    def is_imaging(self) -> bool:
        """Whether the attribute describes images."""
        return self.frame.is_imaging


def _columns(frame: Frame, names: Mapping[str, Type]) -> dict[str, Attribute]:
    return {n: Attribute(n, Source.COLUMN, frame, t, has_number=t is Type.NUMBER) for n, t in names.items()}


TYPED: Final[Mapping[str, Attribute]] = {
    **_columns(Frame.PATIENT, {"sex": Type.TEXT, "birth_year": Type.NUMBER}),
    **_columns(
        Frame.STUDY,
        {
            "StudyDate": Type.DATE,
            "StudyTime": Type.TEXT,
            "StudyDescription": Type.TEXT,
            "ModalitiesInStudy": Type.MULTI,
            "NumberOfStudyRelatedSeries": Type.NUMBER,
            "NumberOfStudyRelatedInstances": Type.NUMBER,
        },
    ),
    **_columns(
        Frame.SERIES,
        {
            "Modality": Type.TEXT,
            "SeriesNumber": Type.NUMBER,
            "SeriesDescription": Type.TEXT,
            "SeriesDate": Type.DATE,
            "BodyPartExamined": Type.TEXT,
            "ProtocolName": Type.TEXT,
            "Manufacturer": Type.TEXT,
            "NumberOfSeriesRelatedInstances": Type.NUMBER,
        },
    ),
    **_columns(
        Frame.INSTANCE,
        {
            "InstanceNumber": Type.NUMBER,
            "SOPClassUID": Type.TEXT,
            "Rows": Type.NUMBER,
            "Columns": Type.NUMBER,
            "NumberOfFrames": Type.NUMBER,
        },
    ),
}


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything a query may name: clinical and header attributes, and kinds of document."""

    facts: Mapping[str, Attribute] = field(default_factory=dict)
    headers: Mapping[str, Attribute] = field(default_factory=dict)
    documents: frozenset[str] = frozenset()

    @property
    def names(self) -> list[str]:
        """All attribute names in order."""
        return sorted({*TYPED, *self.facts, *self.headers})

    def attribute(self, name: str, path: str) -> Attribute:
        """Return the attribute called *name*; *path* names the place in the query.

        Raises:
            InvalidRequest: no such attribute; the remedy lists close matches.

        """
        for known in (TYPED, self.facts, self.headers):
            if name in known:
                return known[name]
        raise InvalidRequest(path, "names an attribute the warehouse does not hold", _close(name, self.names))

    def document(self, kind: str, path: str) -> str:
        """Return *kind* if documents of it were loaded.

        Raises:
            InvalidRequest: no such kind; the remedy lists close matches.

        """
        if kind not in self.documents:
            problem = "names a kind of document the warehouse does not hold"
            raise InvalidRequest(path, problem, _close(kind, self.documents))
        return kind


def resolve(query: Query, catalogue: Catalogue) -> None:
    """Return if the catalogue knows every name and unit of *query*.

    Raises:
        InvalidRequest: an unknown attribute or kind of document, or a unit the attribute does not have.

    """
    _resolve_node(query.where, catalogue, "where")
    for index, column in enumerate(query.columns):
        catalogue.attribute(column.attribute, f"columns[{index}].attribute")


def _resolve_node(node: Node, catalogue: Catalogue, path: str) -> None:
    match node:
        case All(nodes) | Any(nodes) | NoneOf(nodes):
            name = {All: "all", Any: "any", NoneOf: "none"}[type(node)]
            for index, inner in enumerate(nodes):
                _resolve_node(inner, catalogue, f"{path}.{name}[{index}]")
        case Same(_, where):
            _resolve_node(where, catalogue, f"{path}.where")
        case Criterion(subject="document"):
            catalogue.document(node.name, f"{path}.document")
        case Criterion():
            attribute = catalogue.attribute(node.name, f"{path}.attribute")
            if node.unit is not None and node.unit not in attribute.units:
                known = ", ".join(sorted(attribute.units - {""})) or "none"
                problem = "is not a unit of this attribute; values are never converted"
                raise InvalidRequest(f"{path}.unit", problem, f"units loaded: {known}")


def _close(name: str, known: Iterable[str]) -> str:
    by_lower = {k.lower(): k for k in sorted(known)}
    found = [by_lower[n] for n in difflib.get_close_matches(name.lower(), list(by_lower), n=3, cutoff=0.5)]
    return f"did you mean {', '.join(found)}?" if found else "GET /attributes lists what there is"
