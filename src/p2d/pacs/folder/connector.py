"""A folder of DICOM files as a ``Pacs``: an index in memory, made from headers when it is first needed."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final, Self

from p2d.model.errors import Unavailable
from p2d.model.header import Elements
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, PatientId
from p2d.model.level import Level
from p2d.pacs.arrival import Arrived, opened
from p2d.pacs.days import checked_days, taken
from p2d.pacs.folder.files import Changed, Listed, head, listed, whole
from p2d.pacs.folder.header import FileHeader, Useless, header_of
from p2d.pacs.folder.index import FolderCounts, Held, Index
from p2d.pacs.port import Abilities, Query, RetrieveCounts
from p2d.pacs.query import ACCESSION_NUMBER, UNIQUE, checked, checked_study
from p2d.settings.gateway import FolderArchive as Settings

_LOG = logging.getLogger(__name__)
_HEAD: Final = 1 << 18
_GONE: Final = "file(s) had changed or gone since the folder was indexed"

_Known = dict[Listed, FileHeader | Useless]


class FolderArchive:
    """One folder; safe to share between threads. What is written there later is found at the next rescan."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.folder.resolve()
        self._lock = threading.Lock()
        self._stops = 0
        self._is_stopped = False
        self._index: Index | None = None
        self._indexed_at = 0.0
        self._known: _Known = {}
        self._shared: dict[tuple[object, ...], Elements] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """The archive's name in settings, ledger and logs."""
        return self._settings.name

    def abilities(self) -> Abilities:
        """Return that every query is answered from one index, and that headers are read alone."""
        return Abilities(relational=True, get=False, move=False, counts=True, headers_alone=True)

    def counts(self) -> FolderCounts:
        """Return what became of the folder's files.

        Raises:
            Unavailable: the folder cannot be listed as a whole.

        """
        return self._fresh(self._mark()).counts

    def close(self) -> None:
        """Forget the index; safe to call twice."""
        with self._lock:
            self._index = None
            self._known.clear()
            self._shared.clear()

    def stop(self) -> None:
        """End what runs and take no new work until ``resume``; see ``Pacs``."""
        self._is_stopped = True
        self._stops += 1

    def resume(self) -> None:
        """Take work again; see ``Pacs``."""
        self._is_stopped = False

    def echo(self) -> None:
        """Verify that the folder can be listed; see ``Pacs``."""
        self._mark()
        listed(self._folder)

    def find(self, query: Query) -> Iterator[IdentifiedHeader]:
        """Yield what matches; see ``Pacs``."""
        return self._found(checked(query))

    def _found(self, query: Query) -> Iterator[IdentifiedHeader]:
        yield from self._fresh(self._mark()).headers(query)

    def owners(self, *, study_instance_uid: str = "", accession_number: str = "") -> list[PatientId]:
        """Return the patients of one study or accession number; see ``Pacs``."""
        keys = checked_study(study_instance_uid, accession_number)
        index = self._fresh(self._mark())
        return [PatientId(one) for one in index.owners(keys[UNIQUE[Level.STUDY]], keys[ACCESSION_NUMBER])]

    def studies(self, first_day: date, last_day: date, modality: str = "") -> Iterator[IdentifiedHeader]:
        """Yield the studies of some days, of all patients; see ``Pacs``."""
        return self._of_days(checked_days(first_day, last_day, modality), modality)

    def _of_days(self, days: Sequence[date], modality: str) -> Iterator[IdentifiedHeader]:
        index = self._fresh(self._mark())
        for day in days:
            yield from taken(index.studies(day), day, modality, self.name)

    def retrieve(
        self,
        patient_id: PatientId,
        instances: Sequence[IdentifiedHeader],
        counts: RetrieveCounts | None = None,
        *,
        pixels: bool = True,
    ) -> Iterator[IdentifiedInstance]:
        """Yield each of *instances* whose file is as it was indexed; see ``Pacs``.

        Without *pixels* no more of a file is read than its header.
        """
        checked(Query(Level.INSTANCE, patient_id))
        return self._retrieved(patient_id, instances, counts or RetrieveCounts(), pixels=pixels)

    def _retrieved(
        self,
        patient_id: PatientId,
        instances: Sequence[IdentifiedHeader],
        counts: RetrieveCounts,
        *,
        pixels: bool,
    ) -> Iterator[IdentifiedInstance]:
        mark = self._mark()
        index = self._fresh(mark)
        changed = 0
        for header in {one.sop_instance_uid: one for one in instances}.values():
            held = index.held(header.sop_instance_uid)
            if held is None or held.patient != patient_id.value.strip():
                continue
            self._check(mark)
            arrived = self._arrived(held, pixels=pixels)
            if arrived is None or arrived.sop_instance_uid != header.sop_instance_uid:
                changed += 1
                continue
            counts.octets += len(arrived.source) - arrived.offset
            yield arrived.under(header, pixels=pixels)
            self._check(mark)
        if changed:
            self._indexed_at = 0.0
            counts.notes.append(f"{changed} {_GONE}")

    def _arrived(self, held: Held, *, pixels: bool) -> Arrived | None:
        """Return the object in a file, as much of it as is needed; None where the file has changed."""
        try:
            length = _HEAD
            while not pixels and length < held.file.size:
                begin = opened(head(self._folder, held.file, length))
                if begin is not None and begin.pixels_begin() is not None:
                    return begin
                length *= 8
            return opened(whole(self._folder, held.file))
        except Changed:
            return None

    def _mark(self) -> int:
        if self._is_stopped:
            raise _stopped()
        return self._stops

    def _check(self, mark: int) -> None:
        if self._is_stopped or self._stops != mark:
            raise _stopped()

    def _fresh(self, mark: int) -> Index:
        """Return the index, made anew where it is older than ``rescan_seconds``.

        Only new and changed files are read.
        """
        with self._lock:
            age = time.monotonic() - self._indexed_at
            if self._index is not None and self._indexed_at and age <= self._settings.rescan_seconds:
                return self._index
            files, links = listed(self._folder)
            known: _Known = {}
            for file in files:
                self._check(mark)
                found = self._known.get(file)
                known[file] = self._read(file) if found is None else found
            index = Index(known.items(), links)
            if self._index is None or self._index.counts != index.counts:
                for note in index.counts.notes():
                    _LOG.warning("archive %s: %s", self.name, note)
            self._index, self._known, self._indexed_at = index, known, time.monotonic()
            return index

    def _read(self, file: Listed) -> FileHeader | Useless:
        try:
            header = header_of(lambda length: head(self._folder, file, length), file.size)
        except Changed:
            return Useless.MALFORMED
        if isinstance(header, Useless):
            return header
        return FileHeader(self._one(header.study), self._one(header.series), header.instance)

    def _one(self, elements: Elements) -> Elements:
        """Return the first elements seen that are equal: thousands of files share those of their series."""
        key = tuple((path, one.values) for path, one in elements.items())
        return self._shared.setdefault(key, elements)


def _stopped() -> Unavailable:
    return Unavailable("pacs", "queries to the archive are stopped", "resume them, then try again")
