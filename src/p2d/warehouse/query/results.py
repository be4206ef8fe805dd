"""Run a query: the cohort once, as temporary key tables; then counts or a table of reduced values.

Patients are those the query holds for, cases are theirs. Studies, series and instances are the *matching*
ones: those that fulfil an imaging frame which speaks for the match (under ``all`` and ``any``, not under
``none``), or all of the cohort's where the query asks for no images. Imaging columns describe matching
images only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import duckdb
import sqlglot
from sqlglot import exp

from p2d.model.errors import InvalidRequest
from p2d.model.ids import Pseudonym
from p2d.warehouse.query.attributes import Attribute, Catalogue, Source, Type, resolve
from p2d.warehouse.query.compile import RELATIONS, TABLES, Compiler, key_of, unite, universe
from p2d.warehouse.query.frames import place
from p2d.warehouse.query.nodes import Column, Frame, Query, Reduce

MOST_ROWS: Final = 1_000_000
_KEYS: Final[Mapping[Frame, tuple[str, ...]]] = {
    Frame.PATIENT: ("patient",),
    Frame.CASE: ("patient", "case"),
    Frame.STUDY: ("patient", "study"),
    Frame.SERIES: ("patient", "study", "series"),
    Frame.INSTANCE: ("patient", "study", "series", "instance"),
}
_PARENTS: Final[Mapping[Frame, str]] = {
    Frame.PATIENT: "patient x",
    Frame.CASE: "clinical_case x JOIN patient USING (patient_key)",
    Frame.STUDY: "study x JOIN patient USING (patient_key)",
    Frame.SERIES: "series x JOIN patient USING (patient_key) JOIN study USING (study_key)",
    Frame.INSTANCE: (
        "instance x JOIN patient USING (patient_key) JOIN study USING (study_key) "
        "JOIN series USING (series_key)"
    ),
}
_IMAGING: Final = (Frame.STUDY, Frame.SERIES, Frame.INSTANCE)
# Rows that hold the values of a column: keys of all levels they belong to and the date they are ordered by.
_STUDY_ROWS: Final = 'SELECT x.*, x."StudyDate" AS day FROM study x JOIN chosen_study USING (study_key)'
_SERIES_ROWS: Final = (
    'SELECT x.*, s.case_key, coalesce(x."SeriesDate", s."StudyDate") AS day '
    "FROM series x JOIN chosen_series USING (series_key) JOIN study s ON s.study_key = x.study_key"
)
_INSTANCE_ROWS: Final = (
    'SELECT x.*, s.case_key, coalesce(e."SeriesDate", s."StudyDate") AS day '
    "FROM instance x JOIN chosen_instance USING (instance_key) JOIN study s ON s.study_key = x.study_key "
    "JOIN series e ON e.series_key = x.series_key"
)
_HEADER_ROWS: Final = (
    'SELECT x.*, s.case_key, coalesce(e."SeriesDate", s."StudyDate") AS day FROM header x '
    "JOIN chosen_study USING (study_key) JOIN study s USING (study_key) "
    "LEFT JOIN series e ON e.series_key = x.series_key "
    "WHERE x.keyword = $keyword "
    "AND (x.series_key IS NULL OR x.series_key IN (SELECT series_key FROM chosen_series)) "
    "AND (x.instance_key IS NULL OR x.instance_key IN (SELECT instance_key FROM chosen_instance))"
)
_ROWS: Final = {
    Frame.PATIENT: "SELECT x.*, NULL::DATE AS day FROM patient x JOIN chosen_patient USING (patient_key)",
    Frame.STUDY: _STUDY_ROWS,
    Frame.SERIES: _SERIES_ROWS,
    Frame.INSTANCE: _INSTANCE_ROWS,
}
_FACT_ROWS: Final = (
    'SELECT x.*, x."date" AS day FROM fact x JOIN chosen_patient USING (patient_key) '
    "WHERE x.attribute = $keyword"
)
_REDUCED: Final = {
    Reduce.FIRST: "first({v} ORDER BY day ASC NULLS LAST, {v} ASC)",
    Reduce.LAST: "first({v} ORDER BY day DESC NULLS LAST, {v} DESC)",
    Reduce.MIN: "min({v})",
    Reduce.MAX: "max({v})",
    Reduce.COUNT: "count({v})",
    Reduce.ANY: "min({v})",
}


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a query finds, and of how many of the warehouse's patients images are known at all.

    ``basic_patients`` and ``extended_patients`` count the patients of the whole warehouse whose headers
    were extracted: a patient outside was not asked, which is another thing than having no images.
    """

    patients: int
    cases: int
    studies: int
    series: int
    instances: int
    all_patients: int
    basic_patients: int
    extended_patients: int


