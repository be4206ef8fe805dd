"""Result tables: the rows of a level in order of their pseudonyms, with the query's columns."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from sqlglot import exp

from p2d.warehouse.query.cells import IMAGING, Shown, reduced
from p2d.warehouse.query.compile import Compiler
from p2d.warehouse.query.evaluation import Evaluation
from p2d.warehouse.query.foremost import BY_DAY
from p2d.warehouse.query.holders import ROW, filled_text
from p2d.warehouse.query.matching import is_decided_at, matching
from p2d.warehouse.query.nodes import Column, Frame, Node, Query, Reduce
from p2d.warehouse.query.relations import column, key_of
from p2d.warehouse.query.results import ResultTable
from p2d.warehouse.query.session import Keys

_FEW: Final = 500
"""Rows up to which the patients are read in small parts, by pseudonym."""
_OF_ONE: Final = frozenset({Reduce.FIRST, Reduce.LAST, Reduce.MIN, Reduce.MAX, Reduce.ANY})
"""Reductions that give the value itself where there is but one."""

_PARENTS: Final[Mapping[Frame, tuple[Frame, ...]]] = {
    Frame.PATIENT: (),
    Frame.CASE: (Frame.PATIENT,),
    Frame.DOCUMENT: (Frame.PATIENT,),
    Frame.GROUP: (Frame.PATIENT, Frame.DOCUMENT),
    Frame.STUDY: (Frame.PATIENT,),
    Frame.SERIES: (Frame.PATIENT, Frame.STUDY),
    Frame.INSTANCE: (Frame.PATIENT, Frame.STUDY, Frame.SERIES),
}
"""The frames whose pseudonyms stand before the row's own."""


@dataclass(frozen=True, slots=True)
class _Row:
    key: int
    patient: int
    names: tuple[str | None, ...]


def read_table(
    asked: Evaluation, query: Query, where: Node, patients: Keys, limit: int, total: int
) -> ResultTable:
    """Return the first *limit* of *total* rows of the cohort *patients*."""
    titles = (
        *(str(frame) for frame in (*_PARENTS[query.level], query.level)),
        *(wanted.title for wanted in query.columns),
    )
    rows: list[tuple[object, ...]] = []
    for part, names in _parts(asked, patients, limit):
        left = limit - len(rows)
        if left <= 0:
            break
        rows += _Part(asked, query, where, part, names).rows(left)
    return ResultTable(titles, tuple(rows), total)


def _parts(asked: Evaluation, patients: Keys, limit: int) -> Iterator[tuple[Keys, Mapping[int, str]]]:
    """Yield *patients* in parts that follow each other by pseudonym; small ones first where few are shown.

    Beside each part come the pseudonyms by key, as far as they are known; else they are to be asked for.
    """
    if limit > _FEW:
        yield patients, {}
        return
    ordered = _by_pseudonym(asked, patients)
    start, size = 0, limit
    while start < len(ordered):
        part = ordered[start : start + size]
        yield np.sort(np.array([key for key, _ in part], np.int64)), dict(part)
        start, size = start + size, min(size * 4, _FEW)


def _by_pseudonym(asked: Evaluation, patients: Keys) -> list[tuple[int, str]]:
    is_shown = asked.restricted(patients, "cohort")
    key, name = column("patient_key", ROW), column("patient", ROW)
    listed = exp.select(key, name).from_(exp.to_table("patient", alias=ROW)).where(is_shown(key.copy()))
    rows = asked.session.rows(listed, {})
    return sorted(((int(str(k)), str(psn)) for k, psn in rows), key=lambda row: row[1])


def _of_person(rows: Mapping[object, Mapping[str, object]], name: str) -> Callable[[_Row], object]:
    return lambda row: rows[row.patient][name]


def _several(rows: Iterable[tuple[object, ...]]) -> dict[object, object]:
    """Return the values of each key in the order of their places, from rows of key, value and place."""
    placed: dict[object, list[tuple[object, object]]] = defaultdict(list)
    for key, value, place in rows:
        placed[key].append((place, value))
    return {key: tuple(value for _, value in sorted(some, key=_by_place)) for key, some in placed.items()}


def _by_place(placed: tuple[object, object]) -> int:
    return int(placed[0])  # type: ignore[call-overload, no-any-return]  # places are whole numbers


