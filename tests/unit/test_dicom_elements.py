"""Flat elements from data sets: paths, types, character sets, and nothing but two errors on hostile bytes."""

import contextlib
import warnings
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from p2d.dicom.charset import UndecodableText, character_set, decoded
from p2d.dicom.elements import UndecodableHeader, elements_of
from p2d.model.header import text_of


def over_the_wire(dataset: Dataset, *, implicit: bool = False, little: bool = True) -> Dataset:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = implicit
    buffer.is_little_endian = little
    write_dataset(buffer, dataset)
    return read_dataset(BytesIO(buffer.getvalue()), implicit, little)


def example() -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = "Müller^Änne=山田^太郎"
    dataset.StudyDescription = " Schädel nativ "
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.InstanceNumber = 7
    dataset.SliceThickness = "1.25"
    dataset.Rows = 512
    dataset.PixelRepresentation = 1
    dataset.add_new(0x00280106, "SS", -5)
    dataset.add_new(0x00280009, "AT", 0x00181063)
    dataset.add_new(0x00091001, "LO", "private")
    dataset.PixelData = b"\0\1" * 8
    dataset["PixelData"].VR = "OW"
    inner = Dataset()
    inner.SeriesInstanceUID = "1.2.3"
    inner.SeriesDescription = "Größe"
    dataset.ReferencedSeriesSequence = Sequence([inner, Dataset()])
    return dataset


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("raw", [False, True])
def test_values_are_typed_and_paths_are_flat(implicit: bool, raw: bool) -> None:
    dataset = over_the_wire(example(), implicit=implicit) if raw else example()

    flat = elements_of(dataset)

    assert flat["00100010"].values == ("Müller^Änne=山田^太郎",)
    assert flat["00081030"].values == ("Schädel nativ",)
    assert flat["00080008"].values == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert flat["00200013"].values == (7,)
    assert flat["00180050"].values == (1.25,)
    assert flat["00280010"].values == (512,)
    assert (flat["00280106"].vr, flat["00280106"].values) == ("SS", (-5,))
    assert flat["00280009"].values == ("00181063",)
    assert (flat["7FE00010"].vr, flat["7FE00010"].values) == ("OW", ())
    assert flat["00081115"].values == ()
    assert text_of(flat, "00081115[0].0020000E") == "1.2.3"
    assert text_of(flat, "00081115[0].0008103E") == "Größe"


def test_big_endian_numbers_are_read_as_such() -> None:
    flat = elements_of(over_the_wire(example(), little=False))

    assert flat["00280010"].values == (512,)
    assert flat["00280009"].values == ("00181063",)


def test_an_explicit_private_element_keeps_its_value_and_an_implicit_one_is_only_present() -> None:
    assert elements_of(over_the_wire(example()))["00091001"].values == ("private",)
    assert elements_of(over_the_wire(example(), implicit=True))["00091001"].values == ()


def test_bytes_outside_the_declared_character_set_are_an_error_or_a_stated_guess() -> None:
    dataset = Dataset()
    dataset.add_new(0x00081030, "LO", "Grösse".encode("latin-1"))
    dataset = over_the_wire(dataset)

    with pytest.raises(UndecodableText) as caught:
        elements_of(dataset)
    guessed = elements_of(dataset, guess=True)

    assert caught.value.path == "00081030"
    assert guessed["00081030"].values == ("Grösse",)


def test_an_unknown_character_set_is_an_error() -> None:
    dataset = Dataset()
    dataset[0x00080005] = RawDataElement(BaseTag(0x00080005), "CS", 10, b"ISO_IR 999", 8, False, True)

    with pytest.raises(UndecodableText):
        elements_of(dataset)


def test_code_extensions_are_followed_to_the_letter() -> None:
    japanese = character_set(b"\\ISO 2022 IR 87")
    greek = character_set(b"ISO 2022 IR 6\\ISO 2022 IR 126")

    assert decoded(b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", japanese) == "Yamada^Tarou=山田^太郎"
    assert decoded(b"\x1b-F\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", greek) == "Διονυσιος"
    with pytest.raises(UndecodableText):
        decoded(b"\x1b-F\xc4\xe9", japanese)


@given(st.text(max_size=40))
def test_any_text_survives_utf8(text: str) -> None:
    clean = "".join(c for c in text if c.isprintable() and c != "\\").strip()
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.add_new(0x00104000, "LT", clean)

    flat = elements_of(over_the_wire(dataset))

    assert flat["00104000"].text == clean


@given(st.binary(max_size=300), st.booleans())
def test_hostile_bytes_raise_nothing_but_the_two_named_errors_and_no_warning(
    content: bytes, implicit: bool
) -> None:
    try:
        dataset = read_dataset(BytesIO(content), implicit, True)
    except Exception:  # noqa: BLE001 - pydicom's own parse of the top level is not under test
        return

    with warnings.catch_warnings(), contextlib.suppress(UndecodableText, UndecodableHeader):
        warnings.simplefilter("error")
        elements_of(dataset)


def test_sequences_nested_without_end_are_refused() -> None:
    dataset = Dataset()
    for _ in range(60):
        outer = Dataset()
        outer.ReferencedSeriesSequence = Sequence([dataset])
        dataset = outer

    with pytest.raises(UndecodableHeader):
        elements_of(dataset)
