"""The SQL behind ``i2b2``: observations and dimensions out of the canonical rows of a ``Workbench``."""
# ruff: noqa: S608 - text of ours and DICOM keywords

from collections.abc import Mapping
from typing import Final

from p2d.clinical.chunk import LESS_AND_MORE
from p2d.clinical.i2b2 import (
    ACCESSION_MODIFIER,
    DOCUMENT_MODIFIER,
    DOCUMENT_SCHEME,
    OPERATORS,
    SERIES,
    STAND_IN,
)
from p2d.clinical.relational import UNKNOWN_DAY
from p2d.warehouse.exchange.columns import number_of, text_of

_UNKNOWN: Final = f"TIMESTAMP '{UNKNOWN_DAY}'"
_CASE: Final = "'case|' || c.\"case\""
_BOUND: Final = f'CASE WHEN f."number" IS NOT NULL AND f."text" IN {LESS_AND_MORE} THEN f."text" END'
LINKS: Final[Mapping[str, str]] = {"Document": DOCUMENT_MODIFIER, "Accession number": ACCESSION_MODIFIER}
"""Modifiers that name the document of an observation and the accession number of a document."""

# observed: one line an observation. at_key names its encounter: the case, else the study or document it
# stands for, else the patient. concept_key and modifier name concept and modifier; ordinal is the instance
# number. bound is the sign of a number that is one.
# Attribute names hold neither ":" nor "|"; codes of an attribute named as the scheme of documents stand after
# "|", so that no two kinds of key meet.
PREPARED: Final = f"""
CREATE OR REPLACE TEMP TABLE series_at AS
SELECT e.series_key, e.study_key, e.patient_key, coalesce({_CASE}, 'study|' || s.study) AS at_key,
  coalesce(CASE WHEN e."SeriesDate" IS NULL OR e."SeriesDate" = s."StudyDate"
    THEN moment(s."StudyDate", s."StudyTime") ELSE e."SeriesDate"::TIMESTAMP END, {_UNKNOWN}) AS "start",
  s.study, e.series, e."SeriesNumber"
FROM series e JOIN study s USING (study_key) LEFT JOIN clinical_case c ON c.case_key = s.case_key;
CREATE OR REPLACE TEMP TABLE series_instance AS
SELECT *, row_number() OVER (PARTITION BY patient_key, at_key, "start"
  ORDER BY study, "SeriesNumber" NULLS LAST, series) AS ordinal FROM series_at;
CREATE OR REPLACE TEMP TABLE observed AS
SELECT *, row_number() OVER (PARTITION BY patient_key, concept_key, "start", at_key ORDER BY sorted) AS
  ordinal
FROM (
  SELECT f.patient_key, CASE WHEN f."number" IS NULL AND f.code IS NOT NULL
      THEN f.attribute || CASE f.attribute WHEN '{DOCUMENT_SCHEME}' THEN '|' ELSE ':' END || f.code
      ELSE f.attribute END AS concept_key, '@' AS modifier,
    coalesce({_CASE}, 'document|' || d.document, 'patient') AS at_key,
    coalesce(moment(f."date", f."time"), d."date"::TIMESTAMP, c."start"::TIMESTAMP, {_UNKNOWN}) AS "start",
    f."number", CASE WHEN f."number" IS NULL AND f.code IS NULL THEN f."text" END AS value,
    CASE WHEN f."number" IS NOT NULL THEN concat_ws(' ', f.code, CASE WHEN {_BOUND} IS NULL THEN f."text" END)
      WHEN f.code IS NOT NULL THEN f."text" END AS remark, {_BOUND} AS bound,
    f.unit, f.fact_key AS sorted, f.attribute AS folder, CASE WHEN f."number" IS NULL THEN f.code END AS code,
    'fact' AS kind, d.document, NULL AS accession
  FROM fact f LEFT JOIN clinical_case c ON c.case_key = f.case_key LEFT JOIN document d USING (document_key)
  UNION ALL
  SELECT d.patient_key, '{DOCUMENT_SCHEME}:' || d.kind, '@', coalesce({_CASE}, 'document|' || d.document),
    coalesce(d."date"::TIMESTAMP, c."start"::TIMESTAMP, {_UNKNOWN}), NULL, d."text", NULL, NULL, NULL,
    d.document_key, d.kind, NULL, 'document', d.document, d.accession
  FROM document d LEFT JOIN clinical_case c ON c.case_key = d.case_key);
CREATE OR REPLACE TEMP TABLE modified AS
SELECT x.patient_key, '{SERIES}' AS concept_key, m.modifier, x.at_key, x."start", m.number, m.value, r.ucum
  AS unit,
  x.ordinal
FROM series_instance x JOIN (
  SELECT series_key, '@' AS modifier, NULL::DOUBLE AS number, NULL::VARCHAR AS value, 0 AS rank FROM series_at
  {{modifiers}}
  UNION ALL SELECT series_key, keyword, number, value, 2 FROM acquisition) m USING (series_key)
LEFT JOIN parameter r ON r.keyword = m.modifier
WHERE m.modifier = '@' OR m.value IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY m.series_key, m.modifier ORDER BY m.rank) = 1;
CREATE OR REPLACE TEMP TABLE visited AS
SELECT patient_key, at_key, min("start") AS "start", max("end") AS "end", any_value("type") AS "type" FROM (
  SELECT c.patient_key, {_CASE} AS at_key, c."start"::TIMESTAMP AS "start", c."end"::TIMESTAMP AS "end",
    c."type"
  FROM clinical_case c
  UNION ALL SELECT patient_key, at_key, "start", "start", NULL FROM observed WHERE at_key NOT LIKE 'case|%'
  UNION ALL SELECT patient_key, at_key, "start", "start", NULL FROM series_at WHERE at_key NOT LIKE 'case|%'
) GROUP BY ALL
"""

