"""What one file answers to queries: the keys of every level, read from the begin of the file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from p2d.dicom.charset import DEFAULT, CharacterSet, UndecodableText, character_set
from p2d.dicom.elements import UndecodableHeader, standard_vr, values_of
from p2d.dicom.part10 import NotDicom, open_part10
from p2d.dicom.walk import END, TAG, VALUE, Malformed, first_spans
from p2d.model.header import Element, Elements, text_of
from p2d.model.level import Level
from p2d.pacs.arrival import DEFLATED, inflated_head, syntax_of
from p2d.pacs.query import KEYS, PATIENT_ID, UNIQUE

_CHARACTER_SET: Final = 0x00080005
_COMPUTED: Final = frozenset(
    {"00080061", "00201200", "00201202", "00201204", "00201206", "00201208", "00201209"}
)
"""ModalitiesInStudy and the numbers of related entities: the index counts them itself."""

_ASKED: Final[Mapping[int, str]] = {
    int(path, 16): path for level in Level for path in KEYS[level] if path not in _COMPUTED
}
_LAST: Final = max(_ASKED)
_STUDY: Final = frozenset(KEYS[Level.PATIENT] + KEYS[Level.STUDY]) - _COMPUTED
_SERIES: Final = frozenset(KEYS[Level.SERIES]) - _STUDY - _COMPUTED
_HEAD: Final = 16_384


class Useless(StrEnum):
    """Why a file is in no answer."""

    NOT_DICOM = "not DICOM"
    MALFORMED = "malformed"
    NAMELESS = "without patient, study, series or instance"


@dataclass(frozen=True, slots=True)
class FileHeader:
    """The elements of one file by level; those of study and series are shared between files that agree."""

    study: Elements = field(repr=False)
    series: Elements = field(repr=False)
    instance: Elements = field(repr=False)

    @property
    def place(self) -> tuple[str, str, str, str]:
        """PatientID, study, series and instance."""
        return (
            text_of(self.study, PATIENT_ID).strip(),
            text_of(self.study, UNIQUE[Level.STUDY]),
            text_of(self.series, UNIQUE[Level.SERIES]),
            text_of(self.instance, UNIQUE[Level.INSTANCE]),
        )


Read = Callable[[int], bytes]
"""The first bytes of a file, as many as asked for or as there are."""


def header_of(read: Read, size: int) -> FileHeader | Useless:
    """Return what a file of *size* bytes answers; more of it is read only where its first bytes do not do."""
    length = _HEAD
    while True:
        content = read(length)
        try:
            found = _elements(content)
        except NotDicom:
            return Useless.NOT_DICOM
        except (Malformed, ValueError, UndecodableHeader):
            if length >= size:
                return Useless.MALFORMED
            length *= 8
            continue
        header = FileHeader(
            {path: one for path, one in found.items() if path in _STUDY},
            {path: one for path, one in found.items() if path in _SERIES},
            {path: one for path, one in found.items() if path not in _STUDY and path not in _SERIES},
        )
        return header if all(header.place) else Useless.NAMELESS


def _elements(content: bytes) -> dict[str, Element]:
    part10 = open_part10(content)
    syntax, begin = syntax_of(part10.transfer_syntax_uid), part10.offset
    if part10.transfer_syntax_uid == DEFLATED:
        content, begin = inflated_head(content[begin:]), 0
    found: dict[str, Element] = {}
    codecs: CharacterSet = DEFAULT
    for span in first_spans(content, syntax, begin, _LAST):
        value = content[span[VALUE] : span[END]]
        if span[TAG] == _CHARACTER_SET:
            codecs = _codecs(value)
        elif path := _ASKED.get(span[TAG]):
            vr = standard_vr(span[TAG])
            found[path] = Element(path, vr, values_of(vr, value, codecs, little=syntax.is_little, guess=True))
    return found


def _codecs(value: bytes) -> CharacterSet:
    try:
        return character_set(value)
    except UndecodableText:
        return DEFAULT
