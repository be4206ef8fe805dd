"""Objects that no public corpus has with clear terms: documents, presentation states, screen saves, loops."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from phi.portable_document import document

_ROOT: Final = "2.999.7314160"
_CLASSES: Final = {
    "pdf": "1.2.840.10008.5.1.4.1.1.104.1",
    "gsps": "1.2.840.10008.5.1.4.1.1.11.1",
    "ko": "1.2.840.10008.5.1.4.1.1.88.59",
    "sc": "1.2.840.10008.5.1.4.1.1.7",
    "us": "1.2.840.10008.5.1.4.1.1.6.1",
    "us_loop": "1.2.840.10008.5.1.4.1.1.3.1",
    "rf": "1.2.840.10008.5.1.4.1.1.12.2",
    "sr": "1.2.840.10008.5.1.4.1.1.88.33",
    "pt": "1.2.840.10008.5.1.4.1.1.128",
    "ct": "1.2.840.10008.5.1.4.1.1.2",
    "ecg": "1.2.840.10008.5.1.4.1.1.9.1.1",
}


def made_objects() -> Iterator[tuple[str, Dataset, bool]]:
    """Yield (name, data set, is withheld by policy) of each object."""
    yield "report.pdf", _pdf(), True
    yield "screen_save", _colour("sc", "OT", ["DERIVED", "SECONDARY", "SCREEN SAVE"]), True
    yield "capture", _colour("sc", "OT", ["DERIVED", "SECONDARY"]), False
    yield "ultrasound", _colour("us", "US", ["ORIGINAL", "PRIMARY"]), False
    yield "ultrasound_regions", _with_region(_colour("us", "US", ["ORIGINAL", "PRIMARY"])), False
    yield "loop", _colour("us_loop", "US", ["ORIGINAL", "PRIMARY"], frames=5), False
    yield "loop_last", _colour("us_loop", "US", ["ORIGINAL", "PRIMARY"], frames=4), False
    yield "fluoroscopy", _grey("rf", "RF", frames=3), False
    yield "pet", _grey("pt", "PT"), False
    yield "ct_secondary", _secondary(_grey("ct", "CT")), False
    yield "presentation", _presentation(), False
    yield "key_objects", _key_objects(), False
    yield "report", _report(), False
    yield "ecg", _ecg(), False


def new_object(kind: str, modality: str) -> Dataset:
    """Return an object of *kind* with the attributes that every composite object has, type 2 ones empty."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = UID(_CLASSES[kind])
    dataset.SOPInstanceUID = UID(f"{_ROOT}.{sum(kind.encode())}.1")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = UID(f"{_ROOT}.1"), UID(f"{_ROOT}.2")
    dataset.Modality = modality
    dataset.Manufacturer, dataset.ManufacturerModelName = "Example Devices", "Model 7"
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "SN00417", "VB20A"
    dataset.StudyDate, dataset.StudyTime = "20150101", "101112"
    dataset.SeriesDate, dataset.SeriesTime = "20150101", "101113"
    dataset.ContentDate, dataset.ContentTime = "20150101", "101114"
    for keyword in (
        "AccessionNumber",
        "ReferringPhysicianName",
        "StudyID",
        "PatientName",
        "PatientBirthDate",
    ):
        setattr(dataset, keyword, "")
    dataset.PatientID, dataset.PatientSex = "1", "O"
    dataset.SeriesNumber, dataset.InstanceNumber = 1, 1
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(f"{_ROOT}.99")
    dataset.file_meta = meta
    return dataset


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """Return a code sequence item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def content(value_type: str, concept: Dataset, relation: str = "CONTAINS", **values: object) -> Dataset:
    """Return an SR content item of *value_type* with *values* by keyword."""
    item = Dataset()
    item.RelationshipType, item.ValueType = relation, value_type
    item.ConceptNameCodeSequence = Sequence([concept])
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _pdf() -> Dataset:
    dataset = new_object("pdf", "DOC")
    dataset.BurnedInAnnotation, dataset.DocumentTitle = "YES", "Befundbericht"
    dataset.ConceptNameCodeSequence = Sequence([code("18748-4", "LN", "Diagnostic Imaging Report")])
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = document([], {}, "")
    return dataset


def _grey(kind: str, modality: str, frames: int = 1) -> Dataset:
    dataset = new_object(kind, modality)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    rows = columns = 400
    y, x = np.mgrid[0:rows, 0:columns]
    blob = np.clip(1500 - ((x - 200) ** 2 / 14 + (y - 210) ** 2 / 20), 0, 1500).astype(np.uint16)
    stack = np.stack([np.roll(blob, 3 * frame, axis=1) for frame in range(frames)])
    _picture(dataset, stack, bits=12)
    dataset.PixelSpacing = [0.7, 0.7]
    dataset.RescaleIntercept, dataset.RescaleSlope = 0, 1
    if frames > 1:
        dataset.FrameTime = 40
    return dataset


def _secondary(dataset: Dataset) -> Dataset:
    dataset.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    return dataset


def _colour(kind: str, modality: str, image_type: list[str], frames: int = 1) -> Dataset:
    dataset = new_object(kind, modality)
    dataset.ImageType = image_type
    if kind == "sc":
        dataset.ConversionType = "WSD"
    rows, columns = 440, 560
    y, x = np.mgrid[0:rows, 0:columns]
    fan = (np.hypot(x - 280, y - 60) < 330) & (np.abs(x - 280) < (y - 60) * 0.8)
    speckle = np.random.default_rng(7).integers(20, 110, (rows, columns))
    grey = np.where(fan, speckle, 0).astype(np.uint8)
    stack = np.stack([np.repeat(np.roll(grey, frame)[..., None], 3, axis=2) for frame in range(frames)])
    _picture(dataset, stack, bits=8)
    if frames > 1:
        dataset.FrameTime = 40
    return dataset


def _picture(dataset: Dataset, stack: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]", bits: int) -> None:
    dataset.SamplesPerPixel = 3 if stack.ndim == 4 else 1
    dataset.PhotometricInterpretation = "RGB" if stack.ndim == 4 else "MONOCHROME2"
    if stack.ndim == 4:
        dataset.PlanarConfiguration = 0
    if len(stack) > 1:
        dataset.NumberOfFrames = len(stack)
    dataset.Rows, dataset.Columns = stack.shape[1:3]
    dataset.BitsAllocated = stack.dtype.itemsize * 8
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits - 1, 0
    data = stack.tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OB" if stack.dtype.itemsize == 1 else "OW"


def _with_region(dataset: Dataset) -> Dataset:
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 20, 60
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 540, 400
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX = region.PhysicalDeltaY = 0.03
    dataset.SequenceOfUltrasoundRegions = Sequence([region])
    return dataset


def _presentation() -> Dataset:
    dataset = new_object("gsps", "PR")
    dataset.ContentLabel, dataset.ContentDescription = "MARKS", "Messung"
    dataset.PresentationCreationDate, dataset.PresentationCreationTime = "20150101", "120000"
    dataset.PresentationLUTShape = "IDENTITY"
    text = Dataset()
    text.BoundingBoxAnnotationUnits = "PIXEL"
    text.UnformattedTextValue = "Herd 12 mm"
    text.BoundingBoxTopLeftHandCorner, text.BoundingBoxBottomRightHandCorner = [10, 10], [90, 30]
    text.BoundingBoxTextHorizontalJustification = "LEFT"
    annotation = Dataset()
    annotation.GraphicLayer, annotation.TextObjectSequence = "LAYER", Sequence([text])
    dataset.GraphicAnnotationSequence = Sequence([annotation])
    layer = Dataset()
    layer.GraphicLayer, layer.GraphicLayerOrder = "LAYER", 1
    dataset.GraphicLayerSequence = Sequence([layer])
    area = Dataset()
    area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner = [1, 1], [512, 512]
    area.PresentationSizeMode, area.PresentationPixelAspectRatio = "SCALE TO FIT", [1, 1]
    dataset.DisplayedAreaSelectionSequence = Sequence([area])
    return dataset


def _key_objects() -> Dataset:
    dataset = new_object("ko", "KO")
    dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"
    dataset.ConceptNameCodeSequence = Sequence([code("113000", "DCM", "Of Interest")])
    dataset.ContentSequence = Sequence([])
    return dataset


def _report() -> Dataset:
    dataset = new_object("sr", "SR")
    dataset.CompletionFlag, dataset.VerificationFlag = "COMPLETE", "UNVERIFIED"
    dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"
    dataset.ConceptNameCodeSequence = Sequence([code("126000", "DCM", "Imaging Measurement Report")])
    measured = Dataset()
    measured.MeasurementUnitsCodeSequence = Sequence([code("mm", "UCUM", "millimeter")])
    measured.NumericValue = "17.5"
    number = content("NUM", code("410668003", "SCT", "Length"))
    number.MeasuredValueSequence = Sequence([measured])
    finding = content("CODE", code("121071", "DCM", "Finding"))
    finding.ConceptCodeSequence = Sequence([code("4147007", "SCT", "Mass")])
    dataset.ContentSequence = Sequence([number, finding])
    dataset.PerformedProcedureCodeSequence = Sequence([])
    dataset.ReferencedPerformedProcedureStepSequence = Sequence([])
    return dataset


def _ecg() -> Dataset:
    dataset = new_object("ecg", "ECG")
    channel = Dataset()
    channel.ChannelSourceSequence = Sequence([code("2:1", "MDC", "Lead I")])
    channel.ChannelSensitivity, channel.ChannelBaseline = 1, 0
    channel.ChannelSensitivityCorrectionFactor = 1
    channel.ChannelSensitivityUnitsSequence = Sequence([code("uV", "UCUM", "microvolt")])
    channel.ChannelSampleSkew, channel.WaveformBitsStored = "0", 16
    group = Dataset()
    group.WaveformOriginality, group.NumberOfWaveformChannels = "ORIGINAL", 1
    group.NumberOfWaveformSamples, group.SamplingFrequency = 500, 500
    group.ChannelDefinitionSequence = Sequence([channel])
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 16, "SS"
    wave = (np.sin(np.arange(500) / 9) * 400).astype("<i2")
    group.add_new("WaveformData", "OW", wave.tobytes())
    dataset.WaveformSequence = Sequence([group])
    dataset.AcquisitionDateTime = "20150101101112"
    dataset.AcquisitionContextSequence = Sequence([])
    return dataset
