"""Whether two sets of patients differ by one or two, told from their fingerprints alone.

A fingerprint (``tally.Tally``) is the number of patients, the sum of their keys, and the sum of their keys'
squares modulo ``PRIME``. If one patient was added, removed or exchanged for another, or two were added or
removed, the differences of these sums have to fit; for other pairs of sets they fit by accident only. An
exchange is looked for among keys of up to four times the average: those of a warehouse lie close together.
"""

from dataclasses import dataclass
from typing import Final

from p2d.warehouse.query.tally import PRIME

FURTHEST: Final = 2
"""By how many patients the sizes of such sets differ at most."""
_WIDE: Final = 8


@dataclass(frozen=True, slots=True)
class Sums:
    """A fingerprint taken apart."""

    patients: int
    keys: int
    squares: int


def sums_of(fingerprint: str) -> Sums:
    """Return the sums in *fingerprint*."""
    patients, keys, squares = (int(part) for part in fingerprint.split(":"))
    return Sums(patients, keys, squares)


def are_neighbours(one: Sums, other: Sums) -> bool:
    """Whether the two sets are equal, or differ by one patient exchanged, or one or two added or removed."""
    less, more = sorted([one, other], key=lambda sums: sums.patients)
    number = more.patients - less.patients
    keys, squares = more.keys - less.keys, more.squares - less.squares
    if number == 0:
        if keys == 0 or squares == 0:
            return keys == squares
        return _is_exchange(keys, squares, _WIDE * max(less.keys, more.keys) // max(1, more.patients))
    if number == 1:
        return keys > 0 and keys * keys % PRIME == squares
    return number == FURTHEST and _is_pair(keys, squares)


def _is_exchange(keys: int, squares: int, most: int) -> bool:
    """Whether there are a, b > 0 with b - a = *keys* and b² - a² = *squares*, together at most *most*."""
    if keys % PRIME == 0:
        return False
    total = squares * pow(keys, -1, PRIME) % PRIME  # a + b
    return abs(keys) < total <= most and (total - keys) % 2 == 0


def _is_pair(keys: int, squares: int) -> bool:
    """Whether there are a, b > 0, unequal, with the sum *keys* and the sum of squares *squares*."""
    apart = (2 * squares - keys * keys) % PRIME  # (a - b) squared
    root = pow(apart, (PRIME + 1) // 4, PRIME)  # PRIME is 3 modulo 4
    if root * root % PRIME != apart:
        return False
    return any(0 < between < keys and (keys - between) % 2 == 0 for between in (root, PRIME - root))
