"""What a test archive holds: flat attributes to answer queries with, and whole objects rendered on demand."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from pydicom.dataset import Dataset

KEYWORDS: Final = frozenset(
    {
        "PatientID",
        "PatientName",
        "PatientBirthDate",
        "PatientSex",
        "StudyInstanceUID",
        "StudyDate",
        "StudyTime",
        "StudyDescription",
        "StudyID",
        "AccessionNumber",
        "AdmissionID",
        "ReferringPhysicianName",
        "SeriesInstanceUID",
        "Modality",
        "SeriesDescription",
        "SeriesNumber",
        "SeriesDate",
        "SeriesTime",
        "BodyPartExamined",
        "ProtocolName",
        "Manufacturer",
        "SOPInstanceUID",
        "SOPClassUID",
        "InstanceNumber",
        "Rows",
        "Columns",
        "NumberOfFrames",
    }
)


@dataclass(frozen=True, slots=True)
class HeldInstance:
    """One instance of a test archive.

    ``attributes`` maps DICOM keywords (a subset of ``KEYWORDS``) to their text, several values joined by a
    backslash; it is what C-FIND answers with. ``render`` builds the whole object, pixels included, with its
    file meta information; it is called once for every retrieve.
    """

    attributes: Mapping[str, str] = field(repr=False)
    render: Callable[[], Dataset] = field(repr=False)

    def __getitem__(self, keyword: str) -> str:
        """Return the text of *keyword*, or an empty string."""
        return self.attributes.get(keyword, "")


class Holdings(Protocol):
    """A source of instances for a test archive."""

    def instances(self) -> Iterable[HeldInstance]:
        """Yield every instance held, in any order; called once, when the archive starts."""
        ...


@dataclass(frozen=True, slots=True)
class ListedHoldings:
    """Holdings given as a list."""

    listed: tuple[HeldInstance, ...] = field(repr=False)

    def instances(self) -> Iterable[HeldInstance]:
        """Yield the instances listed."""
        return iter(self.listed)
