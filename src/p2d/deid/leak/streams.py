"""Compressed and wrapped content inside bytes, opened within limits of size, depth and number.

What is not opened for a limit or an encryption is an error, not silence: what cannot be searched does not
leave.
"""

import base64
import binascii
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Final

_GZIP: Final = b"\x1f\x8b\x08"
_ZLIB: Final = (b"\x78\x9c", b"\x78\xda", b"\x78\x01", b"\x78\x5e")
_ZIP: Final = b"PK\x03\x04"
_PDF: Final = b"%PDF-"
_MAX_DEPTH: Final = 4
_MAX_ATTEMPTS: Final = 256
_MAX_STREAMS: Final = 20_000
_LEAST: Final = 8
_WRAPPED: Final = re.compile(rb"(?:[A-Za-z0-9+/]{4}(?:\r?\n\s*)?){10,}(?:[A-Za-z0-9+/]{2,3}={0,2})?")
_LOCAL_HEADER: Final = struct.Struct("<4sHHHHHIIIHH")
_STORED: Final = 0
_DEFLATED: Final = 8
_ENCRYPTED: Final = 1


class Unsearchable(ValueError):  # noqa: N818 - what becomes of the object, not what went wrong, is the point
    """Content too large, too deep or encrypted, so that it cannot be searched; holds no value."""


class Budget:
    """How many bytes may still be unpacked from one object, and how deep."""

    def __init__(self, size: int = 1 << 26) -> None:
        self._left = size
        self._streams = _MAX_STREAMS
        self.depth = 0
        self.is_torn = False  # whether that stream was cut short or broken
        self.rest = b""  # what followed the stream that was inflated last, or its broken part

    def spend(self, size: int, *, streams: int = 0) -> None:
        """Take *size* bytes and as many *streams* from what is left.

        Raises:
            Unsearchable: nothing is left.

        """
        self._left -= size
        self._streams -= streams
        if self._left < 0 or self._streams < 0:
            raise Unsearchable

    def inflated(self, content: bytes, window: int) -> bytes:
        """Return what *content* begins with, inflated; what of it could be where it is broken.

        Raises:
            Unsearchable: it is larger than what is left.

        """
        inflater = zlib.decompressobj(window)
        parts: list[bytes] = []
        rest = content
        try:
            while not inflater.eof:
                part = inflater.decompress(rest, 1 << 16)
                rest = inflater.unconsumed_tail
                if not part and not rest:
                    break  # cut short
                self.spend(len(part))
                parts.append(part)
            self.rest = inflater.unused_data
        except zlib.error:
            self.rest = rest
        self.is_torn = not inflater.eof
        self.spend(0, streams=1)
        return b"".join(parts)


def streams_in(content: bytes, budget: Budget | None = None) -> Iterator[bytes]:
    """Yield the inflated content of zlib, gzip and ZIP streams in *content*, and PDF documents as they are.

    Raises:
        Unsearchable: a limit was reached, or a ZIP member is encrypted.

    """
    if _PDF in content:
        yield content[content.index(_PDF) :]
    has_gzip, has_zip = _GZIP in content, _ZIP in content
    magics = [magic for magic in _ZLIB if magic in content]
    if not (has_gzip or has_zip or magics):
        return
    budget = budget or Budget()
    budget.depth += 1
    if budget.depth > _MAX_DEPTH:
        raise Unsearchable
    if has_zip:
        yield from _members(content, budget)
    if has_gzip:
        yield from _inflated_at(content, _GZIP, 16 + zlib.MAX_WBITS, budget)
    for magic in magics:
        yield from _inflated_at(content, magic, zlib.MAX_WBITS, budget)
    budget.depth -= 1


def wrapped_in(content: bytes, budget: Budget) -> Iterator[bytes]:
    """Yield what long runs of base64 in *content* hold."""
    for run in _WRAPPED.findall(content):
        bare = re.sub(rb"\s", b"", run)
        try:
            plain = base64.b64decode(bare[: len(bare) // 4 * 4])
        except (binascii.Error, ValueError):
            continue
        budget.spend(len(plain), streams=1)
        yield plain


def _inflated_at(content: bytes, magic: bytes, window: int, budget: Budget) -> Iterator[bytes]:
    position, attempts = content.find(magic), 0
    while position >= 0 and attempts < _MAX_ATTEMPTS:
        plain = budget.inflated(content[position:], window)
        attempts += 1
        if len(plain) >= _LEAST:
            yield plain
        position = content.find(magic, position + 2)


def _members(content: bytes, budget: Budget) -> Iterator[bytes]:
    """Yield name and content of each ZIP member by its local header; a directory may be missing or lie."""
    position = content.find(_ZIP)
    while 0 <= position <= len(content) - _LOCAL_HEADER.size:
        fields = _LOCAL_HEADER.unpack_from(content, position)
        flags, method, packed, name_length, extra_length = (
            fields[2],
            fields[3],
            fields[7],
            fields[9],
            fields[10],
        )
        begin = position + _LOCAL_HEADER.size
        name = content[begin : begin + name_length]
        begin += name_length + extra_length
        budget.spend(len(name), streams=1)
        yield name
        if flags & _ENCRYPTED:
            raise Unsearchable
        if method == _DEFLATED:
            yield budget.inflated(content[begin:], -zlib.MAX_WBITS)
        elif method == _STORED:
            yield content[begin : begin + (packed or len(content))]
        else:
            raise Unsearchable
        position = content.find(_ZIP, begin + (packed if method == _STORED else 0))
