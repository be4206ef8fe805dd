"""Every identifying value of a hospital, as canaries."""

from collections.abc import Iterator, Sequence

from p2d.testing.canary import Canary
from p2d.testing.hospital.nouns import Patient

_SHORTEST_NAME = 10  # a shorter name part could stand in ordinary text


def canaries_of(patients: Sequence[Patient], physicians: Sequence[str]) -> list[Canary]:
    """Return names, ids, numbers, birth dates in three spellings and UIDs, each value once, in order.

    Of names only the parts of ten and more characters count. Study dates are not among them: a true one can
    coincide with a shifted one.
    """
    found: dict[str, Canary] = {}
    for physician in physicians:
        for part in physician.split("^"):
            if len(part) >= _SHORTEST_NAME:
                found.setdefault(part, Canary(part, "physician"))
    for patient in patients:
        for canary in _of_patient(patient):
            if canary:
                found.setdefault(str(canary), canary)
    return list(found.values())


def _of_patient(patient: Patient) -> Iterator[Canary]:
    for part in (patient.family, *patient.family.split("-")):
        if len(part) >= _SHORTEST_NAME:
            yield Canary(part, "family_name")
    if len(patient.given) >= _SHORTEST_NAME:
        yield Canary(patient.given, "given_name")
    yield Canary(patient.patient_id, "patient_id")
    for spelling in ("%Y%m%d", "%d.%m.%Y", "%Y-%m-%d"):
        yield Canary(f"{patient.birth_date:{spelling}}", "birth_date")
    for case in patient.cases:
        yield Canary(case.case_id, "admission_id")
    for document in patient.documents:
        yield Canary(document.document_id, "document_id")
    for study in patient.studies:
        yield Canary(study.accession_number, "accession_number")
        yield Canary(study.study_instance_uid, "study_uid")
        for series in study.series:
            yield Canary(series.series_instance_uid, "series_uid")
            for instance in series.instances:
                yield Canary(instance.sop_instance_uid, "instance_uid")
