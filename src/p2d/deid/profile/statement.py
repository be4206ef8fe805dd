"""What P2D writes about de-identification into whole headers and images (PS3.15 E.1.1)."""

from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from p2d.deid.profile.options import Option
from p2d.deid.profile.profile import Profile
from p2d.model.header import Element

_REMOVED: Final = "00120062"
_METHOD: Final = "00120063"
_CODES: Final = "00120064"
_LONGITUDINAL: Final = "00280303"
_BASIC: Final = ("113100", "Basic Application Confidentiality Profile")
_DATES: Final = frozenset({Option.FULL_DATES, Option.MODIFIED_DATES})


@lru_cache(maxsize=64)
def statement(profile: Profile, *, true_dates: bool, masked: bool) -> Mapping[str, Element]:
    """Return the elements that say what was done: (0012,0062), (0012,0063), (0012,0064), (0028,0303).

    *true_dates*: the site keeps true dates, whatever the profile's dates option. *masked*: pixels of this
    object were changed, which is when Clean Pixel Data is claimed.
    """
    elements = [
        Element(_REMOVED, "CS", ("YES",)),
        Element(_METHOD, "LO", _methods(profile)),
        Element(_CODES, "SQ", ()),
    ]
    for index, (value, meaning) in enumerate(_codes(profile, true_dates=true_dates, masked=masked)):
        item = f"{_CODES}[{index}]."
        elements += [
            Element(f"{item}00080100", "SH", (value,)),
            Element(f"{item}00080102", "SH", ("DCM",)),
            Element(f"{item}00080104", "LO", (meaning,)),
        ]
    dates = _dates(profile, true_dates=true_dates)
    modified = "REMOVED" if dates is None else "UNMODIFIED" if dates is Option.FULL_DATES else "MODIFIED"
    elements.append(Element(_LONGITUDINAL, "CS", (modified,)))
    return {element.path: element for element in elements}


def _methods(profile: Profile) -> tuple[str, ...]:
    """Return the texts of (0012,0063), each within the 64 characters of LO."""
    texts = [
        f"P2D {_release()}, profile {profile.name} {profile.version}",
        "PS3.15 2024b Table E.1-1" + (" with options" if profile.options else ""),
    ]
    if profile.scrubs:
        texts.append("P2D: known values removed from texts")
    return tuple(texts)


@lru_cache(maxsize=1)
def _release() -> str:
    try:
        return version("p2d")
    except PackageNotFoundError:
        return "(source)"


def _dates(profile: Profile, *, true_dates: bool) -> Option | None:
    selected = profile.options & _DATES
    if not selected:
        return None
    return Option.FULL_DATES if true_dates else next(iter(selected))


def _codes(profile: Profile, *, true_dates: bool, masked: bool) -> list[tuple[str, str]]:
    """Return the codes of CID 7050 that apply, in their order."""
    dates = _dates(profile, true_dates=true_dates)
    options = (profile.options - _DATES) | ({dates} if dates else set())
    if not masked:
        options -= {Option.CLEAN_PIXELS}
    return [_BASIC, *sorted((option.code, option.meaning) for option in options)]


@lru_cache(maxsize=64)
def own_texts(profile: Profile) -> frozenset[str]:
    """Return all texts that P2D itself writes, so that no leak check mistakes them for a patient's."""
    return frozenset(
        text
        for true_dates in (False, True)
        for element in statement(profile, true_dates=true_dates, masked=True).values()
        for text in element.values
        if isinstance(text, str)
    ) | {"REMOVED"}
