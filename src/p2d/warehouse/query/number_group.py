r"""Patterns whose one group is a number, as the comparison of captured numbers needs them.

The group stands at the outside of the pattern, so that it takes part in every match, and its form admits
numbers only: ``(\d+)``, ``([0-9]{1,3}(?:[.,]\d+)?)``, ``([+-]?\d+[.,]?\d*)``.
"""

import re
from collections.abc import Iterator
from typing import Final

from p2d.model.errors import InvalidRequest

_SIGN: Final = r"(?:\[(?:[+-]|\\[+-])+\]\??|[-]\??|\\\+\??|\\-\??)?"
_DIGIT: Final = r"(?:\\d|\[0-9\]|\[\\d\])"
_DIGITS: Final = rf"(?:{_DIGIT}(?:\+|\{{[1-9][0-9]*(?:,[0-9]*)?\}})?|[0-9])+"
_POINT: Final = r"(?:\[[.,]{1,2}\]|\[\\\.,\]|\[,\\\.\]|\\\.|,)"
_FRACTION: Final = rf"(?:{_POINT}{_DIGITS}|{_POINT}\??{_DIGIT}\*|\(\?:{_POINT}{_DIGITS}\)\??)?"
_NUMBER: Final = re.compile(rf"{_SIGN}{_DIGITS}{_FRACTION}")
_REMEDY: Final = r"write the number as the one group, at the outside of the pattern: EF (\d+(?:[.,]\d+)?)"


def check_number_group(pattern: str, field: str) -> str:
    """Return *pattern*, of the safe subset, if its one group can only be a number.

    Raises:
        InvalidRequest: another number of groups, a group that may be missing, or one of another form.

    """
    if re.compile(pattern).groups != 1:
        raise InvalidRequest(field, "has not exactly one group to capture a number", _REMEDY)
    starts: list[tuple[int, int]] = []
    ends: list[int] = []
    alternatives, depth = False, 0
    for place, sign in _signs(pattern):
        if sign == "(":
            if pattern[place + 1] != "?" or pattern.startswith("(?P", place):
                starts.append((place, depth))
            depth += 1
        elif sign == ")":
            depth -= 1
            if starts and not ends and depth == starts[0][1]:
                ends.append(place)
        elif sign == "|" and depth == 0:
            alternatives = True
    (start, level), end = starts[0], ends[0]
    if level or alternatives or pattern[end + 1 : end + 2] in {"*", "+", "?", "{"}:
        raise InvalidRequest(field, "has a group that may be missing or repeated", _REMEDY)
    if not _NUMBER.fullmatch(pattern[start + 1 : end]):
        raise InvalidRequest(field, "has a group that may capture something else than a number", _REMEDY)
    return pattern


def _signs(pattern: str) -> Iterator[tuple[int, str]]:
    """Yield the places of brackets and bars that are neither escaped nor inside a character class."""
    place, is_class = 0, False
    while place < len(pattern):
        sign = pattern[place]
        if sign == "\\":
            place += 1
        elif is_class:
            is_class = sign != "]"
        elif sign == "[":
            is_class = True
            skip = pattern[place + 1 : place + 3]
            place += 2 if skip == "^]" else 1 if skip[:1] == "]" else 0
        elif sign in "()|":
            yield place, sign
        place += 1
