"""What a load leaves to be drawn together: provenance, catalogue, coverage, links, issues.

Runs inside the load's transaction and touches the batch's patients only. A study finds its case by the first
of: its accession's reports, where they name exactly one case; the case of its AdmissionID; its date, where it
lies within exactly one stay; none. Documents that arrive later change the answer.
"""

from typing import Final

from p2d.warehouse.batch import Batch
from p2d.warehouse.load.presence import PRESENCE_NAME
from p2d.warehouse.load.staging import Staging

_TOUCHED: Final = "SELECT DISTINCT patient_key FROM ({parts}) found"
# Kept, so that an engine sees how few they are before it joins reports to them.
_TOUCHED_STUDIES: Final = """
SELECT s.study_key, s.patient_key, s.study, s.accession, s.admission_case, s."StudyDate"
FROM study s JOIN touched USING (patient_key)
"""

_ARCHIVES: Final = """
INSERT INTO study_archive
SELECT DISTINCT st.study_key, s.one FROM (
  SELECT patient_key, study, unnest(string_to_array(archive, ' ')) AS one FROM staged_study) s
JOIN study st ON st.patient_key = s.patient_key AND st.study = s.study
WHERE NOT EXISTS (SELECT 1 FROM study_archive a WHERE a.study_key = st.study_key AND a.archive = s.one)
"""
_INSTANCE_ARCHIVES: Final = """
INSERT INTO instance_archive
SELECT DISTINCT o.instance_key, s.one FROM (
  SELECT series_key, instance, unnest(string_to_array(archives, ' ')) AS one FROM staged_instance) s
JOIN instance o ON o.series_key = s.series_key AND o.instance = s.instance
WHERE NOT EXISTS (
  SELECT 1 FROM instance_archive a WHERE a.instance_key = o.instance_key AND a.archive = s.one)
"""

# A series with header rows, or one of whose instances was read as a whole, is extracted.
_EXTENDED_SERIES: Final = """
UPDATE series SET extended_run = seen.run, extended_scope = seen.scope FROM (
  SELECT se.series_key,
    coalesce(CAST($run AS VARCHAR), max(se.extended_run)) AS run,
    CASE WHEN count(i.extended_run) >= greatest(coalesce(max(se."NumberOfSeriesRelatedInstances"), 0),
      count(i.instance_key)) AND count(i.extended_run) > 0 THEN 'all' ELSE 'part' END AS scope
  FROM series se JOIN ({part}) touched_series USING (series_key)
  LEFT JOIN instance i ON i.series_key = se.series_key GROUP BY se.series_key
) seen WHERE series.series_key = seen.series_key
  AND (series.extended_run IS DISTINCT FROM seen.run OR series.extended_scope <> seen.scope)
"""

_CATALOGUE: Final = """
MERGE INTO attribute t USING ({part}) s ON t.kind = s.kind AND t.name = s.name AND t.unit = s.unit
WHEN MATCHED AND (s.has_number > t.has_number OR s.has_text > t.has_text) THEN UPDATE
  SET has_number = t.has_number OR s.has_number, has_text = t.has_text OR s.has_text
WHEN NOT MATCHED THEN INSERT (kind, name, unit, has_number, has_text)
  VALUES (s.kind, s.name, s.unit, s.has_number, s.has_text)
"""
_CATALOGUE_PARTS: Final = {
    "fact": """SELECT 'fact' AS kind, attribute AS name, coalesce(unit, '') AS unit,
        bool_or("number" IS NOT NULL) AS has_number,
        bool_or("text" IS NOT NULL OR code IS NOT NULL) AS has_text
        FROM staged_fact GROUP BY attribute, coalesce(unit, '')""",
    "document": """SELECT 'document' AS kind, kind AS name, '' AS unit,
        false AS has_number, true AS has_text
        FROM staged_document GROUP BY kind""",
    "header": """SELECT 'header' AS kind, keyword AS name, '' AS unit,
        bool_or("number" IS NOT NULL) AS has_number, bool_or("text" IS NOT NULL) AS has_text
        FROM staged_header WHERE keyword <> '' GROUP BY keyword""",
}

_COVERAGE: Final = """
MERGE INTO coverage t USING (SELECT patient_key, CAST($source AS VARCHAR) AS source FROM touched) s
ON t.patient_key = s.patient_key AND t.source = s.source
WHEN MATCHED AND t.run_id IS DISTINCT FROM $run THEN UPDATE SET run_id = $run, "at" = now()::TIMESTAMP
WHEN NOT MATCHED THEN INSERT (patient_key, source, run_id, "at")
  VALUES (s.patient_key, s.source, $run, now()::TIMESTAMP)
"""

_LINKED: Final = """
SELECT s.study_key, d.document_key, s.patient_key FROM touched_study s
JOIN document d ON d.patient_key = s.patient_key AND d.accession = s.accession
"""
# Links that stay are not written again.
_REPORTS: Final = (
    """DELETE FROM study_document WHERE patient_key IN (SELECT patient_key FROM touched)
    AND NOT EXISTS (SELECT 1 FROM linked n WHERE n.study_key = study_document.study_key
      AND n.document_key = study_document.document_key)""",
    """INSERT INTO study_document
    SELECT n.study_key, n.document_key, n.patient_key FROM linked n
    WHERE NOT EXISTS (SELECT 1 FROM study_document l WHERE l.study_key = n.study_key
      AND l.document_key = n.document_key)""",
)

