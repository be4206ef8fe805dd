"""Counts and distributions of the catalogue: made stale by loads, refreshed attribute by attribute."""

from typing import Any, Final

from p2d.warehouse.catalogue.entries import Commonest, Entry, Numbers
from p2d.warehouse.load.staging import Staging
from p2d.warehouse.statements import Statements
from p2d.warehouse.upkeep.columns import Holds, typed_columns

_MOST_VALUES: Final = 50
_LONGEST_VALUE: Final = 200

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
_NO_NUMBER: Final = "CAST(NULL AS DOUBLE PRECISION)"
_NO_TEXT: Final = "CAST(NULL AS VARCHAR)"
_VALUES: Final = {
    "fact": """SELECT 'fact' AS kind, v.attribute AS name, v.patient_key, v."date" AS day, v."number",
        coalesce(v.unit, '') AS unit, coalesce(v.code, v."text") AS value FROM fact v""",
    "header": """SELECT 'header' AS kind, v.keyword AS name, v.patient_key, v."date" AS day, v."number",
        '' AS unit, CASE WHEN v."number" IS NULL THEN v."text" END AS value FROM header v""",
    "document": f"""SELECT 'document' AS kind, v.kind AS name, v.patient_key, v."date" AS day,
        {_NO_NUMBER} AS "number", '' AS unit, {_NO_TEXT} AS value FROM document v""",  # noqa: S608 - constants
}
_NAMES: Final = {"fact": "v.attribute", "header": "v.keyword", "document": "v.kind"}
_COLUMN: Final = """SELECT 'column' AS kind, '{name}' AS name, v.patient_key, {day} AS day,
    {number} AS "number", '' AS unit, {value} AS value FROM {table} v WHERE v."{name}" IS NOT NULL"""

_IS_REFRESHED: Final = (
    "EXISTS (SELECT 1 FROM refreshed r WHERE r.kind = {table}.kind AND r.name = {table}.name)"
)
_COUNTED: Final = """
UPDATE catalogue_attribute SET facts = c.facts, patients = c.patients, "first" = c.earliest, "last" = c.latest
FROM (SELECT kind, name, count(*) AS facts, count(DISTINCT patient_key) AS patients, min(day) AS earliest,
  max(day) AS latest FROM ({values}) AS found GROUP BY kind, name) c
WHERE catalogue_attribute.kind = c.kind AND catalogue_attribute.name = c.name
"""
_QUARTILE: Final = 'percentile_cont({part}) WITHIN GROUP (ORDER BY "number")'
_QUARTILES: Final = ", ".join(_QUARTILE.format(part=part) for part in (0.25, 0.5, 0.75))
_NUMBERS: Final = f"""
INSERT INTO catalogue_number SELECT kind, name, unit, count(*), count(DISTINCT patient_key), min("number"),
  {_QUARTILES}, max("number")
FROM ({{values}}) AS found WHERE "number" IS NOT NULL GROUP BY kind, name, unit
"""  # noqa: S608 - constants of this module
_COMMONEST: Final = f"""
INSERT INTO catalogue_value SELECT kind, name, value, facts, patients FROM (
  SELECT kind, name, value, count(*) AS facts, count(DISTINCT patient_key) AS patients,
    row_number() OVER (PARTITION BY kind, name ORDER BY count(*) DESC, value) AS place
  FROM ({{values}}) AS found WHERE value <> '' AND length(value) <= {_LONGEST_VALUE}
  GROUP BY kind, name, value) AS ranked
WHERE place <= {_MOST_VALUES}
"""  # noqa: S608 - as above
_PATHS: Final = """
INSERT INTO catalogue_path SELECT keyword, path, count(*) FROM (
  SELECT v.keyword, regexp_replace(v.path, '\\[[0-9]+\\]', '', 'g') AS path
  FROM header v JOIN refreshed r ON r.kind = 'header' AND r.name = v.keyword
  WHERE v.path LIKE '%.%') AS placed
GROUP BY keyword, path
"""


def make_stale(session: Staging, staged: frozenset[str]) -> None:
    """Note the attributes that the *staged* tables touch, new ones included."""
    for name, part in _TOUCHED.items():
        if name in staged:
            session.rows(_STALE.format(part=part))
    _touch_columns(session, staged)


