"""Comments that a compressed image carries in its own codestream: JPEG COM and APPn, JPEG 2000 COM.

Pixel data are copied untouched, so what is written beside the pixels inside them is handed to the leak check.
"""

import struct
from typing import Final

_JPEG_START: Final = b"\xff\xd8"
_J2K_START: Final = b"\xff\x4f"
_JPEG_SCAN: Final = 0xDA
_J2K_TILE: Final = 0x90
_JPEG_TEXTS: Final = frozenset({0xFE, *range(0xE0, 0xF0)})  # COM, APP0 to APP15 (ISO/IEC 10918-1 B.2.4)
_J2K_TEXTS: Final = frozenset({0x64})  # COM (ISO/IEC 15444-1 A.9.2)
_LONGEST: Final = 1 << 20


def comments(view: bytes | memoryview) -> bytes:
    """Return the comment segments of every codestream that begins in encapsulated *pixels*.

    A codestream that is not as its standard has it counts as comment as a whole, up to 1 MiB.
    """
    found: list[bytes] = []
    pixels = bytes(view)
    for start, scan, texts in (
        (_JPEG_START, _JPEG_SCAN, _JPEG_TEXTS),
        (_J2K_START, _J2K_TILE, _J2K_TEXTS),
    ):
        position = pixels.find(start + b"\xff")
        while position >= 0:
            end = _collect(pixels, position + 2, scan, texts, found)
            position = pixels.find(start + b"\xff", max(end, position + 2))
    return b"\n".join(found)


def _collect(pixels: bytes, position: int, scan: int, texts: frozenset[int], found: list[bytes]) -> int:
    """Add the texts among the marker segments from *position* on to *found*; return where they end."""
    begin = position
    while position + 4 <= len(pixels):
        marker, length = struct.unpack_from(">HH", pixels, position)
        if marker >> 8 != 0xFF or length < 2:  # noqa: PLR2004 - every marker begins so; a length counts itself
            found.append(pixels[begin : begin + _LONGEST])
            return position
        if marker & 0xFF == scan:
            return position
        if marker & 0xFF in texts:
            found.append(pixels[position + 4 : position + 2 + length])
        position += 2 + length
    return position
