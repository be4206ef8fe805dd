"""Whether pixel data may be copied as they are: of the form that was said, and nothing but pixels."""

from p2d.deid.leak.check import LeakCheck
from p2d.deid.rewrite.content import Opened
from p2d.dicom.uids import is_encapsulated, registered_name
from p2d.dicom.walk import END, IS_UNDEFINED, VALUE, after
from p2d.model.released import Reason


def pixels_refused(opened: Opened, expected: int, check: LeakCheck) -> Reason | None:
    """Return why the pixel data of *opened* must not leave, or None; *expected* is how long they should be.

    Fragments have to stand where the transfer syntax is compressed, and only there (PS3.5 A.4). Where nobody
    can tell where native pixel data end, something else may begin. Compressed ones are searched beside the
    pixels, native ones that are shorter than their image as a whole: they may be none.
    """
    span = opened.pixels
    if span is None:
        return None
    view = memoryview(opened.source)
    if span[IS_UNDEFINED] != is_encapsulated(opened.instance.transfer_syntax_uid):
        return Reason.UNDECODABLE
    if span[IS_UNDEFINED]:
        return Reason.LEAK if check.beside_pixels(view[span[VALUE] : after(span)]) else None
    if not expected:
        return Reason.NO_PIXELS
    is_short = span[END] - span[VALUE] < expected
    return Reason.LEAK if is_short and check.in_pixels(view[span[VALUE] : span[END]]) else None


def is_image(sop_class_uid: str) -> bool:
    """Whether objects of this class are nothing without pixel data."""
    return registered_name(sop_class_uid).endswith(
        ("Image Storage", "Image Storage - For Presentation", "Image Storage - For Processing")
    )