@dataclass(frozen=True, slots=True)
class ResultTable:
    """Rows at the query's level in order of their pseudonyms; ``total`` counts those beyond the limit too."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    total: int


class CohortEngine(Protocol):
    """What answers queries; safe to share between threads."""

    def catalogue(self) -> Catalogue:
        """Return what can be asked for."""
        ...

    def count(self, query: Query) -> Counts:
        """Return the numbers of *query*."""
        ...

    def table(self, query: Query, limit: int) -> ResultTable:
        """Return the first *limit* rows of *query*."""
        ...

    def cohort(self, query: Query) -> tuple[Pseudonym, ...]:
        """Return the pseudonyms of all patients of *query*, in order."""
        ...


def choose(cursor: duckdb.DuckDBPyConnection, query: Query, catalogue: Catalogue) -> None:
    """Leave the keys of the query in temporary tables ``chosen_<frame>``.

    Raises:
        InvalidRequest: a name, unit, operator or operand that the warehouse cannot answer to.

    """
    resolve(query, catalogue)
    where = place(query.where, Frame.PATIENT, catalogue)
    compiler = Compiler(catalogue)
    _keep(cursor, Frame.PATIENT, compiler.keys(where, Frame.PATIENT), compiler)
    for frame in (Frame.CASE, *_IMAGING):
        found = compiler.witnesses(where, Frame.PATIENT, frame) if frame.is_imaging else []
        _keep(cursor, frame, unite(found) if found else universe(frame), compiler)


def _keep(cursor: duckdb.DuckDBPyConnection, frame: Frame, keys: exp.Select, compiler: Compiler) -> None:
    used = {str(p.this.this) for p in keys.find_all(exp.Parameter)}
    parameters = {name: value for name, value in compiler.parameters.items() if name in used}
    theirs = "" if frame is Frame.PATIENT else "WHERE patient_key IN (SELECT patient_key FROM chosen_patient)"
    key = key_of(frame)
    statement = sqlglot.parse_one(
        f"CREATE OR REPLACE TEMP TABLE chosen_{frame} AS SELECT DISTINCT {key} FROM {TABLES[frame]} "  # noqa: S608 - frame names only
        f"{theirs} {'AND' if theirs else 'WHERE'} {key} IN (SELECT k FROM chosen)",
        dialect="duckdb",
    )
    for table in statement.find_all(exp.Table):
        if table.name == "chosen":
            table.replace(keys.subquery("chosen", copy=False))
    cursor.execute(statement.sql("duckdb"), parameters)


def read_counts(cursor: duckdb.DuckDBPyConnection) -> Counts:
    """Return the numbers of the chosen keys."""
    parts = [f"(SELECT count(*) FROM chosen_{f})" for f in (Frame.PATIENT, Frame.CASE, *_IMAGING)]  # noqa: S608 - frame names only
    parts.append("(SELECT count(*) FROM patient)")
    parts += [f"(SELECT count(*) FROM coverage WHERE source = '{s}')" for s in ("basic", "extended")]  # noqa: S608 - two constants
    row = cursor.execute(f"SELECT {', '.join(parts)}").fetchall()[0]
    return Counts(*(int(number) for number in row))


def read_patients(cursor: duckdb.DuckDBPyConnection) -> tuple[Pseudonym, ...]:
    """Return the pseudonyms of the chosen patients, in order."""
    rows = cursor.execute("SELECT patient FROM patient JOIN chosen_patient USING (patient_key) ORDER BY ALL")
    return tuple(Pseudonym(text) for (text,) in rows.fetchall())


def read_table(
    cursor: duckdb.DuckDBPyConnection, query: Query, catalogue: Catalogue, limit: int
) -> ResultTable:
    """Return the first *limit* rows of the chosen keys with the query's columns.

    Raises:
        InvalidRequest: the table has more than a million rows and *limit* asks for them.

    """
    level, keys = query.level, _KEYS[query.level]
    key = key_of(level)
    total = int(cursor.execute(f"SELECT count(*) FROM chosen_{level}").fetchall()[0][0])  # noqa: S608 - frame names only
    if min(total, limit) > MOST_ROWS:
        raise InvalidRequest(
            "level", f"makes a table of more than {MOST_ROWS} rows", "choose a coarser level"
        )
    names = ", ".join(f'"{name}"' for name in keys)
    cursor.execute(
        f"CREATE OR REPLACE TEMP TABLE shown AS SELECT x.{key}, {names} FROM {_PARENTS[level]} "  # noqa: S608 - constants
        f"JOIN chosen_{level} USING ({key}) ORDER BY {names} LIMIT $limit",
        {"limit": limit},
    )
    joins, values = [], []
    parameters: dict[str, str] = {}
    for index, wanted in enumerate(query.columns):
        attribute = catalogue.attribute(wanted.attribute, f"columns[{index}].attribute")
        values.append(f"coalesce(c{index}.v, 0)" if wanted.reduce is Reduce.COUNT else f"c{index}.v")
        joins.append(f"LEFT JOIN ({_column(attribute, wanted, level, index)}) c{index} USING ({key})")
        if attribute.source is not Source.COLUMN:
            parameters[f"keyword{index}"] = attribute.name
    cursor.execute(
        f"SELECT {', '.join([names, *values])} FROM shown {' '.join(joins)} ORDER BY {names}",  # noqa: S608 - constants
        parameters,
    )
    titles = (*keys, *(wanted.title for wanted in query.columns))
    return ResultTable(titles, tuple(tuple(r) for r in cursor.fetchall()), total)


def _column(attribute: Attribute, wanted: Column, level: Frame, index: int) -> str:
    """Return SQL for (key of level, v); all of it constants, ``$keywordN`` and names of known columns."""
    if attribute.source is Source.FACT:
        value = '"number"' if attribute.has_number else 'coalesce(code, "text")'
        home = Frame.CASE if level is Frame.CASE else Frame.PATIENT
        rows = [(_FACT_ROWS, home)]
    elif attribute.source is Source.HEADER:
        value = '"number"' if attribute.has_number else 'coalesce("text", CAST("date" AS VARCHAR))'
        rows = _header_homes(level)
    else:
        value = f'"{attribute.name}"'
        if attribute.type in {Type.TEXT, Type.MULTI}:
            value = f"nullif({value}, '')"
        is_coarser = not level.is_imaging and attribute.frame.is_imaging
        rows = [(_ROWS[attribute.frame], level if is_coarser else attribute.frame)]
    parts = [
        _at_level(text.replace("$keyword", f"$keyword{index}"), home, level, value) for text, home in rows
    ]
    reduced = _REDUCED[wanted.reduce].format(v="val")
    key = key_of(level)
    values = " UNION ALL ".join(parts)
    return f"SELECT {key}, {reduced} AS v FROM ({values}) WHERE val IS NOT NULL GROUP BY {key}"  # noqa: S608 - constants


def _header_homes(level: Frame) -> list[tuple[str, Frame]]:
    if not level.is_imaging:
        return [(_HEADER_ROWS, level)]
    if level is Frame.STUDY:
        return [(_HEADER_ROWS, Frame.STUDY)]
    of_study = (f"{_HEADER_ROWS} AND x.series_key IS NULL", Frame.STUDY)
    if level is Frame.SERIES:
        return [(_HEADER_ROWS, Frame.SERIES), of_study]
    of_series = (f"{_HEADER_ROWS} AND x.instance_key IS NULL AND x.series_key IS NOT NULL", Frame.SERIES)
    return [(_HEADER_ROWS, Frame.INSTANCE), of_series, of_study]


def _at_level(rows: str, home: Frame, level: Frame, value: str) -> str:
    """Return SQL for (key of level, val, day) of *rows*, whose keys of *home* lead to the level."""
    key = key_of(level)
    if home is level:
        return f"SELECT w.{key}, {value} AS val, day FROM ({rows}) w WHERE w.{key} IS NOT NULL"  # noqa: S608 - constants
    relation = RELATIONS[frozenset({home, level})]
    return (
        f"SELECT r.{key}, {value} AS val, day FROM ({rows}) w "  # noqa: S608 - constants
        f"JOIN ({relation}) r ON r.{key_of(home)} = w.{key_of(home)}"
    )
