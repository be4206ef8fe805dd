"""Write a released header and pixel data as a DICOM file (PS3.10): text as UTF-8, numbers byte for byte."""

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence as ItemSequence
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.values import convert_SQ

from p2d.deid.actions import UNICODE
from p2d.deid.content import BIG_ENDIAN, DEFLATED, IMPLICIT, QUIET, Opened
from p2d.deid.leak.codestream import comments
from p2d.deid.profile.action import NUMBER_VRS, Action
from p2d.deid.profile.rules import PIXELS, action_of
from p2d.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, is_transfer_syntax
from p2d.model.header import Element, Elements, Value, text_of
from p2d.model.released import ReleasedHeader

_ITEM: Final = re.compile(r"\[(\d+)\]$")
_HIERARCHY: Final = {"0020000D": "study", "0020000E": "series", "00080018": "instance"}


class Unwritable(Exception):  # noqa: N818 - becomes Withheld(Reason.UNDECODABLE), never leaves the stage
    """A data set that cannot be written as a DICOM file; holds no value."""


@dataclass(frozen=True, slots=True)
class File:
    """A finished DICOM file and, for the last check, its bytes outside the pixels.

    Comments inside codestreams are among them.
    """

    content: bytes
    around_pixels: bytes
    transfer_syntax_uid: str


def finished_file(opened: Opened, header: ReleasedHeader, transfer_syntax_uid: str) -> File:
    """Return the file for *header* with numbers and pixel data of *opened* as they were.

    The archive's word on study, series and instance is written. Deflated data sets become Explicit VR
    Little Endian. The preamble is zero and the file meta information new.

    Raises:
        Unwritable: pydicom cannot write it, or the transfer syntax is unknown.

    """
    if not is_transfer_syntax(transfer_syntax_uid):
        raise Unwritable
    syntax = str(ExplicitVRLittleEndian) if transfer_syntax_uid == DEFLATED else transfer_syntax_uid
    try:
        with QUIET, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels, content = _written(opened, header, syntax)
    except Exception:  # noqa: BLE001 - pydicom raises many types, some with values in them
        raise Unwritable from None
    begin = content.rfind(pixels) if pixels else len(content)
    around = content[:begin] + content[begin + len(pixels) :]
    if UID(syntax).is_encapsulated:
        around += comments(pixels)
    return File(content, around, syntax)


def _written(opened: Opened, header: ReleasedHeader, syntax: str) -> tuple[bytes, bytes]:
    elements = dict(header.elements)
    for path, level in _HIERARCHY.items():
        elements[path] = Element(path, "UI", (getattr(header, level),))
    elements["00080005"] = Element("00080005", "CS", (UNICODE,))
    dataset = _rebuilt(opened.dataset, opened.elements, elements)
    is_implicit, is_little = syntax == IMPLICIT, syntax != BIG_ENDIAN
    dataset.set_original_encoding(is_implicit, is_little, UNICODE)
    pixels = [dataset.get_item(int(tag, 16)) for tag in PIXELS if int(tag, 16) in dataset]
    raw = pixels[0].value if len(pixels) == 1 and pixels[0] is not None else b""
    dataset.file_meta = _file_meta(text_of(elements, "00080016"), header.instance, syntax)
    dataset.preamble = bytes(128)
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return raw or b"", buffer.getvalue()


def _file_meta(sop_class_uid: str, sop_instance_uid: str, syntax: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = UID(syntax)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta


def _rebuilt(source: Dataset, read: Elements, released: Elements) -> Dataset:
    """Return a new data set of what is in *released*; unchanged numbers and bulk are copied raw."""
    target = Dataset()
    places: dict[str, Dataset] = {"": target}
    for path, element in released.items():
        if element.vr in NUMBER_VRS and _is_unchanged(path, read, released):
            continue
        parent, tag = _place(places, path.rpartition(".")[0]), int(path[-8:], 16)
        if element.vr != "SQ":
            parent.add(DataElement(tag, element.vr, _value(element)))
        elif tag not in parent:
            parent.add(DataElement(tag, "SQ", ItemSequence()))
    _copy_raw(source, "", read, released, places)
    return target


def _is_unchanged(path: str, read: Elements, released: Elements) -> bool:
    return path in read and path in released and read[path].values == released[path].values


def _copy_raw(
    source: Dataset, prefix: str, read: Elements, released: Elements, places: dict[str, Dataset]
) -> None:
    for element in source.elements():
        path = f"{prefix}{int(element.tag):08X}"
        vr = read[path].vr
        if vr == "SQ" and path in released:
            for index, item in enumerate(_items(element)):
                _copy_raw(item, f"{path}[{index}].", read, released, places)
        elif vr in NUMBER_VRS and _is_unchanged(path, read, released):
            _place(places, path.rpartition(".")[0])[element.tag] = _encoded(element, vr)
        elif not prefix and action_of(path, vr) is Action.BULK:
            places[""][element.tag] = element


def _items(element: DataElement | RawDataElement) -> Iterable[Dataset]:
    if isinstance(element, DataElement):
        items: Iterable[Dataset] = element.value or ()
        return items
    if not element.value:
        return ()
    parsed: Iterable[Dataset] = convert_SQ(element.value, element.is_implicit_VR, element.is_little_endian)
    return parsed


def _encoded(element: DataElement | RawDataElement, vr: str) -> DataElement | RawDataElement:
    """Return *element* with its proper VR where its writer did not know one (UN, PS3.5 6.2.2)."""
    if isinstance(element, RawDataElement) and element.VR == "UN":
        return element._replace(VR=vr)
    return element


def _place(places: dict[str, Dataset], item_path: str) -> Dataset:
    """Return the item data set at *item_path* (``00081115[0]``, nested with dots), made where missing."""
    known = places.get(item_path)
    if known is not None:
        return known
    above, _, step = item_path.rpartition(".")
    parent = _place(places, above)
    tag, index = int(step[:8], 16), int(_ITEM.search(step).group(1))  # type: ignore[union-attr] # paths have it
    if tag not in parent:
        parent.add(DataElement(tag, "SQ", ItemSequence()))
    items = parent[tag].value
    while len(items) <= index:
        items.append(Dataset())
    places[item_path] = items[index]
    return places[item_path]


def _value(element: Element) -> object:
    if not element.values:
        return None
    values = [_single(element.vr, value) for value in element.values]
    return values[0] if len(values) == 1 else values


def _single(vr: str, value: Value) -> object:
    return int(str(value), 16) if vr == "AT" else value
