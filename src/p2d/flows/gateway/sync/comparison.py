"""Compare what the archives list of a study with what they listed when it was last extracted."""

from collections.abc import Sequence
from enum import StrEnum

from p2d.flows.gateway.sync.options import covers
from p2d.jobs.seen import SeenStudy


class Standing(StrEnum):
    """How a listed study stands to what was seen of it."""

    NEW = "new"
    CHANGED = "changed"
    SAME = "same"


def standing(listed: Sequence[SeenStudy], seen: Sequence[SeenStudy]) -> Standing:
    """Return how one patient's study, as each archive lists it, stands to what was *seen* of it.

    Changed is other numbers, another day, an archive that had not listed it or lists it again, or an
    extraction that did not go as deep as is wanted now.
    """
    if not seen:
        return Standing.NEW
    known = {one.archive: one for one in seen}
    return Standing.SAME if all(_is_same(one, known.get(one.archive)) for one in listed) else Standing.CHANGED


def _is_same(listed: SeenStudy, seen: SeenStudy | None) -> bool:
    if seen is None or seen.is_gone or not covers(seen.depth, listed.depth):
        return False
    return (listed.series, listed.instances, listed.day) == (seen.series, seen.instances, seen.day)
