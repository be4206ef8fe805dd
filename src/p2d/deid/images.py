"""Which instances may leave as images: a rule, whatever the pixels show (PS3.15 E.3.1 is not applied)."""

import re
from typing import Final

from p2d.dicom.uids import is_sop_class, registered_name
from p2d.model.header import Elements, text_of
from p2d.model.released import Reason

_BURNING_MODALITIES: Final = frozenset({"US", "IVUS", "BDUS", "DOC", "SR", "PR", "KO"})
_IMAGE_CLASSES: Final = (
    "Image Storage",
    "Image Storage - For Presentation",
    "Image Storage - For Processing",
)
_BURNING_CLASSES: Final = ("Ultrasound", "Enhanced US", "Secondary Capture", "Video", "Photographic")
_TEXT_IMAGES: Final = ("SCREEN", "SECONDARY CAPTURE", "LABEL", "OVERVIEW")  # slides: PS3.3 C.8.12.4.1.1
_OVERLAY_BIT: Final = re.compile(r"60[0-9A-F]{2}0102")  # OverlayBitPosition, PS3.3 C.9.2
_PIXEL_TAGS: Final = ("7FE00010", "7FE00008", "7FE00009")


def refusal(elements: Elements, sop_class_uid: str, modality: str) -> Reason | None:
    """Return why the object may not leave as an image, or None.

    *elements* are the data set's own, *sop_class_uid* and *modality* the archive's word where it gave one.
    """
    names = {_class_name(uid) for uid in (text_of(elements, "00080016"), sop_class_uid) if uid}
    if any(word in name for name in names for word in _BURNING_CLASSES):
        return Reason.BURNED_IN
    if not names or not all(name.endswith(_IMAGE_CLASSES) for name in names):
        return Reason.SOP_CLASS
    is_marked = _says_annotated(elements) or _has_overlay_in_pixels(elements)
    if {text_of(elements, "00080060"), modality} & _BURNING_MODALITIES or is_marked:
        return Reason.BURNED_IN
    if not any(tag in elements for tag in _PIXEL_TAGS):
        return Reason.NO_PIXELS
    return None


def _says_annotated(elements: Elements) -> bool:
    """Whether BurnedInAnnotation is there and not NO, or ImageType tells of a picture of text."""
    annotated = text_of(elements, "00280301").strip().upper()
    image_type = text_of(elements, "00080008").upper()
    return annotated not in {"", "NO"} or any(word in image_type for word in _TEXT_IMAGES)


def _has_overlay_in_pixels(elements: Elements) -> bool:
    """Whether an overlay, often text, lies in unused bits of the pixels (retired, PS3.5 8.1.2 of 2004)."""
    overlays = (element for path, element in elements.items() if _OVERLAY_BIT.fullmatch(path))
    return any(value != 0 for element in overlays for value in element.values)


def _class_name(uid: str) -> str:
    return registered_name(uid) if is_sop_class(uid) else ""