IDS: Final[Mapping[str, str]] = {
    "person": 'SELECT 0 AS owner, patient AS "key" FROM patient',
    "encounter": 'SELECT n.id AS owner, v.at_key AS "key" FROM visited v JOIN patient p USING (patient_key) '
    'JOIN person_id n ON n."key" = p.patient',
    "term": 'SELECT 0 AS owner, concept_key AS "key" FROM observed WHERE length(concept_key) > 50 '
    "UNION ALL SELECT 0, 'DICOM:' || modifier FROM modified WHERE length(modifier) > 44",
}

_PERSON: Final = 'JOIN patient p USING (patient_key) JOIN person_id n ON n."key" = p.patient'
_ENCOUNTER: Final = f'{_PERSON} JOIN encounter_id v ON v.owner = n.id AND v."key" = o.at_key'
_CONCEPT: Final = """CASE WHEN length(o.concept_key) <= 50 THEN o.concept_key ELSE 'P2D#' ||
  (SELECT id FROM term_id t WHERE t."key" = o.concept_key)::VARCHAR END"""
_MODIFIER: Final = """CASE WHEN o.modifier = '@' OR contains(o.modifier, ':') THEN o.modifier
  WHEN length(o.modifier) <= 44 THEN 'DICOM:' || o.modifier
  ELSE 'P2D#' || (SELECT id FROM term_id t WHERE t."key" = 'DICOM:' || o.modifier)::VARCHAR END"""
_STATED: Final = "'P2D' AS sourcesystem_cd"

# A number is N with "E" (equal) or the operator of its bound; one too large for DECIMAL(18,5) is text, one
# that it rounds stands as written in the blob, too. A text of up to 255 characters is T, a longer
# one B in the blob; @ is no value beside the concept.
_IS_NUMBER: Final = "o.number IS NOT NULL AND abs(o.number) < 1e12"
_VALUE: Final = (
    "coalesce(o.value, CASE WHEN o.number IS NOT NULL THEN concat_ws(' ', o.bound, as_text(o.number)) END)"
)
_SIGNED: Final = " ".join(f"WHEN '{sign}' THEN '{operator}'" for operator, sign in OPERATORS.items())
_OPERATOR: Final = f"CASE o.bound {_SIGNED} ELSE 'E' END"
_OBSERVATION: Final = f"""
SELECT v.id AS encounter_num, n.id AS patient_num, {_CONCEPT} AS concept_cd, '@' AS provider_id,
  o."start" AS start_date, {_MODIFIER} AS modifier_cd, o.ordinal::INTEGER AS instance_num,
  CASE WHEN {_IS_NUMBER} THEN 'N' WHEN {_VALUE} IS NULL THEN '@' WHEN length({_VALUE}) <= 255 THEN 'T' ELSE
    'B' END
    AS valtype_cd,
  CASE WHEN {_IS_NUMBER} THEN {_OPERATOR} WHEN length({_VALUE}) <= 255 THEN {_VALUE} END AS tval_char,
  CASE WHEN {_IS_NUMBER} THEN round(o.number, 5) END AS nval_num,
  left(o.unit, 50) AS units_cd,
  CASE WHEN {_IS_NUMBER} THEN nullif(concat_ws(' ',
      CASE WHEN round(o.number, 5) <> o.number THEN as_text(o.number) END, o.remark), '')
    WHEN length({_VALUE}) > 255 THEN {_VALUE} ELSE o.remark END AS observation_blob,
  {_STATED}
FROM ({{rows}}) o {_ENCOUNTER} ORDER BY patient_num, concept_cd, start_date, encounter_num, instance_num,
  modifier_cd
"""
_COLUMNS: Final = 'patient_key, concept_key, modifier, at_key, "start", number, value, unit, ordinal'


