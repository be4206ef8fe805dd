import gzip
import io
import mmap
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis.strategies import binary, integers, sampled_from
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence as ItemSequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from p2d.deid.leak.folder import Finding, FolderCheck
from p2d.deid.leak.needles import Kind
from p2d.model.identified import KnownValues

KNOWN = KnownValues(
    names=frozenset({"Lehmkühler^Änne", "Kuznecova^Olga=Кузнецова^Ольга", "山田^太郎"}),
    ids=frozenset({"87654321"}),
    birth_dates=frozenset({"19500317"}),
)
ONE = FolderCheck([KNOWN])
MANY = FolderCheck(
    [
        KNOWN,
        *(
            KnownValues(
                names=frozenset({f"Muster{chr(97 + n % 26)}{chr(97 + n // 26)}mann^Beispiela"}),
                ids=frozenset({f"{40_000_000 + 7919 * n}"}),
                birth_dates=frozenset({f"20{n % 24:02d}{n % 12 + 1:02d}{n % 28 + 1:02d}"}),
            )
            for n in range(600)
        ),
    ],
    uids=["1.2.276.0.7230010.3.1.4.1"],
)
CHECKS = (ONE, MANY)
SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)


def dataset(**values: object) -> Dataset:
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    made.SOPInstanceUID = "2.25.123456789012345678901234567890"
    made.StudyDate = "20190304"
    made.StudyTime = "170350"
    made.Modality = "CT"
    made.PatientName = "P0123"
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def file_of(made: Dataset, syntax: str = ExplicitVRLittleEndian, preamble: bytes = bytes(128)) -> bytes:
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = UID(syntax)
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.preamble = preamble
    buffer = io.BytesIO()
    dcmwrite(
        buffer,
        made,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
    )
    return buffer.getvalue()


def nested(depth: int, **values: object) -> Dataset:
    inner = Dataset()
    for keyword, value in values.items():
        setattr(inner, keyword, value)
    for _ in range(depth):
        outer = Dataset()
        outer.ContentSequence = ItemSequence([Dataset(), inner])
        inner = outer
    return dataset(ContentSequence=inner.ContentSequence)


def private(vr: str, value: object) -> Dataset:
    made = dataset()
    block = made.private_block(0x0029, "ACME", create=True)
    block.add_new(0x10, vr, value)
    return made


def with_pixels(pixels: bytes, *, encapsulated: bool = False) -> bytes:
    made = dataset(Rows=1, Columns=len(pixels), BitsAllocated=8, PixelRepresentation=0, SamplesPerPixel=1)
    made.PixelData = encapsulate([pixels]) if encapsulated else pixels + bytes(len(pixels) % 2)
    made["PixelData"].VR = "OB"
    return file_of(made, JPEGBaseline8Bit if encapsulated else ExplicitVRLittleEndian)


def placed(content: bytes, check: FolderCheck = ONE, name: str = "a/b.dcm") -> set[tuple[Kind, str]]:
    return {(finding.kind, finding.place) for finding in check.check_file(content, name).found}


COM = b"\xff\xd8\xff\xfe" + struct.pack(">H", 15) + b"Lehmkuehler\0\0" + b"\xff\xda\x00\x02xx\xff\xd9"
PLACES: dict[str, Callable[[], bytes]] = {
    "StudyDescription": lambda: file_of(dataset(StudyDescription="MR Knie Lehmkühler Verlauf")),
    "preamble": lambda: file_of(dataset(), preamble=b"Lehmkuehler".ljust(128, b"\0")),
    "behind the last element": lambda: file_of(dataset()) + b"\0\0Lehm",
    "ContentSequence[1].ContentSequence[1].TextValue": lambda: file_of(nested(2, TextValue="Lehmkuehler")),
    "00291010": lambda: file_of(private("UN", "xx Lehmkühler".encode("latin-1"))),
    "PixelData, codestream comments": lambda: with_pixels(COM, encapsulated=True),
    "PixelData": lambda: with_pixels(bytes(range(256)) + b"Lehmkuehler" + bytes(40)),
    "file name": lambda: file_of(dataset()),
}  # fmt: skip


@pytest.mark.parametrize("check", CHECKS, ids=["one patient", "many"])
@pytest.mark.parametrize("place", PLACES)
def test_a_name_is_found_and_its_place_told(place: str, check: FolderCheck) -> None:
    content = PLACES[place]()
    if place == "behind the last element":
        content += b"kuehler"
    name = "Lehmkuehler/1.dcm" if place == "file name" else "1.dcm"

    assert placed(content, check, name) == {(Kind.NAME, place)}


@pytest.mark.parametrize("check", CHECKS, ids=["one patient", "many"])
@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    ("keyword", "value", "kind"),
    [
        ("PatientComments", "Frau Lehmkühler", Kind.NAME),
        ("PatientComments", "Änne", Kind.SHORT_NAME),
        ("ReferringPhysicianName", "山田^太郎", Kind.NAME),
        ("ReferringPhysicianName", "Кузнецова", Kind.NAME),
        ("AccessionNumber", "87654321", Kind.ID),
        ("SeriesNumber", 87654321, Kind.ID),
        ("PatientBirthDate", "19500317", Kind.BIRTH_DATE),
        ("ImageComments", "geb. 17.03.1950", Kind.BIRTH_DATE),
    ],
)
def test_each_kind_is_found_in_each_transfer_syntax(
    keyword: str, value: object, kind: Kind, syntax: str, check: FolderCheck
) -> None:
    assert placed(file_of(dataset(**{keyword: value}), syntax), check) == {(kind, keyword)}


