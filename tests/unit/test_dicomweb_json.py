"""DICOM JSON: split as it arrives, read as elements, encoded anew without losing what it says."""

import contextlib
import json
import re
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from p2d.dicom.elements import elements_of as elements_of_dataset
from p2d.dicom.walk import EXPLICIT_LITTLE, spans
from p2d.model.header import text_of
from p2d.pacs.dicomweb.json_array import NotJson, objects_of
from p2d.pacs.dicomweb.json_model import NotDicomJson, elements_of, encoded_dataset
from p2d.testing.datasets import ct

TEXT = st.text(st.sampled_from('a"\\{}[],:ä\n '), max_size=6)
VALUES = st.recursive(
    TEXT | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
OBJECTS = st.lists(st.dictionaries(TEXT, VALUES, max_size=3), max_size=3)


def cut(content: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(content), *(one % (len(content) + 1) for one in cuts)})
    return [content[a:b] for a, b in pairwise(places)]


@given(OBJECTS, st.lists(st.integers(0, 300), max_size=12), st.sampled_from([None, 2]))
@example([{'"': '\\"}'}], [5, 6, 7, 8, 9], None)
def test_objects_are_the_same_however_the_array_is_cut_into_chunks(
    objects: list[dict[str, object]], cuts: list[int], indent: int | None
) -> None:
    content = json.dumps(objects, indent=indent, ensure_ascii=False).encode()

    assert list(objects_of(cut(content, cuts))) == objects


@given(st.binary(max_size=60) | st.text(st.sampled_from('[]{}",\\1a '), max_size=40).map(str.encode))
@example(b"[{}]{}")
@example(b"[" * 60)
def test_hostile_bytes_are_an_array_of_objects_or_refused(content: bytes) -> None:
    try:
        found = list(objects_of([content]))
    except NotJson:
        return

    written = re.sub(r"}\s*,\s*\]", "}]", content.decode("utf-8-sig"))  # a comma behind the last is let pass
    assert not content.strip() or json.loads(written) == found


@pytest.mark.parametrize(
    "content",
    [
        b"[",
        b'[{"a": 1}',
        b'[{"a": "',
        b"{}",
        b"[1]",
        b'["a"]',
        b"[{}] x",
        b"[{}][{}]",
        b"[{]}",
        b"[,]",
        b"[,{}]",
        b"[{}{}]",
        b"[{},,{}]",
        b"[[{}]]",
        b'[{"a": \xff}]',
        b'[{"a"}]',
        b"[{}}",
        b"[" + b'{"a":' * 300 + b"1" + b"}" * 300 + b"]",
    ],
)
def test_what_is_no_whole_array_of_objects_is_refused(content: bytes) -> None:
    with pytest.raises(NotJson):
        list(objects_of([content]))


def test_an_object_beyond_the_cap_is_refused_before_it_has_arrived() -> None:
    def endless() -> Iterator[bytes]:
        yield b'[{"a": "'
        while True:
            yield b"x" * 1000

    with pytest.raises(NotJson):
        list(objects_of(endless(), longest=10_000))


def test_a_data_set_has_the_same_elements_by_json_as_by_bytes() -> None:
    item = Dataset()
    item.CodeValue, item.CodeMeaning, item.ReferencedSOPInstanceUID = "T-D1100", "Köpfe", "1.2.3"
    inner = Dataset()
    inner.add_new(0x00080104, "LO", "tief")
    item.add_new(0x0040A170, "SQ", [inner])
    whole = ct(
        PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう",
        SliceThickness="0.48828125",
        PixelSpacing=["0.30000001192092", "1e-7"],
        WindowCenter=["40", "400"],
        AcquisitionNumber=None,
        FrameIncrementPointer=0x00181063,
        RescaleSlope="1.5",
        ImageComments=" leading\r\nlines",
        ReferencedImageSequence=[item, Dataset()],
        TableOfYBreakPoints=None,
    )
    whole.add_new(0x00280106, "US", 3)
    whole.add_new(0x00189306, "FD", [0.1, 2.5])
    whole.add_new(0x00090010, "LO", "ACME")
    whole.add_new(0x00091001, "UN", b"\1\2")
    plain = whole.to_json_dict(1024, lambda _: "http://archive/bulk")

    content = encoded_dataset(plain)

    by_bytes = elements_of_dataset(read_dataset(BytesIO(content), False, True))
    true = elements_of_dataset(whole)
    true = {path: one for path, one in true.items() if path != "7FE00010"}
    assert {p: one.values for p, one in by_bytes.items()} == {p: one.values for p, one in true.items()}
    read = elements_of(plain)
    assert {p: one.values for p, one in read.items() if p != "7FE00010"} == {
        p: one.values for p, one in true.items() if p != "00080005"
    }


