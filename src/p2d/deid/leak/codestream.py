"""What is written beside the pixels inside encapsulated Pixel Data, and behind native ones.

Pixel data are copied untouched, so the leak check is given all of them that is no compressed pixel: marker
segments of JPEG, JPEG-LS and JPEG 2000 (HTJ2K too), boxes of JPEG XL and JP2, user data of MPEG, a Basic
Offset Table that is none, and bytes between, behind and before codestreams. Large inputs are read in place.
"""

import re
import struct
from collections.abc import Callable, Iterator
from typing import Final

from p2d.deid.leak.streams import Unsearchable

_ITEM: Final = b"\xfe\xff\x00\xe0"
_DELIMITER: Final = b"\xfe\xff\xdd\xe0"
_HEAD: Final = 8  # bytes of an item's tag and length
_LONGEST: Final = 1 << 20
_ALL: Final = 1 << 24
_JOINED: Final = 1 << 26  # a codestream in several fragments is put together up to this size
_JPEG: Final = b"\xff\xd8\xff"
_J2K: Final = b"\xff\x4f\xff"
_JP2: Final = b"\x00\x00\x00\x0cjP  "
_JXL: Final = b"\x00\x00\x00\x0cJXL "
_JXL_BARE: Final = b"\xff\x0a"
_MP4: Final = b"ftyp"
_MPEG: Final = (b"\x00\x00\x01", b"\x00\x00\x00\x01", b"\x47")
_BARE: Final = frozenset({0x01, *range(0xD0, 0xD9), 0xFF})  # markers without a length, and fill bytes
_SCAN: Final = 0xDA
_END: Final = 0xD9
_TILE: Final = 0x90
_TILE_BYTES: Final = 0x93
_MARKER: Final = re.compile(
    rb"\xff[\x80-\xcf\xd9-\xfe]"
)  # others stand inside a scan (10918-1 B.1.1.2, 14495-1)
_CLOSING: Final = re.compile(rb"\xff\xd9")
_USER_DATA: Final = re.compile(rb"\x00\x00\x01(?:[\xb2\x06\x26\x46\x66]|[\x4e\x50]\x01)([^\x00]{4,4096})")
_PIXEL_BOXES: Final = frozenset({b"jxlc", b"jxlp", b"mdat", b"jbrd", b"jxli"})
_SEGMENTS: Final = 15
_RLE_HEADER: Final = 64


class _Found:
    """Distinct texts, each at most 1 MiB, all together at most 16 MiB."""

    def __init__(self) -> None:
        self.texts: dict[bytes, None] = {}
        self._size = 0

    def add(self, view: memoryview, begin: int, end: int) -> None:
        """Add the bytes from *begin* to *end*, zeros at their end left out."""
        if end <= begin:
            return
        text = bytes(view[begin : min(end, begin + _LONGEST)]).rstrip(b"\0")
        if text and text not in self.texts:
            self.texts[text] = None
            self._size += len(text)
            if self._size > _ALL:
                raise Unsearchable


def comments(pixels: bytes | memoryview) -> bytes:
    """Return what encapsulated *pixels* (the value of Pixel Data: items, delimiter) hold beside pixels.

    A codestream that is not as its standard has it, and a fragment of no known kind, counts as comment from
    there on, up to 1 MiB.

    Raises:
        Unsearchable: more than 16 MiB beside the pixels, which no image needs.

    """
    found = _Found()
    with memoryview(pixels) as view:
        fragments = list(_fragments(view, found))
        if fragments:
            _offset_table(view, fragments, found)
        stream: list[tuple[int, int]] = []
        for begin, end in fragments[1:]:
            if stream and _kind(view, begin, end) is not None:
                _read(view, stream, found)
                stream = []
            stream.append((begin, end))
        if stream:
            _read(view, stream, found)
    return b"\n".join(found.texts)


def surplus_of(length: int, expected: int) -> int:
    """Return how many bytes native pixel data of *length* bytes have beyond *expected* and a padding byte.

    *expected* is rows x columns x samples x frames x bits allocated / 8, rounded up (PS3.5 8.1.1).
    """
    return max(0, length - expected - expected % 2)


def _fragments(view: memoryview, found: _Found) -> Iterator[tuple[int, int]]:
    """Yield where the value of each item begins and ends; what is no item is added to *found*."""
    position, size = 0, len(view)
    while position + _HEAD <= size:
        tag, length = bytes(view[position : position + 4]), struct.unpack_from("<I", view, position + 4)[0]
        if tag != _ITEM:
            found.add(view, position + (_HEAD if tag == _DELIMITER else 0), size)
            return
        end = min(position + _HEAD + length, size)
        yield position + _HEAD, end
        position = end
    found.add(view, position, size)


def _offset_table(view: memoryview, fragments: list[tuple[int, int]], found: _Found) -> None:
    """Add the first item to *found* where it holds anything but where fragments begin (PS3.5 A.4)."""
    begin, end = fragments[0]
    count, rest = divmod(end - begin, 4)
    first = end  # offsets count from the item behind the table
    starts = {start - _HEAD - first for start, _ in fragments[1:]}
    if rest or not starts.issuperset(struct.unpack_from(f"<{count}I", view, begin)):
        found.add(view, begin, end)


_Reader = Callable[[memoryview, int, int, _Found], int]
"""Adds the texts of the codestream between two positions to what was found; returns where it ends."""


