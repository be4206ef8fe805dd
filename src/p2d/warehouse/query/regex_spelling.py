r"""Patterns of the safe subset as PostgreSQL's and Java's engines spell them, with the meaning of RE2.

Differences that matter: ``\b`` is a character in PostgreSQL; there and in Java ``.``, ``$``, ``\d``, ``\w``
and ``\s`` take more than ASCII or less than every character. Everything is therefore written as classes of
code points, and word boundaries as look-around, which both engines have.
"""

from typing import Final

from p2d.warehouse.query.regex_syntax import WORD, Chars, Edge, Group, Part, Ranges, Repeat, read_pattern

_LAST: Final = 0x10FFFF
_WORD_CLASS: Final = "[0-9A-Z_a-z]"
_BEHIND, _AHEAD = f"(?<={_WORD_CLASS})", f"(?={_WORD_CLASS})"
_NOT_BEHIND, _NOT_AHEAD = f"(?<!{_WORD_CLASS})", f"(?!{_WORD_CLASS})"
_BOUNDARY: Final = f"(?:{_BEHIND}{_NOT_AHEAD}|{_NOT_BEHIND}{_AHEAD})"
_NO_BOUNDARY: Final = f"(?:{_BEHIND}{_AHEAD}|{_NOT_BEHIND}{_NOT_AHEAD})"


def spell_postgres(pattern: str) -> str:
    """Return *pattern* as an advanced regular expression of PostgreSQL."""
    return _Spelling(end=r"\Z", start=r"\A").text(read_pattern(pattern))


def spell_java(pattern: str) -> str:
    r"""Return *pattern* as ``java.util.regex`` reads it; ``$`` would match before a last line break there."""
    return _Spelling(end=r"\z", start=r"\A").text(read_pattern(pattern))


class _Spelling:
    def __init__(self, start: str, end: str) -> None:
        self._edges = {Edge.START: start, Edge.END: end, Edge.NOT_WORD: _NO_BOUNDARY}

    def text(self, group: Group) -> str:
        """Return the alternatives of *group* without brackets around them."""
        return "|".join(self._sequence(parts) for parts in group.alternatives)

    def _sequence(self, parts: tuple[Part, ...]) -> str:
        found = []
        for index, part in enumerate(parts):
            before = parts[index - 1] if index else None
            after = parts[index + 1] if index + 1 < len(parts) else None
            found.append(_word_edge(before, after) if part is Edge.WORD else self._part(part))
        return "".join(found)

    def _part(self, part: Part) -> str:
        match part:
            case Chars():
                return _characters(part)
            case Edge():
                return _BOUNDARY if part is Edge.WORD else self._edges[part]
            case Group(captures=True):
                return f"({self.text(part)})"
            case Group():
                return f"(?:{self.text(part)})"
            case Repeat(inner, least, most, is_lazy):
                bare = self._part(inner)
                text = f"(?:{bare})" if isinstance(inner, Edge) else bare
                return f"{text}{_bounds(least, most)}{'?' if is_lazy else ''}"


def _word_edge(before: Part | None, after: Part | None) -> str:
    """Return a word boundary; beside a neighbour known to be of words only the other side is looked at."""
    if _is_word(before, at_end=True):
        return _NOT_AHEAD
    return _NOT_BEHIND if _is_word(after, at_end=False) else _BOUNDARY


def _is_word(part: Part | None, *, at_end: bool) -> bool:
    match part:
        case Chars(ranges):
            return all(any(a <= low and high <= b for a, b in WORD.ranges) for low, high in ranges)
        case Group(alternatives):
            return all(
                bool(parts) and _is_word(parts[-1] if at_end else parts[0], at_end=at_end)
                for parts in alternatives
            )
        case Repeat(inner, least) if least:
            return _is_word(inner, at_end=at_end)
        case _:
            return False


def _bounds(least: int, most: int | None) -> str:
    known = {(0, None): "*", (1, None): "+", (0, 1): "?"}
    if (least, most) in known:
        return known[least, most]
    if most is None:
        return f"{{{least},}}"
    return f"{{{least}}}" if least == most else f"{{{least},{most}}}"


def _characters(chars: Chars) -> str:
    if chars.is_one:
        return _character(chars.ranges[0][0])
    reaches_end = bool(chars.ranges) and chars.ranges[-1][1] == _LAST
    ranges = chars.inverse if reaches_end else chars.ranges
    if not ranges:
        return r"[\s\S]"
    return f"[{'^' if reaches_end else ''}{_class(ranges)}]"


def _class(ranges: Ranges) -> str:
    return "".join(
        _character(low) if low == high else f"{_character(max(low, 1))}-{_character(high)}"
        for low, high in ranges
    )


def _character(code: int) -> str:
    sign = chr(code)
    if sign.isalnum() or sign == " " or code > 0x9F:  # noqa: PLR2004 - beyond the controls of Latin-1
        return sign
    return f"\\u{code:04x}"
