"""UIDs: form, well-known ones and P2D's own (PS3.5 clause 9)."""

import re
from typing import Final

from pydicom._uid_dict import UID_dictionary  # pydicom.uid.UID would warn about, and quote, malformed UIDs

WELL_KNOWN_ROOT: Final = "1.2.840.10008."
"""Root of the UIDs that the standard itself registers (PS3.6 Annex A)."""

IMPLEMENTATION_CLASS_UID: Final = "2.25.13110493467459100850707203300489924033"
"""P2D's ImplementationClassUID (0002,0012), fixed for all versions."""

IMPLEMENTATION_VERSION_NAME: Final = "P2D"
"""P2D's ImplementationVersionName (0002,0013), at most 16 characters."""

_LATER_CLASSES: Final = {
    "1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation Storage",
    "1.2.840.10008.5.1.4.1.1.66.8": "Height Map Segmentation Storage",
}
"""SOP classes that PS3.6 has registered since pydicom's table was made."""

MAX_UID_LENGTH: Final = 64

_NATIVE: Final = frozenset(
    {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"}
)
_FORM: Final = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")


def is_uid(text: str) -> bool:
    """Whether *text* is a UID by PS3.5 9.1: numbers and dots, no leading zeros, at most 64 characters."""
    return 0 < len(text) <= MAX_UID_LENGTH and _FORM.fullmatch(text) is not None


def is_well_known(uid: str) -> bool:
    """Whether the standard registers this UID (SOP classes, transfer syntaxes, coding schemes …)."""
    return uid.startswith(WELL_KNOWN_ROOT) and is_uid(uid)


def registered_name(uid: str) -> str:
    """Return the name that PS3.6 Annex A registers for *uid*, or an empty string."""
    return UID_dictionary[uid][0] if uid in UID_dictionary else _LATER_CLASSES.get(uid, "")


def is_sop_class(uid: str) -> bool:
    """Whether PS3.6 Annex A registers *uid* as a SOP class."""
    return uid in _LATER_CLASSES or (uid in UID_dictionary and UID_dictionary[uid][1] == "SOP Class")


def is_transfer_syntax(uid: str) -> bool:
    """Whether PS3.6 Annex A registers *uid* as a transfer syntax."""
    return uid in UID_dictionary and UID_dictionary[uid][1] == "Transfer Syntax"


def is_encapsulated(uid: str) -> bool:
    """Whether pixel data are fragments under transfer syntax *uid* (PS3.5 A.4); so for unknown ones."""
    return not is_transfer_syntax(uid) or uid not in _NATIVE
