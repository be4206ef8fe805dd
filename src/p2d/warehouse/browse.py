"""The studies and series of one patient, for pages and sessions; pseudonyms only."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from p2d.warehouse.statements import Statements


@dataclass(frozen=True, slots=True)
class SeriesLine:
    """One series as it is listed; ``extended_scope`` is none, part or all."""

    series: str
    modality: str | None
    number: int | None
    description: str | None
    body_part: str | None
    instances: int
    extended_scope: str
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StudyLine:
    """One study as it is listed; ``link_method`` says how it came to its case.

    ``gone_from`` names the archives that do not list it any more.
    """

    study: str
    accession: str | None
    case: str | None
    link_method: str
    study_date: date | None
    description: str | None
    modalities: tuple[str, ...]
    reports: tuple[str, ...]
    flags: tuple[str, ...]
    series: tuple[SeriesLine, ...]
    gone_from: tuple[str, ...] = ()


def read_studies(session: Statements, patient: str) -> tuple[StudyLine, ...]:
    """Return the studies of *patient*, oldest first, each with its series in order of their numbers."""
    studies = session.rows(
        'SELECT s.study_key, s.study, s.accession, c."case", s.link_method, s."StudyDate", '
        's."StudyDescription", s."ModalitiesInStudy", s.flags, '
        "(SELECT array_agg(d.document ORDER BY d.document) FROM study_document l "
        "JOIN document d USING (document_key) WHERE l.study_key = s.study_key), "
        "(SELECT array_agg(g.archive ORDER BY g.archive) FROM archive_gone g "
        "WHERE g.study_key = s.study_key) "
        "FROM study s JOIN patient p USING (patient_key) "
        "LEFT JOIN clinical_case c ON c.case_key = s.case_key "
        'WHERE p.patient = $patient ORDER BY s."StudyDate" NULLS LAST, s.study',
        patient=patient,
    )
    series = session.rows(
        'SELECT e.study_key, e.series, e."Modality", e."SeriesNumber", e."SeriesDescription", '
        'e."BodyPartExamined", coalesce(e."NumberOfSeriesRelatedInstances", '
        "(SELECT count(*) FROM instance i WHERE i.series_key = e.series_key)), e.extended_scope, e.flags "
        "FROM series e JOIN patient p USING (patient_key) "
        'WHERE p.patient = $patient ORDER BY e."SeriesNumber" NULLS LAST, e.series',
        patient=patient,
    )
    return tuple(_study(row, [line for line in series if line[0] == row[0]]) for row in studies)


def _study(row: tuple[Any, ...], series: list[tuple[Any, ...]]) -> StudyLine:
    modalities = tuple(row[7].split("\\")) if row[7] else tuple(sorted({s[2] for s in series if s[2]}))
    return StudyLine(
        study=row[1],
        accession=row[2],
        case=row[3],
        link_method=row[4],
        study_date=row[5],
        description=row[6],
        modalities=modalities,
        reports=tuple(row[9] or ()),
        flags=tuple((row[8] or "").split()),
        series=tuple(_series(line) for line in series),
        gone_from=tuple(row[10] or ()),
    )


def _series(row: tuple[Any, ...]) -> SeriesLine:
    _, series, modality, number, description, body_part, instances, extended_scope, flags = row
    listed = tuple((flags or "").split())
    return SeriesLine(series, modality, number, description, body_part, instances, extended_scope, listed)
