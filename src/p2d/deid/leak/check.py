"""The last look at what is about to leave: the patient's values, found by other means than the cleaner.

The cleaner works with patterns; this works with sets of folded words, so that one error is not made twice.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import Final

from p2d.deid.leak.codestream import comments
from p2d.deid.leak.documents import texts_of_document
from p2d.deid.leak.needles import TIME, TIME_VRS, Kind, moved_days, needles_of
from p2d.deid.leak.raw import EncodedNeedles, glued_in, readings_of
from p2d.deid.leak.streams import Unsearchable, streams_in
from p2d.deid.leak.text import TextSearch, kinds_in_pixels
from p2d.deid.profile.action import NUMBER_VRS
from p2d.deid.uids import is_class_uid, is_registered
from p2d.dicom.dictionary import leaf_of
from p2d.model.header import Element
from p2d.model.identified import KnownValues

_TO_UIDS: Final = bytes(byte if byte in b"0123456789." else 0x20 for byte in range(0x100))
_DERIVED: Final = re.compile(r"2\.25\.\d{8,}")
_DATE_VRS: Final = frozenset({"DA", "DT"})
_UNREAD_VRS: Final = frozenset({"UI", "DA", "DT", "AT"})  # not searched as text
_MIN_UID: Final = 7
_MIN_DOTS: Final = 3
_MAX_COMPONENTS: Final = 24
_MAX_MEMO: Final = 20_000


class LeakCheck:
    """Looks for one patient's values; *uids* are original → derived, *own* the texts that P2D wrote itself.

    Where dates are moved, *shift_days* is by how much: dates of examinations that stand unmoved in a text
    are found then. A DA or DT element may hold one, as the moved date of something else may fall on it; it
    may not hold the birth date, unless a moved examination falls on that.
    """

    def __init__(
        self, known: KnownValues, uids: Mapping[str, str], own: Iterable[str], *, shift_days: int = 0
    ) -> None:
        needles = needles_of(known, shift_days=shift_days)
        binary = needles.in_binary()
        moved = {f"{day:%Y%m%d}" for day in moved_days(known, shift_days)}
        self._births = {
            text
            for text, kind in needles.inside.items()
            if kind is Kind.BIRTH_DATE and text not in moved  # P2D may have written it
        }
        for text in moved & binary.inside.keys():
            del binary.inside[text]
        self._needles = needles
        self._pixels: TextSearch | None = None
        self._texts = TextSearch(needles)
        self._binary = TextSearch(binary)
        self._encoded = EncodedNeedles(known)
        self._numbers = frozenset(needles.numbers)
        self._originals = uids
        self._derived = frozenset(uids.values())
        self._own = frozenset(own)
        self._own_longest_first = sorted(filter(None, self._own), key=len, reverse=True)
        self._passed: set[str] = set()

    def learn(self, uids: Mapping[str, str], own: Iterable[str]) -> None:
        """Take *uids* that were derived since, original → derived, and pseudonyms P2D writes."""
        self._derived |= frozenset(uids.values())
        self._own |= frozenset(own)
        self._own_longest_first = sorted(filter(None, self._own), key=len, reverse=True)

    def in_elements(self, elements: Iterable[Element]) -> bool:
        """Whether a text, number, date or UID of *elements* holds a value that must not leave."""
        fresh: list[str] = []
        for element in elements:
            vr = element.vr
            if vr in _UNREAD_VRS:
                if self._is_foreign(element):
                    return True
                continue
            texts = [value for value in element.values if isinstance(value, str)]
            fresh.extend(text for text in texts if vr not in TIME_VRS or not TIME.fullmatch(text))
            if vr in NUMBER_VRS and not self._numbers.isdisjoint(element.values):
                return True
        fresh = [text for text in fresh if text not in self._passed and text not in self._own]
        if not fresh:
            return False
        if self.in_text("\n".join(fresh)):
            return True
        if len(self._passed) < _MAX_MEMO:
            self._passed.update(fresh)
        return False

    def in_text(self, text: str) -> bool:
        """Whether *text* holds such a value, short ones as whole words included."""
        return self._found(self._texts, text)

    def in_bytes(self, content: bytes) -> bool:
        """Whether *content*, bytes of a finished file outside its pixel data, holds such a value.

        It is read as ASCII, UTF-8, Latin-1 and UTF-16 and searched for the bytes of names in the other
        character sets of PS3.3 C.12.1.1.2; compressed streams and documents inside it are opened. Short
        values are left to ``in_elements``: among binary numbers they occur by chance. What cannot be
        searched, because it is encrypted or too large, counts as such a value.
        """
        if self._holds(content) or self._encoded.found_in(content):
            return True
        try:
            return any(self.in_document(stream, "") for stream in streams_in(content))
        except Unsearchable:
            return True

    def beside_pixels(self, pixels: bytes | memoryview) -> bool:
        """Whether encapsulated *pixels* hold such a value beside the pixels, or too much to search."""
        try:
            beside = comments(pixels)
        except Unsearchable:
            return True
        return bool(beside) and self.in_bytes(beside)

    def in_pixels(self, pixels: bytes | memoryview) -> bool:
        """Whether native *pixels* hold such a value of eight characters and more as text.

        For projects and objects that give reason to: it reads them all, some 70 MB a second.
        """
        if self._pixels is None:
            self._pixels = TextSearch(self._needles.in_binary().in_pixels())
        return bool(kinds_in_pixels(self._pixels, pixels))

    def in_document(self, content: bytes, mime_type: str) -> bool:
        """Whether an encapsulated document, PDF or CDA, holds such a value or cannot be searched."""
        try:
            return any(
                self.in_text(text) if isinstance(text, str) else self._holds(text)
                for text in texts_of_document(content, mime_type)
            )
        except (Unsearchable, RecursionError):
            return True

    def in_name(self, name: str) -> bool:
        """Whether a file name or path holds such a value."""
        return self.in_text(name)

    def _holds(self, content: bytes) -> bool:
        texts = readings_of(content)
        ascii_only = next(texts)
        if self._has_original_uid(ascii_only.encode("ascii")):
            return True
        if self._without_own_holds(self._binary, ascii_only):
            return True
        if self._binary.has_near(ascii_only.encode("ascii")) and self._binary.kinds_in(glued_in(content)):
            return True
        return any(self._without_own_holds(self._binary, text) for text in texts)

    def _found(self, search: TextSearch, text: str) -> bool:
        return self._has_original_uid(text.encode("ascii", "replace")) or self._without_own_holds(
            search, text
        )

    def _without_own_holds(self, search: TextSearch, text: str) -> bool:
        if not search.kinds_in(text):
            return False
        others = self._without_own(text)  # what P2D wrote may hold a value by chance
        return others == text or bool(search.kinds_in(others))

    def _without_own(self, text: str) -> str:
        text = _DERIVED.sub(" ", text)
        for own in self._own_longest_first:
            text = text.replace(own, " ")
        return text

    def _is_foreign(self, element: Element) -> bool:
        """Whether a UID is none of P2D's nor of a class that is nobody's, or a date the birth date."""
        if element.vr == "UI":
            others = [text for text in map(str, element.values) if not self._is_ours(text)]
            return bool(others) and (
                not is_class_uid(leaf_of(element.path)) or any(map(self.in_text, others))
            )
        return element.vr in _DATE_VRS and any(str(value)[:8] in self._births for value in element.values)

    def _is_ours(self, uid: str) -> bool:
        return not uid or uid in self._derived or uid in self._own or is_registered(uid)

    def _has_original_uid(self, text: bytes) -> bool:
        return any(
            self._is_original(word.decode("ascii").strip("."))
            for word in text.translate(_TO_UIDS).split()
            if len(word) >= _MIN_UID and word.count(b".") >= _MIN_DOTS
        )

    def _is_original(self, uid: str) -> bool:
        if uid in self._originals:
            return uid not in self._derived and uid not in self._own
        if uid.startswith("2.25.") and uid in self._derived:
            return False
        return any(part in self._originals and part not in self._derived for part in _parts_of(uid))


def _parts_of(uid: str) -> Iterator[str]:
    """Yield what is left of a UID that other numbers stand before or behind."""
    components = uid.split(".")[:_MAX_COMPONENTS]
    first = components[0]
    for begin, end in combinations(range(len(components) + 1), 2):
        if end - begin > _MIN_DOTS:
            yield ".".join(components[begin:end])
            if begin == 0 and len(first) > 1:
                yield ".".join((first[-1], *components[1:end]))