_CASES: Final = """
UPDATE study SET case_key = found.case_key, link_method = found.link_method FROM (
  WITH by_accession AS (
    SELECT l.study_key, min(d.case_key) AS case_key FROM touched_study JOIN study_document l USING (study_key)
    JOIN document d USING (document_key) GROUP BY l.study_key HAVING count(DISTINCT d.case_key) = 1),
  by_admission AS (
    SELECT a.study_key, c.case_key FROM touched_study a
    JOIN clinical_case c ON c.patient_key = a.patient_key AND c."case" = a.admission_case),
  by_time AS (
    SELECT a.study_key, min(c.case_key) AS case_key FROM touched_study a
    JOIN clinical_case c ON c.patient_key = a.patient_key
    WHERE a."StudyDate" BETWEEN c."start" AND coalesce(c."end", DATE '9999-12-31')
    GROUP BY a.study_key HAVING count(*) = 1)
  SELECT a.study_key, coalesce(x.case_key, y.case_key, z.case_key) AS case_key,
    CASE WHEN x.case_key IS NOT NULL THEN 'accession' WHEN y.case_key IS NOT NULL THEN 'admission'
      WHEN z.case_key IS NOT NULL THEN 'time' ELSE 'none' END AS link_method
  FROM touched_study a LEFT JOIN by_accession x USING (study_key) LEFT JOIN by_admission y USING (study_key)
  LEFT JOIN by_time z USING (study_key)
) found WHERE study.study_key = found.study_key
  AND (study.case_key IS DISTINCT FROM found.case_key OR study.link_method <> found.link_method)
"""

_OTHER_PATIENT: Final = """
UPDATE study SET flags = join_flags(flags, 'study_under_other_patient')
WHERE study IN (SELECT study FROM staged_study) AND study IN (
  SELECT study FROM study WHERE study IN (SELECT study FROM staged_study) GROUP BY study HAVING count(*) > 1)
"""
# Patients of the same study elsewhere get their issue, too; coverage was recorded before.
_TOUCHED_TOO: Final = """
INSERT INTO touched SELECT DISTINCT patient_key FROM study WHERE study IN (SELECT study FROM staged_study)
  AND patient_key NOT IN (SELECT patient_key FROM touched)
"""

_FLAGGED: Final = """
SELECT unnest(string_to_array(t.flags, ' ')) AS kind, '{level}' AS "level", t.patient_key, t.{level} AS "key"
FROM {level} t JOIN touched USING (patient_key) WHERE t.flags IS NOT NULL
"""
_AMBIGUOUS: Final = """
SELECT 'accession_several_cases', 'study', s.patient_key, s.study FROM touched_study s
JOIN study_document l USING (study_key) JOIN document d USING (document_key)
GROUP BY s.patient_key, s.study HAVING count(DISTINCT d.case_key) > 1
UNION ALL
SELECT DISTINCT 'accession_other_patient', 'study', s.patient_key, s.study FROM touched_study s
JOIN document d ON d.accession = s.accession AND d.patient_key <> s.patient_key
"""
_ISSUES: Final = """
INSERT INTO issue
SELECT DISTINCT CAST($batch AS VARCHAR), f.kind, f."level", f.patient_key, f."key", CAST(NULL AS VARCHAR)
FROM ({part}) f
WHERE NOT EXISTS (SELECT 1 FROM issue i WHERE i.kind = f.kind AND i."level" = f."level"
  AND i.patient_key = f.patient_key AND i."key" = f."key")
"""


def draw_together(session: Staging, batch: Batch, tables: frozenset[str]) -> None:
    """Bring links, catalogue, coverage and issues of the patients of *batch* up to date.

    *tables* are those that ``merge_batch`` staged.
    """
    names = sorted(tables - {PRESENCE_NAME, "patient"})
    parts = [f"SELECT patient_key FROM staged_{name}" for name in names]  # noqa: S608 - names of TARGETS only
    if "patient" in tables:
        parts.append("SELECT p.patient_key FROM staged_patient JOIN patient p USING (patient)")
    if not parts:
        return
    session.keep("touched", _TOUCHED.format(parts=" UNION ALL ".join(parts)))
    session.rows(_COVERAGE, source=batch.source, run=batch.run_id)
    if "study" in tables:
        session.rows(_ARCHIVES)
        session.rows(_OTHER_PATIENT)
        session.rows(_TOUCHED_TOO)
    if "instance" in tables:
        session.rows(_INSTANCE_ARCHIVES)
    _record_extended(session, tables, batch.run_id)
    for name, part in _CATALOGUE_PARTS.items():
        if name in tables:
            session.rows(_CATALOGUE.format(part=part))
    session.catch_up(tables)
    session.keep("touched_study", _TOUCHED_STUDIES)
    session.keep("linked", _LINKED)
    for statement in (*_REPORTS, _CASES):
        session.rows(statement)
    parts = [_FLAGGED.format(level=level) for level in ("study", "series", "instance")]
    session.rows(_ISSUES.format(part=" UNION ALL ".join([*parts, _AMBIGUOUS])), batch=batch.batch_id)


def _record_extended(session: Staging, tables: frozenset[str], run_id: str) -> None:
    extended = []
    if "instance" in tables:
        extended.append("SELECT series_key FROM staged_instance WHERE scope = 'extended'")
    if "header" in tables:
        extended.append("SELECT series_key FROM staged_header WHERE series_key IS NOT NULL")
    if extended:
        session.rows(_EXTENDED_SERIES.format(part=" UNION ".join(extended)), run=run_id)
