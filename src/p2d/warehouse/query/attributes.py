"""What can be asked for: typed columns by name, and the catalogue of everything else that was loaded.

A name is looked up in this order: demographics, typed DICOM columns (those that were promoted, too), clinical
facts, extended headers. An element of a sequence is named by its path, in keywords or tags
(``RequestAttributesSequence.ScheduledProcedureStepID``, ``00400275.00400009``); its last keyword alone means
it wherever it stands.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from p2d.dicom.dictionary import keyword_of, tag_of
from p2d.model.errors import InvalidRequest
from p2d.warehouse.query.nodes import (
    All,
    Any,
    AttributeRef,
    Criterion,
    Event,
    Frame,
    Node,
    NoneOf,
    Query,
    Same,
    Some,
)


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
    date and text side by side; ``has_number`` and ``has_text`` tell which of them occur. ``path`` is where in
    sequences a header element stands, in tags without item numbers; empty for wherever it stands.
    ``is_extended`` tells that the values come from extended headers, which not every series has been read
    for; ``is_of_study`` that some of a header's may lie at a study, not at its series and images.
    """

    name: str
    source: Source
    frame: Frame
    type: Type = Type.TEXT
    units: frozenset[str] = frozenset()
    has_number: bool = False
    has_text: bool = True
    path: str = ""
    is_extended: bool = False
    is_of_study: bool = True

    @property
    def is_imaging(self) -> bool:
        """Whether the attribute describes images."""
        return self.frame.is_imaging


_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")


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
    """Everything a query may name: attributes beside the typed ones, kinds of document, branches of the tree.

    ``promoted`` are columns that were headers; ``branches`` name the attributes below a node of the tree;
    ``patients`` is their number.
    """

    facts: Mapping[str, Attribute] = field(default_factory=dict)
    headers: Mapping[str, Attribute] = field(default_factory=dict)
    documents: frozenset[str] = frozenset()
    promoted: Mapping[str, Attribute] = field(default_factory=dict)
    branches: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    patients: int = 0

    @property
    def names(self) -> list[str]:
        """All attribute names in order."""
        return sorted({*TYPED, *self.promoted, *self.facts, *self.headers})

    def attribute(self, name: str, path: str) -> Attribute:
        """Return the attribute called *name*; *path* names the place in the query.

        Raises:
            InvalidRequest: no such attribute; the remedy lists close matches.

        """
        for known in (TYPED, self.promoted, self.facts, self.headers):
            if name in known:
                return known[name]
        found = self._element(name)
        if found is None:
            problem = "names an attribute the warehouse does not hold"
            raise InvalidRequest(path, problem, _close(name, self.names))
        return found

    def document(self, kind: str, path: str) -> str:
        """Return *kind* if documents of it were loaded.

        Raises:
            InvalidRequest: no such kind; the remedy lists close matches.

        """
        if kind not in self.documents:
            problem = "names a kind of document the warehouse does not hold"
            raise InvalidRequest(path, problem, _close(kind, self.documents))
        return kind

    def named(self, criterion: Criterion, path: str) -> tuple[Attribute, ...]:
        """Return the attributes that *criterion* is about; none where it is about documents.

        Raises:
            InvalidRequest: no such attribute or branch; the remedy lists close matches.

        """
        if criterion.subject == "document":
            return ()
        if criterion.subject == "attribute":
            return (self.attribute(criterion.name, f"{path}.attribute"),)
        if criterion.name not in self.branches:
            problem = "names a branch the catalogue does not have"
            raise InvalidRequest(f"{path}.branch", problem, _close(criterion.name, self.branches))
        return tuple(self.attribute(name, f"{path}.branch") for name in self.branches[criterion.name])

    def _element(self, name: str) -> Attribute | None:
        """Return the header element that *name*, a path of keywords or tags, means."""
        try:
            tags = [step.upper() if _TAG.fullmatch(step) else tag_of(step) for step in name.split(".")]
        except KeyError:
            return None
        known = self.headers.get(keyword_of(tags[-1]))
        is_element = known is not None and (len(tags) > 1 or name != known.name)
        return replace(known, path=".".join(tags)) if known is not None and is_element else None


def resolve(query: Query, catalogue: Catalogue) -> None:
    """Return if the catalogue knows every name and unit of *query*.

    Raises:
        InvalidRequest: an unknown attribute, branch or kind of document, or a unit no such attribute has.

    """
    _resolve_node(query.where, catalogue, "where")
    for index, column in enumerate(query.columns):
        catalogue.attribute(column.attribute, f"columns[{index}].attribute")


def inner_nodes(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    """Yield the nodes right below *node*, each with its place in the query."""
    match node:
        case All(nodes) | Any(nodes) | NoneOf(nodes) | Some(nodes):
            name = {All: "all", Any: "any", NoneOf: "none", Some: "n_of"}[type(node)]
            yield from ((f"{path}.{name}[{index}]", inner) for index, inner in enumerate(nodes))
        case Same():
            yield f"{path}.where", node.where
        case Event(relation=relation):
            yield f"{path}.event", node.where
            if relation is not None:
                yield f"{path}.{relation.order}", relation.other
        case _:
            pass


def _resolve_node(node: Node, catalogue: Catalogue, path: str) -> None:
    if isinstance(node, Criterion):
        _resolve_criterion(node, catalogue, path)
    for place, inner in inner_nodes(node, path):
        _resolve_node(inner, catalogue, place)


def _resolve_criterion(criterion: Criterion, catalogue: Catalogue, path: str) -> None:
    if criterion.subject == "document":
        catalogue.document(criterion.name, f"{path}.document")
    named = catalogue.named(criterion, path)
    units = frozenset[str]().union(*(attribute.units for attribute in named))
    if criterion.unit is not None and criterion.unit not in units:
        known = ", ".join(sorted(units - {""})) or "none"
        problem = "is not a unit of this attribute; values are never converted"
        raise InvalidRequest(f"{path}.unit", problem, f"units loaded: {known}")
    for operand in criterion.values:
        if isinstance(operand, AttributeRef):
            catalogue.attribute(operand.name, f"{path}.{criterion.operator}.attribute")


def _close(name: str, known: Iterable[str]) -> str:
    by_lower = {k.lower(): k for k in sorted(known)}
    found = [by_lower[n] for n in difflib.get_close_matches(name.lower(), list(by_lower), n=3, cutoff=0.5)]
    return f"did you mean {', '.join(found)}?" if found else "GET /attributes lists what there is"
