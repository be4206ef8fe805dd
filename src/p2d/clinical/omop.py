"""The OMOP Common Data Model 5.4 as four tables: persons, visits, notes; conditions, measurements and others.

Source values go before concepts: the hospital's own codes are what its people search for. The links that make
documents and groups are the model's own: ``fact_relationship`` between a note and a fact, or between two
measurements, and ``*_event_id`` where its field concept is named ``note.note_id``. Without a source value the
id is the integer key, and what tells groups and notes apart is a label.
"""

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from p2d.clinical.chunk import LABEL
from p2d.clinical.relational import Reading, RelationalSource

_NO_PERSON: Final = "names a person that the person table does not hold"
_NO_VISIT: Final = "names a visit that the visit_occurrence table does not hold"
_NO_DAY: Final = "is not a date"
_NO_NUMBER: Final = "is not a number"
_NO_VALUE: Final = "holds no value"
_TAKEN: Final = "is the accession number of a note"
_IMAGING: Final = "is imaging, which comes from the archive"
_OF_IMAGING: Final = (
    f"""WHEN s.vocabulary_id = 'P2D' AND starts_with(s.concept_code, 'DICOM:') THEN '{_IMAGING}'"""
)
"""An export of P2D's own holds what images say as procedures and measurements, too."""
_OWN_CODE: Final = "s.vocabulary_id = 'P2D' AND contains(s.concept_code, ':')"
"""Whether the source concept is one that an export of P2D's own made of attribute and code."""
ACCESSION: Final = "AccessionNumber"
"""Source value of an observation that is related to a note and holds the accession number as its text."""
_NO_CODE: Final = "holds neither a source value nor a known concept"

_PERSON: Final = """
SELECT "row", coalesce(person_source_value, person_id) AS patient,
  coalesce(ws.becomes, CASE gender_concept_id WHEN '8507' THEN 'M' WHEN '8532' THEN 'F' END,
    gender_source_value) AS sex,
  CASE WHEN coalesce(year_of_birth, '0') = '0'
      THEN try_cast(try_cast(birth_datetime AS TIMESTAMP) AS DATE)::VARCHAR
    WHEN month_of_birth IS NULL OR day_of_birth IS NULL THEN year_of_birth
    ELSE concat_ws('-', year_of_birth, lpad(month_of_birth, 2, '0'), lpad(day_of_birth, 2, '0')) END AS birth,
  coalesce(person_source_value, person_id) IS NULL AS fault_0
FROM incoming LEFT JOIN word_sex ws ON ws.word = gender_source_value
"""
_VISIT: Final = """
SELECT i."row", p.patient, coalesce(visit_source_value, visit_occurrence_id) AS "case",
  day(visit_start_datetime, visit_start_date) AS "start", day(visit_end_datetime, visit_end_date) AS "end",
  coalesce(wt.becomes, wc.becomes, CASE visit_concept_id WHEN '9201' THEN 'inpatient'
    WHEN '262' THEN 'inpatient' WHEN '9202' THEN 'outpatient' WHEN '9203' THEN 'emergency' END,
    c.concept_name) AS "type",
  p.patient IS NULL AS fault_0, is_wrong_day(visit_start_date) AS fault_1,
  is_wrong_day(visit_end_date) AS fault_2
FROM incoming i LEFT JOIN kept_person p ON p.person_id = i.person_id
LEFT JOIN kept_concept c ON c.concept_id = i.visit_concept_id
LEFT JOIN word_type wt ON wt.word = i.visit_concept_id LEFT JOIN word_type wc ON wc.word = c.concept_name
"""
_NOTE: Final = """
SELECT i."row", p.patient, v."case", n.document,
  coalesce(wt.becomes, wk.becomes, ws.becomes, i.note_title, n.kind, c.concept_name, k.concept_name) AS kind,
  day(note_datetime, note_date) AS "date", nullif(note_text, '') AS "text", a.accession,
  p.patient IS NULL AS fault_0,
  (i.visit_occurrence_id IS NOT NULL AND v."case" IS NULL) AS fault_1, is_wrong_day(note_date) AS fault_2
FROM incoming i LEFT JOIN kept_person p ON p.person_id = i.person_id
LEFT JOIN kept_visit v ON v.visit_occurrence_id = i.visit_occurrence_id
LEFT JOIN kept_concept c ON c.concept_id = i.note_class_concept_id AND c.concept_id <> '0'
LEFT JOIN kept_concept k ON k.concept_id = i.note_type_concept_id AND k.concept_id <> '0'
LEFT JOIN kept_note n ON n.note_id = i.note_id
LEFT JOIN kept_accession a ON a.note_id = i.note_id
LEFT JOIN word_kind ws ON ws.word = n.kind
LEFT JOIN word_kind wt ON wt.word = i.note_title LEFT JOIN word_kind wk ON wk.word = i.note_class_concept_id
"""


