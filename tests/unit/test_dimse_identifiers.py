"""C-FIND identifiers: read flat, they equal what pydicom reads of them, in every character set."""

import struct
from io import BytesIO
from warnings import catch_warnings, simplefilter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import python_encoding
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from p2d.dicom.elements import UndecodableHeader, elements_of
from p2d.dimse.identifiers import Answers, Row, answer
from p2d.model.level import Level
from p2d.pacs.query import KEYS

TRANSPORT = {"00080001", "00080005", "00080052", "00080054", "00080055", "00080056"}
TERMS = sorted(term for term in python_encoding if term)
TAGS = sorted(
    {int(path, 16) for level in Level for path in KEYS[level]}
    | {0x00080052, 0x00080054, 0x00080056, 0x00280106, 0x00280103, 0x00100021, 0x00091001, 0x00090010}
    | {0x00081140, 0x00400275, 0x00181050, 0x00280009, 0x00080000, 0x00104000, 0x00409225}
)
TEXTS = {
    "ISO_IR 100": "Müller^Ånders",
    "ISO_IR 101": "Łukasz^Őz",
    "ISO_IR 144": "Жук",
    "ISO_IR 126": "Διονυσιος",
    "ISO_IR 127": "قباني^لنزار",
    "ISO_IR 138": "שרון^דבורה",
    "ISO_IR 148": "Çavuşoğlu",
    "ISO_IR 13": "ﾔﾏﾀﾞ^ﾀﾛｳ",
    "ISO_IR 166": "นามสกุล",
    "ISO_IR 192": "Wang^XiaoDong=王^小东",
    "GB18030": "Wang^XiaoDong=王^小东",
    "GBK": "王^小东",
    "ISO 2022 IR 87": "Yamada^Tarou=山田^太郎",
    "ISO 2022 IR 149": "Hong^Gildong=洪^吉洞=홍^길동",
}


def element(tag: int, content: bytes) -> bytes:
    content += b" " * (len(content) % 2)
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(content)) + content


def by_pydicom(content: bytes) -> Row | str:
    with catch_warnings():
        simplefilter("ignore")  # pydicom says that it guesses too
        try:
            dataset = read_dataset(BytesIO(content), is_implicit_VR=True, is_little_endian=True)
            flat = elements_of(dataset, guess=True)
        except UndecodableHeader:
            return "broken"
    return {path: one for path, one in flat.items() if path not in TRANSPORT}


def by_ours(answers: Answers, content: bytes) -> Row | str:
    with catch_warnings():
        simplefilter("ignore")  # as above, in answers that pydicom reads for us
        try:
            return answers.row(content)
        except ValueError:  # what a connector makes a violation of
            return "broken"


@pytest.mark.parametrize("term", sorted(TEXTS))
def test_text_of_every_character_set_equals_pydicoms(term: str) -> None:
    content = written(term, TEXTS[term])

    row = answer(content)

    assert row == by_pydicom(content)
    assert row["00100010"].text == TEXTS[term]


def written(term: str, text: str) -> bytes:
    if not term.startswith("ISO 2022"):
        return element(0x00080005, term.encode()) + element(0x00100010, text.encode(python_encoding[term]))
    one = Dataset()
    one.SpecificCharacterSet = ["", term]
    one.PatientName = text
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = True, True
    write_dataset(buffer, one)
    return buffer.getvalue()


values = st.one_of(
    st.sampled_from(["1", "2.50", "P-1", "CT\\MR", " a ", "1.2.3", "20200102", "x\\ \\", "Müller", ""]).map(
        lambda text: text.encode()
    ),
    st.binary(max_size=12),
)
characters = st.one_of(
    st.just(b""),
    st.lists(st.sampled_from(TERMS), min_size=1, max_size=3).map(lambda some: "\\".join(some).encode()),
    st.sampled_from([b"\\ISO 2022 IR 87", b"NONE", b"ISO_IR 192\\ISO 2022 IR 6"]),
)


@st.composite
def rows(draw: st.DrawFn) -> list[bytes]:
    tags = sorted(draw(st.sets(st.sampled_from(TAGS), max_size=8)))
    repeated = {tag: draw(values) for tag in tags}
    found = []
    for _ in range(draw(st.integers(1, 4))):
        declared = draw(st.none() | characters)
        parts = {tag: repeated[tag] if draw(st.booleans()) else draw(values) for tag in tags}
        if declared is not None:
            parts[0x00080005] = declared
        found.append(b"".join(element(tag, parts[tag]) for tag in sorted(parts)))
    return found


@given(rows())
def test_any_answers_to_one_query_equal_pydicoms_each_by_itself(some: list[bytes]) -> None:
    answers = Answers()

    for content in some:
        assert by_ours(answers, content) == by_pydicom(content)


@given(st.binary(max_size=100))
def test_any_bytes_are_an_answer_or_unreadable(content: bytes) -> None:
    by_ours(Answers(), content)
