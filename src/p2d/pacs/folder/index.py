"""What the files of a folder hold, by patient, study, series and instance; built once, then only read."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from p2d.model.header import Element, Elements, text_of
from p2d.model.identified import IdentifiedHeader
from p2d.model.level import Level
from p2d.pacs.folder.files import Listed
from p2d.pacs.folder.header import FileHeader, Useless
from p2d.pacs.port import Query
from p2d.pacs.query import ACCESSION_NUMBER, PATIENT_ID, STUDY_DATE, day_of, is_within

_MODALITY: Final = "00080060"


@dataclass(frozen=True, slots=True)
class FolderCounts:
    """What became of the files of a folder; it holds no name.

    ``duplicates`` bear the SOPInstanceUID of a file before them, ``links`` were not followed.
    """

    instances: int = 0
    not_dicom: int = 0
    malformed: int = 0
    nameless: int = 0
    duplicates: int = 0
    links: int = 0

    def notes(self) -> list[str]:
        """Return a sentence for each kind of file that is in no answer."""
        said = {
            "are not DICOM": self.not_dicom,
            "are malformed": self.malformed,
            "lack PatientID or a UID": self.nameless,
            "bear the SOPInstanceUID of another file": self.duplicates,
            "are links, which are not followed": self.links,
        }
        return [f"{count} file(s) {what}" for what, count in said.items() if count]


@dataclass(slots=True)
class _Series:
    elements: Elements = field(repr=False)
    instances: dict[str, "Held"] = field(default_factory=dict, repr=False)


@dataclass(slots=True)
class _Study:
    elements: Elements = field(repr=False)
    series: dict[str, _Series] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Held:
    """One instance: its file, its patient, its own elements."""

    file: Listed
    patient: str = field(repr=False)
    elements: Elements = field(repr=False)


class Index:
    """The files of *read* in their order; of two with one SOPInstanceUID the first counts.

    Elements of a study or series are those of its first file.
    """

    def __init__(self, read: Iterable[tuple[Listed, FileHeader | Useless]], links: int) -> None:
        self._patients: dict[str, dict[str, _Study]] = {}
        self._held: dict[str, Held] = {}
        tally = dict.fromkeys(Useless, 0)
        duplicates = 0
        for file, header in read:
            if isinstance(header, Useless):
                tally[header] += 1
            elif not self._add(file, header):
                duplicates += 1
        self.counts = FolderCounts(
            len(self._held),
            tally[Useless.NOT_DICOM],
            tally[Useless.MALFORMED],
            tally[Useless.NAMELESS],
            duplicates,
            links,
        )

    def _add(self, file: Listed, header: FileHeader) -> bool:
        patient, study_uid, series_uid, uid = header.place
        if uid in self._held:
            return False
        held = self._held[uid] = Held(file, patient, header.instance)
        studies = self._patients.setdefault(patient, {})
        study = studies.setdefault(study_uid, _Study(header.study))
        series = study.series.setdefault(series_uid, _Series(header.series))
        series.instances[uid] = held
        return True

    def held(self, uid: str) -> Held | None:
        """Return the instance *uid*."""
        return self._held.get(uid)

    def headers(self, query: Query) -> Iterator[IdentifiedHeader]:
        """Yield what matches *query* as an archive would answer it, upper levels joined."""
        studies = self._patients.get(query.patient_id.value.strip(), {})
        matching = [
            (study, elements)
            for uid, study in studies.items()
            if query.study_instance_uid in {"", uid}
            and is_within(IdentifiedHeader(Level.STUDY, elements := _counted_study(study)), query)
        ]
        if query.level is Level.PATIENT and matching:
            yield IdentifiedHeader(Level.PATIENT, _patient([study for study, _ in matching]))
        elif query.level is Level.STUDY:
            for _, elements in matching:
                yield IdentifiedHeader(Level.STUDY, elements)
        elif query.level is not Level.PATIENT:
            for study, elements in matching:
                yield from _below(query, study, elements)

    def studies(self, day: date) -> Iterator[dict[str, Element]]:
        """Yield the studies of *day*, of all patients."""
        for studies in self._patients.values():
            for study in studies.values():
                if day_of(text_of(study.elements, STUDY_DATE)) == day:
                    yield _counted_study(study)

    def owners(self, study_instance_uid: str, accession_number: str) -> list[str]:
        """Return the patients with a study of this UID, or one with this accession number."""
        return [
            patient
            for patient, studies in self._patients.items()
            if study_instance_uid in studies
            or (
                accession_number
                and any(
                    text_of(study.elements, ACCESSION_NUMBER).strip() == accession_number.strip()
                    for study in studies.values()
                )
            )
        ]


def _below(query: Query, study: _Study, above: Elements) -> Iterator[IdentifiedHeader]:
    for uid, series in study.series.items():
        if query.series_instance_uid not in {"", uid}:
            continue
        joined = {**series.elements, **above, **_number("00201209", len(series.instances))}
        if query.level is Level.SERIES:
            yield IdentifiedHeader(Level.SERIES, joined)
            continue
        for own, held in series.instances.items():
            if query.sop_instance_uid in {"", own}:
                yield IdentifiedHeader(Level.INSTANCE, {**held.elements, **joined})


def _counted_study(study: _Study) -> dict[str, Element]:
    modalities = sorted({text_of(one.elements, _MODALITY) for one in study.series.values()} - {""})
    return {
        **study.elements,
        "00080061": Element("00080061", "CS", tuple(modalities)),
        **_number("00201206", len(study.series)),
        **_number("00201208", sum(len(one.instances) for one in study.series.values())),
    }


def _patient(studies: list[_Study]) -> dict[str, Element]:
    first = studies[0].elements
    series = [one for study in studies for one in study.series.values()]
    paths = (PATIENT_ID, "00100010", "00100030", "00100040")
    return {
        **{path: first[path] for path in paths if path in first},
        **_number("00201200", len(studies)),
        **_number("00201202", len(series)),
        **_number("00201204", sum(len(one.instances) for one in series)),
    }


def _number(path: str, number: int) -> dict[str, Element]:
    return {path: Element(path, "IS", (number,))}
