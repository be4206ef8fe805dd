"""What a pattern of the safe subset may cost an engine that tries one way after another (PostgreSQL, Java).

RE2 takes time in proportion to the text whatever the pattern. A backtracking engine can take exponential time
where a repeat without end holds parts that match one text in two ways, and polynomial time where several wide
repeats without end follow each other. Both are refused for every engine alike.
"""

from itertools import pairwise
from typing import Final

from p2d.warehouse.query.regex_syntax import Chars, Edge, Group, Part, Ranges, Repeat, parts_of, read_pattern

_MOST_WIDE: Final = 3
_MOST_COPIES: Final = 1000
_LETTER: Final = (ord("a"), ord("z"))


def costly_form(pattern: str) -> str | None:
    """Return what makes *pattern* too costly, or None.

    Raises:
        ValueError: the pattern is outside the subset.

    """
    tree = read_pattern(pattern)
    repeats = [part for part in parts_of(tree) if isinstance(part, Repeat)]
    endless = [part for part in repeats if part.most is None]
    for repeat in endless:
        inner = list(parts_of(repeat.part))
        if any(isinstance(p, Repeat) and p.least != p.most for p in inner):
            return "repeats without end what is itself repeated"
        if any(isinstance(p, Group) and _overlap(p) for p in inner):
            return "repeats without end alternatives that begin alike"
    if sum(_is_wide(repeat.part) for repeat in endless) > _MOST_WIDE:
        return f"has more than {_MOST_WIDE} wide repeats without end, such as .*"
    if _copies(tree) > _MOST_COPIES:
        return f"asks for more than {_MOST_COPIES} repetitions inside each other"
    return None


def _copies(part: Part) -> int:
    match part:
        case Group(alternatives):
            return max((_copies(p) for sequence in alternatives for p in sequence), default=1)
        case Repeat(inner, least, most):
            return max(least, most or 1, 1) * _copies(inner)
        case _:
            return 1


def _is_wide(part: Part) -> bool:
    return any(
        isinstance(p, Chars) and any(a <= _LETTER[0] and _LETTER[1] <= b for a, b in p.ranges)
        for p in parts_of(part)
    )


def _overlap(group: Group) -> bool:
    if len(group.alternatives) == 1:
        return False
    firsts = sorted(r for sequence in group.alternatives for r in set(_first(sequence)[0]))
    can_be_empty = any(_first(sequence)[1] for sequence in group.alternatives)
    return can_be_empty or any(second[0] <= first[1] for first, second in pairwise(firsts))


def _first(sequence: tuple[Part, ...]) -> tuple[Ranges, bool]:
    """Return the characters *sequence* may begin with, and whether it may be empty."""
    found: list[tuple[int, int]] = []
    for part in sequence:
        ranges, is_empty = _first_of(part)
        found += ranges
        if not is_empty:
            return tuple(found), False
    return tuple(found), True


def _first_of(part: Part) -> tuple[Ranges, bool]:
    match part:
        case Chars(ranges):
            return ranges, False
        case Edge():
            return (), True
        case Repeat(inner, least):
            ranges, is_empty = _first_of(inner)
            return ranges, is_empty or not least
        case Group(alternatives):
            each = [_first(sequence) for sequence in alternatives]
            return tuple(r for ranges, _ in each for r in ranges), any(empty for _, empty in each)
