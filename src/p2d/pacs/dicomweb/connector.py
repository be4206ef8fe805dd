"""The archive over DICOMweb as a ``Pacs``."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final, Self

from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, PatientId
from p2d.model.level import Level
from p2d.pacs.days import checked_days, day_keys, taken
from p2d.pacs.dicomweb.connection import WebConnection
from p2d.pacs.dicomweb.retrieve import NotOffered, Resource, Retriever, Waiting, resources
from p2d.pacs.dicomweb.search import PAGE, Search
from p2d.pacs.port import Abilities, Query, RetrieveCounts
from p2d.pacs.query import UNIQUE, checked, checked_study
from p2d.settings.archive_profile import ArchiveProfile
from p2d.settings.gateway import WebArchive

_NO_STUDY: Final = "2.25.0"
"""A UID that no study has (PS3.5 B.2 makes them from random UUIDs): to ask without learning of a patient."""

_NO_METADATA: Final = "the archive gives no headers alone; whole objects were retrieved for them"
_LACKING: Final = "header(s) alone could not be used; the whole objects were retrieved"


class DicomWebArchive:
    """One archive over QIDO-RS and WADO-RS; safe to share between threads.

    Close it, or use it as a context manager. ``page`` is how many rows a search asks for at a time.

    Raises (on construction):
        Misconfigured: a secret, certificate or authority that cannot be used.
    """

    def __init__(
        self, settings: WebArchive, profile: ArchiveProfile | None = None, *, page: int = PAGE
    ) -> None:
        self._settings = settings
        self._connection = WebConnection(settings)
        self._search = Search(self._connection, page=page)
        self._retriever = Retriever(self._connection, settings.object_mib << 20)
        is_offered = profile is None or profile.web.wado_metadata
        self._gives_metadata = settings.headers == "metadata" and is_offered

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """The archive's name in settings, ledger and logs."""
        return self._settings.name

    def abilities(self) -> Abilities:
        """Return what DICOMweb does; headers come alone until the archive has refused that."""
        return Abilities(
            relational=False, get=False, move=False, web=True, headers_alone=self._gives_metadata
        )

    def close(self) -> None:
        """Close all connections; safe to call twice."""
        self._connection.close()

    def stop(self) -> None:
        """Break every connection and take no new work until ``resume``; see ``Pacs``."""
        self._connection.stop()

    def resume(self) -> None:
        """Take work again; see ``Pacs``."""
        self._connection.resume()

    def echo(self) -> None:
        """Verify that QIDO-RS answers, by a search for a study that no archive has; see ``Pacs``."""
        self._search.rows("studies", Level.STUDY, {UNIQUE[Level.STUDY]: _NO_STUDY}, self._connection.mark())

    def find(self, query: Query) -> Iterator[IdentifiedHeader]:
        """Yield what matches, nothing before the last search has ended well; see ``Pacs``."""
        return self._found(checked(query))

    def _found(self, query: Query) -> Iterator[IdentifiedHeader]:
        yield from self._search.headers(query, self._connection.mark())

    def owners(self, *, study_instance_uid: str = "", accession_number: str = "") -> list[PatientId]:
        """Return the patients of one study or accession number; see ``Pacs``."""
        keys = checked_study(study_instance_uid, accession_number)
        return self._search.owners(keys, self._connection.mark())

    def studies(self, first_day: date, last_day: date, modality: str = "") -> Iterator[IdentifiedHeader]:
        """Yield the studies of some days, of all patients; see ``Pacs``."""
        return self._of_days(checked_days(first_day, last_day, modality), modality)

    def _of_days(self, days: Sequence[date], modality: str) -> Iterator[IdentifiedHeader]:
        for day in days:
            rows = self._search.of_day(day_keys(day, modality), self._connection.mark())
            yield from taken(rows, day, modality, self.name)

    def retrieve(
        self,
        patient_id: PatientId,
        instances: Sequence[IdentifiedHeader],
        counts: RetrieveCounts | None = None,
        *,
        pixels: bool = True,
    ) -> Iterator[IdentifiedInstance]:
        """Yield each of *instances* that arrives; what a series left out is asked for once more by itself.

        Without *pixels* headers come as DICOM JSON where the archive has them, encoded anew in explicit VR
        little endian; see ``Pacs``.
        """
        checked(Query(Level.INSTANCE, patient_id))
        return self._retrieved(Waiting(instances, counts or RetrieveCounts()), pixels=pixels)

    def _retrieved(self, waiting: Waiting, *, pixels: bool) -> Iterator[IdentifiedInstance]:
        mark = self._connection.mark()
        if not pixels and self._gives_metadata:
            for instance in self._headers_alone(waiting, mark):
                yield instance
                self._connection.check(mark)
        first = resources(waiting.missing, by_series=True)
        yield from self._whole(first, waiting, mark, pixels=pixels)
        by_series = {one.sop_instance_uid for each in first if len(each.headers) > 1 for one in each.headers}
        lacking = [one for one in waiting.missing if one.sop_instance_uid in by_series]
        yield from self._whole(resources(lacking, by_series=False), waiting, mark, pixels=pixels)

    def _whole(
        self, wanted: Sequence[Resource], waiting: Waiting, mark: int, *, pixels: bool
    ) -> Iterator[IdentifiedInstance]:
        for resource in wanted:
            for instance in self._retriever.whole(resource, waiting, mark, pixels=pixels):
                yield instance
                self._connection.check(mark)

    def _headers_alone(self, waiting: Waiting, mark: int) -> Iterator[IdentifiedInstance]:
        try:
            for resource in resources(waiting.missing, by_series=True):
                yield from self._retriever.metadata(resource, waiting, mark)
        except NotOffered:
            self._gives_metadata = False
            waiting.counts.notes.append(_NO_METADATA)
            return
        if waiting.unusable:
            waiting.counts.notes.append(f"{waiting.unusable} {_LACKING}")
