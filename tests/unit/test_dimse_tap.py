"""The header tap: any chunking gives the header that cutting the whole gives; hostile bytes stay small."""

import contextlib
import itertools
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from p2d.dicom.walk import IMPLICIT_LITTLE
from p2d.dimse.tap import HeaderTap, Unreadable, syntax_of
from p2d.testing.datasets import ct

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
PIXEL_DATA = 0x7FE00010


def written(dataset: Dataset, syntax: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = syntax == IMPLICIT, True
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def nested(depth: int, *, undefined: bool) -> Dataset:
    dataset = Dataset()
    dataset.PatientID = f"level {depth}"
    dataset.PixelData = b"icon"  # within a sequence: no end of the header
    dataset["PixelData"].VR = "OW"
    if depth:
        dataset.IconImageSequence = Sequence([nested(depth - 1, undefined=undefined) for _ in range(2)])
        dataset["IconImageSequence"].is_undefined_length = undefined
        dataset.IconImageSequence[0].is_undefined_length_sequence_item = undefined
    return dataset


def header_and_pixels(syntax: str, *, undefined: bool, depth: int = 2) -> tuple[bytes, bytes]:
    whole = ct(IconImageSequence=[nested(depth, undefined=undefined)])
    whole["IconImageSequence"].is_undefined_length = undefined
    pixels = Dataset()
    pixels.PixelData, pixels.DataSetTrailingPadding = whole.pop("PixelData").value, b"\0" * 40
    pixels["PixelData"].VR = "OW"
    return written(whole, syntax), written(pixels, syntax)


def fed(tap: HeaderTap, content: bytes, cuts: list[int]) -> HeaderTap:
    places = [0, *sorted(cut % (len(content) + 1) for cut in cuts), len(content)]
    for begin, end in itertools.pairwise(places):
        tap.write(memoryview(content)[begin:end], last=False)
    tap.write(b"", last=True)
    return tap


def un_of_undefined_length(content: bytes) -> bytes:
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content
    head = struct.pack("<HH2sHI", 0x0029, 0x1010, b"UN", 0, 0xFFFFFFFF)
    return head + item + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


@given(
    syntax=st.sampled_from([IMPLICIT, EXPLICIT]),
    undefined=st.booleans(),
    cuts=st.lists(st.integers(0, 10_000), max_size=12),
)
def test_any_chunking_gives_the_same_header(syntax: str, cuts: list[int], *, undefined: bool) -> None:
    header, pixels = header_and_pixels(syntax, undefined=undefined)

    tap = fed(HeaderTap(syntax), header + pixels, cuts)

    assert (tap.header, tap.cut_at, tap.dropped_bytes) == (header, PIXEL_DATA, len(pixels))


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_byte_by_byte_gives_the_same_header(syntax: str) -> None:
    header, pixels = header_and_pixels(syntax, undefined=True)

    tap = fed(HeaderTap(syntax), header + pixels, list(range(len(header + pixels))))

    assert tap.header == header


@pytest.mark.parametrize("tag", [0x0008, 0x0009, 0x0010])
def test_every_kind_of_pixel_data_ends_the_header(tag: int) -> None:
    header = written(ct(PixelData=None), EXPLICIT)
    pixels = struct.pack("<HH2sHI", 0x7FE0, tag, b"OD", 0, 1 << 31)

    tap = HeaderTap(EXPLICIT)
    tap.write(header + pixels)

    assert (tap.header, tap.cut_at) == (header, 0x7FE00000 | tag)


def test_encapsulated_pixels_are_dropped_too() -> None:
    header = written(ct(PixelData=None), EXPLICIT)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 4) + b"jpeg"
    pixels = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF) + item * 3

    tap = HeaderTap(JPEG_BASELINE)
    tap.write(header + pixels, last=True)

    assert (tap.header, tap.dropped_bytes) == (header, len(pixels))


def test_unknown_values_of_undefined_length_are_followed() -> None:
    inner = written(nested(1, undefined=True), IMPLICIT)
    header = written(ct(PixelData=None, PatientID="P-1"), EXPLICIT) + un_of_undefined_length(inner)

    tap = fed(HeaderTap(EXPLICIT), header, list(range(0, len(header), 7)))

    assert (tap.header, tap.cut_at, tap.dropped_bytes) == (header, 0, 0)


