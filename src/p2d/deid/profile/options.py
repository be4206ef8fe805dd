"""The options of PS3.15 Annex E with their columns of Table E.1-1 and codes of CID 7050, and P2D's modes."""

from enum import StrEnum
from typing import Self


class Mode(StrEnum):
    """What a profile starts from; see ``docs/reference/deidentification.md``.

    BASIC is Table E.1-1 to the letter. RESEARCH keeps what the table does not list and scrubs it. STRICT
    keeps what its allow list names.
    """

    BASIC = "basic"
    RESEARCH = "research"
    STRICT = "strict"


class Option(StrEnum):
    """An option of PS3.15 E.3; ``column`` is its column of Table E.1-1, empty where it has none.

    ``code`` and ``meaning`` are what CID 7050 gives it, for (0012,0064).
    """

    column: str
    code: str
    meaning: str

    def __new__(cls, value: str, column: str, code: str, meaning: str) -> Self:
        """Make the member *value* with what the standard says about it."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.column, member.code, member.meaning = column, code, meaning
        return member

    CLEAN_PIXELS = ("clean-pixels", "", "113101", "Clean Pixel Data Option")
    CLEAN_GRAPHICS = ("clean-graphics", "graphics", "113103", "Clean Graphics Option")
    CLEAN_STRUCTURED_CONTENT = (
        "clean-structured-content",
        "structured_content",
        "113104",
        "Clean Structured Content Option",
    )
    CLEAN_DESCRIPTORS = ("clean-descriptors", "descriptors", "113105", "Clean Descriptors Option")
    FULL_DATES = (
        "full-dates",
        "full_dates",
        "113106",
        "Retain Longitudinal Temporal Information Full Dates Option",
    )
    MODIFIED_DATES = (
        "modified-dates",
        "modified_dates",
        "113107",
        "Retain Longitudinal Temporal Information Modified Dates Option",
    )
    RETAIN_PATIENT_CHARACTERISTICS = (
        "retain-patient-characteristics",
        "patient_characteristics",
        "113108",
        "Retain Patient Characteristics Option",
    )
    RETAIN_DEVICE = ("retain-device", "device", "113109", "Retain Device Identity Option")
    RETAIN_UIDS = ("retain-uids", "uids", "113110", "Retain UIDs Option")
    RETAIN_SAFE_PRIVATE = ("retain-safe-private", "safe_private", "113111", "Retain Safe Private Option")
    RETAIN_INSTITUTION = ("retain-institution", "institution", "113112", "Retain Institution Identity Option")
