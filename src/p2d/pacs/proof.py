"""Prove that an archive may be asked for all of a patient at once: never believed, compared once."""

from collections.abc import Mapping
from dataclasses import replace

from p2d.model.errors import ProtocolViolation, Unavailable
from p2d.model.header import text_of
from p2d.model.identified import IdentifiedHeader, PatientId
from p2d.model.level import Level
from p2d.pacs.hierarchy import RELATIONAL, Ask, Finder, Way
from p2d.pacs.port import Query
from p2d.pacs.query import KEYS


def proved(ask: Ask, patient_id: PatientId, way: Way = RELATIONAL) -> Way | None:
    """Return how to ask, found by asking for one patient's instances at once and level by level.

    An archive may ignore keys of a relational query and answer with other patients' instances, or refuse it:
    then the way is hierarchical. A patient without instances proves nothing: None.

    Raises:
        Unavailable, ProtocolViolation: level by level, there is no answer; or the governor forbids to ask.

    """
    query = Query(Level.INSTANCE, patient_id)
    stepwise = replace(way, series=False, instance=False, answered=frozenset())
    known = {_place(one): one for one in Finder(ask, query, stepwise).headers()}
    if not known:
        return None
    upper = frozenset((*KEYS[Level.STUDY], *KEYS[Level.SERIES]))
    at_once = replace(way, series=True, instance=True, answered=frozenset())
    found = _tried(ask, query, at_once)
    if {*found} != {*known} or not all(_is_answered(path, found, known) for path in upper):
        return stepwise
    found = _tried(ask, query, replace(at_once, answered=upper))
    if {*found} != {*known}:
        return at_once
    shown = (path for path in upper if _is_answered(path, found, known) and _is_filled(path, found))
    return replace(at_once, answered=frozenset(shown))


_Place = tuple[str, str, str]
_Placed = Mapping[_Place, IdentifiedHeader]


def _place(header: IdentifiedHeader) -> _Place:
    return header.study_instance_uid, header.series_instance_uid, header.sop_instance_uid


def _tried(ask: Ask, query: Query, way: Way) -> "dict[_Place, IdentifiedHeader]":
    try:
        return {_place(one): one for one in Finder(ask, query, way).headers()}
    except ProtocolViolation:
        return {}
    except Unavailable as error:
        if error.field == "governor":  # we may not ask now: that says nothing of the archive
            raise
        return {}


def _is_answered(path: str, found: "_Placed", known: "_Placed") -> bool:
    """Whether *path* has the same text in the same places of *found* and *known*."""
    return all(
        text_of(one.elements, path) == text_of(known[place].elements, path) for place, one in found.items()
    )


def _is_filled(path: str, found: "_Placed") -> bool:
    return any(text_of(one.elements, path) for one in found.values())
