import struct

import pytest
from hypothesis import given
from hypothesis.strategies import binary

from p2d.deid.leak.codestream import comments


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">HH", 0xFF00 | marker, len(content) + 2) + content


@pytest.mark.parametrize(("start", "marker"), [(b"\xff\xd8", 0xFE), (b"\xff\xd8", 0xE1), (b"\xff\x4f", 0x64)])
def test_comments_before_the_pixels_are_found(start: bytes, marker: int) -> None:
    scan = 0xDA if start == b"\xff\xd8" else 0x90
    stream = start + _segment(0xDB if scan == 0xDA else 0x51, b"table") + _segment(marker, b"Example^Anna")
    stream += _segment(scan, b"..") + b"pixels Example^Nobody"

    found = comments(b"\xfe\xff\x00\xe0" + stream + b"\x00" + stream)

    assert found.count(b"Example^Anna") == 2
    assert b"Nobody" not in found
    assert b"table" not in found


def test_a_broken_codestream_counts_as_comment() -> None:
    assert b"Example" in comments(b"\xff\xd8\xff\xfe\x00\x00 Example^Anna")


@given(binary(max_size=2000))
def test_any_bytes_are_read_to_an_end(pixels: bytes) -> None:
    assert len(comments(b"\xff\xd8\xff" + pixels)) <= 40 * (len(pixels) + 3)
