"""One answer from the answers of several archives to the same query."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from p2d.model.header import Element, count_of, text_of
from p2d.model.identified import IdentifiedHeader
from p2d.model.level import Level
from p2d.pacs.port import Query
from p2d.pacs.query import UNIQUE

_LOG = logging.getLogger(__name__)
_MODALITIES_IN_STUDY: Final = "00080061"
_PATIENT_COUNTS: Final = ("00201200", "00201202", "00201204")

Answers = Sequence[tuple[str, Sequence[IdentifiedHeader]]]
"""The name of each archive, preferred ones first, with all that it answered."""

_UidOf = Callable[[IdentifiedHeader], str]
_COUNTS: Final[Mapping[str, tuple[_UidOf, Level, _UidOf]]] = {
    "00201206": (lambda one: one.study_instance_uid, Level.SERIES, lambda one: one.series_instance_uid),
    "00201208": (lambda one: one.study_instance_uid, Level.INSTANCE, lambda one: one.sop_instance_uid),
    "00201209": (lambda one: one.series_instance_uid, Level.INSTANCE, lambda one: one.sop_instance_uid),
}
"""Which entity a number belongs to, at which level what it counts is listed, and what it counts."""


def merged(query: Query, answers: Answers) -> list[IdentifiedHeader]:
    """Return each entity of *answers* once, with the archives that listed it.

    The preferred archive decides; what it leaves empty comes from the next. An archive that puts an instance
    into another study or series is no source of it. Numbers of related entities are counted over all
    archives; what an archive says to have beyond what it listed is added. Where that cannot be counted they
    are left out.
    """
    found: dict[str, list[tuple[str, IdentifiedHeader]]] = defaultdict(list)
    for name, headers in answers:
        for header in headers:
            found[_uid(header, query.level)].append((name, header))
    numbers = {path: _numbers(path, query, answers) for path in _COUNTS}
    rows = [_one(query.level, group) for group in found.values()]
    strays = sum(len(group) - len(row.archives) for group, row in zip(found.values(), rows, strict=True))
    if strays:
        _LOG.warning("%d object(s) are in different studies or series in two archives", strays)
    return [_counted(row, numbers) for row in rows]


def _uid(header: IdentifiedHeader, level: Level) -> str:
    return text_of(header.elements, UNIQUE[level])


def _one(level: Level, group: Sequence[tuple[str, IdentifiedHeader]]) -> IdentifiedHeader:
    place = _place(group[0][1])
    agreeing = [(name, header) for name, header in group if _place(header) == place]
    elements: dict[str, Element] = {}
    for _, header in agreeing:
        for path, element in header.elements.items():
            if path not in elements or not elements[path].values:
                elements[path] = element
    if len(agreeing) > 1:
        told = [header.elements.get(_MODALITIES_IN_STUDY) for _, header in agreeing]
        values = {str(value) for each in told if each is not None for value in each.values}
        if values:
            elements[_MODALITIES_IN_STUDY] = Element(_MODALITIES_IN_STUDY, "CS", tuple(sorted(values)))
        for path in _PATIENT_COUNTS:
            elements.pop(path, None)
    return IdentifiedHeader(level, elements, tuple(dict.fromkeys(name for name, _ in agreeing)))


def _place(header: IdentifiedHeader) -> tuple[str, str]:
    return header.study_instance_uid, header.series_instance_uid


def _numbers(path: str, query: Query, answers: Answers) -> dict[str, int | None]:
    """Return the number at *path* for each entity that several archives hold; None where it is not known."""
    of, level, counted = _COUNTS[path]
    listed: dict[str, dict[str, set[str]]] = defaultdict(dict)
    stated: dict[str, dict[str, int | None]] = defaultdict(dict)
    for name, headers in answers:
        for header in headers:
            if uid := of(header):
                listed[uid].setdefault(name, set()).add(counted(header))
                stated[uid][name] = count_of(header.elements, path)
    is_countable = _is_whole(query, path) and query.level in _at_or_below(level)
    return {
        uid: _total(by_archive.values(), by_archive, stated[uid]) if is_countable else None
        for uid, by_archive in listed.items()
        if len(by_archive) > 1 or query.sop_instance_uid
    }


def _total(
    listed: Iterable[set[str]], by_archive: Mapping[str, set[str]], stated: Mapping[str, int | None]
) -> int | None:
    if all(number is None for number in stated.values()):
        return None
    lacking = (number - len(by_archive[name]) for name, number in stated.items() if number is not None)
    return len(set[str]().union(*listed)) + sum(max(0, one) for one in lacking)


def _is_whole(query: Query, path: str) -> bool:
    """Whether *query* lists all that the number at *path* counts."""
    return not query.sop_instance_uid and (path == "00201209" or not query.series_instance_uid)


def _at_or_below(level: Level) -> frozenset[Level]:
    return frozenset({level, Level.INSTANCE})


def _counted(header: IdentifiedHeader, numbers: Mapping[str, Mapping[str, int | None]]) -> IdentifiedHeader:
    changed: dict[str, Element] = dict(header.elements)
    for path, by_uid in numbers.items():
        uid = _COUNTS[path][0](header)
        if uid not in by_uid:
            continue
        number = by_uid[uid]
        changed.pop(path, None)
        if number is not None:
            changed[path] = Element(path, "IS", (number,))
    return replace(header, elements=changed)
