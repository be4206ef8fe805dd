"""Erase patients: every row that is theirs, in every table, and the proof that none is left.

Receipts name batches, digests and numbers of rows, no patient; a digest of a batch with the patient in it
remains, so that the same batch is not loaded again by mistake.
"""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from p2d.warehouse.load.staging import Staging
from p2d.warehouse.statements import scalar

_BY_KEY: Final = (
    *("clinical_case", "document", "fact", "study", "series", "instance", "header"),
    *("study_document", "coverage", "issue"),
)
_BY_STUDY: Final = ("study_archive", "archive_gone")
_BY_PSEUDONYM: Final = ("cohort_member", "quarantine")
_THEIRS: Final = "patient_key IN (SELECT patient_key FROM leaving)"


def _of(key: str, table: str) -> str:
    return f"{key} IN (SELECT {key} FROM {table} WHERE {_THEIRS})"  # noqa: S608 - names of this module


def _lacks(key: str, table: str, parent: str) -> str:
    return f"NOT EXISTS (SELECT 1 FROM {parent} p WHERE p.{key} = {table}.{key})"  # noqa: S608 - as above


_LEAVING: Final = {
    "term": _of("document_key", "document"),
    "instance_archive": _of("instance_key", "instance"),
    **dict.fromkeys(_BY_STUDY, _of("study_key", "study")),
    **dict.fromkeys(_BY_PSEUDONYM, "patient IN (SELECT patient FROM leaving)"),
    **dict.fromkeys(_BY_KEY, _THEIRS),
    "patient": _THEIRS,
}
"""What leaves each table, children first: what they are found by must still be there."""

# What would still name them, counted after: rows by key, and children without a parent.
_LEFT: Final = {
    **{table: _LEAVING[table] for table in (*_BY_KEY, *_BY_PSEUDONYM, "patient")},
    "term": _lacks("document_key", "term", "document"),
    "instance_archive": _lacks("instance_key", "instance_archive", "instance"),
    **{table: _lacks("study_key", table, "study") for table in _BY_STUDY},
}


def erase(
    session: Staging, patients: Sequence[str], *, keeps_words: bool
) -> tuple[dict[str, int], dict[str, int]]:
    """Delete all rows of *patients*; return, by table, how many went and how many are left (none).

    Unknown pseudonyms are passed over, but still deleted from saved cohorts and the quarantine.
    *keeps_words* says that there is an index of the words of documents.
    """
    session.receive("asked", pa.table({"patient": pa.array(sorted(set(patients)), pa.string())}))
    session.keep(
        "leaving", "SELECT a.patient, p.patient_key FROM asked a LEFT JOIN patient p ON p.patient = a.patient"
    )
    gone = {
        table: session.changed(f"DELETE FROM {table} WHERE {condition}")  # noqa: S608 - names and conditions of this module
        for table, condition in _LEAVING.items()
        if table != "term" or keeps_words
    }
    left = {
        table: scalar(session, f"SELECT count(*) FROM {table} WHERE {condition}")  # noqa: S608 - as above
        for table, condition in _LEFT.items()
        if table != "term" or keeps_words
    }
    session.rows("UPDATE catalogue_attribute SET is_stale = true")
    return gone, left
