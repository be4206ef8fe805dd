"""Phrases and the numbers behind words as patterns that every engine reads alike, ignoring case.

A *word* is a run of letters and digits: ASCII ones, ``ª µ º``, and everything from U+00C0 on but U+00D7,
U+00F7 and the blocks of punctuation and symbols U+2000 to U+2BFF and U+3000 to U+303F. It is spelled out
here, because engines do not agree on what a letter is. The patterns are matched without regard to case.
"""

import re
from typing import Final

_LETTERS: Final = "0-9A-Za-zªµºÀ-ÖØ-öø-\u1fff\u2c00-\u2fff\u3040-\U0010ffff"
_SEPARATOR: Final = f"[^{_LETTERS}]"
_RUN: Final = re.compile(f"[{_LETTERS}]+")
_NUMBER: Final = "(-?[0-9]+(?:[.,][0-9]+)?)"
# At most 20 characters without a digit, the last no minus unless it is the only one: that would be a sign.
_GAP: Final = f"(?:-|[^{_LETTERS}-]|{_SEPARATOR}[^0-9]{{0,18}}[^0-9-])?"


def words_of(text: str) -> list[str]:
    """Return the words of *text* in order, as they are written."""
    return _RUN.findall(text)


def phrase_pattern(words: str) -> str:
    """Return the pattern of *words* as whole words with nothing but separators between."""
    return f"(?:^|{_SEPARATOR}){_joined(words)}(?:{_SEPARATOR}|$)"


def next_number_pattern(words: str) -> str:
    """Return the pattern whose group is the number within 20 characters behind *words*."""
    return f"(?:^|{_SEPARATOR}){_joined(words)}{_GAP}{_NUMBER}"


def _joined(words: str) -> str:
    return f"{_SEPARATOR}+".join(words_of(words))
