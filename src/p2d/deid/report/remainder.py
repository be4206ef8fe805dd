"""What still says something about a person after de-identification: attributes that stay, by kind.

The lists name quasi-identifiers, which alone identify nobody and together may (Art. 4(5) GDPR: pseudonymised
data stay personal data). An attribute is listed when it stayed with a value in any object.
"""

from collections.abc import Mapping
from typing import Final

from p2d.deid.report.tally import DeidTally, Outcome, steps_of
from p2d.dicom.dictionary import keyword_of, vr_of

_STAYED: Final = (Outcome.KEPT, Outcome.CLEANED, Outcome.SHIFTED)
_PATIENT: Final = frozenset(
    {
        *("PatientAge", "PatientSex", "PatientSexNeutered", "PatientSize", "PatientWeight", "EthnicGroup"),
        *("EthnicGroups", "EthnicGroupCodeSequence", "SmokingStatus", "PregnancyStatus", "MedicalAlerts"),
        *("Allergies", "PatientState", "Occupation", "AdditionalPatientHistory", "SpecialNeeds"),
        *("PatientBodyMassIndex", "MeasuredAPDimension", "MeasuredLateralDimension", "BranchOfService"),
        *("PatientSpeciesDescription", "PatientBreedDescription", "StrainDescription", "MilitaryRank"),
    }
)
_DEVICE: Final = frozenset(
    {
        *("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "StationName", "SoftwareVersions"),
        *(
            "DetectorID",
            "GantryID",
            "DeviceUID",
            "PlateID",
            "CassetteID",
            "DeviceID",
            "DateOfLastCalibration",
        ),
    }
)
_INSTITUTION: Final = frozenset(
    {
        *("InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "InstitutionCodeSequence"),
        *("InstitutionalDepartmentTypeCodeSequence",),
    }
)
_TEXTS: Final = frozenset({"SH", "LO", "ST", "LT", "UC", "UT"})
_DATES: Final = frozenset({"DA", "DT", "TM"})
KINDS: Final[Mapping[str, str]] = {
    "patient": "Characteristics of the patient",
    "dates": "Dates and times of day",
    "device": "Device",
    "institution": "Institution",
    "texts": "Texts, without this patient's known values",
    "private": "Private elements of Table E.3.10-1 or the project's list",
}


def remaining(tally: DeidTally) -> dict[str, dict[str, int]]:
    """Return by kind the attributes that stayed, with the number of times each did."""
    found: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
    for path, outcomes in tally.rows():
        stayed = sum(outcomes.get(outcome, 0) for outcome in _STAYED)
        steps = steps_of(path)
        if not stayed or not steps:
            continue
        creator = steps[-1].partition("[")[2].rstrip("]")
        name = keyword_of(steps[-1]) or creator or f"group {steps[-1][:4]}"
        kind = _kind(steps[-1], name)
        if kind:
            found[kind][name] = found[kind].get(name, 0) + stayed
    return {kind: dict(sorted(names.items())) for kind, names in found.items() if names}


def _kind(step: str, name: str) -> str:
    if int(step[3], 16) % 2:
        return "private"
    for kind, names in (("patient", _PATIENT), ("device", _DEVICE), ("institution", _INSTITUTION)):
        if name in names:
            return kind
    vr = vr_of(step)
    return "dates" if vr in _DATES else "texts" if vr in _TEXTS else ""
