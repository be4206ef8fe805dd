"""What belongs to what, as SQL: the tables of frames, the keys in them, the way from one frame to another."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

import sqlglot
from sqlglot import exp

from p2d.warehouse.query.nodes import Frame

TABLES: Final[Mapping[Frame, str]] = {
    Frame.PATIENT: "patient",
    Frame.CASE: "clinical_case",
    Frame.DOCUMENT: "document",
    Frame.GROUP: "fact",
    Frame.STUDY: "study",
    Frame.SERIES: "series",
    Frame.INSTANCE: "instance",
}
_PATIENT: Final = frozenset({Frame.PATIENT})
CARRIED: Final[Mapping[str, frozenset[Frame]]] = {
    "patient": _PATIENT,
    "clinical_case": _PATIENT | {Frame.CASE},
    "document": _PATIENT | {Frame.CASE, Frame.DOCUMENT},
    "fact": _PATIENT | {Frame.CASE, Frame.DOCUMENT, Frame.GROUP},
    "study": _PATIENT | {Frame.CASE, Frame.STUDY},
    "series": _PATIENT | {Frame.STUDY, Frame.SERIES},
    "instance": _PATIENT | {Frame.STUDY, Frame.SERIES, Frame.INSTANCE},
    "header": _PATIENT | {Frame.STUDY, Frame.SERIES, Frame.INSTANCE},
}
"""The frames whose keys stand in the rows of a table."""

_ROWS: Final = "v"
_OWN_KEYS: Final = {table: f"{frame}_key" for frame, table in TABLES.items() if frame is not Frame.GROUP}
"""The column that names one row of its table."""

_PLAIN: Final = frozenset({"expressions", "from", "from_", "where"})
"""Parts of a SELECT that names rows of one table; SQLGlot's own names, of two versions."""

# Where no table of two frames carries the key of the other. Facts and documents belong to a study where they
# stand in a report linked to it by its accession number.
_LINKED: Final[Mapping[frozenset[Frame], str]] = {
    frozenset({Frame.CASE, Frame.SERIES}): (
        "SELECT y.case_key, x.series_key FROM series x JOIN study y ON y.study_key = x.study_key"
    ),
    frozenset({Frame.CASE, Frame.INSTANCE}): (
        "SELECT y.case_key, x.instance_key FROM instance x JOIN study y ON y.study_key = x.study_key"
    ),
    frozenset({Frame.DOCUMENT, Frame.STUDY}): "SELECT document_key, study_key FROM study_document",
    frozenset({Frame.DOCUMENT, Frame.SERIES}): (
        "SELECT y.document_key, x.series_key FROM series x JOIN study_document y ON y.study_key = x.study_key"
    ),
    frozenset({Frame.DOCUMENT, Frame.INSTANCE}): (
        "SELECT y.document_key, x.instance_key "
        "FROM instance x JOIN study_document y ON y.study_key = x.study_key"
    ),
    frozenset({Frame.GROUP, Frame.STUDY}): (
        "SELECT DISTINCT x.group_key, y.study_key "
        "FROM fact x JOIN study_document y ON y.document_key = x.document_key"
    ),
    frozenset({Frame.GROUP, Frame.SERIES}): (
        "SELECT DISTINCT x.group_key, z.series_key "
        "FROM fact x JOIN study_document y ON y.document_key = x.document_key "
        "JOIN series z ON z.study_key = y.study_key"
    ),
    frozenset({Frame.GROUP, Frame.INSTANCE}): (
        "SELECT DISTINCT x.group_key, z.instance_key "
        "FROM fact x JOIN study_document y ON y.document_key = x.document_key "
        "JOIN instance z ON z.study_key = y.study_key"
    ),
}


def key_of(frame: Frame) -> str:
    """Return the name of the surrogate key of *frame*."""
    return f"{frame}_key"


def rows_of(table: str, alias: str) -> exp.Table:
    """Return the rows of *table*, called *alias*; SQLGlot's own function would parse both names."""
    called = exp.TableAlias(this=exp.to_identifier(alias))
    return exp.Table(this=exp.to_identifier(table), alias=called)


def column(name: str, table: str) -> exp.Column:
    """Return the column *name* of the rows called *table*."""
    return exp.column(name, table=table, quoted=True)


def carries(table: str, frame: Frame) -> bool:
    """Whether the rows of *table* hold the key of *frame*."""
    return frame in CARRIED[table]


def is_missing(place: exp.Expr) -> exp.Expr:
    """Whether *place* is NULL."""
    return exp.Is(this=place, expression=exp.Null())


def is_there(place: exp.Expr) -> exp.Expr:
    """Whether *place* is not NULL."""
    return exp.Not(this=is_missing(place))


def relation(one: Frame, other: Frame) -> exp.Select:
    """Return a SELECT of the keys of two frames that belong together, each pair once and without NULL."""
    return _relation(one, other).copy()


