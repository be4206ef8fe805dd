"""Port to a picture archive: find and retrieve. Everything that comes back is identified and untrusted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, PatientId
from p2d.model.level import Choice, Level


@dataclass(frozen=True, slots=True)
class Abilities:
    """What this archive does; flows ask instead of trying and failing.

    ``relational``: image-level queries by PatientID alone were proved equal to the hierarchical answer.
    ``get`` and ``move`` are the DIMSE services that bring objects, ``web`` is DICOMweb. ``lists``: one
    request brings several instances. ``counts``: series are answered with NumberOfSeriesRelatedInstances.
    ``headers_alone``: a retrieve without pixels spares the archive, or at least us, the pixel data.
    """

    relational: bool
    get: bool
    move: bool
    web: bool = False
    lists: bool = True
    counts: bool = False
    headers_alone: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What to find for one patient: all entities at *level* below the keys given.

    ``first_day`` and ``last_day`` bound StudyDate in true dates, both inclusive.
    Keys are exact: wildcards, empty and control characters are refused.

    ``full`` says which instances of each series are to be answered with all keys: those of that choice, or
    none at all. Of the others an archive may be asked for UIDs and InstanceNumber only, as some look up
    further keys object by object. A connector adds to ``notes`` what it had to do otherwise than planned, as
    sentences without an identifier.
    """

    level: Level
    patient_id: PatientId
    study_instance_uid: str = field(default="", repr=False)
    series_instance_uid: str = field(default="", repr=False)
    sop_instance_uid: str = field(default="", repr=False)
    accession_number: str = field(default="", repr=False)
    first_day: date | None = field(default=None, repr=False)
    last_day: date | None = field(default=None, repr=False)
    full: Choice | None = Choice.ALL
    notes: list[str] = field(default_factory=list, repr=False, compare=False)


@dataclass(slots=True)
class RetrieveCounts:
    """What one retrieve did not yield; filled by the connector while its iterator runs.

    ``refused`` objects were not asked for, or their data set names another instance; ``duplicates`` had
    arrived before, ``conflicts`` of them with other bytes. ``octets`` is the size of all data sets that came,
    with what was dropped. ``notes`` say what had to be done otherwise than planned (C-MOVE for C-GET, single
    instances for lists), as sentences without an identifier.
    """

    refused: int = 0
    duplicates: int = 0
    conflicts: int = 0
    octets: int = 0
    notes: list[str] = field(default_factory=list)


class Pacs(Protocol):
    """One archive; safe to share between threads."""

    @property
    def name(self) -> str:
        """The archive's name in settings, ledger and logs."""
        ...

    def abilities(self) -> Abilities:
        """Return what this archive can do, proved where a proof is needed."""
        ...

    def close(self) -> None:
        """Release what is kept open towards the archive; safe to call twice."""
        ...

    def stop(self) -> None:
        """End within 5 seconds what runs towards the archive, and refuse new work until ``resume``.

        Running requests are cancelled (C-CANCEL), then aborted; their callers get Unavailable.
        """
        ...

    def resume(self) -> None:
        """Take work again after ``stop``."""
        ...

    def echo(self) -> None:
        """Verify that the archive answers (PS3.4 Annex A).

        Raises:
            Unavailable: no connection, or no answer in time.
            Misconfigured: the archive refuses our AE title or address; so for ``find`` and ``retrieve``.

        """
        ...

    def find(self, query: Query) -> Iterator[IdentifiedHeader]:
        """Yield what matches *query*, each entity once; every header names the query's patient.

        At SERIES and INSTANCE level the headers carry the elements of the upper levels too. Iteration ends
        without an error only after the final status 0x0000 (PS3.4 C.4.1.1.4).

        Raises:
            InvalidRequest: a key that is empty where needed, a wildcard or a control character.
            Unavailable: refused, aborted, timed out or out of resources before the final status.
            ProtocolViolation: another status, or an answer about another patient.

        """
        ...

    def owners(self, *, study_instance_uid: str = "", accession_number: str = "") -> list[PatientId]:
        """Return the patients of one study, or of the studies with one accession number, each once.

        Exactly one of the two keys is given: a STUDY-level query of the Study Root model (PS3.4 C.6.2) by
        that key alone. Answers with another key are dropped; more than 10 patients are a violation.

        Raises:
            InvalidRequest, Unavailable, ProtocolViolation: as ``find``.

        """
        ...

    def studies(self, first_day: date, last_day: date, modality: str = "") -> Iterator[IdentifiedHeader]:
        """Yield the studies of all patients whose StudyDate is one of at most 31 true days, both inclusive.

        Asked day by day, nothing of a day before its final status 0x0000; of *modality* only where stated.
        The headers are of STUDY level with PatientID, StudyInstanceUID, StudyDate, StudyTime,
        AccessionNumber, ModalitiesInStudy and the numbers of series and instances, as far as answered. Each
        study of a patient comes once, of several archives once for each that lists it (``archives``). A row
        of another day, or without PatientID or StudyInstanceUID, is not taken and logged as a number.

        Raises:
            InvalidRequest: no day, too many of them, or no modality code.
            Unavailable, ProtocolViolation: as ``find``.

        """
        ...

    def retrieve(
        self,
        patient_id: PatientId,
        instances: Sequence[IdentifiedHeader],
        counts: RetrieveCounts | None = None,
        *,
        pixels: bool = True,
    ) -> Iterator[IdentifiedInstance]:
        """Yield each of *instances* that arrives, once, in order of arrival; the caller reconciles.

        Without *pixels* the connector may leave out the data set from its pixel data on (``is_cut``).
        Objects that were not asked for are refused, added to *counts* and never yielded. What does not
        arrive is simply not yielded: a status is never taken as proof of delivery.

        Raises:
            Unavailable: refused, aborted or timed out; what came before was yielded.
            ProtocolViolation: the archive answered with an undefined status.

        """
        ...
