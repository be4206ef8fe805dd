"""Attributes of Table E.1-1, nested and original ones, free texts, attributes outside the table."""

from collections.abc import Callable
from typing import Final

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from phi.folding import spellings, spelt_out
from phi.key import Act
from phi.planting.phrases import LO, PHRASES, SH, mixed
from phi.planting.plot import Plot, path_of, telling

_ALWAYS: Final[dict[str, Callable[[Plot], str]]] = {
    "ReferringPhysicianName": lambda p: "^".join((*p.person.referring, "", "Dr.")),
    "PerformingPhysicianName": lambda p: "^".join((*p.person.performing, "", "Dr.")),
    "InstitutionName": lambda p: p.person.institution,
    "StationName": lambda p: f"RAD{p.person.institution[-6:].upper()}",
    "AdmissionID": lambda p: p.case,
    "StudyID": lambda p: p.accession[:12],
}
_SOMETIMES: Final[dict[str, Callable[[Plot], str]]] = {
    "OtherPatientIDs": lambda p: p.person.other_id,
    "OtherPatientNames": lambda p: f"{p.person.given}^{p.person.family}",
    "PatientBirthName": lambda p: f"Geborenius^{p.person.given}",
    "PatientMotherBirthName": lambda p: f"Mutterlein^{p.person.family}",
    "PatientAddress": lambda p: p.person.address,
    "PatientTelephoneNumbers": lambda p: p.person.phone[:16],
    "PatientTelecomInformation": lambda p: p.person.email,
    "PatientBirthTime": lambda _: "031742",
    "MilitaryRank": lambda _: "Oberstleutnant",
    "RegionOfResidence": lambda p: p.person.city,
    "CountryOfResidence": lambda _: "Beispielonien",
    "PatientReligiousPreference": lambda _: "altkatholisch",
    "MedicalRecordLocator": lambda p: f"Archiv {p.person.other_id}",
    "ReferringPhysicianAddress": lambda p: f"Praxis {p.person.referring[0]}, {p.person.city}",
    "ReferringPhysicianTelephoneNumbers": lambda p: p.person.phone[:16],
    "OperatorsName": lambda p: f"{p.person.performing[0]}^MTRA",
    "NameOfPhysiciansReadingStudy": lambda p: "^".join(p.person.performing),
    "PhysiciansOfRecord": lambda p: "^".join(p.person.referring),
    "RequestingPhysician": lambda p: "^".join(p.person.referring),
    "RequestingService": lambda p: f"Station 4B {p.person.institution}",
    "InstitutionAddress": lambda p: f"Klinikstr. 5, {p.person.city}",
    "InstitutionalDepartmentName": lambda p: f"Abteilung {p.person.performing[0]}",
    "CurrentPatientLocation": lambda _: "Zimmer 417 Stroke",
    "PatientInstitutionResidence": lambda p: f"Heim {p.person.city}",
    "ResponsiblePerson": lambda p: f"{p.person.family}^Vormundius",
    "IssuerOfPatientID": lambda p: f"KIS {p.person.institution}"[:LO],
    "PerformedStationAETitle": lambda _: "RADMUSTERHSN",
    "PerformedStationName": lambda _: "RADMUSTERHSN",
    "RetrieveAETitle": lambda _: "PACSMUSTERHSN",
    "RequestedProcedureID": lambda p: p.accession[:SH],
    "PerformedProcedureStepID": lambda p: f"PPS{p.accession[-8:]}",
    "FillerOrderNumberImagingServiceRequest": lambda p: f"FO{p.accession}",
    "PlacerOrderNumberImagingServiceRequest": lambda p: f"PO{p.accession}",
    "PersonName": lambda p: p.person.alphabetic,
    "ServiceEpisodeID": lambda p: f"E{p.case}"[:LO],
    "ClinicalTrialSubjectID": lambda p: f"TRIAL-{p.person.other_id}",
    "ContentCreatorName": lambda p: "^".join(p.person.performing),
    "ReviewerName": lambda p: "^".join(p.person.performing),
    "PlateID": lambda p: f"PL{p.person.other_id}",
    "DeviceSerialNumber": lambda p: f"SN{p.person.other_id}",
    "GantryID": lambda p: f"G{p.person.other_id}",
}
_DESCRIPTORS: Final = (
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "ImageComments",
    "DerivationDescription",
    "RequestedProcedureDescription",
    "PerformedProcedureStepDescription",
    "AdditionalPatientHistory",
    "CommentsOnThePerformedProcedureStep",
    "AcquisitionProtocolDescription",
    "AdmittingDiagnosesDescription",
    "StudyComments",
    "ContributionDescription",
    "AcquisitionComments",
)
_UNLISTED: Final = (
    "SequenceName",
    "ConvolutionKernel",
    "ReceiveCoilName",
    "FilterType",
    "Radiopharmaceutical",
    "WindowCenterWidthExplanation",
    "AcquisitionProtocolName",
    "ImageID",
    "LUTExplanation",
    "CommentsOnPatientPerformanceOfVisualField",
    "ObservationDescription",
    "AlgorithmDescription",
    "PerformedProcedureTypeDescription",
    "CommentsOnTheScheduledProcedureStep",
    "DetectorDescription",
    "FrameLabel",
    "TrackingID",
    "ProtocolPlanningInformation",
    "SoftwareVersions",
    "DoseComment",
    "ContactDisplayName",
    "WorklistLabel",
    "SecondaryCaptureDeviceID",
    "ContrastBolusRoute",
    "ReconstructionMethod",
)
_LIMITS: Final = {"SH": SH, "LO": LO}
_LONG: Final = 200


