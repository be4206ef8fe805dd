"""What the archives of all baselines have in common, so that P2D's own pipeline can stand behind each.

A baseline finds and retrieves in its own way; pseudonyms, de-identification, load are then the same for all.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final, TypeVar

from p2d.dicom.charset import DEFAULT, CharacterSet, character_set
from p2d.dicom.elements import standard_vr, values_of
from p2d.model.header import Element
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, PatientId
from p2d.model.level import Level
from p2d.pacs.port import Abilities, Pacs, Query, RetrieveCounts

UNICODE: Final = character_set(b"ISO_IR 192")
WORDS: Final = {Level.STUDY: "STUDY", Level.SERIES: "SERIES", Level.INSTANCE: "IMAGE"}
_CHARACTER_SET: Final = "00080005"
_TRANSPORT: Final = frozenset({_CHARACTER_SET, "00080052", "00080054", "00080056"})
_BINARY: Final = frozenset({"US", "SS", "UL", "SL"})
Row = dict[str, Element]
_T = TypeVar("_T")


class Peer:
    """The parts of the port that no baseline needs."""

    @property
    def name(self) -> str:
        """The archive's name."""
        return "main"

    def abilities(self) -> Abilities:
        """Return what is used of the archive."""
        return Abilities(relational=False, get=True, move=True)

    def close(self) -> None:
        """Keep nothing open."""

    def stop(self) -> None:
        """Have nothing to stop."""

    def resume(self) -> None:
        """Have nothing to resume."""

    def echo(self) -> None:
        """Ask nothing."""

    def owners(self, *, study_instance_uid: str = "", accession_number: str = "") -> list[PatientId]:
        """Return nobody: bulk runs do not ask."""
        del study_instance_uid, accession_number
        return []

    def studies(self, first_day: date, last_day: date, modality: str = "") -> Iterator[IdentifiedHeader]:
        """Yield nothing: bulk runs do not ask."""
        del first_day, last_day, modality
        return iter(())


def row_of(values: dict[str, bytes]) -> Row:
    """Return raw C-FIND *values* (path to bytes) as elements, decoded by the character set they state."""
    codecs = character_set(values[_CHARACTER_SET]) if values.get(_CHARACTER_SET) else DEFAULT
    return {path: _element(path, value, codecs) for path, value in values.items() if path not in _TRANSPORT}


def _element(path: str, value: bytes, codecs: CharacterSet) -> Element:
    vr = standard_vr(int(path, 16))
    return Element(path, vr, values_of(vr, value, codecs, little=True, guess=True))


def row_of_texts(texts: dict[str, str]) -> Row:
    """Return *texts* by path as elements."""
    row: Row = {}
    for path, text in texts.items():
        vr = standard_vr(int(path, 16))
        if path in _TRANSPORT:
            continue
        if vr in _BINARY:
            row[path] = Element(path, vr, (int(text),) if text else ())
        else:
            row[path] = _element(path, text.encode(), UNICODE)
    return row


@dataclass(slots=True)
class Remembering(Peer):
    """Passes on to *pacs*, and remembers what it found of a patient and how long that took.

    ``seconds`` are those spent on asking and waiting for the archive, nothing else; a patient found before is
    answered from memory and costs the seconds of the first time.
    """

    pacs: Pacs
    seconds: float = 0.0
    _found: dict[str, tuple[float, list[IdentifiedHeader]]] = field(default_factory=dict)

    def find(self, query: Query) -> Iterator[IdentifiedHeader]:
        """Yield what *pacs* finds, or found."""
        key = query.patient_id.value
        if key not in self._found:
            self._found[key] = timed(lambda: list(self.pacs.find(query)))
        seconds, headers = self._found[key]
        self.seconds += seconds
        return iter(headers)

    def retrieve(
        self,
        patient_id: PatientId,
        instances: Sequence[IdentifiedHeader],
        counts: RetrieveCounts | None = None,
        *,
        pixels: bool = True,
    ) -> Iterator[IdentifiedInstance]:
        """Yield what *pacs* retrieves."""
        arriving = self.pacs.retrieve(patient_id, instances, counts, pixels=pixels)
        while True:
            seconds, one = timed(lambda: next(arriving, None))
            self.seconds += seconds
            if one is None:
                return
            yield one


def timed(work: Callable[[], _T]) -> tuple[float, _T]:
    """Return the seconds that *work* takes, and what it returns."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result
