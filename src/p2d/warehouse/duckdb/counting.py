"""Counts and distributions of the catalogue: made stale by loads, refreshed attribute by attribute."""

from typing import Any, Final

import duckdb

from p2d.warehouse.catalogue.entries import Commonest, Entry, Numbers
from p2d.warehouse.duckdb.columns import typed_columns

_MOST_VALUES: Final = 50
_LONGEST_VALUE: Final = 200
_TABLES: Final = ("catalogue_number", "catalogue_value", "catalogue_path", "catalogue_attribute")

# What touches which attribute, by the staged table that does.
_TOUCHED: Final = {
    "fact": "SELECT DISTINCT 'fact' AS kind, attribute AS name, 'patient' AS \"level\" FROM staged_fact",
    "document": "SELECT DISTINCT 'document' AS kind, kind AS name, 'document' AS \"level\" "
    "FROM staged_document",
    "header": "SELECT 'header' AS kind, keyword AS name, CASE WHEN bool_or(instance_key IS NOT NULL) THEN "
    "'instance' WHEN bool_or(series_key IS NOT NULL) THEN 'series' ELSE 'study' END AS \"level\" "
    "FROM staged_header WHERE keyword <> '' GROUP BY keyword",
}
_STALE: Final = """
MERGE INTO catalogue_attribute t USING ({part}) s ON t.kind = s.kind AND t.name = s.name
WHEN MATCHED AND (NOT t.is_stale OR t."level" > s."level") THEN UPDATE
  SET is_stale = true, "level" = least(t."level", s."level")
WHEN NOT MATCHED THEN INSERT (kind, name, "level", facts, patients, is_stale)
  VALUES (s.kind, s.name, s."level", 0, 0, true)
"""

# The values behind every stale attribute, one row a value.
_VALUES: Final = {
    "fact": """SELECT 'fact' AS kind, v.attribute AS name, v.patient_key, v."date" AS day, v."number",
        coalesce(v.unit, '') AS unit, coalesce(v.code, v."text") AS value FROM fact v""",
    "header": """SELECT 'header' AS kind, v.keyword AS name, v.patient_key, v."date" AS day, v."number",
        '' AS unit, CASE WHEN v."number" IS NULL THEN v."text" END AS value FROM header v""",
    "document": """SELECT 'document' AS kind, v.kind AS name, v.patient_key, v."date" AS day,
        NULL::DOUBLE AS "number", '' AS unit, NULL::VARCHAR AS value FROM document v""",
}
_NAMES: Final = {"fact": "v.attribute", "header": "v.keyword", "document": "v.kind"}
_COLUMN: Final = """SELECT 'column' AS kind, '{name}' AS name, v.patient_key, {day} AS day,
    {number} AS "number", '' AS unit, {value} AS value FROM {table} v WHERE v."{name}" IS NOT NULL"""

_COUNTED: Final = """
UPDATE catalogue_attribute SET facts = c.facts, patients = c.patients, "first" = c.earliest, "last" = c.latest
FROM (SELECT kind, name, count(*) AS facts, count(DISTINCT patient_key) AS patients, min(day) AS earliest,
  max(day) AS latest FROM {values} GROUP BY ALL) c
WHERE catalogue_attribute.kind = c.kind AND catalogue_attribute.name = c.name
"""
_NUMBERS: Final = """
INSERT INTO catalogue_number SELECT kind, name, unit, count(*), count(DISTINCT patient_key), min("number"),
  quantile_cont("number", 0.25), quantile_cont("number", 0.5), quantile_cont("number", 0.75), max("number")
FROM {values} WHERE "number" IS NOT NULL GROUP BY ALL
"""
_COMMONEST: Final = f"""
INSERT INTO catalogue_value
SELECT kind, name, value, count(*) AS facts, count(DISTINCT patient_key) AS patients
FROM {{values}} WHERE value <> '' AND length(value) <= {_LONGEST_VALUE} GROUP BY kind, name, value
QUALIFY row_number() OVER (PARTITION BY kind, name ORDER BY facts DESC, value) <= {_MOST_VALUES}
"""  # noqa: S608 - constants of this module
_PATHS: Final = """
INSERT INTO catalogue_path SELECT v.keyword, regexp_replace(v.path, '\\[[0-9]+\\]', '', 'g') AS path, count(*)
FROM header v JOIN refreshed r ON r.kind = 'header' AND r.name = v.keyword
WHERE contains(v.path, '.') GROUP BY ALL
"""


def make_stale(cursor: duckdb.DuckDBPyConnection, staged: frozenset[str]) -> None:
    """Note the attributes that the *staged* tables touch, new ones included."""
    for name, part in _TOUCHED.items():
        if name in staged:
            cursor.execute(_STALE.format(part=part))
    _touch_columns(cursor, staged)


