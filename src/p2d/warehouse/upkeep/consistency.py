"""Whether the store fits together: parents, keys, counts, links, words; a claim holds where 0 rows differ."""

import json
from collections import Counter
from typing import Final

from p2d.warehouse.statements import Statements, scalar

_PARENTS: Final = (
    ("clinical_case", "patient_key", "patient"),
    ("document", "patient_key", "patient"),
    ("document", "case_key", "clinical_case"),
    ("fact", "patient_key", "patient"),
    ("fact", "case_key", "clinical_case"),
    ("fact", "document_key", "document"),
    ("study", "patient_key", "patient"),
    ("study", "case_key", "clinical_case"),
    ("series", "patient_key", "patient"),
    ("series", "study_key", "study"),
    ("instance", "study_key", "study"),
    ("instance", "series_key", "series"),
    ("header", "study_key", "study"),
    ("header", "series_key", "series"),
    ("header", "instance_key", "instance"),
    ("study_archive", "study_key", "study"),
    ("archive_gone", "study_key", "study"),
    ("instance_archive", "instance_key", "instance"),
    ("study_document", "study_key", "study"),
    ("study_document", "document_key", "document"),
    ("coverage", "patient_key", "patient"),
    ("issue", "patient_key", "patient"),
    ("term", "document_key", "document"),
)
_RECEIVED: Final = {
    "case": "clinical_case",
    **{name: name for name in ("document", "fact", "study", "series", "instance", "header")},
}
_KEYS: Final = (
    ("patient", "patient"),
    ("patient", "patient_key"),
    ("clinical_case", 'patient_key, "case"'),
    ("document", "patient_key, document"),
    ("fact", "fact_key"),
    ("study", "patient_key, study"),
    ("series", "study_key, series"),
    ("instance", "series_key, instance"),
    ("header", "owner_key, path, item"),
    ("term", "term, document_key"),
)
_CLAIMS: Final = {
    "a series has the patient of its study": (
        "FROM series c JOIN study p USING (study_key) WHERE c.patient_key <> p.patient_key"
    ),
    "an instance has study and patient of its series": (
        "FROM instance c JOIN series p USING (series_key) "
        "WHERE c.patient_key <> p.patient_key OR c.study_key <> p.study_key"
    ),
    "a document has a case of its patient": (
        "FROM document d JOIN clinical_case c USING (case_key) WHERE c.patient_key <> d.patient_key"
    ),
    "a fact has a document of its patient": (
        "FROM fact f JOIN document d USING (document_key) WHERE f.patient_key <> d.patient_key"
    ),
    "a study has a case of its patient": (
        "FROM study s JOIN clinical_case c USING (case_key) WHERE c.patient_key <> s.patient_key"
    ),
    "a study has a case where its link says so": (
        "FROM study WHERE (case_key IS NULL) <> (link_method = 'none')"
    ),
    "study and report meet by the accession number of one patient": (
        "FROM study_document l JOIN study s USING (study_key) JOIN document d USING (document_key) "
        "WHERE s.accession IS DISTINCT FROM d.accession OR s.patient_key <> d.patient_key"
    ),
    "every report with a study's accession number is linked to it": (
        "FROM study s JOIN document d ON d.patient_key = s.patient_key AND d.accession = s.accession "
        "WHERE NOT EXISTS (SELECT 1 FROM study_document l "
        "WHERE l.study_key = s.study_key AND l.document_key = d.document_key)"
    ),
    "facts of a group share its key and belong to one document": (
        "FROM (SELECT group_key FROM fact GROUP BY group_key HAVING min(patient_key) <> max(patient_key) "
        "OR min(coalesce(document_key, 0)) <> max(coalesce(document_key, 0)) "
        "OR min(coalesce(\"group\", '')) <> max(coalesce(\"group\", ''))) AS mixed"
    ),
}
_OF_WORDS: Final = {
    "texts are in the word index": (
        "FROM document d WHERE regexp_matches(\"text\", '[\\pL\\pN]') AND NOT EXISTS "
        "(SELECT 1 FROM term t WHERE t.document_key = d.document_key)"
    ),
}


def inconsistencies(session: Statements, *, keeps_words: bool) -> dict[str, int]:
    """Return the claims that do not hold, each with the number of rows against it.

    *keeps_words* says that there is an index of the words of documents, which has to fit them, too.
    """
    claims = _CLAIMS | _OF_WORDS if keeps_words else dict(_CLAIMS)
    for table, key, parent in _PARENTS:
        if table != "term" or keeps_words:
            claims[f"{table}.{key} leads to a row of {parent}"] = (
                f"FROM {table} c WHERE c.{key} IS NOT NULL "  # noqa: S608 - names of this module
                f"AND NOT EXISTS (SELECT 1 FROM {parent} p WHERE p.{key} = c.{key})"
            )
    for table, columns in _KEYS:
        if table != "term" or keeps_words:
            claims[f"({columns}) is unique in {table}"] = (
                f"FROM (SELECT {columns} FROM {table} GROUP BY {columns} HAVING count(*) > 1) AS twice"  # noqa: S608 - as above
            )
    found = {}
    for claim, source in claims.items():
        number = scalar(session, f"SELECT count(*) {source}")
        if number:
            found[claim] = number
    return found | _unaccounted(session)


def _unaccounted(session: Statements) -> dict[str, int]:
    """Return the tables that hold more rows than all receipts together account for, and how many more."""
    sent: Counter[str] = Counter()
    for (rows,) in session.rows('SELECT "rows" FROM receipt'):
        sent.update(json.loads(rows))
    found = {}
    for name, table in _RECEIVED.items():
        held = scalar(session, f"SELECT count(*) FROM {table}")  # noqa: S608 - names of this module
        if held > sent[name]:
            found[f"receipts account for the rows of {table}"] = held - sent[name]
    return found
