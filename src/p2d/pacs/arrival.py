"""An object that arrives as a DICOM file (PS3.10): what it is, where its pixel data begin, who it says it is.

For connectors that receive files: DICOMweb and folders. Only elements up to those asked for are looked at.
"""

import zlib
from dataclasses import dataclass, field
from mmap import mmap
from typing import Final, Literal

from p2d.dicom.part10 import NotDicom, open_part10
from p2d.dicom.walk import (
    BEGIN,
    END,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    TAG,
    VALUE,
    Malformed,
    Source,
    Syntax,
    after,
    first_spans,
)
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance

DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_SYNTAXES: Final = {"1.2.840.10008.1.2": IMPLICIT_LITTLE, "1.2.840.10008.1.2.2": EXPLICIT_BIG}
_SOP_CLASS: Final = 0x00080016
_SOP_INSTANCE: Final = 0x00080018
_PIXELS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_LAST: Final = max(_PIXELS)
_INFLATED: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Arrived:
    """A DICOM file: where its data set begins and how it is encoded; its own SOP UIDs."""

    source: Source = field(repr=False)
    offset: int
    transfer_syntax_uid: str
    sop_class_uid: str
    sop_instance_uid: str = field(repr=False)

    def under(self, header: IdentifiedHeader, *, pixels: bool) -> IdentifiedInstance:
        """Return the instance under the archive's *header*, without *pixels* cut where pixel data begin.

        What is mapped stays mapped; a small or cut data set becomes bytes of its own.
        """
        end = None if pixels else self.pixels_begin()
        is_mapped = end is None and isinstance(self.source, mmap)
        content: Source = self.source if is_mapped else self.source[self.offset : end]
        return IdentifiedInstance(
            header=header,
            content=content,
            transfer_syntax_uid=self.transfer_syntax_uid,
            sop_class_uid=self.sop_class_uid,
            is_cut=end is not None,
            offset=self.offset if is_mapped else 0,
        )

    def pixels_begin(self) -> int | None:
        """Return where pixel data begin; None where there are none, or what stands before them is broken.

        They need not be there as a whole: the begin of a file is enough.
        """
        if self.transfer_syntax_uid == DEFLATED:
            return None
        syntax, position = syntax_of(self.transfer_syntax_uid), self.offset
        try:
            for span in first_spans(self.source, syntax, position, _LAST):
                if span[TAG] in _PIXELS:
                    return span[BEGIN]
                position = after(span)
        except Malformed:
            mark = self.source[position : position + 4]
            order: Literal["little", "big"] = "little" if syntax.is_little else "big"
            tag = int.from_bytes(mark[:2], order) << 16 | int.from_bytes(mark[2:], order)
            return position if tag in _PIXELS else None
        return None


def syntax_of(transfer_syntax_uid: str) -> Syntax:
    """Return how a data set of *transfer_syntax_uid* is encoded once it is inflated."""
    return _SYNTAXES.get(transfer_syntax_uid, EXPLICIT_LITTLE)


def opened(source: Source) -> Arrived | None:
    """Return what the DICOM file *source* is; None where it is none, or does not say which instance it is."""
    try:
        part10 = open_part10(source)
    except NotDicom:
        return None
    content, begin = source, part10.offset
    if part10.transfer_syntax_uid == DEFLATED:
        content, begin = inflated_head(source[begin:]), 0
    found: dict[int, str] = {}
    try:
        for span in first_spans(content, syntax_of(part10.transfer_syntax_uid), begin, _SOP_INSTANCE):
            if span[TAG] in {_SOP_CLASS, _SOP_INSTANCE}:
                found[span[TAG]] = content[span[VALUE] : span[END]].rstrip(b"\0 ").decode("ascii", "replace")
    except Malformed:
        return None
    if not found.get(_SOP_INSTANCE):
        return None
    sop_class = found.get(_SOP_CLASS, "") or part10.sop_class_uid
    return Arrived(source, part10.offset, part10.transfer_syntax_uid, sop_class, found[_SOP_INSTANCE])


def inflated_head(content: bytes) -> bytes:
    """Return the first MiB of a deflated data set (PS3.5 A.5), or nothing where it is not deflated."""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, _INFLATED)
    except zlib.error:
        return b""
