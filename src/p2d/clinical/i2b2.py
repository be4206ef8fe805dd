"""An i2b2 star as four tables: patient_dimension, visit_dimension, observation_fact with its modifiers.

One observation (encounter, patient, concept, provider, start, instance number) is one group: its own row
with the modifier ``@`` and its modifier rows. An observation whose concept is of the scheme ``DOC``, or whose
value type is B, is a document. Two modifiers carry what i2b2 has no column for: ``P2D:DOCUMENT`` names the
document an observation was read from (for a document: its own key), ``P2D:ACCESSION`` its accession number.
"""

from collections.abc import Mapping
from typing import Final

from p2d.clinical.chunk import LABEL
from p2d.clinical.relational import Reading, RelationalSource

DOCUMENT_MODIFIER: Final = "P2D:DOCUMENT"
ACCESSION_MODIFIER: Final = "P2D:ACCESSION"
DOCUMENT_SCHEME: Final = "DOC"
SERIES: Final = "DICOM|SERIES"
"""The one concept of imaging in an export of P2D's; everything about a series is a modifier of it."""
OPERATORS: Final[Mapping[str, str]] = {"L": "<", "LE": "<=", "G": ">", "GE": ">="}
"""The signs of bounds by what ``tval_char`` says beside a number."""
STAND_IN: Final = "P2D "
"""How the source of an encounter's id begins in an export of P2D's. i2b2 wants an encounter of every
observation: a document, study or patient (``P2D document`` …) stands for what lies outside any case."""
_NO_PATIENT: Final = "names a patient that patient_dimension does not hold"
_NO_VISIT: Final = "names an encounter that visit_dimension does not hold"
_NO_DAY: Final = "is not a date"
_NO_NUMBER: Final = "is not a number"
_NO_OPERATOR: Final = "is not an operator of i2b2 (E, NE, L, LE, G, GE)"
_NOT_EQUAL: Final = "is unequal to a number (operator NE), which no fact can say"
_NO_TYPE: Final = "has a value type that is not N, T, B or @"
_TAKEN: Final = "is a modifier that names a document or accession number"
_IMAGING: Final = "is imaging, which comes from the archive"
_NO_CASE: Final = "stands for what lies outside any case"
_INSTANCE: Final = (
    "concat_ws('|', encounter_num, patient_num, concept_cd, coalesce(provider_id, '@'), "
    "try_cast(start_date AS TIMESTAMP), coalesce(try_cast(instance_num AS BIGINT), 1))"
)
_KEYS: Final = ("encounter_num", "patient_num", "concept_cd", "start_date")
_MORE: Final = (
    *("provider_id", "modifier_cd", "instance_num", "valtype_cd", "tval_char", "nval_num", "units_cd"),
    *("observation_blob", "sourcesystem_cd"),
)
_IS_OWN: Final = "coalesce(sourcesystem_cd, '') = 'P2D'"
"""Whether a row is of an export of P2D's own: a long text of a fact is no document there."""
_IS_DOCUMENT: Final = (
    f"(coalesce(modifier_cd, '@') = '@' AND (coalesce(valtype_cd, '@') = 'B' AND NOT {_IS_OWN} "
    f"OR starts_with(concept_cd, '{DOCUMENT_SCHEME}:')))"
)
_PATIENT: Final = """
SELECT "row", coalesce(k.patient, patient_num) AS patient,
  coalesce(ws.becomes, upper(nullif(sex_cd, '@'))) AS sex,
  try_cast(try_cast(birth_date AS TIMESTAMP) AS DATE)::VARCHAR AS birth,
  is_wrong_day(birth_date) AS fault_0
FROM incoming LEFT JOIN kept_patient k USING (patient_num) LEFT JOIN word_sex ws ON ws.word = sex_cd
"""
_VISIT: Final = f"""
SELECT i."row", k.patient, coalesce(e."case", i.encounter_num) AS "case",
  day(i.start_date, NULL) AS "start", day(i.end_date, NULL) AS "end",
  coalesce(wt.becomes, CASE upper(i.inout_cd) WHEN 'I' THEN 'inpatient' WHEN 'O' THEN 'outpatient'
    WHEN 'E' THEN 'emergency' WHEN '@' THEN NULL ELSE i.inout_cd END) AS "type",
  CASE WHEN e.is_stand_in THEN '{_NO_CASE}' END AS skip,
  k.patient IS NULL AS fault_0, is_wrong_day(i.start_date) AS fault_1, is_wrong_day(i.end_date) AS fault_2
FROM incoming i LEFT JOIN kept_patient k ON k.patient_num = i.patient_num AND k.is_held
LEFT JOIN kept_encounter e ON e.encounter_num = i.encounter_num LEFT JOIN word_type wt ON wt.word = i.inout_cd
"""  # noqa: S608 - constants of this module
_OBSERVED: Final = f"""
WITH o AS (SELECT *, {_INSTANCE} AS instance, coalesce(modifier_cd, '@') AS modifier,
  coalesce(valtype_cd, '@') AS kind_of_value,
  {_IS_OWN} AS is_own FROM incoming WHERE {{which}} {_IS_DOCUMENT})
SELECT o."row", k.patient, CASE WHEN e.is_held AND NOT e.is_stand_in THEN e."case" END AS "case",
  day(o.start_date, NULL) AS "date",
  CASE WHEN regexp_matches(o.sourcesystem_cd, '^\\pL') THEN o.sourcesystem_cd END AS source, {{fields}},
  k.patient IS NULL AS fault_0, coalesce(o.encounter_num, '@') <> '@' AND o.encounter_num <> '-1'
    AND NOT coalesce(e.is_held, false) AS fault_1,
  is_wrong_day(o.start_date) AS fault_2
FROM o LEFT JOIN kept_patient k ON k.patient_num = o.patient_num AND k.is_held
LEFT JOIN kept_encounter e ON e.encounter_num = o.encounter_num
LEFT JOIN kept_name n ON n.code = CASE WHEN o.modifier = '@' THEN o.concept_cd ELSE o.modifier END
LEFT JOIN kept_link l ON l.instance = o.instance AND l.modifier = '{DOCUMENT_MODIFIER}'
{{joins}}
"""  # noqa: S608 - constants of this module
_DOCUMENT: Final = _OBSERVED.format(
    which="",
    fields=f"""coalesce(l."value", '{LABEL}document:' || o.instance) AS document, a."value" AS accession,
  coalesce(wk.becomes, split_part(o.concept_cd, ':', 2)) AS kind,
  coalesce(nullif(o.observation_blob, ''), CASE o.kind_of_value WHEN 'T' THEN o.tval_char END) AS "text\"""",
    joins=f"""LEFT JOIN kept_link a ON a.instance = o.instance AND a.modifier = '{ACCESSION_MODIFIER}'
LEFT JOIN word_kind wk ON wk.word = o.concept_cd""",
)
_NUMBER: Final = "try_cast(o.nval_num AS DOUBLE)"
_CODE: Final = "CASE WHEN o.modifier = '@' THEN o.concept_cd ELSE o.modifier END"
_SCHEME: Final = f"split_part({_CODE}, ':', 1)"
_REST: Final = (
    f"CASE WHEN contains({_CODE}, ':') THEN substr({_CODE}, strpos({_CODE}, ':') + 1) ELSE {_CODE} END"
)
_VALUED: Final = "o.kind_of_value IN ('N', 'T', 'B')"
_SIGNS: Final = " ".join(f"WHEN '{operator}' THEN '{sign}'" for operator, sign in OPERATORS.items())
_FACT: Final = _OBSERVED.format(
    which="NOT",
    fields=f"""l."value" AS document, '{LABEL}fact:' || o.instance AS "group", clock(o.start_date) AS "time",
  coalesce(wa.becomes, CASE WHEN {_VALUED} THEN named({_SCHEME}, {_REST})
    ELSE coalesce(ws.becomes, {_SCHEME}) END) AS attribute,
  CASE WHEN o.kind_of_value = 'N' THEN {_NUMBER} END AS "number",
  CASE WHEN NOT {_VALUED} AND NOT (o.is_own AND NOT contains({_CODE}, ':')) THEN {_REST} END AS code,
  CASE o.kind_of_value WHEN 'N' THEN CASE o.tval_char {_SIGNS} END
    WHEN '@' THEN CASE WHEN o.is_own THEN nullif(o.observation_blob, '') ELSE n.name END
    ELSE coalesce(o.tval_char, o.observation_blob) END AS "text",
  CASE WHEN o.kind_of_value = 'N' AND o.units_cd <> '@' THEN o.units_cd END AS unit,
  o.kind_of_value = 'N' AND NOT coalesce(isfinite({_NUMBER}), false) AS fault_3,
  o.kind_of_value = 'N' AND coalesce(o.tval_char, 'E') NOT IN ('E', 'NE', 'L', 'LE', 'G', 'GE') AS fault_4,
  o.kind_of_value = 'N' AND o.tval_char = 'NE' AS fault_5,
  o.kind_of_value NOT IN ('N', 'T', 'B', '@') AS fault_6,
  CASE WHEN o.modifier IN ('{DOCUMENT_MODIFIER}', '{ACCESSION_MODIFIER}') THEN '{_TAKEN}'
    WHEN o.concept_cd = '{SERIES}' THEN '{_IMAGING}' END AS skip""",
    joins=f"LEFT JOIN word_attribute wa ON wa.word = {_CODE} LEFT JOIN word_scheme ws ON ws.word = {_SCHEME}",
)
_PLACES: Final = (("patient", _NO_PATIENT), ("case", _NO_VISIT), ("date", _NO_DAY))
READINGS: Final = (
    Reading(
        "patient",
        "patient_dimension",
        ("patient_num",),
        ("sex_cd", "birth_date"),
        _PATIENT,
        (("birth", _NO_DAY),),
    ),
    Reading(
        "case",
        "visit_dimension",
        ("encounter_num", "patient_num"),
        ("start_date", "end_date", "inout_cd"),
        _VISIT,
        (("patient", _NO_PATIENT), ("start", _NO_DAY), ("end", _NO_DAY)),
    ),
    Reading("document", "observation_fact", _KEYS, _MORE, _DOCUMENT, _PLACES, is_shared=True),
    Reading(
        "fact",
        "observation_fact",
        _KEYS,
        _MORE,
        _FACT,
        (
            *_PLACES,
            ("number", _NO_NUMBER),
            ("text", _NO_OPERATOR),
            ("text", _NOT_EQUAL),
            ("number", _NO_TYPE),
        ),
        is_shared=True,
    ),
)
_KEPT_NAME: Final = "SELECT {code} AS code, any_value(name_char) AS name FROM incoming GROUP BY {code}"
_KEPT_LINK: Final = f"""
SELECT {_INSTANCE} AS instance, modifier_cd AS modifier, min(tval_char) AS "value" FROM incoming
WHERE modifier_cd IN ('{DOCUMENT_MODIFIER}', '{ACCESSION_MODIFIER}') GROUP BY ALL
"""  # noqa: S608 - constants of this module
_ONE_EACH: Final = (
    """
CREATE TABLE kept_patient AS SELECT patient_num, coalesce(any_value(ide), patient_num) AS patient,
  bool_or(is_held) AS is_held FROM (
  SELECT patient_num, NULL AS ide, true AS is_held FROM raw_patient
  UNION ALL SELECT patient_num, ide, false FROM raw_patient_ide) GROUP BY patient_num
""",
    f"""
CREATE TABLE kept_encounter AS SELECT encounter_num, coalesce(any_value(ide), encounter_num) AS "case",
  bool_or(is_held) AS is_held, coalesce(any_value(source) IN
    ('{STAND_IN}document', '{STAND_IN}study', '{STAND_IN}patient'), false) AS is_stand_in FROM (
  SELECT encounter_num, NULL AS ide, NULL AS source, true AS is_held FROM raw_encounter
  UNION ALL SELECT encounter_num, ide, source, false FROM raw_encounter_ide) GROUP BY encounter_num
""",  # noqa: S608 - constants of this module
    """CREATE OR REPLACE TABLE kept_link AS
SELECT instance, modifier, min("value") AS "value" FROM kept_link GROUP BY ALL""",
    """CREATE TABLE kept_name AS SELECT code, any_value(name) AS name FROM
(SELECT * FROM raw_concept UNION ALL SELECT * FROM raw_modifier) GROUP BY code""",
)