def plant_attributes(plot: Plot) -> None:
    """Plant in the attributes of the table: the usual ones always, a dozen others by chance."""
    for keyword, value in _ALWAYS.items():
        plot.plant(keyword, value(plot), "standard attribute")
    for keyword in plot.rng.sample(sorted(_SOMETIMES), 12):
        plot.plant(keyword, _SOMETIMES[keyword](plot), "standard attribute")


def plant_nested(plot: Plot) -> None:
    """Plant in sequences: those of the table, a deep one outside it, and the original attributes."""
    request, person = Dataset(), plot.person
    request.AccessionNumber = plot.accession
    request.RequestingPhysician = plot.text("^".join(person.referring))
    request.RequestedProcedureID, request.ScheduledProcedureStepID = plot.accession[:SH], plot.accession[:SH]
    request.ReasonForTheRequestedProcedure = plot.text(f"Z.n. OP, {person.family}, {person.given}")[:LO]
    plot.dataset.RequestAttributesSequence = Sequence([request])
    for tag in ("00080050", "00321032", "00401001", "00400009"):
        plot.remove(f"00400275[0].{tag}", "nested", str(request[tag].value))
    plot.remove("00400275[0].00401002", "nested", str(request.ReasonForTheRequestedProcedure), _names(plot))
    other = Dataset()
    other.PatientID, other.TypeOfPatientID = person.other_id, "TEXT"
    other.IssuerOfPatientID = plot.text(person.institution)
    plot.dataset.OtherPatientIDsSequence = Sequence([other])
    plot.remove("00101002[0].00100020", "nested", person.other_id)
    plot.remove("00101002[0].00100021", "nested", person.institution)
    identity, who = Dataset(), Dataset()
    who.CodeValue, who.CodingSchemeDesignator = person.other_id, "99KIS"
    who.CodeMeaning = plot.text(" ".join(reversed(person.performing)))
    identity.PersonIdentificationCodeSequence = Sequence([who])
    identity.InstitutionName = plot.text(person.institution)
    plot.dataset.PerformingPhysicianIdentificationSequence = Sequence([identity])
    plot.remove("00081052[0].00401101[0].00080104", "nested", " ".join(person.performing))
    plot.remove("00081052[0].00080080", "nested", person.institution)
    _plant_referenced_patient(plot)
    if plot.rng.random() < 0.6:
        _plant_original(plot)
    if plot.rng.random() < 0.7:
        _plant_deep(plot)


def _plant_referenced_patient(plot: Plot) -> None:
    patient = Dataset()
    patient.ReferencedSOPClassUID, patient.ReferencedSOPInstanceUID = (
        "1.2.840.10008.3.1.2.1.1",
        plot.new_uid(),
    )
    plot.dataset.ReferencedPatientSequence = Sequence([patient])
    plot.expect("00081120[0].00081155", Act.UID_CHANGED, "nested UID", str(patient.ReferencedSOPInstanceUID))


def _plant_original(plot: Plot) -> None:
    before, item, person = Dataset(), Dataset(), plot.person
    before.PatientName = plot.text(plot.rng.choice(_written_names(person.alphabetic)))
    before.PatientID = f"ALT{person.other_id}"
    before.AccessionNumber = f"X{plot.accession}"[:SH]
    before.PatientBirthDate = f"{person.born:%Y%m%d}"
    item.ModifiedAttributesSequence = Sequence([before])
    item.AttributeModificationDateTime = f"{plot.day:%Y%m%d}120000"
    item.ModifyingSystem = plot.text(f"RIS {person.institution}")
    item.SourceOfPreviousValues = plot.text(f"Praxis {person.referring[0]}")
    item.ReasonForTheAttributeModification = "COERCE"
    plot.dataset.OriginalAttributesSequence = Sequence([item])
    inner = "04000561[0].04000550[0]"
    plot.remove(f"{inner}.00100010", "original attributes", str(before.PatientName), _names(plot))
    plot.remove(f"{inner}.00100020", "original attributes", before.PatientID)
    plot.remove(f"{inner}.00080050", "original attributes", before.AccessionNumber)
    plot.remove(f"{inner}.00100030", "original attributes", before.PatientBirthDate)
    plot.remove(
        "04000561[0].04000564",
        "original attributes",
        str(item.SourceOfPreviousValues),
        spellings(person.referring[0]),
    )


