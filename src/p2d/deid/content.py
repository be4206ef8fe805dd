"""Open the bytes of a retrieved data set: the answer is elements or a reason, never an exception."""

import logging
import threading
import warnings
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from p2d.dicom.charset import UndecodableText
from p2d.dicom.elements import elements_of
from p2d.model.header import Elements
from p2d.model.identified import IdentifiedInstance
from p2d.model.released import Reason

MAX_ELEMENTS: Final = 500_000
MAX_INFLATED_BYTES: Final = 1 << 28
DEFLATED: Final = str(DeflatedExplicitVRLittleEndian)
IMPLICIT: Final = str(ImplicitVRLittleEndian)
BIG_ENDIAN: Final = str(ExplicitVRBigEndian)
_UNREAD: Final = frozenset({0x0040A730, 0x54000100})
_PIXEL_GROUP: Final = 0x7FE0
QUIET: Final = threading.Lock()  # warnings.catch_warnings is not safe between threads

logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)  # its messages quote values


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Content that cannot be opened, and why."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Opened:
    """A data set as pydicom read it, still raw, and its elements by path."""

    dataset: Dataset
    elements: Elements


def header_of(instance: IdentifiedInstance) -> Elements | Unreadable:
    """Return the elements of *instance* before its pixel data."""
    opened = open_content(instance, with_pixels=False)
    return opened if isinstance(opened, Unreadable) else opened.elements


def open_content(instance: IdentifiedInstance, *, with_pixels: bool) -> Opened | Unreadable:
    """Read the content of *instance*, nested items included, with or without its pixel data."""
    try:
        with QUIET, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = _read(instance, with_pixels=with_pixels)
            _drop_unread(dataset)
            elements = elements_of(dataset)
    except UndecodableText:
        return Unreadable(Reason.CHARACTER_SET)
    except Exception:  # noqa: BLE001 - hostile bytes raise anything, RecursionError and MemoryError included
        return Unreadable(Reason.UNDECODABLE)
    if not elements or len(elements) > MAX_ELEMENTS:
        return Unreadable(Reason.UNDECODABLE)
    return Opened(dataset, elements)


def _read(instance: IdentifiedInstance, *, with_pixels: bool) -> Dataset:
    syntax = instance.transfer_syntax_uid
    content = _inflated(instance.content) if syntax == DEFLATED else instance.content
    is_implicit, is_little = syntax == IMPLICIT, syntax != BIG_ENDIAN
    dataset = read_dataset(
        BytesIO(content), is_implicit, is_little, stop_when=None if with_pixels else _at_pixels
    )
    dataset.set_original_encoding(is_implicit, is_little)
    return dataset


def _drop_unread(dataset: Dataset) -> None:
    """Drop what never leaves and may be large: private groups, SR content, waveforms."""
    for tag in list(dataset.keys()):
        if tag.is_private or tag in _UNREAD:
            del dataset[tag]


def _at_pixels(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group >= _PIXEL_GROUP


def _inflated(content: bytes) -> bytes:
    """Return the data set of a deflated transfer syntax (PS3.5 A.5), at most MAX_INFLATED_BYTES of it."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = inflater.decompress(content, MAX_INFLATED_BYTES)
    if inflater.unconsumed_tail:
        raise ValueError
    return plain
