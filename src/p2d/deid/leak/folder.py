"""Search a finished file, whoever wrote it, for the values of many patients."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from p2d.deid.leak.needles import Kind
from p2d.model.identified import KnownValues


@dataclass(frozen=True, slots=True)
class Finding:
    """A kind of value and where it stands: a path of keywords, or a part of the file; never the value."""

    kind: Kind
    place: str


@dataclass(slots=True)
class Findings:
    """How often each finding was made; ``unread`` names parts that could not be searched, by place."""

    found: Counter[Finding] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)

    def __bool__(self) -> bool:
        return bool(self.found or self.unread)


class FolderCheck:
    """Searches files for the values of *patients*; made once for a folder."""

    def __init__(self, patients: Sequence[KnownValues], *, own: Sequence[str] = ()) -> None:
        raise NotImplementedError

    def check_file(self, content: bytes, name: str) -> Findings:
        """Return what is found in *content*, DICOM or not, and in its *name* (relative path)."""
        raise NotImplementedError
