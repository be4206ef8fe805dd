"""The words of de-identification: what may become of an element, and the value representations by kind."""

from enum import StrEnum
from typing import Final

TEXT_VRS: Final = frozenset({"AE", "CS", "SH", "LO", "ST", "LT", "UC", "UT", "UR"})
BULK_VRS: Final = frozenset({"OB", "OW", "OF", "OD", "OL", "OV", "UN"})
NUMBER_VRS: Final = frozenset({"DS", "IS", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT"})


class Action(StrEnum):
    """What becomes of an element; the letters of PS3.15 where there is one."""

    KEEP = "K"
    CLEAN = "C"
    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    UID = "U"
    DATE = "date"
    ITEMS = "items"
    PATIENT = "patient pseudonym"
    ACCESSION = "accession pseudonym"
    CASE = "case pseudonym"
    CHARACTER_SET = "character set"
    BULK = "bulk kept"
    CONTENT = "content"