@cache
def _relation(one: Frame, other: Frame) -> exp.Select:
    text = _LINKED.get(frozenset({one, other}))
    if text is None:
        finer = one if carries(TABLES[one], other) else other
        is_repeated = "DISTINCT " if finer is Frame.GROUP else ""
        text = f"SELECT {is_repeated}{key_of(one)}, {key_of(other)} FROM {TABLES[finer]}"  # noqa: S608 - names of frames only
    found = sqlglot.parse_one(text, dialect="duckdb")
    assert isinstance(found, exp.Select)  # noqa: S101 - as written above
    for frame in (one, other):
        if (frame is Frame.CASE) or (frame is Frame.DOCUMENT and Frame.GROUP in {one, other}):
            place = next(c for c in found.expressions if c.name == key_of(frame))
            found.where(is_there(place.copy()), copy=False)
    return found


def keys_from(table: str, frame: Frame, rows: exp.Expr | None, alias: str = "v") -> exp.Select:
    """Return the keys ``k`` of *frame* in the *rows* (a condition) of *table*, which carries them."""
    place = column(key_of(frame), alias)
    found = exp.select(exp.alias_(place, "k", copy=False), copy=False).from_(
        rows_of(table, alias), copy=False
    )
    if rows is not None:
        found.where(rows, copy=False)
    return found.where(is_there(place.copy()), copy=False) if may_miss(table, frame) else found


def may_miss(table: str, frame: Frame) -> bool:
    """Whether the key of *frame* is NULL in some rows of *table*."""
    if frame in {Frame.PATIENT, Frame.GROUP} or TABLES[frame] == table:
        return False
    return table == "header" or frame in {Frame.CASE, Frame.DOCUMENT}


def mapped(keys: exp.Select, source: Frame, target: Frame, rows: Sequence[exp.Expr] = ()) -> exp.Select:
    """Return the keys ``k`` of *target* that have to do with *keys* of *source*.

    *rows* are conditions on rows *v* of either frame's table that hold for all *keys* anyway: with them less
    is read.
    """
    if source is target:
        return keys
    if carries(TABLES[source], target):
        among = is_among(column(key_of(source), _ROWS), keys, TABLES[source])
        return keys_from(TABLES[source], target, exp.and_(*rows, among, copy=False))
    if carries(TABLES[target], source):
        is_of_key = is_in(column(key_of(source), _ROWS), keys)
        return keys_from(TABLES[target], target, exp.and_(*rows, is_of_key, copy=False))
    pairs = relation(source, target).subquery("r", copy=False)
    return (
        exp.select(exp.alias_(column(key_of(target), "r"), "k", copy=False), copy=False)
        .from_(pairs, copy=False)
        .where(is_in(column(key_of(source), "r"), keys), copy=False)
    )


def is_in(place: exp.Expr, keys: exp.Select) -> exp.Expr:
    """Whether *place* is one of *keys*, which holds no NULL."""
    return exp.In(this=place, query=keys.subquery(copy=False))


def is_among(place: exp.Column, keys: exp.Select, table: str) -> exp.Expr:
    """Whether *place*, a key in rows *v* of *table*, is one of *keys*; FALSE or NULL where it is not.

    Where *keys* are chosen by a condition on rows of the same table, whose own key *place* is, that condition
    says it of the row itself. To be used where only TRUE counts: not below NOT.
    """
    condition = _own_condition(place, keys, table)
    return is_in(place, keys) if condition is None else condition


def _own_condition(place: exp.Column, keys: exp.Select, table: str) -> exp.Expr | None:
    if table not in _OWN_KEYS or (place.table, place.name) != (_ROWS, _OWN_KEYS[table]):
        return None
    source, (selected, *more) = keys.find(exp.From), keys.expressions
    column_of = selected.this if isinstance(selected, exp.Alias) else selected
    is_plain = all(name in _PLAIN for name, value in keys.args.items() if value)
    if more or not is_plain or not isinstance(column_of, exp.Column) or source is None:
        return None
    if (column_of.table, column_of.name) != (_ROWS, place.name):
        return None
    rows = source.this
    if not isinstance(rows, exp.Table) or (rows.name, rows.alias) != (table, _ROWS):
        return None
    where = keys.args.get("where")
    return exp.true() if where is None else exp.paren(where.this, copy=False)


def universe(frame: Frame) -> exp.Select:
    """Return all keys of *frame*."""
    return keys_from(TABLES[frame], frame, None, "u")


def united(sets: list[exp.Select]) -> exp.Select:
    """Return the keys of all *sets* (at least one); a key may come more than once."""
    whole: exp.Query = sets[0]
    for found in sets[1:]:
        whole = exp.union(whole, found, distinct=False, copy=False)
    return whole if isinstance(whole, exp.Select) else chosen(whole)


def together(selects: list[exp.Select]) -> exp.Select:
    """Return the rows of all *selects* (at least one), whose columns are alike."""
    whole: exp.Query = selects[0]
    for select in selects[1:]:
        whole = exp.union(whole, select, distinct=False, copy=False)
    if isinstance(whole, exp.Select):
        return whole
    return exp.select(exp.Star()).from_(whole.subquery("a", copy=False), copy=False)


def chosen(keys: exp.Query, *conditions: exp.Expr) -> exp.Select:
    """Return the keys ``k`` of *keys*, called *d*, that fulfil *conditions*."""
    found = exp.select(exp.column("k", table="d"), copy=False).from_(
        keys.subquery("d", copy=False), copy=False
    )
    return found.where(*conditions, copy=False) if conditions else found
