"""Which documents, groups and images of a cohort match: those that speak for a match.

Things speak where they fulfil, under ``all``, ``any`` and ``n_of``: a frame or an event of their kind (study,
series and instance are one kind), or a criterion on a document's text or on facts that stands outside any
frame of their kind. In a frame of another kind they have to belong to it as well. Under ``none`` nothing
speaks, nor does the other event of a relation. Where nothing can speak for a kind, all things of the cohort's
patients match.
"""

from collections.abc import Callable
from typing import Final

from sqlglot import exp

from p2d.warehouse.query.attributes import Source
from p2d.warehouse.query.compile import Compiler
from p2d.warehouse.query.events import event_rows
from p2d.warehouse.query.holders import ROW
from p2d.warehouse.query.nodes import All, Any, Criterion, Event, Frame, Node, Same, Some
from p2d.warehouse.query.relations import (
    TABLES,
    chosen,
    column,
    is_among,
    is_in,
    key_of,
    mapped,
    rows_of,
    united,
)

_IMAGING: Final = (Frame.STUDY, Frame.SERIES, Frame.INSTANCE)
"""From the coarsest to the finest."""


def matching(
    compiler: Compiler, where: Node, level: Frame, is_of_cohort: Callable[[exp.Expr], exp.Expr]
) -> exp.Select:
    """Return the things of *level* that match: rows *v* of its table, without columns.

    *where* is placed; *is_of_cohort* is the condition that a patient key is of the cohort.
    """
    found = exp.Select().from_(rows_of(TABLES[level], ROW), copy=False)
    found.where(is_of_cohort(column(key_of(Frame.PATIENT), ROW)), copy=False)
    sets = [] if level in {Frame.PATIENT, Frame.CASE} else _speaking(compiler, where, Frame.PATIENT, level)
    if not sets:
        return found
    return found.where(is_among(column(key_of(level), ROW), united(sets), TABLES[level]), copy=False)


def is_told_by_things(where: Node, level: Frame) -> bool:
    """Whether a thing of *level* that matches is enough for its patient to be of the cohort *where*, placed.

    Which patients are of the cohort need not be asked for then.
    """
    match where:
        case All((inner,)) | Any((inner,)):
            return is_told_by_things(inner, level)
        case Same(frame, count=None):
            return frame in _IMAGING and level in _IMAGING
        case _:
            return False


def matching_keys(
    compiler: Compiler, where: Node, level: Frame, is_of_cohort: Callable[[exp.Expr], exp.Expr]
) -> exp.Select:
    """Return the keys ``k`` of the images of *level* that match; see ``matching``.

    A key may come more than once, and of patients beyond those that *compiler* looks at: whoever asks for
    values looks at these alone.
    """
    sets = _speaking(compiler, where, Frame.PATIENT, level)
    if sets:
        return united(sets)
    place = exp.alias_(column(key_of(level), ROW), "k")
    return matching(compiler, where, level, is_of_cohort).select(place, copy=False)


def is_decided_at(where: Node, level: Frame) -> bool:
    """Whether the images of a thing of *level* all match, and what it lies in, where the thing itself does.

    So it is where *level* is one of images and nothing that can speak is finer; *where* is placed.
    """
    match where:
        case All(nodes) | Any(nodes) | Some(nodes):
            return level in _IMAGING and all(is_decided_at(n, level) for n in nodes)
        case Same(frame, inner):
            return _is_coarse(frame, level) and (frame.is_imaging or is_decided_at(inner, level))
        case Event(frame=Frame() as frame, where=inner):
            return _is_coarse(frame, level) and (frame.is_imaging or is_decided_at(inner, level))
        case _:
            return level in _IMAGING


def _is_coarse(frame: Frame, level: Frame) -> bool:
    """Whether things of *frame* are no finer than those of *level*, which is one of images."""
    is_finer = frame in _IMAGING and level in _IMAGING and _IMAGING.index(frame) > _IMAGING.index(level)
    return level in _IMAGING and not is_finer


def _speaking(compiler: Compiler, node: Node, frame: Frame, level: Frame) -> list[exp.Select]:
    """Return, for each part that can speak for things of *level*, the keys of those it speaks for."""
    match node:
        case All(nodes) | Any(nodes) | Some(nodes):
            return [found for n in nodes for found in _speaking(compiler, n, frame, level)]
        case Same(inner, where):
            belonging = compiler.selected(where, inner, level)
        case Event(frame=Frame() as inner, where=where):
            rows = event_rows(compiler, node, frame).subquery("w", copy=False)
            things = exp.select(exp.alias_(exp.column("e", table="w"), "k")).from_(rows, copy=False)
            belonging = mapped(things, inner, level, compiler.restriction())
        case Criterion() if _speaks(compiler, node, level):
            values = compiler.criteria.rows(node, frame, with_day=False, owner=level)
            return [
                exp.select(exp.alias_(exp.column("o", table="w"), "k")).from_(
                    values.subquery("w", copy=False), copy=False
                )
            ]
        case _:
            return []
    if inner is level or (inner.is_imaging and level.is_imaging):
        return [belonging]
    key = exp.column("k", table="d")
    return [
        chosen(found, is_in(key.copy(), belonging.copy()))
        for found in _speaking(compiler, where, inner, level)
    ]


def _speaks(compiler: Compiler, criterion: Criterion, level: Frame) -> bool:
    if criterion.is_absence:
        return False
    if criterion.subject == "document":
        return level is Frame.DOCUMENT
    named = compiler.criteria.catalogue.named(criterion, criterion.name)
    return level is Frame.GROUP and all(attribute.source is Source.FACT for attribute in named)
