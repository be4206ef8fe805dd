"""Structured reports whose content names the patient (PS3.3 C.17.3), as reports do."""

from pydicom.dataset import Dataset

from p2d.testing.hospital.nouns import Instance

_UID_REPORT = ("18748-4", "LN", "Diagnostic Imaging Report")


def add_content(ds: Dataset, instance: Instance) -> None:
    """Make *ds* an SR document: a container with PNAME, TEXT, DATE and UIDREF items naming the patient."""
    study = instance.series.study
    patient = study.patient
    ds.ValueType = "CONTAINER"
    ds.ContinuityOfContent = "SEPARATE"
    ds.ConceptNameCodeSequence = [_code(*_UID_REPORT)]
    ds.PerformedProcedureCodeSequence = []
    ds.ReferencedPerformedProcedureStepSequence = []
    text = (
        f"{'Herr' if patient.sex == 'M' else 'Frau'} {patient.given} {patient.family}, "
        f"geb. {patient.birth_date:%d.%m.%Y}, ID {patient.patient_id}: {study.description}. "
        "Kein Pneumothorax."
    )
    ds.ContentSequence = [
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


def _item(relationship: str, value_type: str, name: Dataset, **value: str) -> Dataset:
    item = Dataset()
    item.RelationshipType = relationship
    item.ValueType = value_type
    item.ConceptNameCodeSequence = [name]
    for keyword, text in value.items():
        setattr(item, keyword, text)
    return item


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue = value
    code.CodingSchemeDesignator = scheme
    code.CodeMeaning = meaning
    return code
