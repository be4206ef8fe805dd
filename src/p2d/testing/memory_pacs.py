"""An archive without a network, for tests of flows: the same answers and refusals as the connectors."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Final

from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from p2d.dimse.identifiers import answer
from p2d.model.errors import P2DError, Unavailable
from p2d.model.header import Element
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, PatientId
from p2d.model.level import Level
from p2d.pacs.days import checked_days, taken
from p2d.pacs.port import Abilities, Query, RetrieveCounts
from p2d.pacs.query import ACCESSION_NUMBER, KEYS, UNIQUE, checked, checked_study, date_range
from p2d.testing.archive_index import ArchiveIndex
from p2d.testing.holdings import HeldInstance

_WORDS: Final = {
    Level.PATIENT: "PATIENT",
    Level.STUDY: "STUDY",
    Level.SERIES: "SERIES",
    Level.INSTANCE: "IMAGE",
}
_ORDER: Final = (Level.STUDY, Level.SERIES, Level.INSTANCE)


class MemoryPacs:
    """Holds instances in memory; ``missing`` are found but never arrive, ``fails`` is raised by every call.

    ``queries`` and ``retrieves`` count the calls.
    """

    def __init__(self, held: Iterable[HeldInstance], *, name: str = "main") -> None:
        self._index = ArchiveIndex(held)
        self._name = name
        self.missing: set[str] = set()
        self.fails: P2DError | None = None
        self.queries = 0
        self.retrieves = 0
        self.is_stopped = False

    @property
    def name(self) -> str:
        """The archive's name."""
        return self._name

    def hold(self, held: Iterable[HeldInstance]) -> None:
        """Hold *held* from now on, and nothing else."""
        self._index = ArchiveIndex(held)

    def abilities(self) -> Abilities:
        """Return that everything is possible."""
        return Abilities(relational=True, get=True, move=True, counts=True)

    def close(self) -> None:
        """Do nothing; there is nothing to close."""

    def stop(self) -> None:
        """Refuse every call until ``resume``."""
        self.is_stopped = True

    def resume(self) -> None:
        """Take work again."""
        self.is_stopped = False

    def echo(self) -> None:
        """Answer, unless ``fails`` is set."""
        self._fail()

    def owners(self, *, study_instance_uid: str = "", accession_number: str = "") -> list[PatientId]:
        """Return the patients with a study of these keys; see ``Pacs``."""
        keys = checked_study(study_instance_uid, accession_number)
        self._fail()
        self.queries += 1
        found = self._index.entities(
            "PATIENT",
            {"StudyInstanceUID": keys[UNIQUE[Level.STUDY]], "AccessionNumber": keys[ACCESSION_NUMBER]},
        )
        return [PatientId(patient) for patient in sorted({one["PatientID"] for one in found})]

    def find(self, query: Query) -> Iterator[IdentifiedHeader]:
        """Yield what matches *query*; see ``Pacs``."""
        return self._found(checked(query))

    def _found(self, query: Query) -> Iterator[IdentifiedHeader]:
        self._fail()
        self.queries += 1
        keys = {
            "PatientID": query.patient_id.value.strip(),
            "StudyInstanceUID": query.study_instance_uid,
            "SeriesInstanceUID": query.series_instance_uid,
            "SOPInstanceUID": query.sop_instance_uid,
            "AccessionNumber": query.accession_number,
            "StudyDate": date_range(query.first_day, query.last_day),
        }
        for one in self._index.entities(_WORDS[query.level], keys):
            yield IdentifiedHeader(query.level, self._elements(query.level, one))

    def studies(self, first_day: date, last_day: date, modality: str = "") -> Iterator[IdentifiedHeader]:
        """Yield the studies of some days, of all patients, a query each; see ``Pacs``."""
        return self._of_days(checked_days(first_day, last_day, modality), modality)

    def _of_days(self, days: Sequence[date], modality: str) -> Iterator[IdentifiedHeader]:
        for day in days:
            self._fail()
            self.queries += 1
            keys = {"StudyDate": date_range(day, day), "ModalitiesInStudy": modality}
            rows = [self._elements(Level.STUDY, one) for one in self._index.entities("STUDY", keys)]
            yield from taken(rows, day, modality, self._name)

    def _elements(self, level: Level, one: HeldInstance) -> dict[str, Element]:
        levels = (Level.PATIENT,) if level is Level.PATIENT else _ORDER[: _ORDER.index(level) + 1]
        elements: dict[str, Element] = {}
        for each in levels:
            tags = tuple(sorted(int(path, 16) for path in KEYS[each]))
            elements.update(answer(self._index.answer(_WORDS[each], one, tags)))
        return elements

    def retrieve(
        self,
        patient_id: PatientId,
        instances: Sequence[IdentifiedHeader],
        counts: RetrieveCounts | None = None,
        *,
        pixels: bool = True,
    ) -> Iterator[IdentifiedInstance]:
        """Yield each of *instances* that is held and not ``missing``; see ``Pacs``."""
        checked(Query(Level.INSTANCE, patient_id))
        del pixels  # always whole
        return self._retrieved(instances, counts or RetrieveCounts())

    def _retrieved(
        self, instances: Sequence[IdentifiedHeader], counts: RetrieveCounts
    ) -> Iterator[IdentifiedInstance]:
        self._fail()
        self.retrieves += 1
        seen: set[str] = set()
        for header in instances:
            uid = header.sop_instance_uid
            if uid in self.missing or uid in seen:
                continue
            seen.add(uid)
            self._fail()
            for one in self._index.instances({"SOPInstanceUID": uid}):
                instance = instance_of(header, one)
                counts.octets += len(instance.content)
                yield instance

    def _fail(self) -> None:
        if self.is_stopped:
            raise Unavailable("pacs", "queries to the archive are stopped", "resume them, then try again")
        if self.fails is not None:
            raise self.fails


def instance_of(header: IdentifiedHeader, one: HeldInstance) -> IdentifiedInstance:
    """Return *one* rendered and encoded as it would come over the wire, under the archive's *header*."""
    dataset = one.render()
    syntax = dataset.file_meta.TransferSyntaxUID
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = syntax.is_implicit_VR
    buffer.is_little_endian = syntax.is_little_endian
    write_dataset(buffer, dataset)
    return IdentifiedInstance(
        header=header,
        content=buffer.getvalue(),
        transfer_syntax_uid=str(syntax),
        sop_class_uid=str(dataset.SOPClassUID),
    )
