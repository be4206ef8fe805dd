r"""Regular expressions of the safe subset as a tree, for engines that spell or read them differently.

DuckDB (RE2) takes a pattern as it was written. PostgreSQL and Java read ``.``, ``$``, ``\d`` and ``\b``
in other ways, so the pattern is written anew for them from this tree. What ``pattern.check_pattern`` accepts
can be read here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_LAST: Final = 0x10FFFF
Ranges = tuple[tuple[int, int], ...]


class Edge(StrEnum):
    """A place between characters."""

    START = "^"
    END = "$"
    WORD = r"\b"
    NOT_WORD = r"\B"


@dataclass(frozen=True, slots=True)
class Chars:
    """One character out of ranges of code points, in order and apart from each other."""

    ranges: Ranges

    @property
    def is_one(self) -> bool:
        """Whether one character only fits."""
        return len(self.ranges) == 1 and self.ranges[0][0] == self.ranges[0][1]

    @property
    def inverse(self) -> Ranges:
        """The ranges of all other characters."""
        return _inverse(self.ranges)


@dataclass(frozen=True, slots=True)
class Group:
    """Alternatives, each a sequence of parts; ``captures`` where it is counted."""

    alternatives: tuple[tuple["Part", ...], ...]
    captures: bool = False


@dataclass(frozen=True, slots=True)
class Repeat:
    """A part from ``least`` to ``most`` times; None is without end."""

    part: "Part"
    least: int
    most: int | None
    is_lazy: bool = False


Part = Chars | Edge | Group | Repeat

_DIGIT: Final[Ranges] = ((0x30, 0x39),)
_WORD: Final[Ranges] = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_BLANK: Final[Ranges] = ((0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20))
WORD: Final = Chars(_WORD)
_SETS: Final = {"d": _DIGIT, "w": _WORD, "s": _BLANK}
_CONTROLS: Final = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_QUANTIFIERS: Final[dict[str, tuple[int, int | None]]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


def read_pattern(pattern: str) -> Group:
    """Return *pattern*, which ``check_pattern`` accepted, as a tree.

    Raises:
        ValueError: a form that the subset has not.

    """
    reader = _Reader(pattern)
    found = reader.alternatives()
    if not reader.is_done:
        raise ValueError(pattern)
    return found


def parts_of(part: Part) -> Iterator[Part]:
    """Yield *part* and everything inside it."""
    yield part
    if isinstance(part, Repeat):
        yield from parts_of(part.part)
    elif isinstance(part, Group):
        for sequence in part.alternatives:
            for inner in sequence:
                yield from parts_of(inner)


class _Reader:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._place = 0

    @property
    def is_done(self) -> bool:
        return self._place >= len(self._pattern)

    def alternatives(self, *, captures: bool = False) -> Group:
        found = [self._sequence()]
        while self._take("|"):
            found.append(self._sequence())
        return Group(tuple(found), captures)

    def _sequence(self) -> tuple[Part, ...]:
        found: list[Part] = []
        while not self.is_done and self._pattern[self._place] not in "|)":
            found.append(self._repeated(self._part()))
        return tuple(found)

    def _repeated(self, part: Part) -> Part:
        bounds = self._bounds()
        if bounds is None:
            return part
        return Repeat(part, *bounds, is_lazy=self._take("?"))

    def _bounds(self) -> tuple[int, int | None] | None:
        sign = self._pattern[self._place : self._place + 1]
        if sign in _QUANTIFIERS and sign:
            self._place += 1
            return _QUANTIFIERS[sign]
        end = self._pattern.find("}", self._place)
        if sign != "{" or end < 0:
            return None
        least, comma, most = self._pattern[self._place + 1 : end].partition(",")
        if not (least.isascii() and least.isdigit()) or (most and not most.isdigit()):
            raise ValueError(self._pattern)
        self._place = end + 1
        return int(least), int(most) if most else None if comma else int(least)

    def _part(self) -> Part:
        sign = self._next()
        if sign == "(":
            return self._group()
        if sign == "[":
            return self._class()
        if sign == "\\":
            return self._escape()
        if sign in "^$":
            return Edge(sign)
        if sign == ".":
            return Chars(_inverse(_one("\n")))
        if sign in "*+?":
            raise ValueError(self._pattern)
        return Chars(_one(sign))

    def _group(self) -> Part:
        captures = not self._take("?:")
        if captures and self._take("?P<"):
            self._place = self._pattern.index(">", self._place) + 1
        found = self.alternatives(captures=captures)
        if not self._take(")"):
            raise ValueError(self._pattern)
        return found

    def _escape(self) -> Part:
        sign = self._next()
        if sign in "bB":
            return Edge.WORD if sign == "b" else Edge.NOT_WORD
        return Chars(_escaped(sign))

    def _class(self) -> Chars:
        is_negated = self._take("^")
        ranges: list[tuple[int, int]] = []
        is_first = True
        while is_first or self._pattern[self._place : self._place + 1] != "]":
            is_first = False
            low = self._member()
            rest = self._pattern[self._place : self._place + 2]
            if rest[:1] == "-" and rest[1:] not in {"", "]"}:
                self._place += 1
                low = ((low[0][0], self._member()[0][0]),)
            ranges += low
        self._place += 1
        joined = _joined(ranges)
        return Chars(_inverse(joined) if is_negated else joined)

    def _member(self) -> Ranges:
        sign = self._next()
        return _escaped(self._next()) if sign == "\\" else _one(sign)

    def _next(self) -> str:
        if self.is_done:
            raise ValueError(self._pattern)
        self._place += 1
        return self._pattern[self._place - 1]

    def _take(self, text: str) -> bool:
        is_there = self._pattern.startswith(text, self._place)
        self._place += len(text) * is_there
        return is_there


def _escaped(sign: str) -> Ranges:
    if sign.lower() in _SETS:
        found = _SETS[sign.lower()]
        return found if sign.islower() else _inverse(found)
    if sign in _CONTROLS:
        return _one(_CONTROLS[sign])
    if sign.isascii() and sign.isalnum():
        raise ValueError(sign)
    return _one(sign)


def _one(sign: str) -> Ranges:
    return ((ord(sign), ord(sign)),)


def _joined(ranges: list[tuple[int, int]]) -> Ranges:
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return tuple(found)


def _inverse(ranges: Ranges) -> Ranges:
    found, start = [], 0
    for low, high in ranges:
        if start < low:
            found.append((start, low - 1))
        start = high + 1
    if start <= _LAST:
        found.append((start, _LAST))
    return tuple(found)
