"""What is decided by the group or the form of an element, before any table is asked."""

from typing import Final

from p2d.deid.profile.action import BULK_VRS, Action
from p2d.deid.profile.decision import Decision, Terms
from p2d.dicom.dictionary import is_private

_CHARACTER_SET: Final = "00080005"
_ADMISSION: Final = "00380010"
REPLACED: Final = {
    "00100020": Decision(Action.PATIENT, "pseudonym of the patient"),
    "00100010": Decision(Action.PATIENT, "pseudonym of the patient"),
    "00080050": Decision(Action.ACCESSION, "pseudonym of the accession number"),
}
"""Attributes that P2D replaces by pseudonyms in every mode: its dummies for Z and Z/D."""
WRITTEN: Final = frozenset({"00120062", "00120063", "00120064", "00280303"})
"""Attributes that ``p2d.deid.profile.statement`` writes anew."""
_GROUPS: Final = {
    "0000": "command",
    "0002": "file meta information, written anew",
    "0004": "directory record",
    "FFFE": "item delimiter",
}
_PLANES: Final = {"50": "curve", "60": "overlay"}


def structural(tag: str, vr: str, *, is_item: bool) -> Decision | None:
    """Decide on elements that no profile keeps, and on the character set; *is_item*: inside a sequence."""
    why = _removed_because(tag, vr)
    if why:
        return Decision(Action.REMOVE, why)
    if tag != _CHARACTER_SET:
        return None
    if is_item:
        return Decision(Action.REMOVE, "text of items is in the object's character set")
    return Decision(Action.CHARACTER_SET, "text is written as UTF-8")


def replaced(tag: str, vr: str, terms: Terms) -> Decision | None:
    """Decide on elements whose value becomes a pseudonym; the case's only outside basic mode."""
    if vr in BULK_VRS:
        return None
    if tag == _ADMISSION and terms.scrubs:
        return Decision(Action.CASE, "pseudonym of the case")
    return REPLACED.get(tag)


def _removed_because(tag: str, vr: str) -> str:
    group = tag[:4]
    if tag.endswith("0000"):
        return "group length"
    if tag in WRITTEN:
        return "written anew by P2D"
    if group[:2] in _PLANES and not is_private(tag):
        return f"Table E.1-1 X: {_PLANES[group[:2]]} plane as a whole"
    return _GROUPS.get(group, "VR UN: meaning not known" if vr == "UN" else "")
