"""The indexes that the query language needs; natural keys have theirs from the tables on.

They cost more time than the rows themselves. A first, large load goes faster without: ``drop`` them, load,
``build`` them again. Queries are answered meanwhile, only slowly.
"""

from collections.abc import Mapping
from typing import Final

import psycopg
from psycopg import sql

from p2d.warehouse.postgresql.connection import SCHEMA
from p2d.warehouse.statements import Row

_TRIGRAMS: Final = {
    "document_text_trigram": ("document", "text"),
    "study_description_trigram": ("study", "StudyDescription"),
    "series_description_trigram": ("series", "SeriesDescription"),
}
_BTREES: Final[Mapping[str, str]] = {
    "fact_number": 'fact (attribute, "number", patient_key) WHERE "number" IS NOT NULL',
    "fact_code": "fact (attribute, code varchar_pattern_ops, patient_key) WHERE code IS NOT NULL",
    # without the text itself: an entry has to be shorter than a third of a page
    "fact_text": "fact (attribute, patient_key)"
    " WHERE NULLIF(code, '') IS NULL AND NULLIF(\"text\", '') IS NOT NULL",
    "fact_attribute": "fact (attribute, patient_key)",
    "fact_group": "fact (group_key)",
    "fact_document": "fact (document_key) WHERE document_key IS NOT NULL",
    "document_kind": "document (kind, patient_key)",
    "study_date": 'study (patient_key, "StudyDate")',
    # with what questions join by, so that the wide rows of images are not read
    "series_of_modality": 'series ("Modality" varchar_pattern_ops, patient_key)'
    " INCLUDE (study_key, series_key)",
    "series_patient": "series (patient_key)",
    "instance_study": "instance (study_key)",
    "instance_patient": "instance (patient_key)",
    # for loads, which look for what is flagged of a batch's patients; hardly anything is
    "study_flagged": "study (patient_key) WHERE flags IS NOT NULL",
    "series_flagged": "series (patient_key) WHERE flags IS NOT NULL",
    "instance_flagged": "instance (patient_key) WHERE flags IS NOT NULL",
    "header_keyword": "header (keyword, patient_key)",
    # with whose it is: a header's numbers lie all over the widest of tables
    "header_number": 'header (keyword, "number") INCLUDE (patient_key, study_key, series_key, instance_key)'
    ' WHERE "number" IS NOT NULL',
    "header_patient": "header (patient_key)",
    "header_of_study": "header (keyword, patient_key) WHERE series_key IS NULL",
}
_BRINS: Final[Mapping[str, str]] = {
    "receipt_time": "receipt USING brin (committed_at)",
}
NAMES: Final = (*_TRIGRAMS, *_BTREES, *_BRINS)
_SUPERSEDED: Final = ("series_modality",)
"""Indexes of earlier versions that another one does the work of."""


def build(connection: psycopg.Connection[Row]) -> tuple[str, ...]:
    """Build the indexes that are missing, refresh the planner's statistics; return the names of the new ones.

    The extension ``pg_trgm`` is created where it is missing; PostgreSQL counts it as trusted, so that a
    database's owner may.
    """
    known = _present(connection)
    made = []
    connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    home = connection.execute(
        "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
        " WHERE e.extname = 'pg_trgm'"
    ).fetchone()
    trigram = sql.Identifier(home[0] if home else SCHEMA, "gin_trgm_ops")
    for name, (table, column) in _TRIGRAMS.items():
        if name not in known:
            statement = sql.SQL("CREATE INDEX {} ON {} USING gin ({} {})")
            parts = (sql.Identifier(part) for part in (name, table, column))
            connection.execute(statement.format(*parts, trigram))
            made.append(name)
    for name, where in {**_BTREES, **_BRINS}.items():
        if name not in known:
            connection.execute(sql.SQL("CREATE INDEX {} ON {}").format(sql.Identifier(name), sql.SQL(where)))
            made.append(name)
    for name in _SUPERSEDED:
        drops = sql.SQL("DROP INDEX IF EXISTS {}").format(sql.Identifier(SCHEMA, name))
        connection.execute(drops)
    connection.execute("ANALYZE")
    return tuple(made)


def drop(connection: psycopg.Connection[Row]) -> tuple[str, ...]:
    """Drop the indexes, earlier versions' too, until ``build``; return the names of those there were."""
    known = [name for name in (*NAMES, *_SUPERSEDED) if name in _present(connection)]
    for name in known:
        connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(SCHEMA, name)))
    return tuple(known)


def _present(connection: psycopg.Connection[Row]) -> frozenset[str]:
    rows = connection.execute("SELECT indexname FROM pg_indexes WHERE schemaname = %s", (SCHEMA,)).fetchall()
    return frozenset(str(name) for (name,) in rows)
