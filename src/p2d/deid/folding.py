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
    "\u0131": "i", "ħ": "h",
}  # fmt: skip
_TRANSLATE: Final = str.maketrans(_SPECIAL)
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
    text = text.casefold()
    if not text.isascii():
        text = text.translate(_TRANSLATE)
        text = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
        text = text.translate(_TRANSLATE)
    return text.replace("ae", "a").replace("oe", "o").replace("ue", "u")


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


@lru_cache(maxsize=8192)
def spelling_pattern(word: str) -> str:
    """Return a regular expression (IGNORECASE, on ``shadow``) for every spelling that folds like *word*."""
    return "".join(_letter_pattern(letter) for letter in fold(word).replace("ss", "ß"))


def _letter_pattern(letter: str) -> str:
    if letter == "ß":
        return "(?:ss|ß)"
    if letter in "ao":
        return f"(?:{letter}e?|{'æ' if letter == 'a' else 'œ'})"
    return "ue?" if letter == "u" else re.escape(letter)
