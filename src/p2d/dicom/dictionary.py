"""The data dictionary (PS3.6) by path: tags, keywords, VRs; repeating groups folded to their first group."""

from functools import lru_cache
from typing import Final

from pydicom.datadict import (
    dictionary_description,
    dictionary_keyword,
    dictionary_VM,
    dictionary_VR,
    tag_for_keyword,
)

TAG_DIGITS: Final = 8


def tag_of(keyword: str) -> str:
    """Return the tag of *keyword* as eight upper-case hexadecimal digits.

    Raises:
        KeyError: no such keyword in PS3.6; the message is the keyword.

    """
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return f"{int(tag):08X}"


def leaf_of(path: str) -> str:
    """Return the tag at the end of *path*: ``00081115[0].0020000E`` → ``0020000E``."""
    return path[-TAG_DIGITS:] if not path.endswith("]") else path[: path.rindex("[")][-TAG_DIGITS:]


@lru_cache(maxsize=16384)
def keyword_of(path: str) -> str:
    """Return the keyword of the tag at the end of *path*; empty for private and unknown tags."""
    try:
        return dictionary_keyword(int(leaf_of(path), 16))
    except (KeyError, ValueError):
        return ""


@lru_cache(maxsize=16384)
def vr_of(path: str) -> str:
    """Return the VR by PS3.6 of the tag at the end of *path* (``"US or SS"`` as printed), or ``"UN"``."""
    try:
        return dictionary_VR(int(leaf_of(path), 16))
    except (KeyError, ValueError):
        return "UN"


@lru_cache(maxsize=16384)
def multiplicity_of(path: str) -> str:
    """Return the value multiplicity that PS3.6 gives the tag at the end of *path*, or an empty string."""
    try:
        return dictionary_VM(int(leaf_of(path), 16))
    except (KeyError, ValueError):
        return ""


@lru_cache(maxsize=16384)
def name_of(path: str) -> str:
    """Return the name that PS3.6 gives the tag at the end of *path*, or an empty string."""
    try:
        return dictionary_description(int(leaf_of(path), 16))
    except (KeyError, ValueError):
        return ""


def is_private(path: str) -> bool:
    """Whether the tag at the end of *path* is private: an odd group number (PS3.5 7.8)."""
    return int(leaf_of(path)[:4], 16) % 2 == 1


def keyword_path_of(path: str) -> str:
    """Return *path* with keywords for tags (``ReferencedSeriesSequence[0].SeriesInstanceUID``)."""
    return ".".join(_keyword_step(step) for step in path.split("."))


def _keyword_step(step: str) -> str:
    tag, bracket, item = step.partition("[")
    return (keyword_of(tag) or tag) + bracket + item
