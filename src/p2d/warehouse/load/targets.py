"""Where the tables of a batch go: natural keys, merged columns, parents."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Target:
    """How one table of a batch goes into the database.

    ``key`` is the natural key in database columns, ``values`` what is merged, ``joins`` find the parents'
    surrogate keys, ``parents`` maps a column of the batch to the surrogate key it must have led to,
    ``inserted`` are further columns of new rows.
    """

    name: str
    into: str
    key: tuple[str, ...]
    values: tuple[str, ...]
    select: str
    joins: str = ""
    parents: tuple[tuple[str, str], ...] = ()
    nullable: bool = False
    inserted: tuple[str, ...] = ()

    @property
    def parent(self) -> str:
        """First column of the natural key: the surrogate key of what the row belongs to."""
        return self.key[0]


_PATIENT: Final = "LEFT JOIN patient p ON p.patient = i.patient"
_CASE: Final = 'LEFT JOIN clinical_case c ON c.patient_key = p.patient_key AND c."case" = i."case"'
_DOCUMENT: Final = "LEFT JOIN document d ON d.patient_key = p.patient_key AND d.document = i.document"
_STUDY: Final = "LEFT JOIN study st ON st.patient_key = p.patient_key AND st.study = i.study"
_SERIES: Final = "LEFT JOIN series se ON se.study_key = st.study_key AND se.series = i.series"
_INSTANCE: Final = "LEFT JOIN instance o ON o.series_key = se.series_key AND o.instance = i.instance"

TARGETS: Final = (
    Target("patient", "patient", ("patient",), ("sex", "birth_year"), "i.*"),
    Target(
        "case",
        "clinical_case",
        ("patient_key", "case"),
        ("start", "end", "type"),
        "i.*, p.patient_key",
        _PATIENT,
        (("patient", "patient_key"),),
    ),
    Target(
        "document",
        "document",
        ("patient_key", "document"),
        ("case_key", "kind", "date", "accession", "text", "negated", "source"),
        "i.*, p.patient_key, c.case_key",
        f"{_PATIENT} {_CASE}",
        (("patient", "patient_key"), ("case", "case_key")),
    ),
    Target(
        "fact",
        "fact",
        ("patient_key", "document_key", "group", "attribute", "date", "code", "number", "text", "time"),
        ("case_key", "unit", "source"),
        # patient, case and document say only whether there is one, for the check of parents
        """i."row", i."group", i.attribute, i."date", i."time", i."number", i.code, i."text", i.unit,
        i.source, i.fact_key, i.group_key, nullif(i.patient IS NOT NULL, false) AS patient,
        nullif(i."case" IS NOT NULL, false) AS "case", nullif(i.document IS NOT NULL, false) AS document,
        p.patient_key, c.case_key, d.document_key""",
        f"{_PATIENT} {_CASE} {_DOCUMENT}",
        (("patient", "patient_key"), ("case", "case_key"), ("document", "document_key")),
        nullable=True,
        inserted=("fact_key", "group_key"),
    ),
    Target(
        "study",
        "study",
        ("patient_key", "study"),
        (
            "accession",
            "admission_case",
            "StudyDate",
            "StudyTime",
            "StudyDescription",
            "ModalitiesInStudy",
            "NumberOfStudyRelatedSeries",
            "NumberOfStudyRelatedInstances",
            "flags",
            "basic_run",
            "extended_run",
        ),
        'i.*, i."case" AS admission_case, p.patient_key',
        _PATIENT,
        (("patient", "patient_key"),),
    ),
    Target(
        "series",
        "series",
        ("study_key", "series"),
        (
            "patient_key",
            "Modality",
            "SeriesNumber",
            "SeriesDescription",
            "SeriesDate",
            "BodyPartExamined",
            "ProtocolName",
            "Manufacturer",
            "NumberOfSeriesRelatedInstances",
            "flags",
            "basic_run",
        ),
        "i.*, p.patient_key, st.study_key",
        f"{_PATIENT} {_STUDY}",
        (("study", "study_key"),),
    ),
    Target(
        "instance",
        "instance",
        ("series_key", "instance"),
        (
            "patient_key",
            "study_key",
            "InstanceNumber",
            "SOPClassUID",
            "Rows",
            "Columns",
            "NumberOfFrames",
            "flags",
            "basic_run",
            "extended_run",
        ),
        "i.*, p.patient_key, st.study_key, se.series_key",
        f"{_PATIENT} {_STUDY} {_SERIES}",
        (("series", "series_key"),),
    ),
    Target(
        "header",
        "header",
        ("owner_key", "path", "item"),
        (
            "patient_key",
            "study_key",
            "series_key",
            "instance_key",
            "keyword",
            "vr",
            "number",
            "date",
            "text",
        ),
        "i.*, p.patient_key, st.study_key, se.series_key, o.instance_key, "
        "coalesce(o.instance_key, se.series_key, st.study_key) AS owner_key",
        f"{_PATIENT} {_STUDY} {_SERIES} {_INSTANCE}",
        (("study", "study_key"), ("series", "series_key"), ("instance", "instance_key")),
    ),
)
