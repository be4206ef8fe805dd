"""What research needs and nobody is identified by: numbers, geometry, codes and parameters that have to stay."""

import re
from typing import Final

from phi.key import Act
from phi.places import text_of, walk
from phi.planting.plot import Plot

_KEPT: Final = frozenset(
    """
    Modality BodyPartExamined Manufacturer ManufacturerModelName ImageType Laterality ImageLaterality ViewPosition
    PatientPosition PatientOrientation SliceThickness SpacingBetweenSlices KVP XRayTubeCurrent ExposureTime Exposure
    ExposureInuAs DistanceSourceToDetector DistanceSourceToPatient GantryDetectorTilt TableHeight FilterMaterial
    FocalSpots AnodeTargetMaterial CompressionForce BodyPartThickness Grid DataCollectionDiameter
    ReconstructionDiameter RotationDirection ScanOptions EchoTime RepetitionTime InversionTime FlipAngle
    EchoTrainLength EchoNumbers NumberOfAverages ImagingFrequency ImagedNucleus MagneticFieldStrength
    ScanningSequence SequenceVariant MRAcquisitionType PercentSampling PercentPhaseFieldOfView PixelBandwidth
    AcquisitionMatrix InPlanePhaseEncodingDirection SAR dBdt NumberOfPhaseEncodingSteps
    SeriesNumber AcquisitionNumber InstanceNumber ImagePositionPatient ImageOrientationPatient SliceLocation
    TemporalPositionIdentifier NumberOfTemporalPositions
    Rows Columns PixelSpacing ImagerPixelSpacing BitsStored HighBit WindowCenter WindowWidth
    RescaleIntercept RescaleSlope RescaleType NumberOfFrames FrameTime FrameIncrementPointer PixelAspectRatio
    PixelIntensityRelationship PixelIntensityRelationshipSign SmallestImagePixelValue LargestImagePixelValue
    RadionuclideTotalDose RadionuclideHalfLife Units CountsSource DecayCorrection DecayFactor FrameReferenceTime
    NumberOfSlices EnergyWindowLowerLimit EnergyWindowUpperLimit ActualFrameDuration
    DoseUnits DoseType DoseSummationType DoseGridScaling GridFrameOffsetVector
    ROINumber ReferencedROINumber ContourGeometricType NumberOfContourPoints ContourData ROIDisplayColor
    RTROIInterpretedType NumberOfBeams BeamNumber BeamType RadiationType NominalBeamEnergy GantryAngle
    BeamLimitingDeviceAngle PatientSupportAngle LeafJawPositions CumulativeMetersetWeight BeamMeterset TargetPrescriptionDose
    SegmentNumber SegmentationType SegmentAlgorithmType MaximumFractionalValue RecommendedDisplayCIELabValue
    DimensionIndexValues TotalPixelMatrixColumns TotalPixelMatrixRows ImagedVolumeWidth ImagedVolumeHeight
    NumberOfOpticalPaths IlluminationWaveLength NumericValue CodeValue CodingSchemeDesignator ValueType
    RelationshipType ContinuityOfContent CompletionFlag VerificationFlag TemplateIdentifier
    RegionLocationMinX0 RegionLocationMaxX1 PhysicalDeltaX PhysicalDeltaY TransducerFrequency MechanicalIndex
    NumberOfWaveformChannels NumberOfWaveformSamples SamplingFrequency ChannelSensitivity
    DiffusionBValue DiffusionDirectionality EffectiveEchoTime ComplexImageComponent AcquisitionContrast
    FrameAcquisitionNumber PresentationLUTShape ContentLabel RealWorldValueIntercept RealWorldValueSlope
    """.split()
)
_INSIDE: Final = frozenset(
    """
    52009229 52009230 00289110 00209113 00209116 00289132 00289145 00180026 00180027 00189112 00189115 00189114
    00189117 00209111 00209071 00189226 00189227 00189025 00181151 00200000
    30060020 30060039 30060040 30060080 300A00B0 300A0111 300A011A 300A00B6 300A0070 300C0004
    0040A730 0040A300 004008EA 0040A168 0040A043 0040A504
    00082218 00082220 00082228 00540220 00540222 00540016 00540012 00540414 00540410
    00620002 0062000F 00620003 0048021A 00480105 00480110 00180012 00189346 00186011 54000100 003A0200 003A0208
    00409096 00287001 00081140X 00400555
    """.split()
)
_MOST: Final = 30
_EVERY: Final = ("InstanceNumber", "SeriesNumber", "Modality", "Rows", "Columns")
_STEP: Final = re.compile(r"([0-9A-F]{8})\[(\d+)\]")
_FIRST_ITEMS: Final = 12


def plant_research(plot: Plot) -> None:
    """Expect of up to thirty research values of the object that they stay as they are."""
    planted = {row.path for row in plot.rows}
    found = [
        (path, element.keyword, text_of(element))
        for path, element in walk(plot.dataset)
        if element.keyword in _KEPT and path not in planted and text_of(element) and _is_inside(path, plot)
    ]
    always = [one for one in found if one[1] in _EVERY and "." not in one[0]]
    others = [one for one in found if one not in always]
    if len(others) > _MOST:
        others = plot.rng.sample(others, _MOST)
    for path, keyword, text in always + others:
        plot.expect(path, Act.TEXT_RETAINED, f"research value{' nested' if '.' in path else ''}", text)
        del keyword


def _is_inside(path: str, plot: Plot) -> bool:
    """Say whether every sequence on the way is one that the profile keeps, and the item is an early one.

    Names and identifiers in content items are the business of other rows: values beside them are left out.
    """
    if path[:4] in ("0002", "0012"):
        return False
    steps = _STEP.findall(path)
    if any(tag not in _INSIDE or int(number) >= _FIRST_ITEMS for tag, number in steps):
        return False
    return not (steps and steps[0][0] == "0040A730" and _is_told(path, plot))


def _is_told(path: str, plot: Plot) -> bool:
    """Say whether one of the content items on the way has a concept that Table E.3.4-1 may remove or replace."""
    place = plot.dataset
    for tag, number in _STEP.findall(path):
        place = place[tag][int(number)]
        if place.get("ValueType") in ("PNAME", "UIDREF", "DATE", "DATETIME", "TIME", "TEXT"):
            return True
        concepts = place.get("ConceptNameCodeSequence") or []
        if tag == "0040A730" and any(str(one.get("CodeValue", "")).startswith(_PEOPLE) for one in concepts):
            return True
    return False


_PEOPLE: Final = ("1210", "12100", "12101", "12102", "12103", "113870", "113871", "113872", "113873", "113874", "113876")
