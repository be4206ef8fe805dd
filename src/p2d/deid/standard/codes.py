"""The codes of De-identification Method Code Sequence (0012,0064): PS3.16 CID 7050, edition 2026d."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SCHEME: Final = "DCM"
BASIC_PROFILE: Final = "113100"
CLEAN_PIXEL_DATA: Final = "113101"
CLEAN_VISUAL_FEATURES: Final = "113102"

MEANINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        BASIC_PROFILE: "Basic Application Confidentiality Profile",
        CLEAN_PIXEL_DATA: "Clean Pixel Data Option",
        CLEAN_VISUAL_FEATURES: "Clean Recognizable Visual Features Option",
        "113103": "Clean Graphics Option",
        "113104": "Clean Structured Content Option",
        "113105": "Clean Descriptors Option",
        "113106": "Retain Longitudinal Temporal Information Full Dates Option",
        "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
        "113108": "Retain Patient Characteristics Option",
        "113109": "Retain Device Identity Option",
        "113110": "Retain UIDs Option",
        "113111": "Retain Safe Private Option",
        "113112": "Retain Institution Identity Option",
    }
)
"""Code Meaning by Code Value."""

OF_OPTION: Final[Mapping[str, str]] = MappingProxyType(
    {
        "graphics": "113103",
        "structured_content": "113104",
        "descriptors": "113105",
        "full_dates": "113106",
        "modified_dates": "113107",
        "patient_characteristics": "113108",
        "device": "113109",
        "uids": "113110",
        "safe_private": "113111",
        "institution": "113112",
    }
)
"""Code Value by the name of the option's column in Table E.1-1 (``ps3_15_e1_1.tsv``)."""
