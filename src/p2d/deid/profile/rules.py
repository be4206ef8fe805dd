"""Which action each attribute gets: PS3.15 Table E.1-1 (2024b) with the options P2D applies.

Options: Retain Longitudinal Temporal Information with Modified (or Full) Dates, Clean Descriptors, Retain
Patient Characteristics. What the table does not list is kept and its text cleaned; private, unknown and bulk
elements are removed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Final

from p2d.deid.profile.action import BULK_VRS, TEXT_VRS, Action
from p2d.dicom.dictionary import is_private, keyword_of, vr_of


@dataclass(frozen=True, slots=True)
class Row:
    """One row of Table E.1-1: the basic action and the options, each as printed or empty."""

    tag: str
    name: str
    basic: str
    options: Mapping[str, str]


PIXELS: Final = frozenset({"7FE00010", "7FE00008", "7FE00009"})
_PALETTES: Final = frozenset(f"0028{element}" for element in (1201, 1202, 1203, 1204, 1221, 1222, 1223, 1224))
_RENDERING: Final = _PALETTES | {"00283006", "7FE00001", "7FE00002"}  # with LUTData and extended offsets
_BEYOND: Final = (
    # names to use, pronouns and further persons: in later editions of the table than 2024b
    *(f"001000{element:02X}" for element in (*range(0x11, 0x17), *range(0x41, 0x48))),
    "00081301",
    # birth and death dates of another calendar, groups of patients
    *("00100033", "00100034", "00100026", "00100027"),
    # people and their documents by code
    *("00321031", "00380100", "00440103", "0040A066", "0040A068", "0040A070", "0040A076", "0040A085"),
)
"""Attributes that P2D removes although Table E.1-1 does not list them."""

_OWN: Final = {
    **dict.fromkeys(_BEYOND, Action.REMOVE),
    "00100020": Action.PATIENT,
    "00100010": Action.PATIENT,
    "00080050": Action.ACCESSION,
    "00380010": Action.CASE,
    "00080005": Action.CHARACTER_SET,
    "00101010": Action.KEEP,
    # PS3.3 has these as type 2 or 3 where P2D releases them, so an empty value conforms
    "00080080": Action.EMPTY,
    "00081010": Action.EMPTY,
    "00081070": Action.EMPTY,
    "00080201": Action.REMOVE,
    # SR content, waveforms, embedded pictures and signatures; some of them are not in the table
    "0040A730": Action.REMOVE,
    "54000100": Action.REMOVE,
    "00420011": Action.REMOVE,
    "00880200": Action.REMOVE,
    "04000500": Action.REMOVE,
    "04000561": Action.REMOVE,
    "FFFAFFFA": Action.REMOVE,
    "4FFE0001": Action.REMOVE,
    # what P2D writes itself
    "00120062": Action.REMOVE,
    "00120063": Action.REMOVE,
    "00120064": Action.REMOVE,
    "00280303": Action.REMOVE,
}
_REMOVED_GROUPS: Final = frozenset({"0000", "0002", "0004", "4010", "FFFC", "FFFE"})
_LAST_GROUP: Final = "7FE0"
_SIGNATURE_GROUPS: Final = frozenset({"FFFA"})


@lru_cache(maxsize=1)
def table() -> Mapping[str, Row]:
    """Return Table E.1-1 by tag; repeating groups and private attributes have a row each."""
    text = resources.files("p2d.deid.data").joinpath("ps3_15_e1_1.tsv").read_text(encoding="utf-8")
    lines = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    names = lines[0][3:]
    return {
        tag: Row(tag, name, basic, dict(zip(names, options, strict=True)))
        for tag, name, basic, *options in lines[1:]
    }


@lru_cache(maxsize=16384)
def action_of(tag: str, vr: str) -> Action:
    """Return the action for the element *tag* (eight hexadecimal digits) that is encoded as *vr*."""
    if _is_removed_group(tag):
        return Action.REMOVE
    if tag in _OWN:
        return _OWN[tag]
    if vr in BULK_VRS or (tag in PIXELS | _RENDERING):
        return Action.BULK if tag in PIXELS | _RENDERING else Action.REMOVE
    if not keyword_of(tag) or vr_of(tag) == "UN":
        return Action.REMOVE
    row = table().get(tag)
    return _unlisted(vr) if row is None else _listed(row, vr)


def _is_removed_group(tag: str) -> bool:
    group = tag[:4]
    return (
        is_private(tag)
        or group in _REMOVED_GROUPS
        or group[:2] in {"50", "60"}
        or (group > _LAST_GROUP and group not in _SIGNATURE_GROUPS)
        or tag.endswith("0000")
    )


def _unlisted(vr: str) -> Action:
    if vr == "SQ":
        return Action.ITEMS
    if vr == "UI":
        return Action.UID
    if vr in {"DA", "DT", "TM"}:
        return Action.DATE
    if vr == "PN":
        return Action.EMPTY
    return Action.CLEAN if vr in TEXT_VRS else Action.KEEP


def _listed(row: Row, vr: str) -> Action:
    if row.options["patient_characteristics"]:
        return Action.CLEAN if vr in TEXT_VRS else Action.KEEP
    if row.options["modified_dates"] and vr in {"DA", "DT", "TM"}:
        return Action.DATE
    if row.options["descriptors"] and (vr in TEXT_VRS or vr == "SQ"):
        return Action.ITEMS if vr == "SQ" else Action.CLEAN
    return _basic(row.basic, vr)


def _basic(code: str, vr: str) -> Action:
    """Return the action for a basic *code* that conforms whatever type an IOD gives the attribute."""
    if "U" in code or (vr == "UI" and code == "D"):
        return Action.UID if vr == "UI" else Action.ITEMS
    if vr == "SQ" and code != "X":
        return Action.EMPTY
    if "D" in code:
        return Action.DUMMY
    return Action.EMPTY if "Z" in code else Action.REMOVE