def _touch_columns(session: Statements, tables: frozenset[str]) -> None:
    known = typed_columns(session)
    touched = [(name, table) for table in known if table in tables for name in known[table]]
    if touched:
        parts = " UNION ALL ".join(
            f"SELECT 'column' AS kind, '{name}' AS name, '{table}' AS \"level\"" for name, table in touched
        )
        session.rows(_STALE.format(part=parts))


def discover(session: Statements) -> None:
    """Note all attributes there are, as after a migration, when no load has touched them yet."""
    for part in _TOUCHED.values():
        session.rows(_STALE.format(part=part.replace("staged_", "")))
    _touch_columns(session, frozenset(typed_columns(session)))


def refresh(session: Staging, *, everything: bool = False) -> int:
    """Count the stale attributes, or all of them; return how many were counted."""
    which = "" if everything else " WHERE is_stale"
    session.keep("refreshed", f"SELECT kind, name FROM catalogue_attribute{which}")  # noqa: S608 - a constant
    stale = [(kind, name) for kind, name in session.rows("SELECT kind, name FROM refreshed")]
    if not stale:
        return 0
    for table in ("catalogue_number", "catalogue_value"):
        session.rows(f"DELETE FROM {table} WHERE {_IS_REFRESHED.format(table=table)}")  # noqa: S608 - names of this module
    session.rows(
        "DELETE FROM catalogue_path WHERE name IN (SELECT name FROM refreshed WHERE kind = 'header')"
    )
    session.rows(
        'UPDATE catalogue_attribute SET facts = 0, patients = 0, "first" = NULL, "last" = NULL, '  # noqa: S608 - as above
        "is_stale = false, refreshed_at = now()::TIMESTAMP WHERE "
        + _IS_REFRESHED.format(table="catalogue_attribute")
    )
    for values in _sources(session, stale):
        for statement in (_COUNTED, _NUMBERS, _COMMONEST):
            session.rows(statement.format(values=values))
    session.rows(_PATHS)
    return len(stale)


def has_stale(session: Statements) -> bool:
    """Whether a load has touched what was not counted since."""
    return bool(session.rows("SELECT 1 FROM catalogue_attribute WHERE is_stale LIMIT 1"))


def read_entries(session: Statements) -> list[Entry]:
    """Return all attributes that have values, with what was counted of them."""
    numbers = _by_name(session, "catalogue_number", "kind, name, unit")
    values = _by_name(session, "catalogue_value", "kind, name, facts DESC, value")
    paths = session.rows("SELECT name, path FROM catalogue_path ORDER BY name, facts DESC, path")
    rows = session.rows(
        'SELECT kind, name, "level", facts, patients, "first", "last" FROM catalogue_attribute '
        "WHERE facts > 0 ORDER BY kind, name"
    )
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


def common_values(session: Statements, name: str, patients: int) -> tuple[str, ...]:
    """Return the commonest values of the attribute *name* that at least so many *patients* share."""
    rows = session.rows(
        "SELECT value FROM catalogue_value WHERE name = $name AND patients >= $patients "
        "ORDER BY facts DESC, value",
        name=name,
        patients=patients,
    )
    return tuple(str(value) for (value,) in rows)


def _sources(session: Statements, stale: list[tuple[str, str]]) -> list[str]:
    """Return, for each kind, a SELECT of the values of its stale attributes."""
    found = [
        f"{_VALUES[kind]} JOIN refreshed r ON r.kind = '{kind}' AND r.name = {_NAMES[kind]}"
        for kind in _VALUES
        if any(one == kind for one, _ in stale)
    ]
    wanted = {name for kind, name in stale if kind == "column"}
    for table, columns in typed_columns(session).items():
        for name, holds in columns.items():
            if name in wanted:
                found.append(_column(table, name, holds))
    return found


def _column(table: str, name: str, holds: Holds) -> str:
    place = f'v."{name}"'
    return _COLUMN.format(
        table=table,
        name=name,
        day=place if holds == "date" else "CAST(NULL AS DATE)",
        number=f"CAST({place} AS DOUBLE PRECISION)" if holds == "number" else _NO_NUMBER,
        value=place if holds == "text" else _NO_TEXT,
    )


def _by_name(session: Statements, table: str, order: str) -> dict[tuple[Any, ...], list[tuple[Any, ...]]]:
    found: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for kind, name, *rest in session.rows(f"SELECT * FROM {table} ORDER BY {order}"):  # noqa: S608 - names of this module
        found.setdefault((kind, name), []).append(tuple(rest))
    return found
