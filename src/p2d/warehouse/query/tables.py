"""Result tables: the rows of a level in order of their pseudonyms, with the query's columns."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from sqlglot import exp

from p2d.warehouse.query.cells import Shown, reduced
from p2d.warehouse.query.compile import Compiler
from p2d.warehouse.query.evaluation import Evaluation
from p2d.warehouse.query.foremost import BY_DAY
from p2d.warehouse.query.holders import ROW, filled_text
from p2d.warehouse.query.matching import is_decided_at, matching, matching_keys
from p2d.warehouse.query.nodes import Column, Frame, Node, Query, Reduce
from p2d.warehouse.query.relations import column, is_in, key_of, rows_of
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
    """A thing of the level: its keys, its pseudonym behind those of its parents, columns told with it."""

    key: int
    patient: int
    names: tuple[str | None, ...]
    told: Mapping[Column, object]


def read_table(
    asked: Evaluation, query: Query, where: Node, patients: Keys, limit: int, total: int
) -> ResultTable:
    """Return the first *limit* of *total* rows of the cohort *patients*."""
    titles = (
        *(str(frame) for frame in (*_PARENTS[query.level], query.level)),
        *(wanted.title for wanted in query.columns),
    )
    rows: list[tuple[object, ...]] = []
    for part, names in _parts(asked, patients, query.level, limit):
        left = limit - len(rows)
        if left <= 0:
            break
        rows += _Part(asked, query, where, part, names).rows(left)
    return ResultTable(titles, tuple(rows), total)


def _parts(
    asked: Evaluation, patients: Keys, level: Frame, limit: int
) -> Iterator[tuple[Keys, Mapping[int, str]]]:
    """Yield *patients* in parts that follow each other by pseudonym; small ones first where few are shown.

    Beside each part come the pseudonyms by key, as far as they are known; else they are to be asked for.
    """
    if limit > _FEW:
        yield patients, {}
        return
    ordered = _by_pseudonym(asked, patients, limit if level is Frame.PATIENT else None)
    start, size = 0, limit
    while start < len(ordered):
        part = ordered[start : start + size]
        yield np.sort(np.array([key for key, _ in part], np.int64)), dict(part)
        start, size = start + size, min(size * 4, _FEW)


def _by_pseudonym(asked: Evaluation, patients: Keys, most: int | None) -> list[tuple[int, str]]:
    """Return keys and pseudonyms of *patients*, the first *most* or all of them, in order."""
    is_shown = asked.restricted(patients, "cohort")
    key, name = column("patient_key", ROW), column("patient", ROW)
    listed = exp.select(key, name).from_(rows_of("patient", ROW)).where(is_shown(key.copy()))
    listed = listed.order_by(asked.session.dialect.by_code_point(name.copy()))
    rows = asked.session.rows(listed if most is None else listed.limit(most), {})
    return [(_key(found), str(psn)) for found, psn in rows]


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
        catalogue, level = self._asked.catalogue, self._query.level
        shown = {
            wanted: Shown(catalogue.attribute(wanted.attribute, "columns"), level)
            for wanted in self._query.columns
        }
        joins_columns = self._asked.session.dialect.joins_columns
        told = {
            wanted: values
            for wanted, values in shown.items()
            if wanted.top is None and (joins_columns or (values.is_of_person and wanted.reduce in _OF_ONE))
        }
        listed = self._listed(told)[:limit]
        apart = {wanted: self._cells(wanted, shown[wanted]) for wanted in shown if wanted not in told}
        for row in listed:
            cells = (row.told[one] if one in told else apart[one](row) for one in self._query.columns)
            yield (*row.names, *cells)

    def _compiler(self) -> Compiler:
        return self._asked.compiler(self._only)

    def _listed(self, told: Mapping[Column, Shown]) -> list[_Row]:
        """Return the things of the level in order, each with the columns *told*."""
        level, compiler = self._query.level, self._compiler()
        if level is Frame.PATIENT and self._names and not told:
            return [_Row(key, key, (name,), {}) for key, name in self._names.items()]
        found = matching(compiler, self._where, level, self._only)
        own = "case" if level is Frame.CASE else str(level)
        names = [column(own, ROW)]
        if level is not Frame.PATIENT:
            for frame in reversed(_PARENTS[level]):
                alias = f"n{frame}"
                is_open = "left" if frame is Frame.DOCUMENT else ""
                on = exp.EQ(this=column(key_of(frame), alias), expression=column(key_of(frame), ROW))
                found.join(rows_of(str(frame), alias), on=on, join_type=is_open, copy=False)
                names.insert(0, column(str(frame), alias))
        joined = _Joined(found, compiler, self._where, self._only)
        values = [joined.column(wanted, shown) for wanted, shown in told.items()]
        columns = [column(key_of(level), ROW), column(key_of(Frame.PATIENT), ROW), *names, *values]
        found.select(*(exp.alias_(place, f"c{i}") for i, place in enumerate(columns)), copy=False)
        if level is Frame.GROUP:
            found.distinct(copy=False)
        rows = []
        for key, patient, *others in self._asked.session.rows(found, compiler.parameters):
            natural = tuple(None if n is None else str(n) for n in others[: len(names)])
            filled = zip(told, others[len(names) :], strict=True)
            cells = {wanted: _nothing(wanted) if value is None else value for wanted, value in filled}
            rows.append(_Row(_key(key), _key(patient), natural, cells))
        # facts recorded alone have no name of their own: they come in the order of their keys
        return sorted(rows, key=lambda row: ([(name is None, name or "") for name in row.names], row.key))

    def _cells(self, wanted: Column, shown: Shown) -> Callable[[_Row], object]:
        """Ask for the column *wanted* by itself; return what tells it of a row."""
        compiler = self._compiler()
        select = _column(compiler, self._where, wanted, shown, self._is_chosen)
        rows = self._asked.session.rows(select, compiler.parameters)
        found = {row[0]: row[1] for row in rows} if wanted.top is None else _several(rows)
        nothing = _nothing(wanted)
        if shown.frame is Frame.PATIENT:
            return lambda row: found.get(row.patient, nothing)
        return lambda row: found.get(row.key, nothing)

    def _is_chosen(self, frame: Frame, place: exp.Expr) -> exp.Expr:
        if frame not in self._chosen:
            compiler = self._compiler()
            keys = self._asked.session.keys(
                matching_keys(compiler, self._where, frame, self._only), compiler.parameters
            )
            self._chosen[frame] = self._asked.restricted(keys, f"chosen_{frame}")
        return self._chosen[frame](place)


@dataclass(frozen=True, slots=True)
class _Joined:
    """Columns joined to the *rows* of a level in one statement."""

    rows: exp.Select
    compiler: Compiler
    where: Node
    only: Callable[[exp.Expr], exp.Expr]
    chosen: set[Frame] = field(default_factory=set)

    def column(self, wanted: Column, shown: Shown) -> exp.Expr:
        """Join what *wanted* needs, and return the place of its value, NULL where there is none."""
        name = wanted.attribute
        if shown.is_of_person and wanted.reduce in _OF_ONE:
            place = column(name, ROW if shown.level is Frame.PATIENT else f"n{Frame.PATIENT}")
            return filled_text(place) if name == "sex" else place
        alias = f"w{len(self.rows.args.get('joins') or ())}"
        values = _column(self.compiler, self.where, wanted, shown, self._is_chosen)
        on = exp.EQ(this=exp.column("k", table=alias), expression=column(key_of(shown.frame), ROW))
        self.rows.join(values.subquery(alias, copy=False), on=on, join_type="left", copy=False)
        return exp.column("val", table=alias)

    def _is_chosen(self, frame: Frame, place: exp.Expr) -> exp.Expr:
        name = f"chosen_{frame}"
        if frame not in self.chosen:
            self.chosen.add(frame)
            keys = matching_keys(self.compiler, self.where, frame, self.only)
            self.rows.with_(name, as_=keys, materialized=True, copy=False)
        return is_in(place, exp.select(exp.column("k", table="c")).from_(rows_of(name, "c")))


def _column(
    compiler: Compiler,
    where: Node,
    wanted: Column,
    shown: Shown,
    is_chosen: Callable[[Frame, exp.Expr], exp.Expr],
) -> exp.Select:
    """Return the values of *wanted* as rows of ``k`` and ``val``; see ``cells.reduced``."""
    is_decided = is_decided_at(where, shown.level)
    with_day = wanted.reduce in BY_DAY
    values = shown.values(compiler, is_chosen, with_day=with_day, is_decided=is_decided)
    return reduced(values, shown, wanted, compiler)


def _key(value: object) -> int:
    assert isinstance(value, int)  # noqa: S101 - a surrogate key
    return value


def _nothing(wanted: Column) -> object:
    """Return what stands where there is no value."""
    if wanted.top is not None:
        return ()
    return 0 if wanted.reduce is Reduce.COUNT else None
