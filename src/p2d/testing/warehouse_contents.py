"""What a warehouse holds, so that two can be compared: every row, surrogate keys replaced by natural ones."""
# ruff: noqa: S608 - constants of this module

from collections.abc import Callable
from typing import Any, Final

Ask = Callable[[str], list[tuple[Any, ...]]]
_PATIENT: Final = "JOIN patient p ON p.patient_key = x.patient_key"
_CASE: Final = "LEFT JOIN clinical_case c ON c.case_key = x.case_key"
_STUDY: Final = "JOIN study st ON st.study_key = x.study_key"
_RECORDS: Final = {
    "patient": "SELECT patient, sex, birth_year FROM patient",
    "case": f'SELECT p.patient, x."case", x."start", x."end", x."type" FROM clinical_case x {_PATIENT}',
    "document": (
        'SELECT p.patient, x.document, c."case", x.kind, x."date", x.accession, x."text", x.negated, '
        f"x.source FROM document x {_PATIENT} {_CASE}"
    ),
    "fact": (
        'SELECT p.patient, d.document, x."group", x.attribute, x."date", x."number", x.code, x."text", '
        'c."case", x.unit, x."time", x.source, '
        "(SELECT count(*) FROM fact y WHERE y.group_key = x.group_key) AS together "
        f"FROM fact x {_PATIENT} {_CASE} LEFT JOIN document d ON d.document_key = x.document_key"
    ),
    "study": (
        'SELECT p.patient, x.study, x.accession, x.admission_case, x."StudyDate", x."StudyTime", '
        'x."StudyDescription", x."ModalitiesInStudy", x."NumberOfStudyRelatedSeries", '
        'x."NumberOfStudyRelatedInstances", x.flags, x.basic_run, x.extended_run, c."case", x.link_method '
        f"FROM study x {_PATIENT} {_CASE}"
    ),
    "study_archive": f"SELECT st.study, x.archive FROM study_archive x {_STUDY}",
    "archive_gone": f"SELECT st.study, x.archive FROM archive_gone x {_STUDY}",
    "study_document": (
        f"SELECT st.study, d.document, p.patient FROM study_document x {_PATIENT} {_STUDY} "
        "JOIN document d ON d.document_key = x.document_key"
    ),
    "series": (
        'SELECT p.patient, st.study, x.series, x."Modality", x."SeriesNumber", x."SeriesDescription", '
        'x."SeriesDate", x."BodyPartExamined", x."ProtocolName", x."Manufacturer", '
        'x."NumberOfSeriesRelatedInstances", x.flags, x.basic_run, x.extended_run, x.extended_scope '
        f"FROM series x {_PATIENT} {_STUDY}"
    ),
    "instance": (
        'SELECT p.patient, st.study, se.series, x.instance, x."InstanceNumber", x."SOPClassUID", x."Rows", '
        'x."Columns", x."NumberOfFrames", x.flags, x.basic_run, x.extended_run '
        f"FROM instance x {_PATIENT} {_STUDY} JOIN series se ON se.series_key = x.series_key"
    ),
    "instance_archive": (
        "SELECT o.instance, x.archive FROM instance_archive x "
        "JOIN instance o ON o.instance_key = x.instance_key"
    ),
    "header": (
        'SELECT p.patient, st.study, se.series, o.instance, x.path, x.item, x.keyword, x.vr, x."number", '
        'x."date", x."text", coalesce(x.instance_key, x.series_key, x.study_key) = x.owner_key '
        f"FROM header x {_PATIENT} {_STUDY} LEFT JOIN series se ON se.series_key = x.series_key "
        "LEFT JOIN instance o ON o.instance_key = x.instance_key"
    ),
    "attribute": "SELECT kind, name, unit, has_number, has_text FROM attribute",
    "coverage": f"SELECT p.patient, x.source, x.run_id FROM coverage x {_PATIENT}",
    "receipt": 'SELECT batch_id, digest, "rows" FROM receipt',
    "issue": f'SELECT x.batch_id, x.kind, x."level", p.patient, x."key", x.detail FROM issue x {_PATIENT}',
    "data_version": "SELECT count(*) FROM data_version",
}


def contents(ask: Ask) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of every table that *ask* reads from, in one order whatever the engine."""
    return {name: sorted(ask(query), key=repr) for name, query in _RECORDS.items()}
