"""Objects as bytes for the faulty archive, whole or damaged."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from p2d.testing.faulty.script import Damage
from p2d.testing.holdings import HeldInstance

EXPLICIT: Final = "1.2.840.10008.1.2.1"
IMPLICIT: Final = "1.2.840.10008.1.2"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
DEPTH: Final = 10_000
_CHUNK: Final = 1 << 20
_STRAY_UID: Final = "1.2.826.0.1.3680043.8.498.77.999"


@dataclass(frozen=True, slots=True)
class Planned:
    """One object to send: of which instance, and what is wrong with it."""

    instance: HeldInstance
    how: Damage | None = None
    changed: bool = False
    giant_bytes: int = 0


def syntax_of(dataset: Dataset) -> str:
    """Return the transfer syntax that *dataset* is kept in."""
    return str(dataset.file_meta.TransferSyntaxUID)


def encoded(dataset: Dataset, *, implicit: bool) -> bytes:
    """Return *dataset* little endian, without file meta information."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = implicit
    buffer.is_little_endian = True
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def content_of(planned: Planned, syntax: str) -> bytes:
    """Return the data set of *planned* in *syntax*, damaged as it is to be."""
    dataset = planned.instance.render()
    implicit = syntax == IMPLICIT
    if planned.changed:
        dataset.SeriesDescription = "changed since"
    how = planned.how
    if how is Damage.OTHER_UID:
        dataset.SOPInstanceUID = _STRAY_UID
    elif how is Damage.OTHER_PATIENT:
        dataset.PatientID, dataset.PatientName = "P-9", "Stranger^Zoe"
    elif how is Damage.OTHER_STUDY:
        dataset.StudyInstanceUID = dataset.SeriesInstanceUID = _STRAY_UID
    elif how is Damage.NO_PATIENT:
        del dataset.PatientID
    elif how is Damage.WRONG_SYNTAX:
        implicit = not implicit
    content = encoded(dataset, implicit=implicit)
    return content if how is None else _broken(content, how, implicit=implicit)


def _broken(content: bytes, how: Damage, *, implicit: bool) -> bytes:  # noqa: PLR0911 - one return a kind
    if how is Damage.TRUNCATED:
        return content[: len(content) * 2 // 3 | 1]
    if how is Damage.NOISE:
        return bytes(number * 89 % 251 for number in range(4096))
    if how is Damage.CHARACTER_SET:  # UTF-8 is declared
        return content.replace(b"CT head", b"CT h\xe4d ")
    if how is Damage.BAD_VR and not implicit:
        return content.replace(b"\x18\x00\x15\x00CS", b"\x18\x00\x15\x00Z?")  # BodyPartExamined
    place = content.index(b"\xe0\x7f\x10\x00")
    if how is Damage.UNDEFINED_LENGTH:  # encapsulated pixel data that no delimiter ends
        head = b"\xe0\x7f\x10\x00" + (b"" if implicit else b"OB\0\0") + b"\xff\xff\xff\xff"
        return content[:place] + head + content[place + len(head) :]
    if how is Damage.DEEP_SEQUENCE:
        begin = b"\x40\x00\x30\xa7" + (b"" if implicit else b"SQ\0\0") + b"\xff\xff\xff\xff"
        begin += b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
        end = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
        return content[:place] + begin * DEPTH + end * DEPTH + content[place:]
    return content


def giant(planned: Planned, syntax: str) -> Iterator[bytes]:
    """Yield an object with ``giant_bytes`` of pixel data, a megabyte at a time at most."""
    dataset = planned.instance.render()
    dataset.NumberOfFrames = max(planned.giant_bytes // 128, 1)  # 8 by 8 pixels of 16 bits
    del dataset.PixelData
    vr = b"" if syntax == IMPLICIT else b"OW\0\0"
    head = encoded(dataset, implicit=syntax == IMPLICIT)
    yield head + b"\xe0\x7f\x10\x00" + vr + struct.pack("<I", planned.giant_bytes)
    left = planned.giant_bytes
    zeros = bytes(_CHUNK)
    while left:
        yield zeros[: min(left, _CHUNK)]
        left -= min(left, _CHUNK)


def bomb(dataset: Dataset, inflated: int) -> bytes:
    """Return *dataset* deflated, with so many zero bytes of pixel data."""
    del dataset.PixelData
    head = encoded(dataset, implicit=False)
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    parts = [deflater.compress(head + b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<I", inflated))]
    zeros = bytes(_CHUNK)
    parts += [deflater.compress(zeros[: min(_CHUNK, inflated - done)]) for done in range(0, inflated, _CHUNK)]
    content = b"".join([*parts, deflater.flush()])
    return content + b"\0" * (len(content) % 2)