class I2b2Source(RelationalSource):
    """The CSV or Parquet files of an i2b2 star in *folder*, one or several a table."""

    NEEDED = ("patient_dimension", "observation_fact")
    READINGS = READINGS

    def _index(self) -> None:
        """Keep what rows refer to: patients and encounters with their own ids, names of codes, documents."""
        d = self._database
        d.load("raw_patient", "patient_dimension", ("patient_num",), (), "SELECT patient_num FROM incoming")
        d.load(
            "raw_encounter", "visit_dimension", ("encounter_num",), (), "SELECT encounter_num FROM incoming"
        )
        for name, file, number in (
            ("raw_patient_ide", "patient_mapping", "patient"),
            ("raw_encounter_ide", "encounter_mapping", "encounter"),
        ):
            columns, source = (f"{number}_num", f"{number}_ide"), f"{number}_ide_source"
            select = (
                f"SELECT {number}_num, min({number}_ide) AS ide, min({source}) AS source "  # noqa: S608 - constants
                f"FROM incoming GROUP BY {number}_num"
            )
            d.load(name, file, columns, (source,), select)
        for name, file, code in (
            ("raw_concept", "concept_dimension", "concept_cd"),
            ("raw_modifier", "modifier_dimension", "modifier_cd"),
        ):
            d.load(name, file, (code, "name_char"), (), _KEPT_NAME.format(code=code))
        d.load("kept_link", "observation_fact", _KEYS, _MORE, _KEPT_LINK)
        for statement in _ONE_EACH:
            d.run(statement)