def _kind(view: memoryview, begin: int, end: int) -> _Reader | None:
    """Return the reader for the codestream that begins at *begin*, or None where none does."""
    head = bytes(view[begin : min(end, begin + 12)])
    for magics, reader in _READERS:
        if head.startswith(magics):
            return reader
    if head[4:8] == _MP4:
        return _boxes
    return _rle if _is_rle(head) else None


def _is_rle(head: bytes) -> bool:
    segments, first = int.from_bytes(head[:4], "little"), int.from_bytes(head[4:8], "little")
    return 0 < segments <= _SEGMENTS and first == _RLE_HEADER


def _read(view: memoryview, stream: list[tuple[int, int]], found: _Found) -> None:
    """Add the texts of one codestream, which may lie in several fragments, to *found*."""
    begin, end = stream[0]
    size = sum(end - begin for begin, end in stream)
    if _kind(view, begin, end) is None:
        for begin, end in stream:
            found.add(view, begin, end)
    elif len(stream) > 1 and size <= _JOINED:
        with memoryview(b"".join(view[begin:end] for begin, end in stream)) as whole:
            _read_all(whole, 0, size, found)
    else:
        _read_all(view, begin, stream[-1][1], found)


def _read_all(view: memoryview, position: int, end: int, found: _Found) -> None:
    """Read codestreams one behind the other, and what follows them."""
    while position < end:
        reader = _kind(view, position, end)
        if reader is None:
            found.add(view, position, end)
            return
        position = reader(view, position, end, found)


def _jpeg(view: memoryview, position: int, end: int, found: _Found) -> int:
    position += 2
    while position + 2 <= end:
        marker = view[position + 1]
        if view[position] != 0xFF:  # noqa: PLR2004 - every marker begins so
            break
        if marker == _END:
            return position + 2
        if marker in _BARE:
            position += 1 if marker == 0xFF else 2  # noqa: PLR2004 - a fill byte
            continue
        behind = _segment(view, position, end, found)
        if not behind:
            break
        position = behind
        if marker == _SCAN:
            following = _MARKER.search(view, position, end)
            if following is None:
                return end
            position = following.start()
    found.add(view, position, end)
    return end


def _segment(view: memoryview, position: int, end: int, found: _Found) -> int:
    """Add the content of the marker segment at *position*; return where it ends, 0 where it is broken."""
    if position + 4 > end:
        return 0
    length = struct.unpack_from(">H", view, position + 2)[0]
    behind: int = position + 2 + length
    if length < 2 or behind > end:  # noqa: PLR2004 - a length counts itself
        return 0
    found.add(view, position + 4, behind)
    return behind


def _jpeg_2000(view: memoryview, position: int, end: int, found: _Found) -> int:
    """Read main and tile-part headers (ISO/IEC 15444-1 A.3); tile-parts say how long they are."""
    position += 2
    tile_end = 0  # set inside the header of a tile-part
    while position + 2 <= end:
        marker = view[position + 1]
        if view[position] != 0xFF:  # noqa: PLR2004 - every marker begins so
            break
        if marker == _END and not tile_end:
            return position + 2
        if marker == _TILE_BYTES and tile_end:
            position, tile_end = max(position + 2, tile_end), 0
            continue
        behind = _segment(view, position, end, found)
        if not behind:
            break
        if marker == _TILE and behind == position + 12:
            size = struct.unpack_from(">I", view, position + 6)[0]
            tile_end = position + size if size else _last_tile_end(view, behind, end)
            if tile_end > end:
                return end
        position = behind
    found.add(view, position, end)
    return end


def _last_tile_end(view: memoryview, position: int, end: int) -> int:
    closing = _CLOSING.search(view, position, end)
    return closing.start() if closing else end


def _boxes(view: memoryview, position: int, end: int, found: _Found) -> int:
    """Read boxes (ISO/IEC 15444-1 I.4, 18181-2, 14496-12): all but those of pixels are texts."""
    while position + _HEAD <= end:
        size, kind = struct.unpack_from(">I4s", view, position)
        content = position + _HEAD
        if size == 1 and content + 8 <= end:
            size = struct.unpack_from(">Q", view, content)[0]
            content += 8
        behind = position + size if size else end
        if behind < content or behind > end:
            break
        if kind == b"jp2c" and _kind(view, content, behind) is _jpeg_2000:
            _read_all(view, content, behind, found)
        elif kind not in _PIXEL_BOXES:
            found.add(view, content, behind)
        position = behind
    found.add(view, position, end)
    return end


def _rle(view: memoryview, position: int, end: int, found: _Found) -> int:
    """Read the header (PS3.5 G.5), whose unused offsets are zero."""
    header = position + 4, min(position + _RLE_HEADER, end)
    count = struct.unpack_from("<I", view, position)[0]
    found.add(view, min(header[0] + 4 * count, header[1]), header[1])
    return end


def _mpeg(view: memoryview, position: int, end: int, found: _Found) -> int:
    for user_data in _USER_DATA.finditer(view, position, end):
        found.add(view, *user_data.span(1))
    return end


def _nothing(_view: memoryview, _position: int, end: int, _found: _Found) -> int:
    return end


_READERS: Final[tuple[tuple[tuple[bytes, ...], _Reader], ...]] = (
    ((_JPEG,), _jpeg),
    ((_J2K,), _jpeg_2000),
    ((_JP2, _JXL), _boxes),
    ((_JXL_BARE,), _nothing),
    (_MPEG, _mpeg),
)