def _written_names(name: str) -> tuple[str, ...]:
    """Return a name as older systems sent it: in capitals, spelt out, or all in one component."""
    return (
        name.upper(),
        spelt_out(name).upper(),
        name.replace("^", " "),
        name.replace("^", ", "),
        f"{name}^^Dr.",
    )


def _plant_deep(plot: Plot) -> None:
    """Plant in code meanings and protocol contexts, which the table does not list."""
    protocol, context, name = Dataset(), Dataset(), Dataset()
    context.ValueType = "TEXT"
    name.CodeValue, name.CodingSchemeDesignator, name.CodeMeaning = "121106", "DCM", "Comment"
    context.ConceptNameCodeSequence = Sequence([name])
    protocol.CodeValue, protocol.CodingSchemeDesignator = "MRK1", "99RIS"
    meaning, value = mixed(plot, "name, given"), mixed(plot, "birth date de", _LONG)
    protocol.CodeMeaning = meaning.text if meaning else "MR Knie"
    context.TextValue = value.text if value else "ohne Befund"
    protocol.ProtocolContextSequence = Sequence([context])
    plot.dataset.PerformedProtocolCodeSequence = Sequence([protocol])
    if meaning:
        plot.mix("00400260[0].00080104", "nested unlisted", meaning)
    if value:
        plot.mix("00400260[0].00400440[0].0040A160", "nested unlisted", value)


def plant_texts(plot: Plot) -> None:
    """Put mixed texts into descriptors and unlisted attributes, and texts that stay whole."""
    kinds = list(PHRASES)
    plot.rng.shuffle(kinds)
    descriptors = plot.rng.sample(_DESCRIPTORS, 6)
    _plant_mixed(plot, descriptors, kinds, "descriptor")
    unlisted = [keyword for keyword in _UNLISTED if keyword not in plot.dataset]
    plot.rng.shuffle(unlisted)
    _plant_mixed(plot, unlisted[:4], kinds, "unlisted attribute")
    _plant_whole(plot, [keyword for keyword in _DESCRIPTORS if keyword not in descriptors])
    _plant_message(plot)


def _plant_mixed(plot: Plot, keywords: list[str], kinds: list[str], category: str) -> None:
    for keyword in keywords:
        limit = _LIMITS.get(dictionary_VR(path_of(keyword)), _LONG)
        for _ in range(len(kinds)):
            kind = kinds.pop(0)
            kinds.append(kind)
            text = mixed(plot, kind, limit)
            if text is not None:
                setattr(plot.dataset, keyword, text.text)
                plot.mix(path_of(keyword), f"{category}: {kind}", text)
                break


def _plant_whole(plot: Plot, keywords: list[str]) -> None:
    """Put texts without a person into descriptors: they stay, also where a word is somebody's name."""
    word = plot.person.family if plot.person.naming.is_word else "Abdomen"
    texts = [f"CT {word} nativ", "T1 tra FS post KM", "Bolus 2.5 ml/s", "Hand links ap"]
    for keyword, text in zip(plot.rng.sample(keywords, 2), plot.rng.sample(texts, 2), strict=True):
        setattr(plot.dataset, keyword, text)
        plot.expect(path_of(keyword), Act.TEXT_RETAINED, "text without a person", text)


def _plant_message(plot: Plot) -> None:
    """Leave part of an HL7 message or a form in a comment: all of the person has to go."""
    person = plot.person
    born = f"{person.born:%Y%m%d}"
    name = plot.text(person.alphabetic)
    form = (f"geb. {person.born:%d.%m.%Y}", f"Tel. {person.phone}", f"KV-Nr. {person.insurance}")
    texts = (
        f"PID|1||{person.patient_id}^^^KIS||{name}||{born}|{person.sex}|||{plot.text(person.address)}",
        "\r\n".join((f"Pat.: {name.replace('^', ', ')}", *form)),
        f"{name.replace('^', ' ')} ({person.patient_id}) Rueckruf an {person.email}",
    )
    text = plot.rng.choice(texts)
    keyword = plot.rng.choice(("PatientComments", "VisitComments", "ImagingServiceRequestComments"))
    setattr(plot.dataset, keyword, text)
    gone = {born, *_names(plot)} if "PID" in text else set(_names(plot))
    values = (person.patient_id, f"{person.born:%d.%m.%Y}", person.phone, person.insurance, person.email)
    gone |= {value.lower() for value in values if value in text}
    plot.remove(path_of(keyword), "message in a comment", text, tuple(sorted(gone)))


def _names(plot: Plot) -> tuple[str, ...]:
    family = telling(plot.person.family) if plot.person.naming.is_word else ()
    return tuple(sorted({*plot.person.name_needles(), *family}))
