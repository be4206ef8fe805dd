"""The last look at what is about to leave: the patient's values, found by other means than the cleaner.

The cleaner works with patterns; this works with sets of folded words, so that one error is not made twice.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

from p2d.deid.profile.action import NUMBER_VRS, TEXT_VRS
from p2d.deid.scrub.cleaner import MIN_EMBEDDED_LENGTH, MIN_ID_LENGTH
from p2d.deid.scrub.folding import fold
from p2d.deid.scrub.names import name_parts, vocabulary
from p2d.deid.uids import is_registered
from p2d.model.header import Element
from p2d.model.identified import KnownValues

_LETTERS: Final = re.compile(r"[^\W\d_]+")
_WORDS: Final = re.compile(r"[^\W_]+")
_UIDS: Final = re.compile(r"[0-2](?:\.\d+){3,}|2\.25\.\d+")
_DERIVED: Final = re.compile(r"2\.25\.\d{8,}")
_CHECKED_VRS: Final = TEXT_VRS | {"PN"}
_MIN_BYTES: Final = 5
_MIN_NUMBER: Final = 8
_MAX_MEMO: Final = 20_000


class LeakCheck:
    """Looks for one patient's values; *uids* are original → derived."""

    def __init__(self, known: KnownValues, uids: Mapping[str, str], own: Iterable[str]) -> None:
        parts = name_parts(known.names)
        self._names = parts.strong
        self._long_names = frozenset(name for name in parts.strong if len(name) >= _MIN_BYTES)
        self._wide = tuple(part for part in parts.wide if len(part) > 1)
        ids = {_lower(i.strip()) for i in known.ids | known.accessions}
        ids = {i for i in ids if len(i) >= MIN_ID_LENGTH and fold(i) not in vocabulary()}
        self._words = frozenset(i for i in ids if len(i) < MIN_EMBEDDED_LENGTH)
        self._embedded = tuple(i for i in ids if len(i) >= MIN_EMBEDDED_LENGTH)
        self._numbers = frozenset(int(i) for i in self._embedded if i.isdecimal() and len(i) >= _MIN_NUMBER)
        self._births = tuple(day for day in known.birth_dates if len(day) == len("YYYYMMDD"))
        self._originals = uids.keys()
        self._derived = frozenset(uids.values())
        self._own = frozenset(own)
        self._passed: set[str] = set()

    def learn(self, uids: Mapping[str, str], own: Iterable[str]) -> None:
        """Take *uids* that were derived since, original → derived, and pseudonyms P2D writes."""
        self._derived |= frozenset(uids.values())
        self._own |= frozenset(own)

    def in_elements(self, elements: Iterable[Element]) -> bool:
        """Whether a text, number or UID of *elements* holds a value that must not leave."""
        fresh: list[str] = []
        for element in elements:
            if element.vr == "UI":
                if not all(self._is_ours(str(value)) for value in element.values):
                    return True
            elif element.vr in NUMBER_VRS:
                if self._numbers and not self._numbers.isdisjoint(element.values):
                    return True
            elif element.vr in _CHECKED_VRS:
                fresh.extend(
                    text
                    for text in element.values
                    if isinstance(text, str) and text not in self._passed and text not in self._own
                )
        if not fresh:
            return False
        if self._in_text("\n".join(fresh)):
            return True
        if len(self._passed) < _MAX_MEMO:
            self._passed.update(fresh)
        return False

    def in_bytes(self, content: bytes) -> bool:
        """Whether *content*, bytes of a finished file outside its pixel data, holds such a value.

        Short values are left to ``in_elements``: among binary numbers they occur by chance.
        """
        text = content.decode("utf-8", "replace")
        if any(uid in self._originals and uid not in self._derived for uid in _UIDS.findall(text)):
            return True
        text = _DERIVED.sub(" ", text)
        for own in self._own:
            text = text.replace(own, " ")
        if any(
            fold_once(word) in self._long_names for word in _LETTERS.findall(text) if len(word) >= _MIN_BYTES
        ):
            return True
        lowered = _lower(text)
        return any(part in text for part in self._wide) or any(
            identifier in lowered
            for identifier in self._embedded
            if not identifier.isdigit() or len(identifier) >= _MIN_NUMBER
        )

    def _is_ours(self, uid: str) -> bool:
        return not uid or uid in self._derived or is_registered(uid)

    def _in_text(self, text: str) -> bool:
        if any(uid in self._originals for uid in _UIDS.findall(text)):
            return True
        folded = fold_once(text)
        if not self._names.isdisjoint(_LETTERS.findall(folded)):
            return True
        lowered = _lower(text)
        if self._words and not self._words.isdisjoint(_WORDS.findall(lowered)):
            return True
        return any(part in lowered for part in (*self._embedded, *self._births, *self._wide))


def fold_once(text: str) -> str:
    """Return ``fold`` of a text that will not come again, without remembering it."""
    return fold.__wrapped__(text)


def _lower(text: str) -> str:
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text).lower()