@pytest.mark.parametrize("check", CHECKS, ids=["one patient", "many"])
def test_files_without_known_values_give_no_finding(check: FolderCheck) -> None:
    clean = dataset(StudyDescription="CT Kopf nativ, Kontrolle", SeriesDescription="t1_mprage_sag")
    clean.StudyDate = "20050606"  # somebody's birth date among the many

    for syntax in SYNTAXES:
        assert not check.check_file(file_of(clean, syntax), "DICOM/IM00001")
    assert not check.check_file(with_pixels(bytes(range(256)) * 40), "x.dcm")


def test_original_uids_are_found_as_a_whole() -> None:
    assert placed(file_of(dataset(StudyDescription="1.2.276.0.7230010.3.1.4.1")), MANY) == {
        (Kind.UID, "StudyDescription")
    }
    assert placed(file_of(dataset(StudyInstanceUID="1.2.276.0.7230010.3.1.4.1")), MANY) == {
        (Kind.UID, "StudyInstanceUID")
    }
    assert not placed(file_of(dataset(StudyInstanceUID="1.2.276.0.7230010.3.1.4.11")), MANY)


def test_pseudonyms_that_hold_a_number_by_chance_are_named_as_own() -> None:
    check = FolderCheck([KNOWN], own=["P87654321Z"])

    assert not check.check_file(file_of(dataset(PatientID="P87654321Z")), "x")
    assert check.check_file(file_of(dataset(PatientID="P87654321Y")), "x")


@pytest.mark.parametrize(
    "content",
    [
        b"name;id\nLehmkuehler;1",
        "name;id\nLehmkühler;1".encode("utf-16"),
        "Кузнецова".encode("koi8-r"),
        b'{"name": "Lehmk\\u00fchler"}',
        b"GET /search?name=Lehmk%C3%BChler",
        b"GIF89a" + bytes(range(256)) + b"Lehmkuehler" + bytes(50),
        COM,
        b"%PDF-1.4\n1 0 obj << /Filter /FlateDecode >> stream\n" + zlib.compress(b"(Lehmkuehler) Tj"),
        gzip.compress(file_of(dataset(PatientComments="Lehmkuehler"))),
    ],
)  # fmt: skip
def test_files_that_are_no_dicom_are_searched_too(content: bytes) -> None:
    assert ONE.check_file(content, "x").found
    assert MANY.check_file(content, "x").found


def test_documents_and_streams_inside_elements_are_opened() -> None:
    document = b"%PDF-1.4\n1 0 obj << /Filter /FlateDecode >> stream\n" + zlib.compress(b"(Lehmkuehler) Tj")
    made = dataset(EncapsulatedDocument=document, MIMETypeOfEncapsulatedDocument="application/pdf")

    assert placed(file_of(made)) == {(Kind.NAME, "EncapsulatedDocument, document")}
    assert placed(file_of(private("OB", gzip.compress(b"Lehmkuehler")))) == {
        (Kind.NAME, "00291010, document")
    }


def test_what_cannot_be_searched_is_told() -> None:
    bomb = zlib.compress(bytes(1 << 27))

    assert ONE.check_file(file_of(private("OB", bomb)), "x").unread == {"00291010": 1}
    meta = bytes(128) + b"DICM\x02\x00\x10\x00UI" + struct.pack("<H", 22) + b"1.2.840.10008.1.2.1.99"
    raw = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflated = meta + raw.compress(bytes((1 << 27) + 1)) + raw.flush()
    assert ONE.check_file(deflated, "x").unread == {"content": 1}


def test_findings_of_several_files_add_up_and_show_no_value() -> None:
    total = ONE.check_file(file_of(dataset(StudyDescription="Lehmkuehler")), "x")
    total.update(ONE.check_file(file_of(dataset(StudyDescription="LEHMKUEHLER")), "y"))

    assert total.found == {Finding(Kind.NAME, "StudyDescription"): 2}
    assert "ehmk" not in repr(total)
    assert "ehmk" not in repr(ONE)


@example(noise=b"\0", cut=395, syntax="1.2.840.10008.1.2.1.99")
@given(binary(max_size=600), integers(0, 700), sampled_from(SYNTAXES))
def test_broken_files_are_searched_to_their_end(noise: bytes, cut: int, syntax: str) -> None:
    whole = file_of(nested(2, TextValue="Befund"), syntax)
    broken = whole[:cut] + noise + whole[cut:]

    assert ONE.check_file(broken, "x").unread.keys() <= {"content"}
    assert ONE.check_file(broken + b"\0Lehmkuehler\0", "x")


def test_deep_nesting_comes_to_an_end() -> None:
    deep = b"\x40\x00\x30\xa7SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 5_000 + b"Lehmkuehler "

    assert ONE.check_file(bytes(128) + b"DICM" + deep, "x")


def test_a_file_mapped_into_memory_can_be_closed_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "x.dcm"
    for content in (
        file_of(dataset()),
        with_pixels(COM, encapsulated=True),
        file_of(private("OB", zlib.compress(bytes(1 << 27)))),
    ):
        path.write_bytes(content)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            view = memoryview(mapped)
            ONE.check_file(view, "x")
            view.release()
