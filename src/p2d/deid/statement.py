"""What P2D writes about de-identification into whole headers and images (PS3.15 E.1.1)."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from p2d.model.header import Element

_REMOVED: Final = "00120062"
_METHOD: Final = "00120063"
_CODES: Final = "00120064"
_LONGITUDINAL: Final = "00280303"
_METHOD_TEXTS: Final = ("P2D: PS3.15 2024b Table E.1-1 with options", "P2D: known values removed from texts")
_BASIC: Final = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113105", "Clean Descriptors Option"),
)
_FULL_DATES: Final = ("113106", "Retain Longitudinal Temporal Information Full Dates Option")
_MODIFIED_DATES: Final = ("113107", "Retain Longitudinal Temporal Information Modified Dates Option")
_CHARACTERISTICS: Final = ("113108", "Retain Patient Characteristics Option")


@lru_cache(maxsize=2)
def statement(*, true_dates: bool) -> Mapping[str, Element]:
    """Return the elements that say what was done: (0012,0062), (0012,0063), (0012,0064), (0028,0303)."""
    elements = [
        Element(_REMOVED, "CS", ("YES",)),
        Element(_METHOD, "LO", _METHOD_TEXTS),
        Element(_CODES, "SQ", ()),
    ]
    for index, (value, meaning) in enumerate(_codes(true_dates=true_dates)):
        item = f"{_CODES}[{index}]."
        elements += [
            Element(f"{item}00080100", "SH", (value,)),
            Element(f"{item}00080102", "SH", ("DCM",)),
            Element(f"{item}00080104", "LO", (meaning,)),
        ]
    elements.append(Element(_LONGITUDINAL, "CS", ("UNMODIFIED" if true_dates else "MODIFIED",)))
    return {element.path: element for element in elements}


def _codes(*, true_dates: bool) -> tuple[tuple[str, str], ...]:
    """Return the codes of CID 7050 that apply."""
    return (*_BASIC, _FULL_DATES if true_dates else _MODIFIED_DATES, _CHARACTERISTICS)


@lru_cache(maxsize=1)
def own_texts() -> frozenset[str]:
    """Return all texts that P2D itself writes, so that no leak check mistakes them for a patient's."""
    both = (statement(true_dates=True), statement(true_dates=False))
    return frozenset(
        text
        for elements in both
        for element in elements.values()
        for text in element.values
        if isinstance(text, str)
    ) | {"REMOVED"}
