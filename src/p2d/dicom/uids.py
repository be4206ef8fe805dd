"""UIDs: form, well-known ones and P2D's own (PS3.5 clause 9)."""

import re
from typing import Final

WELL_KNOWN_ROOT: Final = "1.2.840.10008."
"""Root of the UIDs that the standard itself registers (PS3.6 Annex A)."""

IMPLEMENTATION_CLASS_UID: Final = "2.25.13110493467459100850707203300489924033"
"""P2D's ImplementationClassUID (0002,0012), fixed for all versions."""

IMPLEMENTATION_VERSION_NAME: Final = "P2D"
"""P2D's ImplementationVersionName (0002,0013), at most 16 characters."""

MAX_UID_LENGTH: Final = 64

_FORM: Final = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")


def is_uid(text: str) -> bool:
    """Whether *text* is a UID by PS3.5 9.1: numbers and dots, no leading zeros, at most 64 characters."""
    return 0 < len(text) <= MAX_UID_LENGTH and _FORM.fullmatch(text) is not None


def is_well_known(uid: str) -> bool:
    """Whether the standard registers this UID (SOP classes, transfer syntaxes, coding schemes …)."""
    return uid.startswith(WELL_KNOWN_ROOT) and is_uid(uid)