class _Part:
    """The rows of some patients of the cohort."""

    def __init__(
        self, asked: Evaluation, query: Query, where: Node, patients: Keys, names: Mapping[int, str]
    ) -> None:
        self._asked = asked
        self._names = names
        self._query = query
        self._where = where
        self._only = asked.restricted(patients, "shown")
        self._chosen: dict[Frame, Callable[[exp.Expr], exp.Expr]] = {}

    def rows(self, limit: int) -> Iterator[tuple[object, ...]]:
        """Yield up to *limit* rows in order."""
        listed = self._listed()[:limit]
        people = self._people()
        cells = [people.get(wanted) or self._cells(wanted) for wanted in self._query.columns]
        for row in listed:
            yield (*row.names, *(cell(row) for cell in cells))

    def _compiler(self) -> Compiler:
        return self._asked.compiler(self._only)

    def _listed(self) -> list[_Row]:
        level, compiler = self._query.level, self._compiler()
        if level is Frame.PATIENT and self._names:
            return [_Row(key, key, (name,)) for key, name in self._names.items()]
        found = matching(compiler, self._where, level, self._only)
        own = "case" if level is Frame.CASE else str(level)
        names = [column(own, ROW)]
        if level is not Frame.PATIENT:
            for frame in reversed(_PARENTS[level]):
                alias = f"n{frame}"
                is_open = "left" if frame is Frame.DOCUMENT else ""
                on = exp.EQ(this=column(key_of(frame), alias), expression=column(key_of(frame), ROW))
                found.join(exp.to_table(str(frame), alias=alias), on=on, join_type=is_open, copy=False)
                names.insert(0, column(str(frame), alias))
        columns = [column(key_of(level), ROW), column(key_of(Frame.PATIENT), ROW), *names]
        found.select(*(exp.alias_(place, f"c{i}") for i, place in enumerate(columns)), copy=False)
        if level is Frame.GROUP:
            found.distinct(copy=False)
        rows = [
            _Row(int(key), int(patient), tuple(None if n is None else str(n) for n in natural))  # type: ignore[call-overload]  # keys are whole numbers
            for key, patient, *natural in self._asked.session.rows(found, compiler.parameters)
        ]
        # facts recorded alone have no name of their own: they come in the order of their keys
        return sorted(rows, key=lambda row: ([(name is None, name or "") for name in row.names], row.key))

    def _people(self) -> dict[Column, Callable[[_Row], object]]:
        """Return the columns of demographics, which have one value, read at once."""
        shown = {
            wanted: Shown(self._asked.catalogue.attribute(wanted.attribute, "columns"), self._query.level)
            for wanted in self._query.columns
        }
        wanted = [
            one
            for one, values in shown.items()
            if values.is_of_person and one.reduce in _OF_ONE and one.top is None
        ]
        if not wanted:
            return {}
        names = dict.fromkeys(one.attribute for one in wanted)
        patient = column("patient_key", ROW)
        places = [filled_text(column(name, ROW)) if name == "sex" else column(name, ROW) for name in names]
        people = exp.select(patient, *places).from_(exp.to_table("patient", alias=ROW), copy=False)
        people.where(self._only(patient.copy()), copy=False)
        rows = {
            row[0]: dict(zip(names, row[1:], strict=True)) for row in self._asked.session.rows(people, {})
        }
        return {one: _of_person(rows, one.attribute) for one in wanted}

    def _cells(self, wanted: Column) -> Callable[[_Row], object]:
        compiler = self._compiler()
        attribute = self._asked.catalogue.attribute(wanted.attribute, "columns")
        shown = Shown(attribute, self._query.level)
        values = shown.values(
            compiler,
            self._is_chosen,
            with_day=wanted.reduce in BY_DAY,
            is_decided=is_decided_at(self._where, self._query.level),
        )
        rows = self._asked.session.rows(reduced(values, shown, wanted, compiler), compiler.parameters)
        found = {row[0]: row[1] for row in rows} if wanted.top is None else _several(rows)
        nothing: object = 0 if wanted.reduce is Reduce.COUNT else None
        if wanted.top is not None:
            nothing = ()
        if shown.frame is Frame.PATIENT:
            return lambda row: found.get(row.patient, nothing)
        return lambda row: found.get(row.key, nothing)

    def _is_chosen(self, frame: Frame, place: exp.Expr) -> exp.Expr:
        if frame not in self._chosen:
            assert frame in IMAGING  # noqa: S101 - only these are restricted
            compiler = self._compiler()
            found = matching(compiler, self._where, frame, self._only)
            found.select(exp.alias_(column(key_of(frame), ROW), "k"), copy=False)
            keys = self._asked.session.keys(found, compiler.parameters)
            self._chosen[frame] = self._asked.restricted(keys, f"chosen_{frame}")
        return self._chosen[frame](place)
