import struct

import pytest
from hypothesis import given
from hypothesis.strategies import binary, sampled_from

from p2d.deid.leak.codestream import comments, surplus_of
from p2d.deid.leak.streams import Unsearchable

NAME = b"Example^Anna"
PIXELS = b"\x12\x34\xff\x00Example^Nobody\x56"


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">HH", 0xFF00 | marker, len(content) + 2) + content


def item(content: bytes) -> bytes:
    return b"\xfe\xff\x00\xe0" + struct.pack("<I", len(content)) + content


def encapsulated(*fragments: bytes, table: bytes = b"") -> bytes:
    return item(table) + b"".join(map(item, fragments)) + b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"


def jpeg(*segments: bytes, behind: bytes = b"") -> bytes:
    return b"\xff\xd8" + b"".join(segments) + segment(0xDA, b"scan") + PIXELS + b"\xff\xd9" + behind


def jpeg_2000(*segments: bytes, in_tile: bytes = b"", behind: bytes = b"") -> bytes:
    size = 12 + len(in_tile) + 2 + len(PIXELS)
    tile = struct.pack(">HHHIBB", 0xFF90, 10, 0, size, 0, 1) + in_tile + b"\xff\x93" + PIXELS
    return b"\xff\x4f" + segment(0x51, b"size") + b"".join(segments) + tile + b"\xff\xd9" + behind


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def rle(header_end: bytes = bytes(56)) -> bytes:
    return struct.pack("<II", 1, 64) + header_end + PIXELS


HIDDEN = {
    "JPEG COM": encapsulated(jpeg(segment(0xFE, NAME))),
    "JPEG APP1": encapsulated(jpeg(segment(0xE1, NAME))),
    "JPEG-LS SPIFF": encapsulated(jpeg(segment(0xF7, b"frame"), segment(0xE8, b"SPIFF\0" + NAME))),
    "JPEG table": encapsulated(jpeg(segment(0xDB, NAME))),
    "JPEG COM between scans": encapsulated(
        b"\xff\xd8"
        + segment(0xDA, b"scan")
        + PIXELS
        + segment(0xFE, NAME)
        + segment(0xDA, b"scan")
        + b"\xff\xd9"
    ),
    "second JPEG": encapsulated(jpeg() + jpeg(segment(0xFE, NAME))),
    "behind the end of JPEG": encapsulated(jpeg(behind=NAME)),
    "behind the end of JPEG, with an end of its own": encapsulated(jpeg(behind=NAME + b"\xff\xd9")),
    "JPEG in two fragments": encapsulated(jpeg(segment(0xFE, NAME))[:9], jpeg(segment(0xFE, NAME))[9:]),
    "JPEG of a later frame": encapsulated(jpeg(), jpeg(), jpeg(segment(0xFE, NAME))),
    "broken JPEG": encapsulated(b"\xff\xd8\xff\xfe\x00\x00" + NAME),
    "JPEG 2000 COM": encapsulated(jpeg_2000(segment(0x64, b"\0\1" + NAME))),
    "HTJ2K CAP": encapsulated(jpeg_2000(segment(0x50, NAME))),
    "JPEG 2000 COM in a tile-part": encapsulated(jpeg_2000(in_tile=segment(0x64, b"\0\1" + NAME))),
    "behind the end of JPEG 2000": encapsulated(jpeg_2000(behind=NAME)),
    "JP2 box": encapsulated(box(b"jP  ", b"\r\n\x87\n") + box(b"jp2c", jpeg_2000()) + box(b"xml ", NAME)),
    "JPEG XL box": encapsulated(box(b"JXL ", b"\r\n\x87\n") + box(b"jxlc", PIXELS) + box(b"Exif", NAME)),
    "MPEG-2 user data": encapsulated(
        b"\x00\x00\x01\xb3seq\x00\x00\x01\xb2" + NAME + b"\x00\x00\x01\x00" + PIXELS
    ),
    "H.264 SEI": encapsulated(
        b"\x00\x00\x00\x01\x67sps\x00\x00\x01\x06" + NAME + b"\x00\x00\x01\x65" + PIXELS
    ),
    "unused RLE offsets": encapsulated(rle(NAME + bytes(56 - len(NAME)))),
    "no codestream at all": encapsulated(NAME),
    "offset table": encapsulated(jpeg(), table=NAME),
    "behind the delimiter": encapsulated(jpeg()) + NAME,
    "no item": NAME,
}


@pytest.mark.parametrize("place", HIDDEN)
def test_what_stands_beside_the_pixels_is_found(place: str) -> None:
    found = comments(memoryview(HIDDEN[place]))

    assert NAME in found
    assert b"Nobody" not in found


@pytest.mark.parametrize("stream", [jpeg(), jpeg_2000(), rle(), b"\xff\x0a" + PIXELS])
def test_pixels_are_no_comments(stream: bytes) -> None:
    table = struct.pack("<II", 0, 8 + len(stream))

    assert b"Nobody" not in comments(encapsulated(stream, stream, table=table))


def test_the_same_tables_of_every_frame_are_searched_once() -> None:
    frames = [jpeg(segment(0xFE, NAME))] * 50

    assert comments(encapsulated(*frames)).count(NAME) == 1


def test_more_than_an_image_needs_beside_its_pixels_is_an_error() -> None:
    frames = [
        jpeg(segment(0xFE, bytes([number % 255 + 1, number // 255 + 1]) * 30_000)) for number in range(300)
    ]

    with pytest.raises(Unsearchable):
        comments(encapsulated(*frames))


def test_only_a_padding_byte_may_follow_native_pixels() -> None:
    assert surplus_of(101, 100) == 1
    assert surplus_of(100, 99) == 0
    assert surplus_of(99, 100) == 0


@given(
    start=sampled_from([b"", b"\xff\xd8\xff", b"\xff\x4f\xff", b"\0\0\0\x0cjP  ", b"\0\0\1\xb3"]),
    rest=binary(),
)
def test_any_bytes_are_read_to_an_end(start: bytes, rest: bytes) -> None:
    assert len(comments(encapsulated(start + rest) + rest)) <= 8 * (len(rest) + 16)
    assert len(comments(start + rest)) <= 8 * (len(rest) + 16)
