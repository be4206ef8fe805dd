"""UIDs: derived ones for those of the hospital, well-known ones as they are (PS3.15 action U)."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from p2d.dicom.dictionary import keyword_of
from p2d.dicom.uids import MAX_UID_LENGTH, registered_name

_CLASS_UIDS: Final = frozenset({"0008010C", "00080117", "00080118", "00081150", "00080016", "0008001A"})
_UID_CHARACTERS: Final = frozenset("0123456789.")


class Underived(Exception):  # noqa: N818 - becomes Withheld(Reason.UNDERIVED), never leaves the stage
    """A UID or accession number that no pseudonym was fetched for; holds no value."""


def is_registered(uid: str) -> bool:
    """Whether PS3.6 registers *uid*; the mere root of the standard is not enough to keep a UID."""
    return registered_name(uid) != ""


@lru_cache(maxsize=8192)
def is_class_uid(tag: str) -> bool:
    """Whether the UIDs of *tag* name classes or coding schemes, never an instance."""
    return tag in _CLASS_UIDS or "SOPClass" in keyword_of(tag)


def derived(uid: str, uids: Mapping[str, str]) -> str:
    """Return what *uid* becomes: itself where registered, else its entry in *uids*.

    Raises:
        Underived: neither.

    """
    new = uids.get(uid)
    if new is not None:
        return new
    if not uid or is_registered(uid):
        return uid
    raise Underived


def looks_like_uid(text: str) -> bool:
    """Whether *text* is up to 64 digits and dots; leading zeros, as some devices write, are let pass."""
    return len(text) <= MAX_UID_LENGTH and set(text) <= _UID_CHARACTERS
