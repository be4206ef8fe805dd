"""The SQL behind ``omop``: what gets a number, and how the canonical rows become OMOP's tables.

Runs in a ``Workbench``; ``mapped``, ``parameter`` and ``address`` are offered by the form.
"""
# ruff: noqa: S608 - text of ours

from collections.abc import Mapping
from typing import Final

from p2d.clinical.omop import ACCESSION
from p2d.clinical.relational import UNKNOWN_DAY

UNKNOWN_DATE: Final = f"DATE '{UNKNOWN_DAY}'"
_EHR: Final = 32817
"""Type concept: the record comes from an electronic health record."""
_UTF_8: Final = 32678
_MEASUREMENT_ID: Final = 1147138
"""Field concept ``measurement.measurement_id``."""
_PROCEDURE_ID: Final = 1147082
"""Field concept ``procedure_occurrence.procedure_occurrence_id``."""
_NOTE_DOMAIN: Final = 5085
_DOMAINS: Final[Mapping[str, int]] = {"Condition": 19, "Procedure": 10, "Measurement": 21, "Observation": 27}
"""Concepts of the vocabulary ``Domain``, as ``fact_relationship`` names tables by them."""

# coded: facts by the domain they go into. A number is a measurement, a code by the name of its attribute a
# condition (ICD…) or a procedure (OPS…), everything else an observation.
PREPARED: Final = f"""
CREATE OR REPLACE TEMP TABLE coded AS
SELECT f.fact_key, f.group_key, f.document_key, p.patient, f.patient_key, f.attribute, f.code, f."number",
  f."text", f.unit, f."time",
  c."case", coalesce(f."date", d."date", c."start", {UNKNOWN_DATE}) AS day,
  CASE WHEN f."number" IS NOT NULL THEN 'Measurement'
    WHEN f.code IS NOT NULL AND starts_with(upper(f.attribute), 'ICD') THEN 'Condition'
    WHEN f.code IS NOT NULL AND starts_with(upper(f.attribute), 'OPS') THEN 'Procedure'
    ELSE 'Observation' END AS domain,
  f.attribute || '|' || f.fact_key::VARCHAR AS "key",
  CASE WHEN f."number" IS NULL AND f.code IS NOT NULL THEN f.attribute || ':' || f.code
    ELSE f.attribute END AS concept
FROM fact f JOIN patient p USING (patient_key) LEFT JOIN document d USING (document_key)
LEFT JOIN clinical_case c ON c.case_key = f.case_key;
CREATE OR REPLACE TEMP TABLE imaged AS
SELECT s.study_key, s.study, s.accession, s."StudyDescription", s."StudyTime", s.patient_key, p.patient,
  c."case", coalesce(s."StudyDate", e.day, {UNKNOWN_DATE}) AS day, 'study|' || s.study AS "key"
FROM study s JOIN patient p USING (patient_key) LEFT JOIN clinical_case c ON c.case_key = s.case_key
LEFT JOIN (SELECT study_key, min("SeriesDate") AS day FROM series GROUP BY ALL) e USING (study_key);
CREATE OR REPLACE TEMP TABLE pictured AS
SELECT e.series_key, e.series, e."Modality", e."SeriesDescription", e."BodyPartExamined", e."SeriesDate",
  e."SeriesNumber", e."ProtocolName", e."Manufacturer", e.extended_scope, e.flags,
  coalesce(e."NumberOfSeriesRelatedInstances",
    (SELECT count(*) FROM instance i WHERE i.series_key = e.series_key)) AS images,
  i.*, i.study || '|' || e.series AS series_id, coalesce(e."SeriesDate", i.day) AS series_day
FROM series e JOIN imaged i USING (study_key);
CREATE OR REPLACE TEMP TABLE measured AS
SELECT a.series_key, a.keyword, a.number, a.value, r.ucum, x.patient, x.patient_key, x.series_id,
  x."case", x.series_day AS day, x.series_id || '|' || a.keyword AS "key"
FROM acquisition a JOIN parameter r USING (keyword) JOIN pictured x USING (series_key);
CREATE OR REPLACE TEMP TABLE written AS
SELECT d.document_key, d.document, d.kind, d.accession, d."text", p.patient, d.patient_key, c."case",
  coalesce(d."date", c."start", {UNKNOWN_DATE}) AS day
FROM document d JOIN patient p USING (patient_key) LEFT JOIN clinical_case c ON c.case_key = d.case_key
WHERE d."text" IS NOT NULL;
CREATE OR REPLACE TEMP TABLE concept_named AS
SELECT "key", any_value(name) AS name, any_value(domain) AS domain FROM (
  SELECT concept AS "key", coalesce(CASE WHEN code IS NOT NULL THEN "text" END, concept) AS name, domain
  FROM coded
  UNION ALL SELECT 'DICOM:' || keyword, 'DICOM ' || keyword, 'Measurement' FROM measured
  UNION ALL SELECT 'DICOM:StudyDescription', 'DICOM StudyDescription', 'Procedure' FROM imaged
  UNION ALL SELECT 'Modality:' || coalesce("Modality", ''), 'Modality ' || coalesce("Modality", 'unknown'),
    'Procedure' FROM pictured
) GROUP BY ALL
"""

