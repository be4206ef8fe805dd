"""Whole DICOM objects of a synthetic hospital: every element from the nouns, pixels from the seed (PS3.3)."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Final, cast
from zlib import crc32

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from p2d.testing.hospital import phantoms
from p2d.testing.hospital.nouns import Instance
from p2d.testing.hospital.structured import add_content
from p2d.testing.hospital.tables import modality

_IMPLEMENTATION: Final = "2.999.7314158.1"
_PRIVATE: Final = "P2D HOSPITAL"
_PAINTERS: Final[Mapping[str, Callable[[int, int, int, int], phantoms.Pixels]]] = {
    "CT": phantoms.slice_of_body,
    "MR": phantoms.magnitude,
    "CR": phantoms.projection,
    "DX": phantoms.projection,
    "MG": phantoms.projection,
    "PT": phantoms.activity,
}


def render(instance: Instance) -> Dataset:
    """Return the object of *instance* with file meta information, Explicit VR Little Endian."""
    ds = Dataset()
    ds.file_meta = _file_meta(instance)
    ds.SpecificCharacterSet = instance.series.study.character_set
    for keyword, text in instance.attributes().items():
        if text or keyword not in {"Rows", "Columns", "NumberOfFrames", "AdmissionID", "BodyPartExamined"}:
            setattr(ds, keyword, text if keyword not in {"Rows", "Columns"} else int(text))
    if not instance.series.protocol:
        del ds.ProtocolName
    _add_surroundings(ds, instance)
    _add_identifying(ds, instance)
    for keyword, value in cast(
        "Mapping[str, object]", modality(instance.series.modality)["elements"]
    ).items():
        setattr(ds, keyword, list(value) if isinstance(value, list) else value)
    if instance.series.modality == "SR":
        add_content(ds, instance)
    else:
        _add_geometry(ds, instance)
        _add_pixels(ds, instance)
    return ds


def age(born: date, day: date) -> str:
    """Return PatientAge (0010,1010) on *day*: whole years as ``NNNY``."""
    years = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
    return f"{years:03d}Y"


def _file_meta(instance: Instance) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = UID(instance.sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(instance.sop_instance_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(_IMPLEMENTATION)
    meta.ImplementationVersionName = "P2D_HOSPITAL"
    return meta


def _add_surroundings(ds: Dataset, instance: Instance) -> None:
    """Add equipment, frame of reference and times."""
    series, study = instance.series, instance.series.study
    ds.ContentDate = ds.AcquisitionDate = ds.InstanceCreationDate = f"{study.date:%Y%m%d}"
    ds.ContentTime = ds.AcquisitionTime = ds.InstanceCreationTime = (
        f"{series.time}.{instance.position % 1000:03d}"
    )
    ds.ManufacturerModelName = series.device["model"]
    ds.StationName = series.device["station"]
    ds.DeviceSerialNumber = str(10000 + crc32(series.device["station"].encode()) % 90000)
    ds.SoftwareVersions = "VA10"
    ds.InstitutionName = "Universitätsklinikum Musterstadt"
    ds.InstitutionalDepartmentName = "Röntgenabteilung"
    ds.PatientAge = age(study.patient.birth_date, study.date)
    ds.Laterality = ""


def _add_identifying(ds: Dataset, instance: Instance) -> None:
    """Add what names the patient beyond the keys: comments, other ids, sequences, private elements."""
    series, study = instance.series, instance.series.study
    patient = study.patient
    ds.PerformingPhysicianName = study.performing_physician
    ds.OtherPatientIDs = patient.patient_id
    if study.comment:
        ds.StudyComments = ds.PatientComments = study.comment
    if study.comment and instance.position % 3 == 0:
        ds.ImageComments = f"{patient.given} {patient.family}"
    ds.RequestAttributesSequence = [_request(instance)]
    ds.ReferencedStudySequence = [_reference("1.2.840.10008.3.1.2.3.1", study.study_instance_uid)]
    before = Dataset()
    before.AttributeModificationDateTime = f"{study.date:%Y%m%d}120000"
    before.ModifyingSystem = "RIS"
    before.SourceOfPreviousValues = "Praxis"
    before.ReasonForTheAttributeModification = "COERCE"
    modified = Dataset()
    modified.PatientName = f"{patient.family.upper()}^{patient.given.upper()}"
    modified.PatientID = patient.patient_id
    modified.PatientBirthDate = f"{patient.birth_date:%Y%m%d}"
    modified.AccessionNumber = study.accession_number
    before.ModifiedAttributesSequence = [modified]
    ds.OriginalAttributesSequence = [before]
    private = ds.private_block(0x0029, _PRIVATE, create=True)
    private.add_new(0x01, "LO", f"{patient.family}, {patient.given}")
    private.add_new(0x02, "UN", f"{patient.patient_id} {patient.birth_date:%d.%m.%Y}".encode())
    private.add_new(0x03, "UI", series.series_instance_uid)


def _request(instance: Instance) -> Dataset:
    study = instance.series.study
    request = Dataset()
    request.AccessionNumber = study.accession_number
    request.StudyInstanceUID = study.study_instance_uid
    request.ReferencedStudySequence = []
    request.RequestedProcedureID = study.study_id
    request.RequestedProcedureDescription = study.description
    request.ScheduledProcedureStepDescription = instance.series.description
    request.ScheduledProcedureStepID = "1"
    request.RequestingPhysician = study.referring_physician
    request.ReasonForTheRequestedProcedure = f"Verlaufskontrolle {study.patient.family}"
    return request


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item


def _add_geometry(ds: Dataset, instance: Instance) -> None:
    code = instance.series.modality
    if code in {"CT", "MR", "PT"}:
        ds.FrameOfReferenceUID = instance.series.frame_of_reference_uid
        ds.ImagePositionPatient = ["-200", "-200", str(instance.position * 5)]
        ds.SliceLocation = str(instance.position * 5)
        ds.AcquisitionNumber = "1"
        first = instance.series.instances[0]
        if instance is not first:
            ds.ReferencedImageSequence = [_reference(first.sop_class_uid, first.sop_instance_uid)]
    if code == "PT":
        ds.SeriesDate = ds.ContentDate
        ds.NumberOfSlices = len(instance.series.instances)
        ds.ImageIndex = instance.position + 1
        tracer = Dataset()
        tracer.Radiopharmaceutical = "Fluorodeoxyglucose F^18^"
        tracer.RadiopharmaceuticalStartTime = "080000"
        tracer.RadionuclideTotalDose = "250000000"
        ds.RadiopharmaceuticalInformationSequence = [tracer]
        ds.EnergyWindowRangeSequence = []
    if code == "XA":
        ds.FrameIncrementPointer = 0x00181063
    if code in {"DX", "MG"}:
        ds.AnatomicRegionSequence = []
        ds.ViewCodeSequence = []
        ds.AcquisitionContextSequence = []


def _add_pixels(ds: Dataset, instance: Instance) -> None:
    code, height, width = instance.series.modality, instance.rows, instance.columns
    seed = crc32(instance.series.series_instance_uid.encode()) & 0xFFFF
    ds.SamplesPerPixel, ds.PixelRepresentation = 1, 0
    ds.PhotometricInterpretation = "MONOCHROME2"
    if code == "US":
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
        patient = instance.series.study.patient
        label = f"{patient.family}, {patient.given} *{patient.birth_date:%d.%m.%Y}"
        image = phantoms.sonogram(height, width, seed, instance.position, label)
        _set_depth(ds, 8)
        ds.PixelData = image.tobytes()
    elif code == "XA":
        frames = [
            phantoms.projection(height, width, seed, instance.position * 7 + frame, bits=8).astype(np.uint8)
            for frame in range(instance.frames)
        ]
        _set_depth(ds, 8)
        ds.PixelData = _even(b"".join(frame.tobytes() for frame in frames))
    else:
        image16 = _PAINTERS[code](height, width, seed, instance.position)
        if code in {"CR", "DX"} and seed % 2:
            ds.PhotometricInterpretation = "MONOCHROME1"
            image16 = 4095 - image16
        _set_depth(ds, 16 if code == "PT" else 12)
        ds.PixelData = image16.astype("<u2").tobytes()
        if ds.PhotometricInterpretation == "MONOCHROME1" and code == "DX":
            ds.PresentationLUTShape = "INVERSE"
    ds["PixelData"].VR = "OB" if ds.BitsAllocated == 8 else "OW"


def _set_depth(ds: Dataset, bits: int) -> None:
    ds.BitsAllocated = 8 if bits == 8 else 16
    ds.BitsStored = bits
    ds.HighBit = bits - 1


def _even(content: bytes) -> bytes:
    return content if len(content) % 2 == 0 else content + b"\x00"
