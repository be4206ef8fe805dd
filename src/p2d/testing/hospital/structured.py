"""Structured reports whose content names the patient (PS3.3 C.17.3), as reports do."""

from pydicom.dataset import Dataset

from p2d.testing.hospital.elements import put
from p2d.testing.hospital.nouns import Instance

_REPORT = ("18748-4", "LN", "Diagnostic Imaging Report")


def add_content(ds: Dataset, instance: Instance) -> None:
    """Make *ds* an SR document: a container with PNAME, TEXT, DATE and UIDREF items naming the patient."""
    study = instance.series.study
    patient = study.patient
    text = (
        f"{'Herr' if patient.sex == 'M' else 'Frau'} {patient.given} {patient.family}, "
        f"geb. {patient.birth_date:%d.%m.%Y}, ID {patient.patient_id}: {study.description}. "
        "Kein Pneumothorax."
    )
    content = [
        _item("HAS OBS CONTEXT", "PNAME", _code("121029", "DCM", "Subject Name"), PersonName=patient.name),
        _item(
            "HAS OBS CONTEXT",
            "DATE",
            _code("121031", "DCM", "Subject Birth Date"),
            Date=f"{patient.birth_date:%Y%m%d}",
        ),
        _item(
            "HAS OBS CONTEXT",
            "UIDREF",
            _code("121018", "DCM", "Procedure Study Instance UID"),
            UID=study.study_instance_uid,
        ),
        _item(
            "HAS OBS CONTEXT",
            "PNAME",
            _code("121008", "DCM", "Person Observer Name"),
            PersonName=study.performing_physician,
        ),
        _item("CONTAINS", "TEXT", _code("121070", "DCM", "Findings"), TextValue=text),
    ]
    put(
        ds,
        ValueType="CONTAINER",
        ContinuityOfContent="SEPARATE",
        ConceptNameCodeSequence=[_code(*_REPORT)],
        PerformedProcedureCodeSequence=[],
        ReferencedPerformedProcedureStepSequence=[],
        ContentSequence=content,
    )


def _item(relationship: str, value_type: str, name: Dataset, **value: str) -> Dataset:
    item = put(Dataset(), RelationshipType=relationship, ValueType=value_type, ConceptNameCodeSequence=[name])
    return put(item, **value)


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    return put(Dataset(), CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)
