"""Which instances may leave as images: a rule, whatever the pixels show (PS3.15 E.3.1 is not applied)."""

from typing import Final

from p2d.dicom.uids import is_sop_class, registered_name
from p2d.model.header import Elements, text_of
from p2d.model.released import Reason

_MODALITIES: Final = frozenset({"US", "IVUS", "SR", "DOC", "PR", "KO", "ECG", "HD", "EPS", "AU"})
_IMAGE_CLASSES: Final = (
    "Image Storage",
    "Image Storage - For Presentation",
    "Image Storage - For Processing",
)
_REFUSED_WORDS: Final = (
    "Ultrasound",
    "Secondary Capture",
    "Video",
    "Photographic",
    "Waveform",
    "Presentation State",
)
_TEXT_IMAGES: Final = (
    "SCREEN",
    "SECONDARY CAPTURE",
    "LABEL",
    "OVERVIEW",
)  # PS3.3 C.8.12.4.1.1 for the last two
_PIXEL_TAGS: Final = ("7FE00010", "7FE00008", "7FE00009")


def refusal(elements: Elements, sop_class_uid: str, modality: str) -> Reason | None:
    """Return why the object may not leave as an image, or None.

    *elements* are the data set's own, *sop_class_uid* and *modality* the archive's word where it gave one.
    """
    classes = {text_of(elements, "00080016"), sop_class_uid} - {""}
    if not classes or not all(_is_image_class(uid) for uid in classes):
        return Reason.SOP_CLASS
    if {text_of(elements, "00080060"), modality} & _MODALITIES:
        return Reason.BURNED_IN
    annotated = text_of(elements, "00280301")
    if annotated and annotated.strip().upper() != "NO":
        return Reason.BURNED_IN
    if _is_screen(text_of(elements, "00080008").upper()):
        return Reason.BURNED_IN
    if not any(tag in elements for tag in _PIXEL_TAGS):
        return Reason.NO_PIXELS
    return None


def _is_screen(image_type: str) -> bool:
    return any(word in image_type for word in _TEXT_IMAGES)


def _is_image_class(uid: str) -> bool:
    name = registered_name(uid) if is_sop_class(uid) else ""
    return name.endswith(_IMAGE_CLASSES) and not any(word in name for word in _REFUSED_WORDS)
