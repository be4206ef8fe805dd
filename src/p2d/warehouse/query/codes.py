"""Codes of a hierarchy such as ICD-10 and OPS: prefixes and ranges."""

import re
import sys
from typing import Final

_RANGE: Final = re.compile(r"([A-Z][0-9][0-9.]*)-([A-Z][0-9][0-9.]*)|(.+)\.\.\.(.+)")

_SURROGATES: Final = 0xD800
_BEHIND_SURROGATES: Final = 0xE000
"""Code points between them stand in no text."""


def code_range(code: str) -> tuple[str, str] | None:
    """Return the ends of *code* where it is a range, ``I00-I99`` or ``5-35...5-37``, else None: a prefix.

    Both ends of the first form are codes of the ICD and begin with a letter, so ``5-35`` of the OPS is a
    prefix. A code lies in the range when its first characters, as many as the end has, are not less than the
    lower and not greater than the upper end, by code point.
    """
    found = _RANGE.fullmatch(code)
    if found is None:
        return None
    return (found[1], found[2]) if found[1] else (found[3], found[4])


def is_under(code: str, node: str) -> bool:
    """Whether *code* lies at or below *node*, a prefix or a range."""
    ends = code_range(node)
    if ends is None:
        return code.startswith(node)
    return code[: len(ends[0])] >= ends[0] and code[: len(ends[1])] <= ends[1]


def behind(end: str) -> str | None:
    """Return the first text, by code point, behind all that begin with *end*; None where there is none."""
    for length in range(len(end), 0, -1):
        following = ord(end[length - 1]) + 1
        if following <= sys.maxunicode:
            return end[: length - 1] + chr(_BEHIND_SURROGATES if following == _SURROGATES else following)
    return None
