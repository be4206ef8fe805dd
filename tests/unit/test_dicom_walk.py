"""Walking data sets: the elements an independent reader sees, and Malformed on bad bytes."""

import struct
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from p2d.dicom.walk import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Malformed,
    Syntax,
    after,
    first_spans,
    fragments,
    items,
    ordered,
    spans,
    vr_at,
)
from p2d.testing.datasets import ct

SYNTAXES = [EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG]


def written(dataset: Dataset, syntax: Syntax) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = syntax.is_implicit, syntax.is_little
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def nested(depth: int, *, undefined: bool) -> Dataset:
    dataset = Dataset()
    dataset.PatientID = f"level {depth}"
    if depth:
        dataset.ReferencedStudySequence = Sequence([nested(depth - 1, undefined=undefined)])
        dataset["ReferencedStudySequence"].is_undefined_length = undefined
        dataset.ReferencedStudySequence[0].is_undefined_length_sequence_item = undefined
    return dataset


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_element_is_found_where_pydicom_finds_it(syntax: Syntax) -> None:
    dataset = ct()
    dataset.pop("PixelData")
    content = written(dataset, syntax)

    found = spans(content, syntax)

    read = read_dataset(BytesIO(content), syntax.is_implicit, syntax.is_little)
    assert [span[0] for span in found] == [int(element.tag) for element in read.elements()]
    assert [content[span[3] : span[4]] for span in found] == [
        read.get_item(span[0]).value or b"" for span in found
    ]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined", [True, False])
def test_items_of_any_length_style_are_opened(syntax: Syntax, *, undefined: bool) -> None:
    content = written(nested(3, undefined=undefined), syntax)

    texts, place = [], spans(content, syntax)
    while place:
        texts += [content[s[3] : s[4]].strip() for s in place if s[0] == 0x00100020]
        inner = [item for s in place if s[0] == 0x00081110 for item in items(content, syntax, s)]
        place = [span for one, begin, end in inner for span in spans(content, one, begin, end)]

    assert texts == [b"level 3", b"level 2", b"level 1", b"level 0"]


def test_a_sequence_sent_as_unknown_is_implicit_inside() -> None:
    item = struct.pack("<HHI", 0x0010, 0x0020, 4) + b"PAT1"
    value = struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item
    content = struct.pack("<HH2sHI", 0x0008, 0x1110, b"UN", 0, len(value)) + value

    (span,) = spans(content, EXPLICIT_LITTLE)
    ((syntax, begin, end),) = items(content, EXPLICIT_LITTLE, span)

    assert vr_at(span[0], span[1]) == "SQ"
    assert content[spans(content, syntax, begin, end)[0][3] : end] == b"PAT1"


def test_fragments_of_encapsulated_pixels_are_told_apart() -> None:
    def item(content: bytes) -> bytes:
        return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content

    head = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    content = head + item(b"") + item(b"one!") + item(b"two!") + end

    (span,) = spans(content, EXPLICIT_LITTLE)

    found = [content[begin:stop] for begin, stop in fragments(content, EXPLICIT_LITTLE, span)]
    assert found == [b"", b"one!", b"two!"]
    assert after(span) == len(content)


def test_only_what_stands_before_a_tag_is_looked_at() -> None:
    content = written(ct(), EXPLICIT_LITTLE)
    broken = content[: content.index(b"\x20\x00\x0d\x00") + 40] + b"\xff" * 64

    found = [span[0] for span in first_spans(broken, EXPLICIT_LITTLE, 0, 0x00100020)]

    assert found[-1] == 0x00100020


def test_elements_out_of_order_are_put_in_order_and_doubles_refused() -> None:
    one = struct.pack("<HH2sH", 0x0010, 0x0020, b"LO", 2) + b"P1"
    other = struct.pack("<HH2sH", 0x0008, 0x0060, b"CS", 2) + b"CT"

    assert [s[0] for s in ordered(spans(one + other, EXPLICIT_LITTLE))] == [0x00080060, 0x00100020]
    with pytest.raises(Malformed):
        ordered(spans(one + one, EXPLICIT_LITTLE))


@pytest.mark.parametrize(
    "content",
    [
        b"\x08\x00",
        struct.pack("<HH2sH", 8, 0x60, b"CS", 200) + b"CT",
        struct.pack("<HH2sH", 8, 0x60, b"??", 2) + b"CT",
        struct.pack("<HH2sHI", 8, 0x60, b"UT", 0, 0xFFFFFFFF) + b"CT",
        struct.pack("<HHI", 0xFFFE, 0xE00D, 0),
        struct.pack("<HH2sHI", 8, 0x1110, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<HHI", 8, 0x60, 0),
    ],
)
def test_what_does_not_add_up_is_malformed(content: bytes) -> None:
    with pytest.raises(Malformed):
        spans(content, EXPLICIT_LITTLE)


def test_nesting_has_an_end() -> None:
    opening = struct.pack("<HH2sHI", 8, 0x1110, b"SQ", 0, 0xFFFFFFFF)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)

    with pytest.raises(Malformed):
        spans((opening + item) * 5000, EXPLICIT_LITTLE)


@given(st.binary(max_size=400), st.sampled_from(SYNTAXES))
def test_bytes_of_any_kind_are_walked_or_malformed(content: bytes, syntax: Syntax) -> None:
    try:
        found = spans(content, syntax)
    except Malformed:
        return
    assert sum(after(span) - span[2] for span in found) == len(content)


@given(st.data())
def test_a_damaged_header_never_ends_otherwise(data: st.DataObject) -> None:
    content = bytearray(written(nested(2, undefined=True), EXPLICIT_LITTLE))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        for span in spans(bytes(content), EXPLICIT_LITTLE):
            if span[1] == "SQ":
                list(items(bytes(content), EXPLICIT_LITTLE, span))
    except Malformed:
        return