IDS: Final[Mapping[str, str]] = {
    "concept": 'SELECT 0 AS owner, "key" FROM concept_named',
    "person": 'SELECT 0 AS owner, patient AS "key" FROM patient',
    "visit": 'SELECT n.id AS owner, c."case" AS "key" FROM clinical_case c JOIN patient p USING '
    "(patient_key) "
    'JOIN person_id n ON n."key" = p.patient',
    "condition": 'SELECT n.id AS owner, f."key" FROM coded f JOIN person_id n ON n."key" = f.patient '
    "WHERE f.domain = 'Condition'",
    "procedure": 'SELECT n.id AS owner, f."key" FROM (SELECT patient, "key" FROM coded WHERE domain = '
    '\'Procedure\' UNION ALL SELECT patient, "key" FROM imaged) f JOIN person_id n ON n."key" = f.patient',
    "measurement": 'SELECT n.id AS owner, f."key" FROM (SELECT patient, "key" FROM coded WHERE domain = '
    "'Measurement' UNION ALL SELECT patient, \"key\" FROM measured) f "
    'JOIN person_id n ON n."key" = f.patient',
    "observation": 'SELECT n.id AS owner, f."key" FROM (SELECT patient, "key" FROM coded WHERE domain = '
    "'Observation' UNION ALL SELECT patient, 'accession|' || document FROM written "
    "WHERE accession IS NOT NULL) f "
    'JOIN person_id n ON n."key" = f.patient',
    "note": 'SELECT n.id AS owner, w.document AS "key" FROM written w JOIN person_id n ON n."key" = '
    "w.patient",
    "image": 'SELECT n.id AS owner, x.series_id AS "key" FROM pictured x JOIN person_id n ON n."key" = '
    "x.patient",
    "feature": 'SELECT n.id AS owner, m."key" FROM measured m JOIN person_id n ON n."key" = m.patient',
}
"""The domains that numbers are given in, in order; each selects owner and key."""


def _mapped(vocabulary: str, code: str) -> str:
    """Return the standard concept of *code*, 0 where the map has none."""
    return f"coalesce((SELECT concept FROM mapped WHERE vocabulary = {vocabulary} AND code = {code}), 0)"


def _person(of: str) -> str:
    return f'JOIN person_id n ON n."key" = {of}.patient'


def _id(domain: str, key: str) -> str:
    return f'JOIN {domain}_id i ON i.owner = n.id AND i."key" = {key}'


def _visit(of: str) -> str:
    return f'LEFT JOIN visit_id v ON v.owner = n.id AND v."key" = {of}."case"'


_LINKED: Final = " UNION ALL ".join(
    f"SELECT {number} AS domain, i.id, f.document_key, f.group_key FROM coded f {_person('f')} "
    f"""{_id(domain.lower(), 'f."key"')} WHERE f.domain = '{domain}'"""
    for domain, number in _DOMAINS.items()
)
"""Every fact's own row by domain and number, with the document and group it belongs to."""

