"""Letters that stand for each other: case, accents, umlauts and their two-letter forms, widths, kana."""

import re
import unicodedata
from functools import lru_cache
from typing import Final

_WIDE: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
_INVISIBLE: Final = dict.fromkeys(
    [
        *(0x34F, 0xAD, 0x61C, 0x640, 0x670, 0x180E, 0xFEFF, 0x5BF, 0x5C1, 0x5C2, 0x5C4, 0x5C5, 0x5C7),
        *(*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A), *range(0xFE00, 0xFE10)),
        *(*range(0x591, 0x5BE), *range(0x64B, 0x660)),
    ]
)  # also vowel signs of Hebrew and Arabic, which a name is written with or without
_PLAIN: Final = _WIDE | _INVISIBLE
_NEEDS_PLAIN: Final = re.compile(
    "[" + "".join(map(chr, _PLAIN)).replace("]", r"\]").replace("\\", r"\\") + "]"
)
_HALF_WIDTH: Final = re.compile("[\uff61-\uff9f\uffa0-\uffdc]+")
_SPECIAL: Final = {
    "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "å": "a", "ł": "l", "đ": "d", "ð": "d", "þ": "th",
    "\u0131": "i", "ħ": "h", "\u0149": "n", "ŋ": "n", "ŧ": "t", "ə": "a",
    "\u03c2": "\u03c3", "\u0451": "\u0435",  # final sigma, yo
    "\u0623": "\u0627", "\u0625": "\u0627", "\u0622": "\u0627", "\u0671": "\u0627",  # alef
    "\u0629": "\u0647", "\u0649": "\u064a", "\u06cc": "\u064a", "\u06a9": "\u0643",  # he, ye, kaf
}  # fmt: skip
_TRANSLATE: Final = str.maketrans(_SPECIAL)
_UMLAUT_E: Final = re.compile("(?<=[aou])e+")
_MIN_FOLDED: Final = 3
_MARKS: Final = re.compile("[\u0300-\u036f]")
_FIRST_HIRAGANA, _FIRST_KATAKANA, _LAST_KATAKANA = 0x3041, 0x30A1, 0x30F6


def plain(text: str) -> str:
    """Return *text* composed (NFC), with wide Latin forms narrowed and invisible characters removed."""
    if text.isascii():
        return text
    if _NEEDS_PLAIN.search(text):
        text = text.translate(_PLAIN)
    text = _HALF_WIDTH.sub(lambda match: unicodedata.normalize("NFKC", match.group()), text)
    return _MARKS.sub("", unicodedata.normalize("NFC", text))


def shadow(text: str) -> str:
    """Return *text* (as from ``plain``) without accents, kana as hiragana: letter for letter, same case."""
    return text if text.isascii() else text.translate(_BASE)


def fold_once(text: str) -> str:
    """Return *text* so that all spellings of a word are equal: Müller, MUELLER and Muller alike."""
    if text.isascii():
        text = text.lower()
    else:
        text = text.translate(_TRANSLATE).casefold().translate(_TRANSLATE)
        text = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
        text = text.translate(_TRANSLATE)
    short = _UMLAUT_E.sub("", text)
    return text if len(short) < _MIN_FOLDED <= len(text) else short  # Doe is not do


@lru_cache(maxsize=16384)
def fold(text: str) -> str:
    """Return ``fold_once`` of *text*, a word that may come again."""
    return fold_once(text)


def unfolded(word: str, start: int, end: int) -> tuple[int, int]:
    """Return where in *word* the letters *start* to *end* of ``fold(word)`` stand."""
    lengths = [len(fold_once(word[:i])) for i in range(len(word) + 1)]
    first = next(i for i in range(len(word)) if lengths[i + 1] > start)
    last = next((i for i in range(first, len(word)) if lengths[i + 1] > end), len(word))
    return first, last


def _bases() -> dict[int, str]:
    found = {ord("ẞ"): "ß"}
    for code in (*range(0xC0, 0x250), *range(0x370, 0x530), *range(0x620, 0x6D0), *range(0x1E00, 0x2000)):
        letter = chr(code)
        special = _SPECIAL.get(letter) or _SPECIAL.get(letter.lower(), "").upper()
        base = special or unicodedata.normalize("NFD", letter)[0]
        if len(base) == 1 and base != letter and base.isalpha():
            found[code] = base
    kana = {
        code: chr(code - _FIRST_KATAKANA + _FIRST_HIRAGANA)
        for code in range(_FIRST_KATAKANA, _LAST_KATAKANA + 1)
    }
    return found | kana


_BASE: Final = _bases()
