"""Typed columns of the imaging tables and of patients: those of the schema and the promoted ones."""

from collections.abc import Mapping
from typing import Final

import duckdb

_OWN: Final = {
    "patient": ("sex", "birth_year"),
    "study": (
        *("StudyDate", "StudyTime", "StudyDescription", "ModalitiesInStudy"),
        *("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
    ),
    "series": (
        *("Modality", "SeriesNumber", "SeriesDescription", "SeriesDate", "BodyPartExamined", "ProtocolName"),
        *("Manufacturer", "NumberOfSeriesRelatedInstances"),
    ),
    "instance": ("InstanceNumber", "SOPClassUID", "Rows", "Columns", "NumberOfFrames"),
}
LEVELS: Final = ("study", "series", "instance")


def promoted(cursor: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    """Return the promoted columns by level: keyword and SQL type."""
    found: dict[str, dict[str, str]] = {level: {} for level in LEVELS}
    for keyword, level, type_ in cursor.execute(
        'SELECT keyword, "level", type FROM promotion ORDER BY ALL'
    ).fetchall():
        found[level][keyword] = type_
    return found


def typed_columns(cursor: duckdb.DuckDBPyConnection) -> Mapping[str, Mapping[str, str]]:
    """Return, by table, the columns that hold attributes, with their SQL types."""
    rows = cursor.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal ORDER BY ALL"
    ).fetchall()
    types = {(table, column): type_ for table, column, type_ in rows}
    more = promoted(cursor)
    return {
        table: {name: types[table, name] for name in (*own, *more.get(table, {}))}
        for table, own in _OWN.items()
    }
