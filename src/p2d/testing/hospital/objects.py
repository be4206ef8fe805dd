"""Whole DICOM objects of a synthetic hospital: every element from the nouns, pixels from the seed (PS3.3)."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Final, cast
from zlib import crc32

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from p2d.testing.hospital import phantoms
from p2d.testing.hospital.elements import put
from p2d.testing.hospital.nouns import Instance, Study
from p2d.testing.hospital.structured import add_content
from p2d.testing.hospital.tables import modality

_IMPLEMENTATION: Final = "2.999.7314158.1"
_DETACHED_STUDY: Final = "1.2.840.10008.3.1.2.3.1"
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
    put(ds, SpecificCharacterSet=instance.series.study.character_set)
    for keyword, text in instance.attributes().items():
        if text or keyword not in {"Rows", "Columns", "NumberOfFrames", "AdmissionID", "BodyPartExamined"}:
            put(ds, **{keyword: text if keyword not in {"Rows", "Columns"} else int(text)})
    if not instance.series.protocol:
        del ds.ProtocolName
    _add_surroundings(ds, instance)
    _add_identifying(ds, instance)
    for keyword, value in cast(
        "Mapping[str, object]", modality(instance.series.modality)["elements"]
    ).items():
        put(ds, **{keyword: list(value) if isinstance(value, list) else value})
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
    """Add equipment, dates and times."""
    series, study = instance.series, instance.series.study
    day = f"{study.date:%Y%m%d}"
    time = f"{series.time}.{instance.position % 1000:03d}"
    put(
        ds,
        ContentDate=day,
        AcquisitionDate=day,
        InstanceCreationDate=day,
        ContentTime=time,
        AcquisitionTime=time,
        InstanceCreationTime=time,
        ManufacturerModelName=series.device["model"],
        StationName=series.device["station"],
        DeviceSerialNumber=str(10000 + crc32(series.device["station"].encode()) % 90000),
        SoftwareVersions="VA10",
        InstitutionName="Universitätsklinikum Musterstadt",
        InstitutionalDepartmentName="Röntgenabteilung",
        PatientAge=age(study.patient.birth_date, study.date),
        Laterality="",
    )


def _add_identifying(ds: Dataset, instance: Instance) -> None:
    """Add what names the patient beyond the keys: comments, other ids, sequences, private elements."""
    series, study = instance.series, instance.series.study
    patient = study.patient
    put(
        ds,
        PerformingPhysicianName=study.performing_physician,
        OtherPatientIDs=patient.patient_id,
        RequestAttributesSequence=[_request(instance)],
        ReferencedStudySequence=[_reference(_DETACHED_STUDY, study.study_instance_uid)],
        OriginalAttributesSequence=[_coerced(study)],
    )
    if study.comment:
        put(ds, StudyComments=study.comment, PatientComments=study.comment)
    if study.comment and instance.position % 3 == 0:
        put(ds, ImageComments=f"{patient.given} {patient.family}")
    private = ds.private_block(0x0029, _PRIVATE, create=True)
    private.add_new(0x01, "LO", f"{patient.family}, {patient.given}")
    unknown = f"{patient.patient_id} {patient.birth_date:%d.%m.%Y}".encode()
    private.add_new(
        0x02, "UN", unknown + b" " * (len(unknown) % 2)
    )  # archives refuse an odd length (PS3.5 7.1)
    private.add_new(0x03, "UI", series.series_instance_uid)


def _coerced(study: Study) -> Dataset:
    """Return an item of OriginalAttributesSequence (0400,0561) with the name as it was before."""
    patient = study.patient
    before = put(
        Dataset(),
        PatientName=f"{patient.family.upper()}^{patient.given.upper()}",
        PatientID=patient.patient_id,
        PatientBirthDate=f"{patient.birth_date:%Y%m%d}",
        AccessionNumber=study.accession_number,
    )
    return put(
        Dataset(),
        AttributeModificationDateTime=f"{study.date:%Y%m%d}120000",
        ModifyingSystem="RIS",
        SourceOfPreviousValues="Praxis",
        ReasonForTheAttributeModification="COERCE",
        ModifiedAttributesSequence=[before],
    )


def _request(instance: Instance) -> Dataset:
    study = instance.series.study
    return put(
        Dataset(),
        AccessionNumber=study.accession_number,
        StudyInstanceUID=study.study_instance_uid,
        ReferencedStudySequence=[],
        RequestedProcedureID=study.study_id,
        RequestedProcedureDescription=study.description,
        ScheduledProcedureStepDescription=instance.series.description,
        ScheduledProcedureStepID="1",
        RequestingPhysician=study.referring_physician,
        ReasonForTheRequestedProcedure=f"Verlaufskontrolle {study.patient.family}",
    )


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    return put(Dataset(), ReferencedSOPClassUID=sop_class_uid, ReferencedSOPInstanceUID=sop_instance_uid)


def _add_geometry(ds: Dataset, instance: Instance) -> None:
    code = instance.series.modality
    if code in {"CT", "MR", "PT"}:
        put(
            ds,
            FrameOfReferenceUID=instance.series.frame_of_reference_uid,
            ImagePositionPatient=["-200", "-200", str(instance.position * 5)],
            SliceLocation=str(instance.position * 5),
            AcquisitionNumber="1",
        )
        first = instance.series.instances[0]
        if instance is not first:
            put(ds, ReferencedImageSequence=[_reference(first.sop_class_uid, first.sop_instance_uid)])
    if code == "PT":
        tracer = put(
            Dataset(),
            Radiopharmaceutical="Fluorodeoxyglucose F^18^",
            RadiopharmaceuticalStartTime="080000",
            RadionuclideTotalDose="250000000",
        )
        put(
            ds,
            NumberOfSlices=len(instance.series.instances),
            ImageIndex=instance.position + 1,
            RadiopharmaceuticalInformationSequence=[tracer],
            EnergyWindowRangeSequence=[],
        )
    if code == "XA":
        put(ds, FrameIncrementPointer=0x00181063)
    if code in {"DX", "MG"}:
        put(ds, AnatomicRegionSequence=[], ViewCodeSequence=[], AcquisitionContextSequence=[])


def _add_pixels(ds: Dataset, instance: Instance) -> None:
    code, height, width = instance.series.modality, instance.rows, instance.columns
    seed = crc32(instance.series.series_instance_uid.encode()) & 0xFFFF
    samples, photometric, bits = 1, "MONOCHROME2", 12
    if code == "US":
        samples, photometric, bits = 3, "RGB", 8
        put(ds, PlanarConfiguration=0)
        patient = instance.series.study.patient
        label = f"{patient.family},\n{patient.given}\n*{patient.birth_date:%d.%m.%Y}"
        content = phantoms.sonogram(height, width, seed, instance.position, label).tobytes()
    elif code == "XA":
        bits = 8
        places = range(instance.position * 7, instance.position * 7 + instance.frames)
        frames = [phantoms.projection(height, width, seed, place, bits).astype(np.uint8) for place in places]
        content = b"".join(frame.tobytes() for frame in frames)
    else:
        image = _PAINTERS[code](height, width, seed, instance.position)
        bits = 16 if code == "PT" else 12
        if code in {"CR", "DX"} and seed % 2:
            photometric = "MONOCHROME1"
            image = 4095 - image
        content = image.astype("<u2").tobytes()
    if code == "DX" and photometric == "MONOCHROME1":
        put(ds, PresentationLUTShape="INVERSE")
    put(
        ds,
        SamplesPerPixel=samples,
        PhotometricInterpretation=photometric,
        BitsAllocated=8 if bits == 8 else 16,
        BitsStored=bits,
        HighBit=bits - 1,
        PixelRepresentation=0,
    )
    padded = content + b"\x00" * (len(content) % 2)
    ds.add_new("PixelData", "OB" if bits == 8 else "OW", padded)
