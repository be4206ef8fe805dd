"""SOP classes and transfer syntaxes that P2D asks for and takes (PS3.4, PS3.6 Annex A)."""

from functools import lru_cache
from typing import Final

from pydicom._uid_dict import UID_dictionary

VERIFICATION: Final = "1.2.840.10008.1.1"
FIND: Final = ("1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.1.1")
"""Study Root, Patient Root (PS3.4 C.6); so for the two below."""
GET: Final = ("1.2.840.10008.5.1.4.1.2.2.3", "1.2.840.10008.5.1.4.1.2.1.3")
MOVE: Final = ("1.2.840.10008.5.1.4.1.2.2.2", "1.2.840.10008.5.1.4.1.2.1.2")
GET_WITHOUT_BULK_DATA: Final = "1.2.840.10008.5.1.4.1.2.5.3"
"""Composite Instance Retrieve Without Bulk Data - GET (PS3.4 Annex Z)."""

IMPLICIT: Final = "1.2.840.10008.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
UNCOMPRESSED: Final = (EXPLICIT, IMPLICIT)
COMPRESSED: Final = (
    "1.2.840.10008.1.2.4.50",  # JPEG Baseline
    "1.2.840.10008.1.2.4.51",  # JPEG Extended
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless, first-order prediction
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS Near-lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.5",  # RLE Lossless
    "1.2.840.10008.1.2.4.201",  # High-Throughput JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.202",  # High-Throughput JPEG 2000 Lossless, RPCL
    "1.2.840.10008.1.2.4.203",  # High-Throughput JPEG 2000
)
"""Deflated is never offered: an object of a megabyte may inflate to a gigabyte. Nor is big endian (retired)
or JPIP, which sends an address instead of pixels."""

VIDEO: Final = tuple(
    f"1.2.840.10008.1.2.4.{number}"
    for number in ("100", "101", "102", "103", "104", "105", "106", "107", "108")
)
"""MPEG-2, H.264 and HEVC; for the classes of ``VIDEO_CLASSES`` only."""

VIDEO_CLASSES: Final = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.77.1.1.1",
        "1.2.840.10008.5.1.4.1.1.77.1.2.1",
        "1.2.840.10008.5.1.4.1.1.77.1.4.1",
    }
)

_IMAGES: Final = "1.2.840.10008.5.1.4.1.1."
_USUAL_SUFFIXES: Final = """
    2 4 1.1 7 1 6.1 88.33 11.1 104.1 2.1 4.1 1.2 12.1 20 128 88.11 88.22 88.59 88.67 7.4 7.2 7.1 7.3 1.1.1
    1.2.1 1.3 1.3.1 13.1.3 13.1.1 13.1.2 3.1 6.2 66.4 481.1 481.2 481.3 481.5 12.1.1 12.2 77.1.4 77.1.6
"""
_NO_STORAGE: Final = frozenset({"1.2.840.10008.1.3.10", "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.2"})
_LATER: Final = (_IMAGES + "66.7", _IMAGES + "66.8")  # registered since pydicom's table was made


@lru_cache(maxsize=1)
def storage_classes() -> tuple[str, ...]:
    """Return all storage SOP classes of PS3.6, the usual ones of images first."""
    usual = [_IMAGES + suffix for suffix in _USUAL_SUFFIXES.split()]
    registered = sorted(
        uid
        for uid, entry in UID_dictionary.items()
        if entry[1] == "SOP Class" and "Storage" in entry[0] and uid not in _NO_STORAGE
    )
    return tuple(dict.fromkeys((*usual, *registered, *_LATER)))


def transfer_syntaxes(sop_class_uid: str) -> tuple[str, ...]:
    """Return the transfer syntaxes in which objects of *sop_class_uid* are taken."""
    return (*UNCOMPRESSED, *COMPRESSED, *(VIDEO if sop_class_uid in VIDEO_CLASSES else ()))
