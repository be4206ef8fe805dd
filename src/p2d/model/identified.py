"""Identified data: real identifiers and what the archive answers. Few modules may import this one.

None of these types shows a value in its ``repr``, so that none reaches a log or a traceback by accident.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from mmap import mmap

from p2d.model.header import Elements, text_of
from p2d.model.ids import Pseudonym
from p2d.model.level import Level


@dataclass(frozen=True, slots=True)
class PatientId:
    """A PatientID (0010,0020) as the archive knows it."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccessionNumber:
    """An AccessionNumber (0008,0050)."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class InstanceUid:
    """A UID of a study, series or instance as the archive knows it."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CaseStay:
    """A case: its AdmissionID (0038,0010), its patient and its stay in true dates, end inclusive."""

    admission_id: str = field(repr=False)
    patient_id: PatientId
    start: date | None = field(repr=False)
    end: date | None = field(repr=False)


Identifier = PatientId | AccessionNumber | InstanceUid | CaseStay


@dataclass(frozen=True, slots=True)
class IdentifiedHeader:
    """One C-FIND answer: an entity at *level* with the elements the archive returned.

    ``archives`` names the archives that listed it, where several were asked.
    """

    level: Level
    elements: Elements = field(repr=False)
    archives: tuple[str, ...] = ()

    @property
    def patient_id(self) -> str:
        """PatientID (0010,0020), or an empty string."""
        return text_of(self.elements, "00100020")

    @property
    def study_instance_uid(self) -> str:
        """StudyInstanceUID (0020,000D), or an empty string."""
        return text_of(self.elements, "0020000D")

    @property
    def series_instance_uid(self) -> str:
        """SeriesInstanceUID (0020,000E), or an empty string."""
        return text_of(self.elements, "0020000E")

    @property
    def sop_instance_uid(self) -> str:
        """SOPInstanceUID (0008,0018), or an empty string."""
        return text_of(self.elements, "00080018")


@dataclass(frozen=True, slots=True)
class IdentifiedInstance:
    """One retrieved instance: its data set as it came over the wire, without file meta information.

    ``header`` is the archive's own answer for this instance; it decides hierarchy and patient where the
    data set disagrees. ``is_cut`` says that pixel data were dropped on receipt. ``content`` may be a file
    mapped into memory, in which the data set begins at ``offset``.
    """

    header: IdentifiedHeader
    content: bytes | mmap = field(repr=False)
    transfer_syntax_uid: str
    sop_class_uid: str
    is_cut: bool = False
    offset: int = 0


@dataclass(frozen=True, slots=True)
class KnownValues:
    """What is known to identify this patient, gathered from identity and the archive's answers.

    ``names`` are whole PatientName values (component groups and carets kept), ``ids`` patient, admission and
    other ids, ``accessions`` accession numbers, ``birth_dates`` as YYYYMMDD, ``dates`` days of the patient's
    examinations as YYYYMMDD, ``contacts`` addresses, telephone numbers, mail addresses as they are written,
    ``places`` institutions, departments and their addresses.
    """

    names: frozenset[str] = field(default=frozenset(), repr=False)
    ids: frozenset[str] = field(default=frozenset(), repr=False)
    accessions: frozenset[str] = field(default=frozenset(), repr=False)
    birth_dates: frozenset[str] = field(default=frozenset(), repr=False)
    dates: frozenset[str] = field(default=frozenset(), repr=False)
    contacts: frozenset[str] = field(default=frozenset(), repr=False)
    places: frozenset[str] = field(default=frozenset(), repr=False)


@dataclass(frozen=True, slots=True)
class PatientKeys:
    """All that de-identification needs for one patient, fetched before it starts; lives for one batch.

    ``shift_days`` is the whole-day shift, ``uids`` original → derived UID, ``accessions`` and ``cases``
    (by AdmissionID) original → pseudonym, ``true_dates`` True where the site keeps true dates.
    """

    patient: Pseudonym
    patient_id: PatientId
    shift_days: int = field(repr=False)
    uids: Mapping[str, str] = field(repr=False)
    accessions: Mapping[str, Pseudonym] = field(repr=False)
    cases: Mapping[str, Pseudonym] = field(repr=False)
    known: KnownValues = field(repr=False)
    true_dates: bool = False
