"""EAV, the paper's form: AttrID, PID, CaseID, DocID, GroupID, Value; MeasureTime and Ref for its unique key.

GroupID is the warehouse's own key of what the values belong to (a group of facts, a document, a series, an
image): taken from one sequence, never computed from identifiers, so that two images never share one. Ref
tells values of one attribute in one group apart: the fact's key, or the value's place. A series' group
carries the
study's columns too, so that a question for one group can ask for both.
"""

from collections.abc import Iterator
from typing import Final

from p2d.dicom.dictionary import keyword_path_of
from p2d.warehouse.exchange.columns import imaging_columns, text_of
from p2d.warehouse.exchange.form import Rows, empty
from p2d.warehouse.exchange.source import Source
from p2d.warehouse.exchange.workbench import Workbench

FIRST_ATTRIBUTE: Final = 1
SEPARATOR: Final = "\x1f"
"""Between the parts of an attribute's key; de-identified text never holds it (PS3.5 6.1.3)."""

# A fact's code or text beside its number, and its text beside its code, are attributes of their own.
_FACTS: Final = """
SELECT 'fact' AS kind, f.attribute AS name, replace(coalesce(f.unit, ''), chr(31), ' ') AS unit,
  unnest(['', 'code', 'text']) AS part, f.patient_key, f.case_key, f.document_key AS doc_key, f.group_key,
  moment(f."date", f."time") AS at, f.fact_key AS ref,
  unnest([coalesce(as_text(f."number"), f.code, f."text"), CASE WHEN f."number" IS NOT NULL THEN f.code END,
    CASE WHEN f."number" IS NOT NULL OR f.code IS NOT NULL THEN f."text" END]) AS value
FROM fact f
"""
_DOCUMENTS: Final = """
SELECT 'document', d.kind, '', '', d.patient_key, d.case_key, d.document_key, d.document_key,
  d."date"::TIMESTAMP, 0, d."text"
FROM document d
"""
_HEADERS: Final = r"""
SELECT 'header', regexp_replace(h.path, '\[[0-9]+\]', '', 'g'), '', '', h.patient_key, s.case_key, s.doc_key,
  h.owner_key, coalesce(e.at, s.at),
  row_number() OVER (PARTITION BY h.owner_key, regexp_replace(h.path, '\[[0-9]+\]', '', 'g')
    ORDER BY h.path, h.item),
  coalesce(as_text(h."number"), h."date"::VARCHAR, h."text")
FROM header h JOIN study_at s USING (study_key) LEFT JOIN series_at e ON e.series_key = h.series_key
"""
_PATIENT: Final = """
SELECT 'patient', unnest(['sex', 'birth_year']), '', '', p.patient_key, NULL, NULL, p.patient_key,
  NULL::TIMESTAMP, 0, unnest([p.sex, p.birth_year::VARCHAR])
FROM patient p
"""
_CASE: Final = """
SELECT 'case', unnest(['start', 'end', 'type']), '', '', c.patient_key, c.case_key, NULL, c.case_key,
  c."start"::TIMESTAMP, 0, unnest([c."start"::VARCHAR, c."end"::VARCHAR, c."type"])
FROM clinical_case c
"""
_IMAGING: Final = """
SELECT 'column', unnest([{names}]), '', '', x.patient_key, x.case_key, x.doc_key, x.group_key, x.at, 0,
  unnest([{values}])
FROM {view} x
"""

# study_at, series_at: case, document and moment of a study and of a series. The document is the first report
# with the study's accession, else the study itself.
_VIEWS: Final = """
CREATE OR REPLACE TEMP TABLE study_at AS
SELECT s.study_key, s.case_key, coalesce(r.document_key, s.study_key) AS doc_key,
  moment(s."StudyDate", s."StudyTime") AS at
FROM study s LEFT JOIN (
  SELECT l.study_key, arg_min(l.document_key, (coalesce(d."date", DATE '9999-12-31'), d.document_key))
    AS document_key
  FROM study_document l JOIN document d USING (document_key) GROUP BY ALL) r USING (study_key);
CREATE OR REPLACE TEMP TABLE series_at AS
SELECT e.series_key, CASE WHEN e."SeriesDate" IS NULL OR e."SeriesDate" = s.at::DATE THEN s.at
  ELSE e."SeriesDate"::TIMESTAMP END AS at
FROM series e JOIN study_at s USING (study_key);
CREATE OR REPLACE TEMP VIEW series_group AS
SELECT e.* EXCLUDE (patient_key, study_key, flags, basic_run, extended_run), s.*, a.doc_key,
  e.series_key AS group_key, t.at
FROM series e JOIN study s USING (study_key) JOIN study_at a USING (study_key) JOIN series_at t USING
  (series_key);
CREATE OR REPLACE TEMP VIEW lone_study_group AS
SELECT s.*, a.doc_key, s.study_key AS group_key, a.at
FROM study s JOIN study_at a USING (study_key) WHERE s.study_key NOT IN (SELECT study_key FROM series);
CREATE OR REPLACE TEMP VIEW instance_group AS
SELECT i.*, a.case_key, a.doc_key, i.instance_key AS group_key, t.at
FROM instance i JOIN study_at a USING (study_key) JOIN series_at t USING (series_key);
"""
_NAMED: Final = {"study": "StudyInstanceUID", "series": "SeriesInstanceUID", "instance": "SOPInstanceUID"}
_ATTRIBUTES: Final = (
    'SELECT DISTINCT 0 AS owner, concat_ws(chr(31), kind, name, unit, part) AS "key" FROM eav_value'
)
_EAV: Final = """
SELECT a.id AS "AttrID", {patient} AS "PID", {case} AS "CaseID", {document} AS "DocID",
  v.group_key AS "GroupID", v.value AS "Value", v.at AS "MeasureTime", v.ref AS "Ref"
FROM eav_value v
JOIN attribute_id a ON a."key" = concat_ws(chr(31), v.kind, v.name, v.unit, v.part)
JOIN patient p ON p.patient_key = v.patient_key
LEFT JOIN clinical_case c ON c.case_key = v.case_key
LEFT JOIN (SELECT document_key AS doc_key, document AS doc FROM document
  UNION ALL SELECT study_key, study FROM study) d ON d.doc_key = v.doc_key
ORDER BY v.patient_key, v.group_key, a.id, v.ref
"""
_PSEUDONYMS: Final = {"patient": "p.patient", "case": 'c."case"', "document": "d.doc"}
_NUMBERS: Final = {
    "patient": "v.patient_key::VARCHAR",
    "case": "v.case_key::VARCHAR",
    "document": "v.doc_key::VARCHAR",
}
_KEYS: Final = """
SELECT patient_key AS "Key", 'PID' AS "Column", patient AS "Pseudonym" FROM patient
UNION ALL SELECT case_key, 'CaseID', "case" FROM clinical_case
UNION ALL SELECT document_key, 'DocID', document FROM document
UNION ALL SELECT study_key, 'DocID', study FROM study ORDER BY ALL
"""
_COUNTED: Final = """
INSERT INTO eav_counted SELECT a.id, a."key", count(*), count(DISTINCT v.patient_key), min(v.at), max(v.at)
FROM eav_value v JOIN attribute_id a ON a."key" = concat_ws(chr(31), v.kind, v.name, v.unit, v.part) GROUP BY
  ALL
"""