def _linked(modifier: str, column: str) -> str:
    """Return the SELECT of the modifier rows that hold *column* of an observation."""
    return (
        f"SELECT patient_key, concept_key, '{modifier}', at_key, \"start\", NULL, {column}, NULL, ordinal, "
        f"NULL, NULL FROM observed WHERE {column} IS NOT NULL"
    )


TABLES: Final[Mapping[str, str]] = {
    "patient_dimension": f"""SELECT n.id AS patient_num, 'N' AS vital_status_cd,
        make_date(p.birth_year, 1, 1)::TIMESTAMP AS birth_date, coalesce(left(p.sex, 50), '@') AS sex_cd,
        {_STATED}
        FROM patient o {_PERSON} ORDER BY ALL""",
    "patient_mapping": f"""SELECT p.patient AS patient_ide, 'P2D' AS patient_ide_source, n.id AS patient_num,
        'A' AS patient_ide_status, 'P2D' AS project_id, {_STATED} FROM patient o {_PERSON} ORDER BY ALL""",
    "visit_dimension": f"""SELECT v.id AS encounter_num, n.id AS patient_num, o."start" AS start_date,
        o."end" AS end_date, CASE o."type" WHEN 'inpatient' THEN 'I' WHEN 'outpatient' THEN 'O'
        WHEN 'emergency' THEN 'E' ELSE '@' END AS inout_cd, date_diff('day', o."start", o."end")::INTEGER
        AS length_of_stay, {_STATED} FROM visited o {_ENCOUNTER} ORDER BY ALL""",
    "encounter_mapping": f"""SELECT substr(o.at_key || CASE WHEN o.at_key = 'patient' THEN '|' || p.patient
        ELSE '' END, strpos(o.at_key || '|', '|') + 1) AS encounter_ide,
        '{STAND_IN}' || split_part(o.at_key, '|', 1) AS encounter_ide_source, 'P2D' AS project_id,
        v.id AS encounter_num, p.patient AS patient_ide, 'P2D' AS patient_ide_source,
        'A' AS encounter_ide_status, {_STATED} FROM visited o {_ENCOUNTER} ORDER BY ALL""",
    "observation_fact": _OBSERVATION.format(
        rows=f"SELECT {_COLUMNS}, bound, remark FROM observed "
        f"UNION ALL SELECT {_COLUMNS}, NULL, NULL FROM modified "
        f"UNION ALL {_linked(DOCUMENT_MODIFIER, 'document')} "
        f"UNION ALL {_linked(ACCESSION_MODIFIER, 'accession')}"
    ),
}
"""The tables that grow with the patients."""

SEEN: Final = f"""
INSERT INTO concept_seen SELECT {_CONCEPT}, o.kind, o.folder, o.code, any_value(o.remark),
  bool_or(o."number" IS NOT NULL), count(DISTINCT o.patient_key)
FROM observed o GROUP BY ALL;
INSERT INTO modifier_seen SELECT {_MODIFIER}, o.modifier, bool_and(o.number IS NOT NULL), count(DISTINCT
  o.patient_key)
FROM modified o GROUP BY ALL
"""
SEEN_TABLES: Final = """
CREATE OR REPLACE TEMP TABLE concept_seen (concept_cd VARCHAR, kind VARCHAR, folder VARCHAR, code VARCHAR,
  remark VARCHAR, is_number BOOLEAN, patients BIGINT);
CREATE OR REPLACE TEMP TABLE modifier_seen (modifier_cd VARCHAR, keyword VARCHAR, is_number BOOLEAN, patients
BIGINT)
"""
SEEN_CONCEPTS: Final = """SELECT concept_cd, kind, folder, code, any_value(remark) AS remark,
  bool_or(is_number) AS is_number,
  sum(patients)::BIGINT AS patients FROM concept_seen GROUP BY ALL ORDER BY kind, folder, code, concept_cd"""
SEEN_MODIFIERS: Final = """SELECT modifier_cd, keyword, bool_and(is_number) AS is_number,
  sum(patients)::BIGINT AS patients
  FROM modifier_seen GROUP BY ALL ORDER BY keyword"""


def modifiers(columns: Mapping[str, tuple[str, ...]]) -> str:
    """Return the SELECT of what study and series say of a series, by the columns of ``imaging_columns``."""
    of_study = {"StudyInstanceUID": "study", "AccessionNumber": "accession"} | {
        c: c for c in columns["study"]
    }
    placed = {name: f's."{column}"' for name, column in of_study.items()}
    placed["SeriesInstanceUID"] = "e.series"
    names = ", ".join(f"'{name}'" for name in placed)
    values = ", ".join(map(text_of, placed.values()))
    numbers = ", ".join(map(number_of, placed.values()))
    return (
        f" UNION ALL SELECT e.series_key, unnest([{names}]), unnest([{numbers}]), unnest([{values}]), 1 "
        "FROM series e JOIN study s USING (study_key)"
    )
