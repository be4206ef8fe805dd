"""The answers to one C-FIND, as the script has them."""

from collections.abc import Mapping, Sequence
from typing import Final

from pydicom.datadict import tag_for_keyword

from p2d.testing.archive_index import UNIQUE, ArchiveIndex
from p2d.testing.faulty.script import Behaviour, Cap, ForeignRows, IgnoreKeys, LoseRows, Unsupported

_PENDING: Final = 0xFF00
_PENDING_WARNING: Final = 0xFF01
Row = tuple[int, bytes]


def answers(
    index: ArchiveIndex,
    level: str,
    keys: Mapping[str, str],
    tags: tuple[int, ...],
    faults: Sequence[Behaviour],
) -> tuple[list[Row], int]:
    """Return the pending responses (status, identifier) to a query, and the final status."""
    used, pending, final = dict(keys), _PENDING, 0
    for fault in faults:
        if isinstance(fault, IgnoreKeys) and not (fault.only_relational and _is_hierarchical(level, keys)):
            used.update(dict.fromkeys(fault.keywords, ""))
        elif isinstance(fault, Unsupported):
            pending = _PENDING_WARNING
            tags = tuple(tag for tag in tags if tag not in map(tag_for_keyword, fault.keywords))
    found = index.entities(level, used)
    for fault in faults:
        if isinstance(fault, ForeignRows):
            patient = keys.get("PatientID", "")
            others = [one for one in index.entities(level, {}) if one["PatientID"] != patient]
            found += others[: fault.rows]
        elif isinstance(fault, LoseRows):
            found = found[fault.rows :]
        elif isinstance(fault, Cap) and len(found) > fault.rows:
            found, final = found[: fault.rows], fault.status
    return [(pending, index.answer(level, one, tags)) for one in found], final


def _is_hierarchical(level: str, keys: Mapping[str, str]) -> bool:
    """Whether every upper level's unique key is stated, as PS3.4 C.4.1.2.1 asks."""
    upper = {"STUDY": ("PATIENT",), "SERIES": ("STUDY",), "IMAGE": ("STUDY", "SERIES")}.get(level, ())
    return all(keys.get(UNIQUE[one]) for one in upper)
