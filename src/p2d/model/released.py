"""De-identified data: built by ``p2d.deid`` alone (and by ``p2d.testing``); all that sinks accept."""

from dataclasses import dataclass, field
from enum import StrEnum

from p2d.model.header import Elements
from p2d.model.ids import Pseudonym
from p2d.model.level import Level


class Reason(StrEnum):
    """Why an object was not released."""

    BURNED_IN = "burned-in text possible"
    MODALITY = "modality not allowed"
    SOP_CLASS = "SOP class not released as image"
    UNDECODABLE = "not decodable"
    CHARACTER_SET = "character set not decodable"
    LEAK = "identifying value left after de-identification"
    PATIENT_MISMATCH = "header names another patient"
    UNDERIVED = "a UID or accession number without pseudonym"
    NO_PIXELS = "no displayable pixels"
    RENDERING = "pixels not renderable"
    TOO_LARGE = "larger than the limit of what is screened"
    DETECTOR_MISSING = "text detector not installed"
    TRANSFER_SYNTAX = "pixels not decodable here"
    DOCUMENT = "encapsulated document"
    SCREEN_SAVE = "picture of a screen or page"
    NOT_DICOM = "not a DICOM file"
    UNREADABLE = "file not readable"
    NO_PATIENT = "neither PatientID nor StudyInstanceUID"
    POLICY = "SOP class or modality withheld by the project"
    HEAD = "recognisable head excluded by the project"
    REJECTED = "rejected in the release review"
    PENDING = "not decided in the release review"


@dataclass(frozen=True, slots=True)
class ReleasedHeader:
    """A de-identified header at *level*; all UIDs are derived, ids pseudonyms, dates shifted.

    ``flags`` name disagreements between the archive's hierarchy and the header (``uid_mismatch``,
    ``patient_mismatch``, ``accession_mismatch``): kept and marked, never dropped. ``archives`` names the
    archives that hold the object, where several were asked.
    """

    level: Level
    patient: Pseudonym
    study: str
    series: str
    instance: str
    elements: Elements = field(repr=False)
    flags: tuple[str, ...] = ()
    archives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReleasedInstance:
    """A de-identified instance as a whole DICOM file (PS3.10): preamble, file meta, data set.

    ``parts`` make up the file in their order; pixel data may be a view of a file mapped into memory.
    ``masks`` are the boxes (left, top, right, bottom; pixels) that were masked on all frames.
    """

    header: ReleasedHeader
    parts: tuple[bytes | memoryview, ...] = field(repr=False)
    transfer_syntax_uid: str
    masks: tuple[tuple[int, int, int, int], ...] = ()

    @property
    def content(self) -> bytes:
        """The whole file in memory."""
        first, *others = self.parts
        return first if isinstance(first, bytes) and not others else b"".join(self.parts)

    @property
    def size(self) -> int:
        """Length of the file in bytes."""
        return sum(len(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Withheld:
    """An object that was not released, by pseudonyms, and why."""

    patient: Pseudonym
    study: str
    series: str
    instance: str
    reason: Reason
