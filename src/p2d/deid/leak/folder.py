"""Search a finished file, whoever wrote it, for the values of many patients.

It knows nothing of how the file was made and reports kinds and places, never values. Costs grow with the size
of the file, not with the number of patients.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from p2d.deid.leak.codestream import comments
from p2d.deid.leak.documents import texts_of_document
from p2d.deid.leak.needles import TIME, TIME_VRS, Kind, Needles, needles_of
from p2d.deid.leak.raw import glued_in, is_text, readings_of
from p2d.deid.leak.streams import Unsearchable, streams_in
from p2d.deid.leak.structure import PIXEL_TAGS, Part, is_dicom, parts_of
from p2d.deid.leak.text import TextSearch, kinds_in_pixels
from p2d.deid.uids import is_registered
from p2d.dicom.dictionary import keyword_path_of
from p2d.dicom.elements import UndecodableHeader, values_of
from p2d.model.identified import KnownValues

FILE_NAME: Final = "file name"
CONTENT: Final = "content"
COMMENTS: Final = "codestream comments"
DOCUMENT: Final = "document"
_BULK: Final = frozenset({"OB", "OW", "OF", "OD", "OL", "OV", "UN"})
_DATES: Final = frozenset({"DA", "DT"})
_MIN_DOTS: Final = 3  # shorter UIDs are version numbers as well
_LARGE: Final = 1 << 17
_DERIVED: Final = re.compile(r"2\.25\.\d{25,}")


@dataclass(frozen=True, slots=True)
class Finding:
    """A kind of value and where it stands: a path of keywords, or a part of the file; never the value."""

    kind: Kind
    place: str


@dataclass(slots=True)
class Findings:
    """How often each finding was made; ``unread`` names what could not be searched (encrypted, too large)."""

    found: Counter[Finding] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)

    def __bool__(self) -> bool:
        return bool(self.found or self.unread)

    def add(self, place: str, kinds: Iterable[Kind]) -> None:
        """Count one finding of each of *kinds* at *place*."""
        self.found.update(Finding(kind, place) for kind in kinds)

    def update(self, other: "Findings") -> None:
        """Add what was found in another file."""
        self.found.update(other.found)
        self.unread.update(other.unread)


class FolderCheck:
    """Searches files for the values of *patients* and for the UIDs *uids*; made once for a folder.

    Birth dates are not looked for in DA and DT elements outside group 0010, where the moved date of an
    examination falls on somebody's birth date by chance; dates of examinations are not looked for at all.
    *own* are pseudonyms and other texts of whoever wrote the files, which may hold a number by chance.
    """

    def __init__(
        self, patients: Sequence[KnownValues], *, uids: Collection[str] = (), own: Collection[str] = ()
    ) -> None:
        needles = Needles()
        for known in patients:
            needles.update(needles_of(known, among_many=len(patients) > 1))
        needles.uids = frozenset(u for u in uids if u.count(".") >= _MIN_DOTS and not is_registered(u))
        binary = needles.in_binary()
        self._texts = TextSearch(needles)
        self._binary = TextSearch(binary)
        self._pixels = TextSearch(binary.in_pixels())
        self._numbers = needles.numbers
        self._has_wide = bool(needles.wide)
        self._own = frozenset(own)
        self._uids = needles.uids

    def check_file(self, content: bytes | memoryview, name: str) -> Findings:
        """Return what is found in *content*, DICOM or not, and in its *name* (a relative path)."""
        findings = Findings()
        findings.add(FILE_NAME, self._texts.kinds_in(name))
        try:
            if is_dicom(content):
                self._check_dicom(memoryview(content), findings)
            else:
                self._check_other(bytes(content), findings)
        except (Unsearchable, RecursionError, MemoryError):
            findings.unread[CONTENT] += 1
        return findings

    def _check_dicom(self, content: memoryview, findings: Findings) -> None:
        for part in parts_of(content):
            place = keyword_path_of(part.place) if part.vr else part.place
            if part.tag in PIXEL_TAGS and "." not in part.place:
                beside = self._kinds_in_comments(part.value)
                findings.add(f"{place}, {COMMENTS}", beside)
                findings.add(place, kinds_in_pixels(self._pixels, part.value) - beside)
                continue
            kinds = self._kinds_in_values(part)
            if part.vr in _BULK or not part.vr:
                value = bytes(part.value)
                kinds |= self._kinds_in_bytes(value)
                findings.add(f"{place}, {DOCUMENT}", self._kinds_in_streams(value, findings, place) - kinds)
            findings.add(place, kinds)

    def _kinds_in_values(self, part: Part) -> set[Kind]:
        """Return the kinds of values that the element holds, decoded and in the bytes it is written in."""
        vr = part.vr
        if not vr or vr in _BULK or vr == "AT":
            return set()
        value = bytes(part.value)
        if vr in _DATES and not (part.tag.startswith("0010") or int(part.tag[:4], 16) % 2):
            return set()
        try:
            values = values_of(vr, value, part.codecs, little=part.is_little, guess=True)
        except UndecodableHeader:
            return self._kinds_in_bytes(value)
        kinds = {self._numbers[int(v)] for v in values if isinstance(v, int | float) and v in self._numbers}
        texts = [v for v in values if isinstance(v, str) and v not in self._own]
        if vr in TIME_VRS:
            texts = [v for v in texts if not TIME.fullmatch(v)]
        if vr == "UI":
            texts = [v for v in texts if v in self._uids or not (is_registered(v) or _DERIVED.fullmatch(v))]
        if texts:
            kinds |= self._texts.kinds_in("\n".join(texts))
        if not value.isascii() or b"\x1b" in value or b"\0" in value[:-1]:
            kinds |= self._kinds_in_bytes(value)
        return kinds

    def _kinds_in_bytes(self, content: bytes) -> set[Kind]:
        if len(content) > _LARGE and not is_text(content):
            return kinds_in_pixels(self._pixels, memoryview(content))
        kinds: set[Kind] = set()
        for text in (*readings_of(content, wide=self._has_wide), glued_in(content)):
            kinds |= self._binary.kinds_in(text)
        return kinds

    def _kinds_in_comments(self, pixels: memoryview) -> set[Kind]:
        if bytes(pixels[:4]) != b"\xfe\xff\x00\xe0":
            return set()
        return self._kinds_in_bytes(comments(pixels))

    def _kinds_in_streams(self, content: bytes, findings: Findings, place: str) -> set[Kind]:
        """Return what documents and compressed streams inside *content* hold."""
        kinds: set[Kind] = set()
        try:
            for stream in streams_in(content):
                kinds |= self._kinds_in_document(stream)
            if is_text(content):
                kinds |= self._kinds_in_document(content)
        except Unsearchable:
            findings.unread[place] += 1
        return kinds

    def _check_other(self, content: bytes, findings: Findings) -> None:
        kinds = self._kinds_in_document(content)
        if content[:3] == b"\xff\xd8\xff":
            kinds |= self._kinds_in_bytes(comments(_as_fragment(content)))
        if content[:2] in {b"\x1f\x8b", b"PK"}:
            for stream in streams_in(content):
                if is_dicom(stream):
                    self._check_dicom(memoryview(stream), findings)
        findings.add(CONTENT, kinds)

    def _kinds_in_document(self, content: bytes) -> set[Kind]:
        """Return what stands in a text, document or archive; binary files are read as pixel data are."""
        kinds: set[Kind] = set()
        for text in texts_of_document(content, ""):
            if isinstance(text, str):
                kinds |= self._texts.kinds_in(text)
            elif is_text(text):
                kinds |= self._kinds_of_text_file(text)
            else:
                kinds |= kinds_in_pixels(self._pixels, memoryview(text))
        return kinds

    def _kinds_of_text_file(self, content: bytes) -> set[Kind]:
        kinds: set[Kind] = set()
        for text in readings_of(content, wide=self._has_wide):
            kinds |= self._texts.kinds_in(text)
        return kinds


def _as_fragment(content: bytes) -> bytes:
    head = b"\xfe\xff\x00\xe0"
    return head + bytes(4) + head + len(content).to_bytes(4, "little") + content


def findings_in(files: Iterable[tuple[str, bytes]], check: FolderCheck) -> Iterator[tuple[str, Findings]]:
    """Yield the name of each of *files* and what was found in it."""
    for name, content in files:
        yield name, check.check_file(content, name)
