"""Texts as they are compared: case, accents and German spellings folded away."""

import re
import unicodedata
from typing import Final

_SINGLE: Final = str.maketrans(
    {"ß": "ss", "ł": "l", "Ł": "L", "\u0131": "i", "ø": "o", "Ø": "O", "đ": "d", "æ": "ae"}
)
_SPELT: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "AE", "Ö": "OE", "Ü": "UE", "ß": "ss"})
_CACHE: dict[str, re.Pattern[str]] = {}
_SUBSTRING: Final = 5


def fold(text: str) -> str:
    """Return *text* without case and accents: ``Müller`` becomes ``muller``."""
    apart = unicodedata.normalize("NFKD", text.translate(_SINGLE))
    return "".join(c for c in apart if not unicodedata.combining(c)).casefold().translate(_SINGLE)


def spelt_out(text: str) -> str:
    """Return *text* in ASCII as German forms write it: ``Müller`` becomes ``Mueller``."""
    apart = unicodedata.normalize(
        "NFKD", unicodedata.normalize("NFC", text).translate(_SPELT).translate(_SINGLE)
    )
    return "".join(c for c in apart if not unicodedata.combining(c))


def spellings(text: str) -> tuple[str, ...]:
    """Return the folded forms in which *text* may stand: with umlauts dropped and spelt out."""
    return tuple(sorted({fold(text), fold(spelt_out(text))}))


def words(text: str) -> list[str]:
    """Return the folded words of *text*."""
    return re.findall(r"\w+", fold(text).replace("_", " "))


def contains(folded: str, needle: str) -> bool:
    """Say whether the folded text holds the folded *needle*: short Latin needles only as whole words.

    A word ends where letters or digits end, and at an underscore.
    """
    if needle not in folded:
        return False
    if len(needle) >= _SUBSTRING or not needle.isascii():
        return True
    pattern = _CACHE.get(needle)
    if pattern is None:
        pattern = _CACHE[needle] = re.compile(rf"(?<![^\W_]){re.escape(needle)}(?![^\W_])")
    return pattern.search(folded) is not None