def _touch_columns(cursor: duckdb.DuckDBPyConnection, tables: frozenset[str]) -> None:
    known = typed_columns(cursor)
    touched = [(name, table) for table in known if table in tables for name in known[table]]
    if touched:
        parts = " UNION ALL ".join(
            f"SELECT 'column' AS kind, '{name}' AS name, '{table}' AS \"level\"" for name, table in touched
        )
        cursor.execute(_STALE.format(part=parts))


def discover(cursor: duckdb.DuckDBPyConnection) -> None:
    """Note all attributes there are, as after a migration, when no load has touched them yet."""
    for part in _TOUCHED.values():
        cursor.execute(_STALE.format(part=part.replace("staged_", "")))
    _touch_columns(cursor, frozenset(typed_columns(cursor)))


def refresh(cursor: duckdb.DuckDBPyConnection, *, everything: bool = False) -> int:
    """Count the stale attributes, or all of them; return how many were counted."""
    which = "" if everything else " WHERE is_stale"
    cursor.execute(
        f"CREATE OR REPLACE TEMP TABLE refreshed AS SELECT kind, name FROM catalogue_attribute{which}"  # noqa: S608 - a constant
    )
    stale = cursor.execute("SELECT kind, name FROM refreshed").fetchall()
    if not stale:
        return 0
    for table in _TABLES[:2]:
        cursor.execute(f"DELETE FROM {table} WHERE (kind, name) IN (SELECT (kind, name) FROM refreshed)")  # noqa: S608 - names of this module
    cursor.execute(
        "DELETE FROM catalogue_path WHERE name IN (SELECT name FROM refreshed WHERE kind = 'header')"
    )
    cursor.execute(
        'UPDATE catalogue_attribute SET facts = 0, patients = 0, "first" = NULL, "last" = NULL, '
        "is_stale = false, refreshed_at = now()::TIMESTAMP "
        "WHERE (kind, name) IN (SELECT (kind, name) FROM refreshed)"
    )
    for values in _sources(cursor, stale):
        for statement in (_COUNTED, _NUMBERS, _COMMONEST):
            cursor.execute(statement.format(values=f"({values})"))
    cursor.execute(_PATHS)
    return len(stale)


def has_stale(cursor: duckdb.DuckDBPyConnection) -> bool:
    """Whether a load has touched what was not counted since."""
    return bool(cursor.execute("SELECT 1 FROM catalogue_attribute WHERE is_stale LIMIT 1").fetchall())


def read_entries(cursor: duckdb.DuckDBPyConnection) -> list[Entry]:
    """Return all attributes that have values, with what was counted of them."""
    numbers = _by_name(cursor, "catalogue_number", "kind, name, unit")
    values = _by_name(cursor, "catalogue_value", "kind, name, facts DESC, value")
    paths = cursor.execute("SELECT name, path FROM catalogue_path ORDER BY name, facts DESC, path").fetchall()
    rows = cursor.execute(
        'SELECT kind, name, "level", facts, patients, "first", "last" FROM catalogue_attribute '
        "WHERE facts > 0 ORDER BY kind, name"
    ).fetchall()
    return [
        Entry(
            kind,
            name,
            level,
            facts,
            patients,
            first,
            last,
            tuple(Numbers(*found) for found in numbers.get((kind, name), ())),
            tuple(Commonest(*found) for found in values.get((kind, name), ())),
            tuple(path for of, path in paths if kind == "header" and of == name),
        )
        for kind, name, level, facts, patients, first, last in rows
    ]


def _sources(cursor: duckdb.DuckDBPyConnection, stale: list[tuple[str, str]]) -> list[str]:
    """Return, for each kind, a SELECT of the values of its stale attributes."""
    found = [
        f"{_VALUES[kind]} JOIN refreshed r ON r.kind = '{kind}' AND r.name = {_NAMES[kind]}"
        for kind in _VALUES
        if any(one == kind for one, _ in stale)
    ]
    wanted = {name for kind, name in stale if kind == "column"}
    for table, columns in typed_columns(cursor).items():
        for name, type_ in columns.items():
            if name in wanted:
                found.append(_column(table, name, type_))
    return found


def _column(table: str, name: str, type_: str) -> str:
    place = f'v."{name}"'
    return _COLUMN.format(
        table=table,
        name=name,
        day=place if type_ == "DATE" else "NULL::DATE",
        number=f"{place}::DOUBLE" if type_ in {"INTEGER", "BIGINT", "DOUBLE"} else "NULL::DOUBLE",
        value=place if type_ == "VARCHAR" else "NULL::VARCHAR",
    )


def _by_name(
    cursor: duckdb.DuckDBPyConnection, table: str, order: str
) -> dict[tuple[Any, ...], list[tuple[Any, ...]]]:
    found: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for kind, name, *rest in cursor.execute(f"SELECT * FROM {table} ORDER BY {order}").fetchall():  # noqa: S608 - names of this module
        found.setdefault((kind, name), []).append(tuple(rest))
    return found