class Eav:
    """The form ``eav``.

    *first_attribute* is the lowest AttrID that is given out. With *numbers* PID, CaseID and DocID are the
    warehouse's keys, which ``eav_key`` leads back to pseudonyms; else they are the pseudonyms themselves.
    """

    name = "eav"

    def __init__(self, first_attribute: int = FIRST_ATTRIBUTE, *, numbers: bool = False) -> None:
        self._first_attribute = first_attribute
        self._numbers = numbers
        self._values = ""

    def begin(self, bench: Workbench, source: Source) -> Iterator[Rows]:
        """Yield the empty tables, and learn which columns the warehouse has."""
        self._values = _values(imaging_columns(source.columns()))
        bench.run(
            'CREATE OR REPLACE TEMP TABLE eav_counted (id INTEGER, "key" VARCHAR, n BIGINT, patients BIGINT, '
            '"first" TIMESTAMP, "last" TIMESTAMP)'
        )
        yield from empty(self.name)

    def part(self, bench: Workbench) -> Iterator[Rows]:
        """Yield the values of the patients that *bench* holds."""
        bench.run(_VIEWS)
        bench.run(f"CREATE OR REPLACE TEMP TABLE eav_all AS {self._values}")
        bench.run("CREATE OR REPLACE TEMP TABLE eav_value AS FROM eav_all WHERE value IS NOT NULL")
        bench.number("attribute", _ATTRIBUTES, self._first_attribute)
        bench.run(_COUNTED)
        yield "eav", bench.table(_EAV.format(**(_NUMBERS if self._numbers else _PSEUDONYMS)))
        if self._numbers:
            yield "eav_key", bench.table(_KEYS)

    def end(self, bench: Workbench) -> Iterator[Rows]:
        """Yield the catalogue: what each AttrID stands for."""
        rows = bench.table(
            'SELECT id AS "AttrID", "key", sum(n)::BIGINT AS "Values", sum(patients)::BIGINT AS "Patients", '
            'min("first")::DATE AS "First", max("last")::DATE AS "Last" FROM eav_counted GROUP BY ALL '
            "ORDER BY ALL"
        )
        parts = [str(key).split(SEPARATOR) for key in rows.column("key").to_pylist()]
        named = [_described(*part) for part in parts]
        for position, column in enumerate(("Name", "Source", "Unit", "Part", "Path")):
            rows = rows.append_column(column, [[str(row[position]) for row in named]] if named else [[]])
        yield "eav_catalogue", rows


def _values(columns: dict[str, tuple[str, ...]]) -> str:
    """Return the SELECT of every value there is; its names are ours or DICOM keywords."""
    parts = [_FACTS, _DOCUMENTS, _HEADERS, _PATIENT, _CASE]
    of_study = {"StudyInstanceUID": "study", "AccessionNumber": "accession"} | {
        c: c for c in columns["study"]
    }
    of_series = {"SeriesInstanceUID": "series"} | {c: c for c in columns["series"]}
    of_instance = {"SOPInstanceUID": "instance"} | {c: c for c in columns["instance"]}
    views = (
        ("series_group", of_study | of_series),
        ("lone_study_group", of_study),
        ("instance_group", of_instance),
    )
    for view, named in views:
        names = ", ".join(f"'{name}'" for name in named)
        values = ", ".join(text_of(f'x."{column}"') for column in named.values())
        parts.append(_IMAGING.format(view=view, names=names, values=values))
    return " UNION ALL ".join(parts)


def _described(kind: str, name: str, unit: str, part: str) -> tuple[str, str, str, str, str]:
    """Return name, source, unit, part and path of an attribute's key."""
    if kind != "header":
        return f"{name} ({part})" if part else name, kind, unit, part, ""
    return keyword_path_of(name), kind, unit, part, name
