"""What becomes of an object's pixels, by rule: they pass, are screened for text, or the object is withheld.

The rules read the original header and the archive's word. They decide without looking at a pixel; what is
screened is looked at by ``p2d.deid.pixels.gate``.
"""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from p2d.deid.pixels.heads import is_recognisable
from p2d.deid.pixels.regions import regions_of
from p2d.dicom.uids import is_sop_class, registered_name
from p2d.model.header import Elements, text_of
from p2d.model.released import Reason
from p2d.pixels.box import Box

Head = Literal["keep", "exclude", "coarsen"]
"""What a project does with recognisable heads; ``coarsen`` is not offered yet and excludes."""


class Verdict(StrEnum):
    """What becomes of an object's pixels."""

    PASS = "pass"  # noqa: S105 - no secret
    SCREEN = "screen"
    WITHHOLD = "withhold"


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict by rule.

    *reason* says why an object is withheld; with SCREEN, that text is known to be there: an object in which
    nothing is found is then withheld. *regions* are the only parts to keep. *alarm* marks objects that need
    not be screened by rule: sampled radiography. *recognisable* marks thin slices of a head. *overlay_bits*
    are bits of the pixels that hold overlays (retired, PS3.5 8.1.2 of 2004).
    """

    verdict: Verdict
    reason: Reason | None = None
    regions: tuple[Box, ...] = ()
    alarm: bool = False
    recognisable: bool = False
    overlay_bits: tuple[int, ...] = ()


_DOCUMENTS: Final = ("Encapsulated",)
_SHOWING_TEXT: Final = (
    "Ultrasound",
    "Enhanced US",
    "Secondary Capture",
    "Video",
    "Photograph",
    "Visible Light",
    "VL ",
    "Intravascular",
    "Ophthalmic",
    "Dermoscopic",
    "Endoscopic",
)
_BARE_SLIDES: Final = ("VL Whole Slide Microscopy",)
"""Tiles of tissue; their labels are told by ImageType (PS3.3 C.8.12.4.1.1)."""
_MODALITIES: Final = frozenset(
    {
        "US",
        "IVUS",
        "BDUS",
        "DOC",
        "SC",
        "OT",
        "XC",
        "GM",
        "ES",
        "DMS",
        "OP",
        "OPT",
        "OPM",
        "IVOCT",
        "OCT",
        "SR",
        "PR",
    }
    | {"KO", "HC", "BI", "EPS", "ECG", "HD", "DG"}
)
_SCREEN_SAVES: Final = ("SCREEN SAVE", "SCREENSAVE", "SCREEN_SAVE", "SCREENSHOT", "SCREEN SHOT", "DOSE_INFO")
_TEXT_IMAGES: Final = ("SCREEN", "SECONDARY CAPTURE", "LABEL", "OVERVIEW")
_DOSE_SERIES: Final = re.compile(
    r"\b(?:dose[ _-]?(?:report|info|record|summary|page|sheet)|patient[ _-]?protocol|"
    r"dosis(?:bericht|protokoll)|protocol[ _-]?(?:page|sheet)|"
    r"exam[ _-]?(?:summary|protocol)|untersuchungsprotokoll|"
    r"topogram[ _-]?protocol|rapport[ _]de[ _]dose|informe[ _]de[ _]dosis)\b",
    re.IGNORECASE,
)
_PROJECTIONS: Final = frozenset({"XA", "RF"})
_RADIOGRAPHY: Final = frozenset(
    {"CT", "MR", "CR", "DX", "MG", "XA", "RF", "PX", "IO", "PT", "NM", "RG", "BMD", "RTIMAGE"}
)
_NO_PICTURES: Final = ("Segmentation", "Parametric Map", "Real World Value", "Surface", "Tractography")
"""Pixels that are labels or quantities, masks of which would be wrong data."""
_OVERLAY_BITS: Final = tuple(f"60{group:02X}0102" for group in range(0, 0x100, 2))
"""OverlayBitPosition, PS3.3 C.9.2."""
_SHARES: Final = 1 << 32


def decide(
    elements: Elements,
    sop_class_uid: str,
    modality: str,
    *,
    has_pixels: bool,
    head: Head = "keep",
    sample: bool = False,
) -> Decision:
    """Return what becomes of the pixels of an object.

    *elements* are the data set's own, *sop_class_uid* and *modality* the archive's word where it gave one.
    With *sample* an object that would pass is screened, too (see ``is_sampled``).
    """
    names = [_class_name(uid) for uid in {text_of(elements, "00080016").strip(), sop_class_uid} if uid]
    refused = _refused_class(names)
    if refused is not None:
        return Decision(Verdict.WITHHOLD, refused)
    recognisable = has_pixels and is_recognisable(elements, modality)
    if recognisable and head != "keep":
        return Decision(Verdict.WITHHOLD, Reason.HEAD, recognisable=True)
    if not has_pixels:
        return Decision(Verdict.PASS)
    if _is_screen_save(elements):
        return Decision(Verdict.WITHHOLD, Reason.SCREEN_SAVE, recognisable=recognisable)
    return _for_pixels(elements, names, modality, sample=sample, recognisable=recognisable)


def _for_pixels(
    elements: Elements, names: list[str], modality: str, *, sample: bool, recognisable: bool
) -> Decision:
    """Return what becomes of an image of a known class."""
    bits = _overlay_bits(elements)
    is_picture = not any(word in name for name in names for word in _NO_PICTURES)
    is_suspect = _may_show_text(elements, names, modality) if is_picture else _is_annotated(elements)
    if is_suspect or bits:
        known = Reason.BURNED_IN if text_of(elements, "00280301").strip().upper() == "YES" else None
        return Decision(
            Verdict.SCREEN, known, regions_of(elements), recognisable=recognisable, overlay_bits=bits
        )
    if is_picture and (sample or _is_secondary(elements)):
        return Decision(Verdict.SCREEN, alarm=True, recognisable=recognisable)
    return Decision(Verdict.PASS, recognisable=recognisable)


def is_sampled(derived_uid: str, share: float) -> bool:
    """Whether the object of this derived UID is in the sampled *share* (0 to 1); the same in every run."""
    digest = hashlib.sha256(b"p2d pixel sample\0" + derived_uid.encode()).digest()
    return int.from_bytes(digest[:4], "big") < share * _SHARES


def is_radiography(modality: str) -> bool:
    """Whether *modality* is one of those that a sample is taken of."""
    return modality in _RADIOGRAPHY


def _refused_class(names: list[str]) -> Reason | None:
    if not names or not all(names):
        return Reason.SOP_CLASS
    return Reason.DOCUMENT if any(word in name for name in names for word in _DOCUMENTS) else None


def _may_show_text(elements: Elements, names: list[str], modality: str) -> bool:
    shows = [name for name in names if any(word in name for word in _SHOWING_TEXT)]
    if any(not any(word in name for word in _BARE_SLIDES) for name in shows):
        return True
    modalities = {text_of(elements, "00080060").strip().upper(), modality}
    if modalities & _MODALITIES:
        return True
    if _is_annotated(elements):
        return True
    image_type = text_of(elements, "00080008").upper()
    is_capture = bool(modalities & _PROJECTIONS) and _is_secondary(elements)
    return is_capture or any(word in image_type for word in _TEXT_IMAGES)


def _is_annotated(elements: Elements) -> bool:
    """Whether BurnedInAnnotation (0028,0301) is there and not NO."""
    return text_of(elements, "00280301").strip().upper() not in {"", "NO"}


def _is_secondary(elements: Elements) -> bool:
    """Whether ImageType value 2 is SECONDARY: made after the examination (PS3.3 C.7.6.1.1.2)."""
    element = elements.get("00080008")
    return (
        element is not None
        and len(element.values) > 1
        and str(element.values[1]).strip().upper() == "SECONDARY"
    )


def _is_screen_save(elements: Elements) -> bool:
    """Whether the object is a picture of a page: dose screens, protocols, screen saves."""
    image_type = text_of(elements, "00080008").upper()
    if any(word in image_type for word in _SCREEN_SAVES):
        return True
    return bool(_DOSE_SERIES.search(text_of(elements, "0008103E"))) and _is_secondary(elements)


def _overlay_bits(elements: Elements) -> tuple[int, ...]:
    """Return the bits of the pixels in which overlays lie; 0 in OverlayBitPosition means they do not."""
    found = {
        value
        for element in map(elements.get, _OVERLAY_BITS)
        if element is not None
        for value in element.values
        if isinstance(value, int) and value > 0
    }
    return tuple(sorted(found))


def _class_name(uid: str) -> str:
    return registered_name(uid) if is_sop_class(uid) else ""