def test_a_data_set_without_pixels_is_kept_whole() -> None:
    content = written(ct(PixelData=None), EXPLICIT)

    tap = HeaderTap(EXPLICIT)
    tap.write(content, last=True)

    assert (tap.header, tap.cut_at) == (content, 0)


@given(st.integers(1, 400))
def test_a_data_set_that_ends_early_is_refused(length: int) -> None:
    content = written(ct(PixelData=None), EXPLICIT)
    tap = HeaderTap(EXPLICIT)

    whole = {0}
    position = 0
    while position < len(content):
        position += 8 + struct.unpack_from("<H", content, position + 6)[0]
        whole.add(position)
    if length in whole:
        tap.write(content[:length], last=True)
        assert tap.header == content[:length]
    else:
        with pytest.raises(Unreadable, match="ends within an element"):
            tap.write(content[:length], last=True)


@given(st.lists(st.binary(max_size=200), max_size=30), st.sampled_from([IMPLICIT, EXPLICIT]), st.data())
def test_hostile_bytes_raise_the_own_error_only_and_stay_below_the_limit(
    pieces: list[bytes], syntax: str, data: st.DataObject
) -> None:
    header, pixels = header_and_pixels(syntax, undefined=data.draw(st.booleans()))
    hostile = bytearray(header + pixels)
    for place, byte in data.draw(st.lists(st.tuples(st.integers(0, len(hostile) - 1), st.integers(0, 255)))):
        hostile[place] = byte
    tap = HeaderTap(syntax, limit=500)

    for piece in [*pieces, bytes(hostile)]:
        with contextlib.suppress(Unreadable):
            tap.write(piece)
        assert len(tap._buffer) <= 508
        assert len(tap.header or b"") <= 500


@example(limit=0)
@given(limit=st.integers(0, 2000))
def test_a_header_fits_the_limit_or_is_refused(limit: int) -> None:
    header, pixels = header_and_pixels(EXPLICIT, undefined=False)
    tap = HeaderTap(EXPLICIT, limit=limit)

    if len(header) <= limit:
        fed(tap, header + pixels, [40, 700])
        assert tap.header == header
    else:
        with pytest.raises(Unreadable, match="longer than the limit"):
            fed(tap, header + pixels, [40, 700])


def test_a_length_beyond_the_limit_is_refused_before_it_arrives() -> None:
    tap = HeaderTap(EXPLICIT, limit=1 << 20)

    with pytest.raises(Unreadable, match="longer than the limit"):
        tap.write(struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 0xFFFFFFF0))


def test_ten_thousand_nested_sequences_are_refused() -> None:
    level = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    level += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)

    with pytest.raises(Unreadable, match="nested too deep"):
        HeaderTap(EXPLICIT).write(level * 10_000, last=True)


def test_a_long_header_in_small_pieces_is_walked_anew_only_after_it_has_doubled() -> None:
    items = [nested(0, undefined=True) for _ in range(500)]
    whole = ct(PixelData=None, IconImageSequence=items)
    whole["IconImageSequence"].is_undefined_length = True
    content = written(whole, EXPLICIT)
    tap, tries = HeaderTap(EXPLICIT), set()

    for begin in range(0, len(content), 16):
        tap.write(content[begin : begin + 16])
        tries.add(tap._next_try)
    tap.write(b"", last=True)

    late = sorted(place for place in tries if place > 4096)
    assert tap.header == content
    assert all(later >= 2 * earlier for earlier, later in itertools.pairwise(late))


def test_elements_after_the_first_error_are_refused_too() -> None:
    tap = HeaderTap(EXPLICIT)
    with pytest.raises(Unreadable):
        tap.write(b"no data set at all")

    with pytest.raises(Unreadable):
        tap.write(written(ct(), EXPLICIT), last=True)


@pytest.mark.parametrize("syntax", [DEFLATED, BIG_ENDIAN, "1.2.840.10008.1.2.4.95", "1.2.3", ""])
def test_syntaxes_that_are_never_offered_are_refused(syntax: str) -> None:
    with pytest.raises(Unreadable, match="never offers"):
        HeaderTap(syntax)


def test_only_the_default_syntax_is_implicit() -> None:
    assert syntax_of(IMPLICIT) == IMPLICIT_LITTLE
    assert not syntax_of(JPEG_BASELINE).is_implicit