def test_bulk_data_elsewhere_are_present_without_a_value_and_pixel_data_end_the_data_set() -> None:
    content = encoded_dataset(
        {
            "7FE00010": {"vr": "OW", "BulkDataURI": "http://archive/1"},
            "60003000": {"vr": "OW", "BulkDataURI": "http://archive/2"},
            "FFFAFFFA": {"vr": "SQ"},
            "00280010": {"vr": "US", "Value": [8]},
        }
    )

    assert [(span[0], span[4] - span[3]) for span in spans(content, EXPLICIT_LITTLE)] == [
        (0x00080005, 10),
        (0x00280010, 2),
        (0x60003000, 0),
    ]


@pytest.mark.parametrize(
    "attribute",
    [
        {"vr": "LO", "BulkDataURI": "http://archive/1"},
        {"vr": "US", "Value": [70_000]},
        {"vr": "US", "Value": ["a"]},
        {"vr": "CS", "Value": ["ä"]},
        {"vr": "OW", "InlineBinary": "?"},
        {"vr": "OW", "Value": [1]},
        {"vr": "LO", "Value": [[]]},
        {"vr": "LO", "Value": [True]},
        {"vr": "PN", "Value": [{"Alphabetic": 1}]},
        {"vr": "SQ", "Value": ["a"]},
        {"vr": "LO", "Value": "text"},
        {"vr": "XX"},
        {},
        [],
        "a",
    ],
    ids=str,
)
def test_what_cannot_be_written_whole_is_refused(attribute: object) -> None:
    with pytest.raises(NotDicomJson):
        encoded_dataset({"00081030": attribute})


ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        "vr": st.sampled_from(["LO", "PN", "SQ", "US", "IS", "DS", "FD", "AT", "UN", "OB", "XX"]) | st.none(),
        "Value": st.lists(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text(max_size=4)
            | st.dictionaries(st.text(), st.none())
        ),
        "InlineBinary": st.text(max_size=4),
    },
)


@given(
    st.dictionaries(
        st.sampled_from(["00080005", "00081030", "0008103e", "00020010", "7FE00010", "x"]), ATTRIBUTES
    )
)
@example({"00080018": {"vr": "IS", "Value": [float("inf")]}})
@example({"00080018": {"vr": "DS", "Value": [float("nan")]}})
def test_any_json_is_a_data_set_or_refused(source: dict[str, object]) -> None:
    with contextlib.suppress(NotDicomJson):
        elements_of(source)
    with contextlib.suppress(NotDicomJson):
        spans(encoded_dataset(source), EXPLICIT_LITTLE)


def test_nesting_without_end_is_refused() -> None:
    source: dict[str, object] = {}
    for _ in range(100):
        source = {"00081140": {"vr": "SQ", "Value": [source]}}

    for read in (elements_of, encoded_dataset):
        with pytest.raises(NotDicomJson):
            read(source)


def test_text_longer_than_a_short_length_can_say_is_kept() -> None:
    many = [float(number) / 7 for number in range(9000)]
    content = encoded_dataset({"30060050": {"vr": "DS", "Value": many}})

    found = elements_of_dataset(read_dataset(BytesIO(content), False, True))
    assert [round(float(one), 6) for one in found["30060050"].values] == [round(one, 6) for one in many]
    assert text_of(found, "00080005") == "ISO_IR 192"
