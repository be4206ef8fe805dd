"""Identity, dates and UIDs of an object: what every tool has to replace, and what has to stay consistent."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import UID

from phi.folding import spellings
from phi.key import Act
from phi.places import walk
from phi.planting.plot import Plot, is_own_uid, path_of

_NOT_INSTANCES: Final = (
    "ClassUID",
    "ClassesUID",
    "TransferSyntaxUID",
    "CodingSchemeUID",
    "ContextUID",
    "MappingResourceUID",
    "CreatorUID",
    "SOPClassesInStudy",
    "LongCodeValue",
)
_MOST_UIDS: Final = 14
_SHIFTED: Final = {
    "StudyDate",
    "SeriesDate",
    "AcquisitionDate",
    "ContentDate",
    "InstanceCreationDate",
    "AcquisitionDateTime",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepEndDate",
    "ScheduledProcedureStepStartDate",
    "RadiopharmaceuticalStartDateTime",
    "PresentationCreationDate",
    "StructureSetDate",
    "RTPlanDate",
    "FrameAcquisitionDateTime",
    "FrameReferenceDateTime",
    "DateTime",
    "Date",
    "ObservationDateTime",
}
_DATE: Final = 8
_CAP: Final = 90


def plant_hierarchy(plot: Plot, uids: dict[str, str]) -> None:
    """Plant the patient's own attributes, the study's, and dates; *uids* are those of the patient's files."""
    _plant_patient(plot)
    _plant_dates(plot)
    _renew_uids(plot, uids)


def _plant_patient(plot: Plot) -> None:
    person, dataset = plot.person, plot.dataset
    name = plot.text(person.pn) if person.ideographic else plot.text(person.alphabetic)
    if person.ideographic and "=" not in name:
        name = plot.text(person.alphabetic)
    dataset.PatientName = name
    gone = {spelling for part in (person.family, person.given) for spelling in spellings(part)}
    plot.remove(path_of("PatientName"), "name", name, gone=tuple(sorted(gone | set(person.name_needles()))))
    dataset.PatientID = person.patient_id
    plot.remove(path_of("PatientID"), "id", person.patient_id, gone=spellings(person.patient_id))
    plot.expect(path_of("PatientID"), Act.PATID_CONSISTENT, "patient id", person.patient_id)
    dataset.PatientBirthDate = f"{person.born:%Y%m%d}"
    plot.expect(path_of("PatientBirthDate"), Act.DATE_CHANGED, "birth date", dataset.PatientBirthDate)
    dataset.AccessionNumber = plot.accession[:16]
    plot.remove(path_of("AccessionNumber"), "id", plot.accession)
    dataset.PatientSex = person.sex
    plot.expect(path_of("PatientSex"), Act.TEXT_RETAINED, "patient characteristics", person.sex)
    years = (
        plot.day.year
        - person.born.year
        - ((plot.day.month, plot.day.day) < (person.born.month, person.born.day))
    )
    dataset.PatientAge = f"{years:03d}Y"
    if years > _CAP:
        plot.remove(
            path_of("PatientAge"), "age over 89", dataset.PatientAge, gone=(dataset.PatientAge.lower(),)
        )
    else:
        plot.expect(path_of("PatientAge"), Act.TEXT_RETAINED, "patient characteristics", dataset.PatientAge)
    for keyword, value in (
        ("PatientSize", f"1.{plot.rng.randint(50, 95)}"),
        ("PatientWeight", f"{plot.rng.randint(45, 120)}"),
    ):
        setattr(dataset, keyword, value)
        plot.expect(path_of(keyword), Act.TEXT_RETAINED, "patient characteristics", value)


def _plant_dates(plot: Plot) -> None:
    dataset = plot.dataset
    old = str(dataset.get("StudyDate") or "")[:_DATE]
    dataset.StudyDate = old if len(old) == _DATE and old.isdigit() else "20150101"
    for path, element in list(walk(dataset)):
        if element.VR not in ("DA", "DT") or element.keyword == "PatientBirthDate" or not element.value:
            continue
        if isinstance(element.value, MultiValue) or not str(element.value)[:_DATE].isdigit():
            continue
        is_study = element.keyword == "StudyDate"
        offset = 0 if is_study else plot.rng.choice((0, 0, 1, 3, 40))
        day = f"{plot.day + timedelta(days=offset):%Y%m%d}"
        element.value = day + str(element.value)[_DATE:]
        plot.expect(path, Act.DATE_CHANGED, f"date {element.VR}", day)
        if element.keyword in _SHIFTED and not is_study and not _is_dropped(path) and not _is_birth(path):
            other = f"{plot.name}|{path_of('StudyDate')}"
            plot.expect(path, Act.DATE_INTERVAL, "interval in a file", day, other=other)
    for sibling in plot.siblings:
        if sibling.number < plot.number and sibling.study != plot.study:
            other = f"{sibling.name}|{path_of('StudyDate')}"
            plot.expect(
                path_of("StudyDate"),
                Act.DATE_INTERVAL,
                "interval of studies",
                f"{plot.day:%Y%m%d}",
                other=other,
            )
            break


def _is_birth(path: str) -> bool:
    """Whether *path* is in an item that holds a birth date: (121031, DCM, "Subject Birth Date")."""
    return "[121031~" in path


def _is_dropped(path: str) -> bool:
    """Say whether the table removes a sequence on the way, so that no interval can be asked for."""
    return any(
        part in path
        for part in ("00400275", "00400610", "04000561", "FFFAFFFA", "0040A078", "0040A073", "0040A370")
    )


