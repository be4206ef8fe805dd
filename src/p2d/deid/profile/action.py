"""The words of de-identification: what may become of an element, and the value representations by kind."""

from enum import StrEnum
from typing import Final

TEXT_VRS: Final = frozenset({"AE", "CS", "SH", "LO", "ST", "LT", "UC", "UT", "UR"})
BULK_VRS: Final = frozenset({"OB", "OW", "OF", "OD", "OL", "OV", "UN"})
NUMBER_VRS: Final = frozenset({"DS", "IS", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT"})
DATE_VRS: Final = frozenset({"DA", "DT", "TM"})


class Action(StrEnum):
    """What becomes of an element; the letters of PS3.15 where there is one.

    KEEP leaves the bytes, CLEAN scrubs a text, DATE moves DA and DT by the patient's shift (0 with true
    dates) and keeps times, CAP_AGE limits an age to the profile's cap. ITEMS and CONTENT keep a sequence and
    treat its items; those of CONTENT are first judged by their concept (``Rules.content``). BULK copies the
    bytes in files and shows nothing in headers.
    """

    KEEP = "K"
    CLEAN = "C"
    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    UID = "U"
    DATE = "date"
    CAP_AGE = "age capped"
    ITEMS = "items"
    CONTENT = "content items"
    PATIENT = "patient pseudonym"
    ACCESSION = "accession pseudonym"
    CASE = "case pseudonym"
    CHARACTER_SET = "character set"
    BULK = "bulk kept"
