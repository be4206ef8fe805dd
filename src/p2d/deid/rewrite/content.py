"""Open the bytes of a retrieved data set: the answer is the places of its elements or a reason."""

import zlib
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from mmap import mmap
from operator import itemgetter
from typing import Final

from p2d.deid.rewrite.decoder import Decoders, declared
from p2d.deid.rewrite.encoding import Encoding
from p2d.deid.rewrite.pattern import Pattern
from p2d.dicom.charset import DEFAULT, UndecodableText
from p2d.dicom.walk import (
    BEGIN,
    END,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    TAG,
    VALUE,
    Source,
    Span,
    Syntax,
    after,
    ordered,
    spans,
)
from p2d.model.header import Elements
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance
from p2d.model.released import Reason

MAX_INFLATED_BYTES: Final = 1 << 28
MAX_ITEMS: Final = 100_000
"""Items of all sequences; more cost minutes, and no device writes them."""

DEFLATED: Final = "1.2.840.10008.1.2.1.99"
IMPLICIT: Final = "1.2.840.10008.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
_SYNTAXES: Final = {IMPLICIT: IMPLICIT_LITTLE, BIG_ENDIAN: EXPLICIT_BIG}
_PIXELS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_PIXEL_REPRESENTATION: Final = 0x00280103


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An instance that cannot be opened, and why."""

    instance: IdentifiedInstance
    reason: Reason


@dataclass(frozen=True, slots=True)
class Opened:
    """A data set of which it is known where each element stands.

    ``header`` are the elements other than pixel data by ascending tag, ``raw`` the bytes of each, ``pixels``
    is the pixel data element. Where it fits a ``pattern``, ``header`` and ``raw`` are those that vary in it.
    ``elements`` are the values of what is not private. ``source`` is the inflated data set where
    the transfer syntax is deflated.
    """

    instance: IdentifiedInstance
    source: Source = field(repr=False)
    encoding: Encoding
    elements: Elements = field(repr=False)
    header: Sequence[Span] = field(repr=False)
    raw: Sequence[bytes] = field(repr=False)
    pixels: Span | None = field(repr=False)
    pattern: Pattern | None = field(repr=False, default=None)

    def answered(self, header: IdentifiedHeader) -> "Opened":
        """Return the same data set as the archive that gave *header* would have sent it."""
        old = self.instance
        instance = IdentifiedInstance(
            header, old.content, old.transfer_syntax_uid, old.sop_class_uid, old.is_cut, old.offset
        )
        return Opened(
            instance,
            self.source,
            self.encoding,
            self.elements,
            self.header,
            self.raw,
            self.pixels,
            self.pattern,
        )

    def whole(self) -> "Opened":
        """Return the same with all elements in ``header`` and ``raw``."""
        if self.pattern is None:
            return self
        begin = 0 if self.instance.transfer_syntax_uid == DEFLATED else self.instance.offset
        found = spans(self.source, self.encoding.syntax, begin)
        header = found if self.pixels is None else found[:-1]
        raw = [self.source[span[BEGIN] : after(span)] for span in header]
        return replace(self, header=header, raw=raw, pattern=None)

    def text(self, span: Span) -> str:
        """Return the text of the private creator element *span*."""
        return self.encoding.text(self.source, span)


def open_content(instance: IdentifiedInstance, decoders: Decoders) -> Opened | Unreadable:
    """Find the elements of *instance*'s data set; its pixel data are not touched."""
    try:
        return _opened(instance, decoders)
    except UndecodableText:
        return Unreadable(instance, Reason.CHARACTER_SET)
    except Exception:  # noqa: BLE001 - hostile bytes raise anything, RecursionError and MemoryError included
        return Unreadable(instance, Reason.UNDECODABLE)


def _item_tag(syntax: Syntax) -> bytes:
    return b"\xfe\xff\x00\xe0" if syntax.is_little else b"\xff\xfe\xe0\x00"


def syntax_of(transfer_syntax_uid: str) -> Syntax:
    """Return how a data set of *transfer_syntax_uid* is encoded once it is inflated."""
    return _SYNTAXES.get(transfer_syntax_uid, EXPLICIT_LITTLE)


def _opened(instance: IdentifiedInstance, decoders: Decoders) -> Opened:
    uid = instance.transfer_syntax_uid
    source, begin = instance.content, instance.offset
    if uid == DEFLATED:
        source, begin = inflated(source[begin:]), 0
    syntax = syntax_of(uid)
    if (fitting := decoders.fit(syntax, source, begin)) is not None:
        pattern, fit = fitting
        _check_items(source, syntax, begin, fit.header_end)
        elements = decoders.elements_of(pattern, source, fit)
        return Opened(instance, source, pattern.encoding, elements, fit.spans, fit.raw, fit.pixels, pattern)
    return _walked(instance, decoders, source, begin)


def _walked(instance: IdentifiedInstance, decoders: Decoders, source: Source, begin: int) -> Opened:
    syntax = syntax_of(instance.transfer_syntax_uid)
    found = spans(source, syntax, begin)
    placed = ordered(found)
    if not found:
        raise ValueError("no element")
    pixels = [span for span in placed if span[TAG] in _PIXELS]
    if len(pixels) > 1:
        raise ValueError("pixel data in two forms")
    header = [span for span in placed if span[TAG] not in _PIXELS] if pixels else placed
    _check_items(source, syntax, begin, pixels[0][BEGIN] if pixels else len(source))
    encoding = Encoding(syntax, declared(source, header, DEFAULT), _is_signed(source, header))
    read = decoders.read(encoding, source, header, pixels[0] if pixels else None)
    if placed is found and (not pixels or pixels[0] is found[-1]):
        decoders.learn(encoding, read)
    return Opened(instance, source, encoding, read.elements, header, read.raw, read.pixels)


def _check_items(source: Source, syntax: Syntax, begin: int, end: int) -> None:
    if source[begin:end].count(_item_tag(syntax)) > MAX_ITEMS:
        raise ValueError("too many items")


def _is_signed(source: Source, header: Sequence[Span]) -> bool:
    """Whether PixelRepresentation (0028,0103) is 1, two's complement."""
    place = bisect_left(header, _PIXEL_REPRESENTATION, key=itemgetter(TAG))
    if place == len(header) or header[place][TAG] != _PIXEL_REPRESENTATION:
        return False
    return any(source[header[place][VALUE] : header[place][END]])


def inflated(content: bytes | mmap) -> bytes:
    """Return the data set of a deflated transfer syntax (PS3.5 A.5), at most MAX_INFLATED_BYTES of it.

    Bytes after the deflated stream other than its padding are an error: nobody would look at them.

    Raises:
        ValueError: not one deflated stream, or too large.

    """
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        plain = inflater.decompress(content, MAX_INFLATED_BYTES)
    except zlib.error:
        raise ValueError("not a deflated stream") from None
    if inflater.unconsumed_tail or not inflater.eof or inflater.unused_data.strip(b"\0"):
        raise ValueError("not one deflated stream, or too large")
    return plain
