"""Letters that stand for each other: case, accents, umlauts and their two-letter forms, widths."""

import re
import unicodedata
from functools import lru_cache
from typing import Final

_WIDE: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
_INVISIBLE: Final = dict.fromkeys([0xAD, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xFEFF])
_PLAIN: Final = _WIDE | _INVISIBLE
_NEEDS_PLAIN: Final = re.compile("[\xad\u200b-\u200f\u2060\ufeff\uff01-\uff5e\u3000]")
_SPECIAL: Final = {
    "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "å": "a", "ł": "l", "đ": "d", "ð": "d", "þ": "th",
    "\u0131": "i", "ħ": "h", "\u0149": "n",
}  # fmt: skip
_TRANSLATE: Final = str.maketrans(_SPECIAL)
_UMLAUT_E: Final = re.compile("(?<=[aou])e+")
_SHARP_S: Final = re.compile("ss+")
_MARKS: Final = re.compile("[\u0300-\u036f]")


def plain(text: str) -> str:
    """Return *text* composed (NFC), with wide Latin forms narrowed and invisible characters removed."""
    if text.isascii():
        return text
    if _NEEDS_PLAIN.search(text):
        text = text.translate(_PLAIN)
    return _MARKS.sub("", unicodedata.normalize("NFC", text))


def shadow(text: str) -> str:
    """Return *text* (as from ``plain``) without accents: same length and case, letter for letter."""
    return text if text.isascii() else text.translate(_BASE)


@lru_cache(maxsize=8192)
def fold(text: str) -> str:
    """Return *text* so that all spellings of a word are equal: Müller, MUELLER and Muller alike."""
    if text.isascii():
        text = text.lower()
    else:
        text = text.translate(_TRANSLATE).casefold().translate(_TRANSLATE)
        text = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
        text = text.translate(_TRANSLATE)
    return _UMLAUT_E.sub("", text)


def _bases() -> dict[int, str]:
    found = {ord("ẞ"): "ß"}
    for code in (*range(0xC0, 0x250), *range(0x1E00, 0x1F00)):
        letter = chr(code)
        special = _SPECIAL.get(letter) or _SPECIAL.get(letter.lower(), "").upper()
        base = special or unicodedata.normalize("NFD", letter)[0]
        if len(base) == 1 and base != letter:
            found[code] = base
    return found


_BASE: Final = _bases()
_PATTERNS: Final = {"a": "[aæ]e*", "o": "[oœ]e*", "u": "ue*", "ß": "(?:s[sß]|ß)[sß]*", "þ": "(?:th|þ)"}


@lru_cache(maxsize=8192)
def spelling_pattern(word: str, joint: str = "") -> str:
    """Return a regular expression (IGNORECASE, on ``shadow``) for every spelling that folds like *word*.

    *joint* is a pattern that may stand between its letters.
    """
    letters = _SHARP_S.sub("ß", fold(word)).replace("th", "þ")
    return joint.join(_PATTERNS.get(letter) or re.escape(letter) for letter in letters)
