"""Which letters a pattern cannot do without: what an index of words is asked before any text is read."""

from collections.abc import Iterator
from typing import Final

from p2d.warehouse.query.regex_syntax import Chars, Group, Part, Repeat, read_pattern

SHORTEST: Final = 3
"""Pieces shorter than that are in too many words to help."""


def required_pieces(pattern: str) -> tuple[frozenset[str], ...]:
    """Return sets of pieces of words, lower-cased: every match holds a piece of each set inside one word.

    *pattern* is one that ``check_pattern`` accepted. Pieces are runs of letters and digits of at least three
    characters; nothing is returned where the pattern demands none.
    """
    return tuple(_of_sequence((read_pattern(pattern),)))


def pieces_of(words: str) -> tuple[frozenset[str], ...]:
    """Return the same for the operand of ``contains`` or ``phrase``: every word has to be there."""
    runs = "".join(sign if sign.isalnum() else " " for sign in words.lower()).split()
    return tuple(frozenset({run}) for run in dict.fromkeys(runs) if len(run) >= SHORTEST)


def _of_sequence(parts: tuple[Part, ...]) -> Iterator[frozenset[str]]:
    run = ""
    for part in _flat(parts):
        sign = _letter(part)
        if sign is not None:
            run += sign
            continue
        if len(run) >= SHORTEST:
            yield frozenset({run})
        run = ""
        yield from _of_part(part)
    if len(run) >= SHORTEST:
        yield frozenset({run})


def _flat(parts: tuple[Part, ...]) -> Iterator[Part]:
    """Yield the parts in order, groups of one alternative opened."""
    for part in parts:
        if isinstance(part, Group) and len(part.alternatives) == 1:
            yield from _flat(part.alternatives[0])
        else:
            yield part


def _letter(part: Part) -> str | None:
    """Return the letter or digit that *part* is, whichever its case."""
    if not isinstance(part, Chars) or sum(high - low + 1 for low, high in part.ranges) > 2:  # noqa: PLR2004 - upper and lower case
        return None
    lower = {chr(code).lower() for low, high in part.ranges for code in range(low, high + 1)}
    sign = lower.pop() if len(lower) == 1 else ""
    return sign if len(sign) == 1 and sign.isalnum() else None


def _of_part(part: Part) -> Iterator[frozenset[str]]:
    if isinstance(part, Repeat) and part.least:
        yield from _of_sequence((part.part,))
    elif isinstance(part, Group):
        each = [sorted(_of_sequence(sequence), key=_strength) for sequence in part.alternatives]
        if all(each):
            yield frozenset(piece for found in each for piece in found[-1])


def _strength(pieces: frozenset[str]) -> int:
    return min(len(piece) for piece in pieces)