@dataclass(frozen=True, slots=True)
class _Events:
    """A table of events: its name, the domain of its rows in fact_relationship, how its columns begin."""

    table: str
    domain: int
    stem: str
    day: str
    event: str = "NULL"
    event_field: str = "NULL"

    @property
    def columns(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The columns that are needed and those that are read where they are there."""
        events = tuple(name for name in (self.event, self.event_field) if name != "NULL")
        needed = (f"{self.table}_id", "person_id", f"{self.stem}_concept_id", f"{self.day}_date")
        own = (f"{self.day}_datetime", f"{self.stem}_source_value", f"{self.stem}_source_concept_id")
        return needed, (*own, "visit_occurrence_id", *events)

    def code(self) -> str:
        """Return the expression of the row's code."""
        return f"coalesce(i.{self.stem}_source_value, s.concept_code, c.concept_code)"

    def select(self, fields: str, joins: str) -> str:
        """Return the statement that makes facts of the rows."""
        key, day = f"i.{self.table}_id", f"i.{self.day}"
        event = self.event if self.event == "NULL" else f"i.{self.event}"
        event_field = self.event_field if self.event == "NULL" else f"i.{self.event_field}"
        return f"""
SELECT i."row", p.patient, v."case", coalesce(r.document, e.document) AS document,
  '{LABEL}{self.table}:' || coalesce(g.head, {key}) AS "group",
  day({day}_datetime, {day}_date) AS "date", clock({day}_datetime) AS "time", {fields},
  p.patient IS NULL AS fault_0, (i.visit_occurrence_id IS NOT NULL AND v."case" IS NULL) AS fault_1,
  is_wrong_day({day}_date) AS fault_2
FROM incoming i LEFT JOIN kept_person p ON p.person_id = i.person_id
LEFT JOIN kept_visit v ON v.visit_occurrence_id = i.visit_occurrence_id
LEFT JOIN kept_group g ON g.domain = '{self.domain}' AND g.fact_id = {key}
LEFT JOIN kept_link r ON r.domain = '{self.domain}' AND r.fact_id = {key}
LEFT JOIN kept_event e ON e.note_id = {event} AND e.field = {event_field}
LEFT JOIN kept_concept s ON s.concept_id = i.{self.stem}_source_concept_id
LEFT JOIN kept_concept c ON c.concept_id = i.{self.stem}_concept_id
{joins}
"""  # noqa: S608 - constants of this module


_MISSING: Final = (("patient", _NO_PERSON), ("case", _NO_VISIT), ("date", _NO_DAY))


def _coded(events: _Events, attribute: str) -> Reading:
    """Return the reading of a table whose rows are codes: the scheme is the attribute."""
    fields = (
        f"coalesce(ws.becomes, CASE WHEN {_OWN_CODE} THEN split_part(s.concept_code, ':', 1) END, "
        f"'{attribute}') AS attribute, {events.code()} AS code, "
        f"CASE WHEN {_OWN_CODE} THEN nullif(s.concept_name, s.concept_code) "
        f'ELSE coalesce(s.concept_name, c.concept_name) END AS "text", '
        f"CASE {_OF_IMAGING} WHEN {events.code()} IS NULL THEN '{_NO_CODE}' END AS skip"
    )
    joins = "LEFT JOIN word_scheme ws ON ws.word = coalesce(s.vocabulary_id, c.vocabulary_id)"
    needed, wanted = events.columns
    return Reading("fact", events.table, needed, wanted, events.select(fields, joins), _MISSING)


def _valued(events: _Events, text: str, bound: str, more: tuple[str, ...], skip: str) -> Reading:
    """Return the reading of a table whose rows are values: the code is the attribute."""
    value = f"coalesce(vc.concept_code, CASE WHEN {_OWN_CODE} THEN i.value_source_value END)"
    code, scheme = events.code(), "coalesce(s.vocabulary_id, c.vocabulary_id)"
    number = "try_cast(i.value_as_number AS DOUBLE)"
    fields = f"""
  coalesce(wa.becomes, wb.becomes, named({scheme}, {code})) AS attribute, {number} AS "number",
  {value} AS code, coalesce({text}, {bound}, vc.concept_name) AS "text",
  coalesce(i.unit_source_value, u.concept_code) AS unit,
  (i.value_as_number IS NOT NULL AND NOT coalesce(isfinite({number}), false)) AS fault_3,
  CASE {skip} WHEN {code} IS NULL THEN '{_NO_CODE}'
    WHEN i.value_as_number IS NULL AND {text} IS NULL AND {value} IS NULL THEN '{_NO_VALUE}'
    END AS skip"""
    joins = f"""
LEFT JOIN word_attribute wa ON wa.word = {scheme} || '|' || {code}
LEFT JOIN word_attribute wb ON wb.word = {code}
LEFT JOIN kept_concept u ON u.concept_id = i.unit_concept_id
LEFT JOIN kept_concept vc ON vc.concept_id = i.value_as_concept_id"""
    needed, wanted = events.columns
    faults = (*_MISSING, ("number", _NO_NUMBER))
    return Reading("fact", events.table, needed, (*wanted, *more), events.select(fields, joins), faults)


_BOUND: Final = (
    "CASE i.operator_concept_id WHEN '4171756' THEN '<' WHEN '4171754' THEN '<=' "
    "WHEN '4172704' THEN '>' WHEN '4171755' THEN '>=' END"
)
_VALUES: Final = ("value_as_number", "value_as_concept_id", "unit_concept_id", "unit_source_value")
_NOTE_COLUMNS: Final = (
    *("note_datetime", "note_type_concept_id", "note_class_concept_id", "note_title"),
    *("note_source_value", "visit_occurrence_id"),
)
_MEASUREMENT: Final = _Events(
    "measurement", 21, "measurement", "measurement", "measurement_event_id", "meas_event_field_concept_id"
)
_OBSERVATION: Final = _Events(
    "observation", 27, "observation", "observation", "observation_event_id", "obs_event_field_concept_id"
)
READINGS: Final = (
    Reading(
        "patient",
        "person",
        ("person_id", "year_of_birth"),
        (
            *("person_source_value", "gender_concept_id", "gender_source_value"),
            *("month_of_birth", "day_of_birth", "birth_datetime"),
        ),
        _PERSON,
        (("patient", "is empty"),),
    ),
    Reading(
        "case",
        "visit_occurrence",
        ("visit_occurrence_id", "person_id", "visit_concept_id", "visit_start_date", "visit_end_date"),
        ("visit_source_value", "visit_start_datetime", "visit_end_datetime"),
        _VISIT,
        (("patient", _NO_PERSON), ("start", _NO_DAY), ("end", _NO_DAY)),
    ),
    Reading(
        "document", "note", ("note_id", "person_id", "note_date", "note_text"), _NOTE_COLUMNS, _NOTE, _MISSING
    ),
    _coded(_Events("condition_occurrence", 19, "condition", "condition_start"), "ICD10"),
    _coded(_Events("procedure_occurrence", 10, "procedure", "procedure"), "OPS"),
    _coded(_Events("drug_exposure", 13, "drug", "drug_exposure_start"), "ATC"),
    _valued(
        _MEASUREMENT,
        "CASE WHEN i.value_as_number IS NULL THEN i.value_source_value END",
        _BOUND,
        (*_VALUES, "operator_concept_id", "value_source_value"),
        _OF_IMAGING,
    ),
    _valued(
        _OBSERVATION,
        "i.value_as_string",
        "NULL",
        (*_VALUES, "value_as_string", "value_source_value"),
        f"WHEN i.observation_source_value = '{ACCESSION}' AND r.document IS NOT NULL "
        f"AND s.vocabulary_id IS DISTINCT FROM 'P2D' THEN '{_TAKEN}'",
    ),
)
_RELATIONS: Final = ("domain_concept_id_1", "fact_id_1", "domain_concept_id_2", "fact_id_2")


class OmopSource(RelationalSource):
    """The CSV or Parquet files of an OMOP CDM 5.4 in *folder*, one or several a table."""

    NEEDED = ("person",)
    READINGS = READINGS

    def _index(self) -> None:
        """Keep what rows refer to: persons, visits, notes, the concepts that are used, links and groups."""
        d, kept_note = self._database, _KEPT_NOTE[self._database.mapping.omop.note_key]
        d.run("CREATE TABLE used (concept_id VARCHAR)")
        for reading in READINGS:
            for column in (*reading.needed, *reading.wanted):
                if column.endswith("_concept_id"):
                    d.gather("used", reading.file, column)
        d.load(
            "kept_concept",
            "concept",
            ("concept_id", "concept_name", "vocabulary_id", "concept_code"),
            (),
            _CONCEPT,
        )
        d.load("kept_person", "person", ("person_id",), ("person_source_value",), _KEPT_PERSON)
        d.load(
            "kept_visit", "visit_occurrence", ("visit_occurrence_id",), ("visit_source_value",), _KEPT_VISIT
        )
        d.load("kept_note", "note", ("note_id",), ("note_source_value",), kept_note)
        d.load("kept_relation", "fact_relationship", _RELATIONS, (), _RELATION)
        for statement in _LINKS:
            d.run(statement)
        d.load(
            "kept_accession",
            "observation",
            ("observation_id",),
            ("observation_source_value", "value_as_string", "observation_source_concept_id"),
            _KEPT_ACCESSION,
        )
        d.run(_ONE_ACCESSION)
        d.keep("kept_group", _groups(d.rows(_WITHIN)))


_CONCEPT: Final = """
SELECT concept_id, any_value(concept_name) AS concept_name, any_value(vocabulary_id) AS vocabulary_id,
  any_value(concept_code) AS concept_code
FROM incoming WHERE concept_id <> '0' AND concept_id IN (SELECT concept_id FROM used) GROUP BY concept_id
"""
_KEPT_PERSON: Final = """
SELECT person_id, any_value(coalesce(person_source_value, person_id)) AS patient
FROM incoming GROUP BY person_id
"""
_KEPT_VISIT: Final = """
SELECT visit_occurrence_id, any_value(coalesce(visit_source_value, visit_occurrence_id)) AS "case"
FROM incoming GROUP BY visit_occurrence_id
"""
_KEPT_NOTE: Final = {
    "note_id": f"""
SELECT note_id, '{LABEL}note:' || note_id AS document, any_value(note_source_value) AS kind
FROM incoming GROUP BY note_id
""",  # noqa: S608 - constants of this module
    "note_source_value": f"""
SELECT note_id, any_value(coalesce(note_source_value, '{LABEL}note:' || note_id)) AS document, NULL AS kind
FROM incoming GROUP BY note_id
""",  # noqa: S608 - as above
}
_RELATION: Final = """
SELECT domain_concept_id_1 AS domain_1, fact_id_1 AS id_1, domain_concept_id_2 AS domain_2, fact_id_2 AS id_2
FROM incoming
"""
_LINKS: Final = (
    """
CREATE TABLE kept_link AS SELECT domain, fact_id, min(document) AS document, min(note_id) AS note_id FROM (
  SELECT domain_2 AS domain, id_2 AS fact_id, id_1 AS note_id FROM kept_relation WHERE domain_1 = '5085'
  UNION ALL SELECT domain_1, id_1, id_2 FROM kept_relation WHERE domain_2 = '5085')
JOIN kept_note USING (note_id) GROUP BY domain, fact_id
""",
    """
CREATE TABLE kept_event AS SELECT note_id, document, f.concept_id AS field
FROM kept_note, (SELECT concept_id FROM kept_concept WHERE lower(concept_name) = 'note.note_id') f
""",
)
_KEPT_ACCESSION: Final = f"""
SELECT l.note_id, min(i.value_as_string) AS accession FROM incoming i
JOIN kept_link l ON l.domain = '27' AND l.fact_id = i.observation_id
LEFT JOIN kept_concept s ON s.concept_id = i.observation_source_concept_id
WHERE i.observation_source_value = '{ACCESSION}' AND s.vocabulary_id IS DISTINCT FROM 'P2D' GROUP BY l.note_id
"""  # noqa: S608 - constants of this module
_ONE_ACCESSION: Final = (
    "CREATE OR REPLACE TABLE kept_accession AS "
    "SELECT note_id, min(accession) AS accession FROM kept_accession GROUP BY note_id"
)
_WITHIN: Final = (
    "SELECT DISTINCT domain_1, id_1, id_2 FROM kept_relation WHERE domain_1 = domain_2 AND id_1 <> id_2"
)


def _groups(pairs: pa.Table) -> pa.Table:
    """Return the head of every fact that is related to another one: what is connected is one group."""
    heads: dict[tuple[str, str], tuple[str, str]] = {}

    def head(fact: tuple[str, str]) -> tuple[str, str]:
        while (above := heads.setdefault(fact, fact)) != fact:
            heads[fact] = heads[above]
            fact = above
        return fact

    for domain, one, other in zip(*(column.to_pylist() for column in pairs.columns), strict=True):
        first, second = sorted((head((domain, one)), head((domain, other))))
        heads[second] = first
    facts = list(heads)
    columns = {
        "domain": [domain for domain, _ in facts],
        "fact_id": [fact for _, fact in facts],
        "head": [head(fact)[1] for fact in facts],
    }
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
