"""What a synthetic hospital consists of: patients, cases, studies, series, instances, documents, facts.

All values are the true, identifying ones: they are what a test compares with or searches for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date

from pydicom.dataset import Dataset


@dataclass(frozen=True, eq=False)
class Patient:
    """A patient with all that belongs to them; ``name`` is a PN value, ``Family^Given``."""

    patient_id: str
    family: str
    given: str
    sex: str
    birth_date: date
    street: str
    is_failing: bool
    cases: "list[Case]" = field(default_factory=list, repr=False)
    studies: "list[Study]" = field(default_factory=list, repr=False)
    documents: "list[Document]" = field(default_factory=list, repr=False)
    facts: "list[Fact]" = field(default_factory=list, repr=False)

    @property
    def name(self) -> str:
        """The name as PatientName (0010,0010) writes it."""
        return f"{self.family}^{self.given}"


@dataclass(frozen=True, eq=False)
class Case:
    """A stay or visit; ``case_id`` is the AdmissionID (0038,0010), ``end`` is included."""

    patient: Patient = field(repr=False)
    case_id: str
    start: date
    end: date
    type: str


@dataclass(frozen=True, eq=False)
class Study:
    """An imaging study; ``admission_id`` is empty where the archive does not know the case."""

    patient: Patient = field(repr=False)
    case: Case | None = field(repr=False)
    study_instance_uid: str
    study_id: str
    accession_number: str
    admission_id: str
    date: date
    time: str
    description: str
    referring_physician: str
    performing_physician: str
    character_set: str
    comment: str
    modality: str
    body_part: str
    series: "list[Series]" = field(default_factory=list, repr=False)

    @property
    def modalities(self) -> frozenset[str]:
        """The modalities of its series."""
        return frozenset(series.modality for series in self.series)

    def attributes(self) -> dict[str, str]:
        """Return the elements of patient and study: DICOM keyword -> text."""
        return {
            "PatientID": self.patient.patient_id,
            "PatientName": self.patient.name,
            "PatientBirthDate": f"{self.patient.birth_date:%Y%m%d}",
            "PatientSex": self.patient.sex,
            "StudyInstanceUID": self.study_instance_uid,
            "StudyDate": f"{self.date:%Y%m%d}",
            "StudyTime": self.time,
            "StudyDescription": self.description,
            "StudyID": self.study_id,
            "AccessionNumber": self.accession_number,
            "AdmissionID": self.admission_id,
            "ReferringPhysicianName": self.referring_physician,
        }


@dataclass(frozen=True, eq=False)
class Series:
    """A series; ``device`` holds manufacturer, model and station."""

    study: Study = field(repr=False)
    series_instance_uid: str
    modality: str
    number: int
    description: str
    protocol: str
    body_part: str
    time: str
    device: Mapping[str, str] = field(repr=False)
    frame_of_reference_uid: str
    instances: "list[Instance]" = field(default_factory=list, repr=False)

    def attributes(self) -> dict[str, str]:
        """Return the elements of patient, study and series: DICOM keyword -> text."""
        return {
            **self.study.attributes(),
            "SeriesInstanceUID": self.series_instance_uid,
            "Modality": self.modality,
            "SeriesDescription": self.description,
            "SeriesNumber": str(self.number),
            "SeriesDate": f"{self.study.date:%Y%m%d}",
            "SeriesTime": self.time,
            "BodyPartExamined": self.body_part,
            "ProtocolName": self.protocol,
            "Manufacturer": self.device["manufacturer"],
        }

    def ordered(self) -> "list[Instance]":
        """Return the instances by (InstanceNumber, missing last, SOPInstanceUID)."""
        return sorted(self.instances, key=lambda i: (i.number is None, i.number or 0, i.sop_instance_uid))

    def first(self) -> "Instance":
        """Return the first instance of that order."""
        return self.ordered()[0]

    def middle(self) -> "Instance":
        """Return the instance at index n // 2 of that order."""
        return self.ordered()[len(self.instances) // 2]


@dataclass(frozen=True, eq=False, slots=True)
class Instance:
    """An instance; ``number`` is None where InstanceNumber (0020,0013) has no value."""

    series: Series = field(repr=False)
    sop_instance_uid: str
    sop_class_uid: str
    number: int | None
    position: int
    rows: int
    columns: int
    frames: int
    painter: "Callable[[Instance], Dataset]" = field(repr=False)

    def attributes(self) -> dict[str, str]:
        """Return what C-FIND answers for this instance: DICOM keyword -> text."""
        return {
            **self.series.attributes(),
            "SOPInstanceUID": self.sop_instance_uid,
            "SOPClassUID": self.sop_class_uid,
            "InstanceNumber": "" if self.number is None else str(self.number),
            "Rows": str(self.rows) if self.rows else "",
            "Columns": str(self.columns) if self.columns else "",
            "NumberOfFrames": str(self.frames) if self.frames > 1 else "",
        }

    def render(self) -> Dataset:
        """Return the whole object with pixels and file meta information, Explicit VR Little Endian."""
        return self.painter(self)


@dataclass(frozen=True, eq=False)
class Document:
    """A clinical document; ``accession_number`` is set on radiology reports only."""

    patient: Patient = field(repr=False)
    case: Case | None = field(repr=False)
    document_id: str
    kind: str
    date: date
    accession_number: str
    text: str = field(repr=False)


@dataclass(frozen=True, eq=False)
class Fact:
    """One clinical value of a document; ``group_id`` binds values of one measurement within the document."""

    document: Document = field(repr=False)
    group_id: str
    attribute: str
    date: date
    number: float | None = None
    code: str = ""
    text: str = ""
    unit: str = ""