def _renew_uids(plot: Plot, known: dict[str, str]) -> None:
    """Replace every instance UID of the source by an invented one, equal ones of a patient by one."""
    dataset = plot.dataset
    own = {str(dataset.get("StudyInstanceUID") or ""): f"study {plot.study}"}
    own[str(dataset.SOPInstanceUID)] = f"instance {plot.name}"
    seen = 0
    for path, element in list(walk(dataset)):
        if element.VR != "UI" or element.keyword.endswith(_NOT_INSTANCES):
            continue
        for number, old in enumerate(_values(element)):
            if not is_own_uid(old):
                continue
            key = own.get(old, old)
            new = known.get(key) or known.setdefault(key, plot.new_uid())
            plot.uids.add(new)
            _set(element, number, new)
            if seen < _MOST_UIDS:
                plot.expect(path, Act.UID_CHANGED, "nested UID" if "." in path else "UID", new)
                seen += 1
    _complete_hierarchy(plot, known)


def _complete_hierarchy(plot: Plot, known: dict[str, str]) -> None:
    """Give the object the UIDs that the source has not, and the file meta information its own."""
    dataset = plot.dataset
    keys = {
        "StudyInstanceUID": f"study {plot.study}",
        "SeriesInstanceUID": f"series {plot.name}",
        "SOPInstanceUID": f"instance {plot.name}",
    }
    for keyword, key in keys.items():
        if not is_own_uid(str(dataset.get(keyword) or "")):
            setattr(dataset, keyword, UID(known.get(key) or known.setdefault(key, plot.new_uid())))
            plot.uids.add(known[key])
            plot.expect(path_of(keyword), Act.UID_CHANGED, "UID", known[key])
        plot.expect(path_of(keyword), Act.TEXT_NOTNULL, "hierarchy", str(dataset.get(keyword)))
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    plot.expect("00020003", Act.UID_CHANGED, "file meta", str(dataset.SOPInstanceUID))
    plot.expect(path_of("SOPClassUID"), Act.UID_KEPT, "class UID", str(dataset.SOPClassUID))
    plot.expect("00020002", Act.UID_KEPT, "class UID", str(dataset.SOPClassUID))


def _values(element: DataElement) -> list[str]:
    if isinstance(element.value, MultiValue):
        return [str(value) for value in element.value]
    return [str(element.value or "")]


def _set(element: DataElement, number: int, uid: str) -> None:
    if isinstance(element.value, MultiValue):
        element.value[number] = UID(uid)
    else:
        element.value = UID(uid)


def plant_references(plot: Plot) -> None:
    """Refer to another file of the patient and to one that is not there; say which UIDs must agree."""
    dataset = plot.dataset
    other = next((sibling for sibling in plot.siblings if sibling is not plot), None)
    if other is not None and plot.is_image and "ReferencedImageSequence" not in dataset:
        dataset.ReferencedImageSequence = Sequence([_reference(other)])
        path = "00081140[0].00081155"
        plot.uids.add(str(other.dataset.SOPInstanceUID))
        plot.expect(path, Act.UID_CHANGED, "nested UID", str(other.dataset.SOPInstanceUID))
        plot.expect(path, Act.UID_CONSISTENT, "reference", other=f"{other.name}|00080018")
        plot.expect("00081140[0].00081150", Act.UID_KEPT, "class UID", str(other.dataset.SOPClassUID))
    _plant_evidence(plot, other)
    for sibling in plot.siblings:
        if sibling.number >= plot.number:
            continue
        for keyword in ("StudyInstanceUID", "FrameOfReferenceUID"):
            if dataset.get(keyword) and dataset.get(keyword) == sibling.dataset.get(keyword):
                place = path_of(keyword)
                plot.expect(place, Act.UID_CONSISTENT, "same UID", other=f"{sibling.name}|{place}")
    plot.expect("00080018", Act.UID_CONSISTENT, "file meta", other=f"{plot.name}|00020003")


def _plant_evidence(plot: Plot, other: Plot | None) -> None:
    """Fill the references that presentation states and documents must have (type 1)."""
    if other is None or plot.source.name not in ("made/presentation", "made/key_objects", "made/report"):
        return
    series = Dataset()
    series.SeriesInstanceUID = other.dataset.SeriesInstanceUID
    item = _reference(other)
    if plot.source.name == "made/presentation":
        series.ReferencedImageSequence = Sequence([item])
        plot.dataset.ReferencedSeriesSequence = Sequence([series])
        base, image = "00081115[0]", "00081115[0].00081140[0]"
    else:
        series.ReferencedSOPSequence = Sequence([item])
        study = Dataset()
        study.StudyInstanceUID = other.dataset.StudyInstanceUID
        study.ReferencedSeriesSequence = Sequence([series])
        plot.dataset.CurrentRequestedProcedureEvidenceSequence = Sequence([study])
        base, image = "0040A375[0].00081115[0]", "0040A375[0].00081115[0].00081199[0]"
        plot.expect("0040A375[0].0020000D", Act.UID_CONSISTENT, "reference", other=f"{other.name}|0020000D")
    plot.expect(f"{base}.0020000E", Act.UID_CONSISTENT, "reference", other=f"{other.name}|0020000E")
    plot.expect(f"{image}.00081155", Act.UID_CONSISTENT, "reference", other=f"{other.name}|00080018")
    plot.expect(f"{image}.00081150", Act.UID_KEPT, "class UID", str(other.dataset.SOPClassUID))


def _reference(other: Plot) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = other.dataset.SOPClassUID
    item.ReferencedSOPInstanceUID = other.dataset.SOPInstanceUID
    return item


def german(day: date) -> Iterator[str]:
    """Yield the notations of a date in German and technical texts."""
    for form in ("%d.%m.%Y", "%Y-%m-%d", "%Y%m%d", "%d.%m.%y", "%d%m%y", "%d/%m/%Y"):
        yield f"{day:{form}}"
