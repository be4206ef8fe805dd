"""Private attributes that the standard calls safe to keep: PS3.15 Table E.3.10-1, edition 2026d.

Keyed by group, private creator and the low byte of the element number: the block (the high byte) is whatever
the object reserved for the creator, so it says nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from p2d.deid.standard.tsv import rows_of

EDITION: Final = "2026d"


@dataclass(frozen=True, slots=True)
class SafePrivate:
    """One row of Table E.3.10-1; its VR is empty where none is printed, ``OW/OB`` where there is a choice."""

    group: int
    creator: str
    element: int
    vr: str
    vm: str
    meaning: str


@lru_cache(maxsize=1)
def safe_private() -> Mapping[tuple[int, str, int], SafePrivate]:
    """Return Table E.3.10-1 by (group, private creator, low byte of the element)."""
    _, rows = rows_of("ps3_15_e3_10_1.tsv")
    made = (
        SafePrivate(int(group, 16), creator, int(element.removeprefix("xx"), 16), vr, vm, meaning)
        for group, creator, element, vr, vm, meaning in rows
    )
    return {(row.group, row.creator, row.element): row for row in made}


def is_safe(group: int, creator: str, element: int) -> bool:
    """Whether Table E.3.10-1 lists *element* (its low byte) of *group* for the private *creator*.

    The creator is compared as printed, but for the padding that LO does not count (PS3.5 6.2).
    """
    return (group, creator.strip(" \0"), element & 0xFF) in safe_private()


def safe_vr(group: int, creator: str, element: int) -> str:
    """Return the VR as printed for a safe private element; empty where there is none."""
    row = safe_private().get((group, creator.strip(" \0"), element & 0xFF))
    return row.vr if row is not None else ""
