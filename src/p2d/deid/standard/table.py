"""PS3.15 Table E.1-1 by tag, repeating groups and private attributes included.

``table()`` is edition 2024b to the letter. ``additions()`` are the 36 attributes that edition 2026d lists
beyond it (names to use, pronouns, gender identity, diagnoses, waveform and montage labels ...); ``row_of``
knows both, because an attribute that a later edition protects is no safer in an older object.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from p2d.deid.standard.tsv import rows_of

EDITION: Final = "2024b"
ADDITIONS_EDITION: Final = "2026d"
PRIVATE: Final = "PRIVATE"
_REPEATING: Final = frozenset({"50", "60"})


@dataclass(frozen=True, slots=True)
class Row:
    """One row of Table E.1-1: the basic action and the options, each as printed or empty."""

    tag: str
    name: str
    basic: str
    options: Mapping[str, str]


@lru_cache(maxsize=1)
def table() -> Mapping[str, Row]:
    """Return Table E.1-1 (2024b) by tag; repeating groups and private attributes have a row each."""
    return _read("ps3_15_e1_1.tsv")


@lru_cache(maxsize=1)
def additions() -> Mapping[str, Row]:
    """Return the rows of edition 2026d whose tags are not in ``table()``."""
    return _read("ps3_15_e1_1_additions.tsv")


@lru_cache(maxsize=16384)
def row_of(tag: str) -> Row | None:
    """Return the row for *tag* (eight upper-case hexadecimal digits), or None where no edition lists it.

    A tag of an odd group has the row of private attributes, one of the groups 50xx and 60xx that of its
    repeating group. The digits ``xx`` may stand in *tag* as the table prints them.
    """
    if tag == PRIVATE or _is_odd(tag):
        return table()[PRIVATE]
    candidates = [tag]
    if tag[:2] in _REPEATING:
        candidates += [f"{tag[:2]}xx{tag[4:]}", f"{tag[:2]}xxxxxx"]
    found = (rows.get(candidate) for candidate in candidates for rows in (table(), additions()))
    return next((row for row in found if row is not None), None)


def _is_odd(tag: str) -> bool:
    return tag[3:4] in set("13579BDFbdf")


def _read(file: str) -> Mapping[str, Row]:
    columns, rows = rows_of(file)
    names = columns[3:]
    return {
        tag: Row(tag, name, basic, dict(zip(names, options, strict=True)))
        for tag, name, basic, *options in rows
    }
