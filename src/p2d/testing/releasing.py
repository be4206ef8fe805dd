"""Instances and keys as de-identification gets them, made from a pydicom data set."""

import hashlib
from typing import Final

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from p2d.deid.references import References
from p2d.deid.rewrite.content import open_content
from p2d.deid.rewrite.decoder import Decoders
from p2d.dicom.dictionary import tag_of
from p2d.dicom.elements import elements_of
from p2d.model.header import Element
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, PatientId, PatientKeys
from p2d.model.ids import Pseudonym
from p2d.model.level import Level

EXPLICIT: Final = "1.2.840.10008.1.2.1"
IMPLICIT: Final = "1.2.840.10008.1.2"
PATIENT: Final = Pseudonym("P0123456789AB")
SHIFT_DAYS: Final = -77
_ANSWERED: Final = frozenset(
    tag_of(keyword)
    for keyword in (
        *("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "SeriesInstanceUID"),
        *("SOPInstanceUID", "SOPClassUID", "StudyDate", "AccessionNumber", "Modality", "StudyDescription"),
        *("SeriesDescription", "InstanceNumber"),
    )
)


def instance_of(
    dataset: Dataset, *, transfer_syntax_uid: str = EXPLICIT, answer: dict[str, str] | None = None
) -> IdentifiedInstance:
    """Return *dataset* as an archive would send it; *answer* replaces values of the C-FIND answer by tag."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = transfer_syntax_uid == IMPLICIT
    buffer.is_little_endian = True
    write_dataset(buffer, dataset)
    return IdentifiedInstance(
        header=answer_of(dataset, answer),
        content=buffer.getvalue(),
        transfer_syntax_uid=transfer_syntax_uid,
        sop_class_uid=str(dataset.get("SOPClassUID", "")),
    )


def answer_of(dataset: Dataset, answer: dict[str, str] | None = None) -> IdentifiedHeader:
    """Return the C-FIND answer for *dataset*; *answer* replaces elements by tag."""
    elements = {path: e for path, e in elements_of(dataset).items() if path in _ANSWERED}
    for path, value in (answer or {}).items():
        vr = elements[path].vr if path in elements else "LO"
        elements[path] = Element(path, vr, (value,) if value else ())
    return IdentifiedHeader(Level.INSTANCE, elements)


def keys_for(
    *instances: IdentifiedInstance, shift_days: int = SHIFT_DAYS, true_dates: bool = False
) -> PatientKeys:
    """Return keys that cover all that *instances* refer to, as identity would have given them."""
    references = References().merge(*(references_in_instance(instance) for instance in instances))
    return PatientKeys(
        patient=PATIENT,
        patient_id=PatientId(instances[0].header.patient_id),
        shift_days=shift_days,
        uids={uid: derived_uid(uid) for uid in references.uids},
        accessions={a: Pseudonym(_hashed("A", a)) for a in references.accessions},
        cases={c: Pseudonym(_hashed("C", c)) for c in references.admissions},
        known=references.known,
        true_dates=true_dates,
    )


def references_in_instance(instance: IdentifiedInstance) -> References:
    """Return what a retrieved instance and the archive's answer for it refer to."""
    decoders = Decoders()
    open_content(instance, decoders)
    return References.of([*instance.header.elements.values(), *decoders.taken()])


def derived_uid(uid: str) -> str:
    """Return the derived UID that ``keys_for`` gives *uid*."""
    return f"2.25.{int(hashlib.sha256(uid.encode()).hexdigest()[:32], 16)}"


def _hashed(letter: str, text: str) -> str:
    return letter + hashlib.sha256(text.encode()).hexdigest()[:14].upper()