_FACTS: Final = f"""
FROM coded f {_person("f")} {{identified}} {_visit("f")} JOIN concept_id o ON o."key" = f.concept
WHERE f.domain = '{{domain}}'
"""


def _of_facts(domain: str, identified: str) -> str:
    return _FACTS.format(domain=domain, identified=_id(identified, 'f."key"'))


_CODE: Final = _mapped("f.attribute", "f.code")
_ATTRIBUTE: Final = _mapped("'attribute'", "f.attribute")

TABLES: Final[Mapping[str, str]] = {
    "cdm_source": f"""SELECT 'P2D warehouse' AS cdm_source_name, 'P2D' AS cdm_source_abbreviation,
        'the site' AS cdm_holder, current_date AS source_release_date, current_date AS cdm_release_date,
        'v5.4' AS cdm_version, {_mapped("'cdm'", "'v5.4'")} AS cdm_version_concept_id,
        'unknown' AS vocabulary_version""",
    "person": f"""SELECT n.id AS person_id, {_mapped("'sex'", "upper(p.sex)")} AS gender_concept_id,
        coalesce(p.birth_year, 0) AS year_of_birth, 0 AS race_concept_id, 0 AS ethnicity_concept_id,
        left(p.patient, 50) AS person_source_value, left(p.sex, 50) AS gender_source_value
        FROM patient p {_person("p")} ORDER BY ALL""",
    "observation_period": f"""SELECT n.id AS observation_period_id, n.id AS person_id,
        min(d.day) AS observation_period_start_date, max(d.last) AS observation_period_end_date,
        {_EHR} AS period_type_concept_id
        FROM (SELECT patient, day, day AS last FROM coded UNION ALL SELECT patient, day, day FROM imaged
          UNION ALL SELECT patient, day, day FROM written
          UNION ALL SELECT p.patient, c."start", coalesce(c."end", c."start") FROM clinical_case c
          JOIN patient p USING (patient_key) WHERE c."start" IS NOT NULL) d {_person("d")}
        WHERE d.day > {UNKNOWN_DATE} GROUP BY ALL ORDER BY ALL""",
    "visit_occurrence": f"""SELECT v.id AS visit_occurrence_id, n.id AS person_id,
        {_mapped("'case.type'", 'c."type"')} AS visit_concept_id,
        coalesce(c."start", c."end", {UNKNOWN_DATE}) AS visit_start_date,
        coalesce(c."end", c."start", {UNKNOWN_DATE}) AS visit_end_date, {_EHR} AS visit_type_concept_id,
        left(c."case", 50) AS visit_source_value
        FROM (SELECT c.*, p.patient FROM clinical_case c JOIN patient p USING (patient_key)) c {_person("c")}
        JOIN visit_id v ON v.owner = n.id AND v."key" = c."case" ORDER BY ALL""",
    "condition_occurrence": f"""SELECT i.id AS condition_occurrence_id, n.id AS person_id,
        {_CODE} AS condition_concept_id, f.day AS condition_start_date,
        moment(f.day, f."time") AS condition_start_datetime, {_EHR} AS condition_type_concept_id,
        v.id AS visit_occurrence_id, left(f.code, 50) AS condition_source_value,
        o.id AS condition_source_concept_id {_of_facts("Condition", "condition")} ORDER BY 1""",
    "procedure_occurrence": f"""SELECT * FROM (
        SELECT i.id AS procedure_occurrence_id, n.id AS person_id, {_CODE} AS procedure_concept_id,
        f.day AS procedure_date, moment(f.day, f."time") AS procedure_datetime,
        {_EHR} AS procedure_type_concept_id, v.id AS visit_occurrence_id,
        left(f.code, 50) AS procedure_source_value, o.id AS procedure_source_concept_id
        {_of_facts("Procedure", "procedure")}
        UNION ALL
        SELECT i.id, n.id, {_mapped("'StudyDescription'", 's."StudyDescription"')}, s.day,
        moment(s.day, s."StudyTime"), {_EHR}, v.id, left(s."StudyDescription", 50), o.id
        FROM imaged s {_person("s")} {_id("procedure", 's."key"')} {_visit("s")}
        JOIN concept_id o ON o."key" = 'DICOM:StudyDescription') ORDER BY 1""",
    "measurement": f"""SELECT * FROM (
        SELECT i.id AS measurement_id, n.id AS person_id, {_ATTRIBUTE} AS measurement_concept_id,
        f.day AS measurement_date, moment(f.day, f."time") AS measurement_datetime,
        f."time" AS measurement_time, {_EHR} AS measurement_type_concept_id,
        nullif({_mapped("'operator'", 'f."text"')}, 0) AS operator_concept_id, f."number" AS value_as_number,
        {_mapped("'unit'", "f.unit")} AS unit_concept_id, v.id AS visit_occurrence_id,
        left(f.attribute, 50) AS measurement_source_value, o.id AS measurement_source_concept_id,
        left(f.unit, 50) AS unit_source_value, left(coalesce(f.code, f."text"), 50) AS value_source_value
        {_of_facts("Measurement", "measurement")}
        UNION ALL
        SELECT i.id, n.id, {_mapped("'DICOM'", "m.keyword")}, m.day, m.day::TIMESTAMP, NULL, {_EHR}, NULL,
        m.number,
        {_mapped("'unit'", "m.ucum")}, v.id, m.keyword, o.id, m.ucum, left(m.value, 50)
        FROM measured m {_person("m")} {_id("measurement", 'm."key"')} {_visit("m")}
        JOIN concept_id o ON o."key" = 'DICOM:' || m.keyword) ORDER BY 1""",
    "observation": f"""SELECT * FROM (
        SELECT i.id AS observation_id, n.id AS person_id, CASE WHEN f.code IS NULL
        THEN {_ATTRIBUTE} ELSE {_CODE} END AS observation_concept_id, f.day AS observation_date,
        moment(f.day, f."time") AS observation_datetime, {_EHR} AS observation_type_concept_id,
        left(f."text", 60) AS value_as_string, v.id AS visit_occurrence_id,
        left(f.attribute, 50) AS observation_source_value, o.id AS observation_source_concept_id,
        left(f.unit, 50) AS unit_source_value, left(f.code, 50) AS value_source_value
        {_of_facts("Observation", "observation")}
        UNION ALL
        SELECT i.id, n.id, {_mapped("'attribute'", f"'{ACCESSION}'")}, w.day, w.day::TIMESTAMP, {_EHR},
        w.accession, v.id, '{ACCESSION}', 0, NULL, NULL
        FROM written w {_person("w")} {_id("observation", "'accession|' || w.document")} {_visit("w")})
        ORDER BY 1""",
    "note": f"""SELECT i.id AS note_id, n.id AS person_id, w.day AS note_date,
        w.day::TIMESTAMP AS note_datetime, {_EHR} AS note_type_concept_id,
        {_mapped("'document'", "w.kind")} AS note_class_concept_id, w.kind AS note_title,
        w."text" AS note_text, {_UTF_8} AS encoding_concept_id,
        {_mapped("'language'", "'de'")} AS language_concept_id, v.id AS visit_occurrence_id,
        left(w.kind, 50) AS note_source_value, l.id AS note_event_id,
        CASE WHEN l.id IS NOT NULL THEN {_PROCEDURE_ID} END AS note_event_field_concept_id
        FROM written w {_person("w")} {_id("note", "w.document")} {_visit("w")}
        LEFT JOIN (SELECT r.document_key, min(q.id) AS id FROM study_document r JOIN imaged s USING
          (study_key)
          JOIN person_id m ON m."key" = s.patient
          JOIN procedure_id q ON q.owner = m.id AND q."key" = s."key" GROUP BY ALL HAVING count(*) = 1) l
        ON l.document_key = w.document_key ORDER BY 1""",
    "image_occurrence": f"""SELECT i.id AS image_occurrence_id, n.id AS person_id, v.id AS
      visit_occurrence_id,
        q.id AS procedure_occurrence_id, a.dicomweb || '/studies/' || x.study || '/series/' || x.series
        AS wadors_uri, x.series_day AS image_occurrence_date, x.study AS "image_study_UID",
        x.series AS "image_series_UID",
        coalesce((SELECT concept FROM mapped WHERE vocabulary = 'Modality' AND code = x."Modality"), o.id)
        AS modality_concept_id,
        (SELECT concept FROM mapped WHERE vocabulary = 'BodyPartExamined' AND code = x."BodyPartExamined")
        AS anatomic_site_concept_id
        FROM pictured x {_person("x")} {_id("image", "x.series_id")} {_visit("x")}
        JOIN procedure_id q ON q.owner = n.id AND q."key" = x."key"
        JOIN concept_id o ON o."key" = 'Modality:' || coalesce(x."Modality", '')
        CROSS JOIN address a ORDER BY 1""",
    "image_feature": f"""SELECT i.id AS image_feature_id, n.id AS person_id, e.id AS image_occurrence_id,
        coalesce(nullif({_mapped("'DICOM'", "m.keyword")}, 0), o.id) AS image_feature_concept_id,
        {_EHR} AS image_feature_type_concept_id, {_MEASUREMENT_ID} AS image_feature_event_field_concept_id,
        q.id AS image_feature_event_id, 0 AS image_finding_concept_id, 0 AS image_finding_id
        FROM measured m {_person("m")} {_id("feature", 'm."key"')}
        JOIN image_id e ON e.owner = n.id AND e."key" = m.series_id
        JOIN measurement_id q ON q.owner = n.id AND q."key" = m."key"
        JOIN concept_id o ON o."key" = 'DICOM:' || m.keyword ORDER BY 1""",
    "image_occurrence_ext": f"""SELECT i.id AS image_occurrence_id, x.accession AS accession_number,
        x."StudyDescription" AS study_description, x."SeriesDescription" AS series_description,
        x."Modality" AS modality_source_value, x."BodyPartExamined" AS anatomic_site_source_value,
        x."ProtocolName" AS protocol_name, x."Manufacturer" AS manufacturer,
        x."SeriesNumber" AS series_number, x.images::INTEGER AS number_of_instances,
        x.extended_scope AS extended_scope, x.flags AS source_flag
        FROM pictured x {_person("x")} {_id("image", "x.series_id")} ORDER BY 1""",
    "procedure_note": f"""SELECT q.id AS procedure_occurrence_id, w.id AS note_id
        FROM study_document r JOIN imaged s USING (study_key) JOIN written d ON d.document_key =
          r.document_key
        {_person("s")} JOIN procedure_id q ON q.owner = n.id AND q."key" = s."key"
        JOIN note_id w ON w.owner = n.id AND w."key" = d.document ORDER BY ALL""",
    "fact_relationship": f"""WITH linked AS ({_LINKED})
        SELECT domain_1 AS domain_concept_id_1, id_1 AS fact_id_1, domain_2 AS domain_concept_id_2,
        id_2 AS fact_id_2, 0 AS relationship_concept_id FROM (
        SELECT {_NOTE_DOMAIN} AS domain_1, t.id AS id_1, l.domain AS domain_2, l.id AS id_2 FROM linked l
        JOIN written w USING (document_key) {_person("w")}
        JOIN note_id t ON t.owner = n.id AND t."key" = w.document
        UNION ALL
        SELECT {_NOTE_DOMAIN}, t.id, {_DOMAINS["Observation"]}, i.id FROM written w {_person("w")}
        {_id("observation", "'accession|' || w.document")}
        JOIN note_id t ON t.owner = n.id AND t."key" = w.document
        UNION ALL
        SELECT domain, head, domain, id FROM (
          SELECT *, min(id) OVER (PARTITION BY domain, group_key) AS head FROM linked) WHERE id <> head)
        ORDER BY ALL""",
    "observation_ext": f"""SELECT i.id AS observation_id, f."text" AS value_text
        {_of_facts("Observation", "observation")} AND length(f."text") > 60 ORDER BY 1""",
}
"""The SELECT of every table; a column of the table that it does not name is empty."""
