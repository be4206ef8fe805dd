"""The words that texts about examinations are made of: what may stay though it is, or holds, a name."""

import re
from functools import lru_cache
from importlib import resources
from typing import Final

from p2d.deid.scrub.folding import fold

_MIN_STEM: Final = 4
_MAX_WORD: Final = 60
_MAX_STEMS: Final = 6
_LINKS: Final = ("", "s", "n", "en", "e", "o", "er", "es", "i", "al")
_ENDINGS: Final = (
    "", "s", "n", "en", "e", "er", "es", "em", "in", "innen", "ung", "ungen", "isch", "ische", "ischer",
    "isches",
    "ischen", "ly", "ed", "ing", "al", "ar", "ic", "ical", "ale", "aler", "ales", "alen", "aire", "ique",
)  # fmt: skip


def _listed(name: str) -> frozenset[str]:
    text = resources.files("p2d.deid.data").joinpath(name).read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return frozenset(fold(word) for line in lines for word in line.split())


@lru_cache(maxsize=1)
def vocabulary() -> frozenset[str]:
    """Return the folded words that stand in descriptions of examinations and may also be names.

    A name that is one of them goes only beside another part of the name, or after a title or label.
    """
    return _listed("vocabulary.txt")


@lru_cache(maxsize=1)
def ordinary_words() -> frozenset[str]:
    """Return ``vocabulary`` and other folded words of reports: never taken for a name that nobody told of."""
    return vocabulary() | _listed("words.txt")


@lru_cache(maxsize=1)
def generic_words() -> frozenset[str]:
    """Return the folded words that name any hospital, department or street."""
    return _listed("generic.txt")


@lru_cache(maxsize=1)
def placeholders() -> frozenset[str]:
    """Return the folded words that stand where nobody's name or number is known."""
    return _listed("placeholders.txt")


_NOTHING: Final = re.compile(r"[0-9a-z]?|na|nn|(.)\1+|[0x]*", re.IGNORECASE)


def is_placeholder(text: str) -> bool:
    """Whether *text* stands for no value: ``UNKNOWN``, ``N/A``, ``XXXX``, ``0000``, ``^``."""
    joined = "".join(character for character in text if character.isalnum())
    return _NOTHING.fullmatch(joined) is not None or fold(joined) in placeholders()


@lru_cache(maxsize=16384)
def is_word(folded: str) -> bool:
    """Whether *folded* is an ordinary word: listed, inflected, or compounded of listed ones."""
    if folded in ordinary_words():
        return True
    return len(folded) <= _MAX_WORD and _is_compound(folded, 0, _MAX_STEMS)


def _is_compound(word: str, begin: int, stems: int) -> bool:
    """Whether *word* from *begin* is a chain of at most *stems* listed words with links and an ending."""
    known = ordinary_words()
    dead: set[tuple[int, int]] = set()

    def chain(at: int, left: int) -> bool:
        if left == 0 or (at, left) in dead:
            return False
        for end in range(len(word), at + _MIN_STEM - 1, -1):
            if word[at:end] not in known:
                continue
            rest = word[end:]
            if rest in _ENDINGS:
                return True
            if any(rest.startswith(link) and chain(end + len(link), left - 1) for link in _LINKS):
                return True
        dead.add((at, left))
        return False

    return chain(begin, stems)
