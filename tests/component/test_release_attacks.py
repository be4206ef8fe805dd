"""Objects that are not what they say: what stands beside, behind or instead of the pixels stays here."""

import struct
from dataclasses import replace
from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from p2d.deid.leak.check import LeakCheck
from p2d.deid.profile.options import Option
from p2d.deid.profile.profile import PRESETS, RESEARCH, Profile
from p2d.deid.release import Releaser
from p2d.deid.rewrite.values import MAX_CLEANED
from p2d.model.header import Element
from p2d.model.identified import IdentifiedInstance, KnownValues
from p2d.model.released import Reason, ReleasedInstance, Withheld
from p2d.testing.datasets import ct
from p2d.testing.releasing import EXPLICIT, instance_of, keys_for

NAME = "Zwetschgenbaum^Gerlinde"
TEXT = b"Gerlinde Zwetschgenbaum "
JPEG = "1.2.840.10008.1.2.4.50"
BIG_ENDIAN = "1.2.840.10008.1.2.2"


def outcome(instance: IdentifiedInstance, profile: Profile = RESEARCH) -> ReleasedInstance | Withheld:
    return Releaser(keys_for(instance), profile).image(instance)


def released(instance: IdentifiedInstance, profile: Profile = RESEARCH) -> Dataset:
    image = outcome(instance, profile)
    assert isinstance(image, ReleasedInstance)
    return dcmread(BytesIO(image.content))


def reason(instance: IdentifiedInstance) -> Reason | None:
    left = outcome(instance)
    return left.reason if isinstance(left, Withheld) else None


def with_pixels(
    element: bytes, *, syntax: str = EXPLICIT, without: str = "", **keywords: object
) -> IdentifiedInstance:
    """Return a CT that ends with the bytes *element* as pixel data."""
    dataset = ct(PatientName=NAME, **keywords)
    for keyword in filter(None, ("PixelData", without)):
        delattr(dataset, keyword)
    bare = instance_of(dataset)
    return replace(bare, content=bytes(bare.content) + element, transfer_syntax_uid=syntax)


def native(value: bytes) -> bytes:
    return struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, len(value)) + value


def fragments(*values: bytes) -> bytes:
    items = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(value)) + value for value in values)
    head = struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF)
    return head + items + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def jpeg(comment: bytes, scan: int) -> bytes:
    """Return a JPEG codestream with *comment* and *scan* bytes of pixels, of even length."""
    stream = b"\xff\xd8\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment
    stream += b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + b"\xa5" * scan + b"\xff\xd9"
    return stream + b"\0" * (len(stream) % 2)


def test_a_comment_behind_the_first_mebibyte_of_compressed_pixels_is_found() -> None:
    frames = jpeg(b"frame one", 1 << 20), jpeg(TEXT, 64)

    assert reason(with_pixels(fragments(b"", *frames), syntax=JPEG, NumberOfFrames=2)) is Reason.LEAK


@pytest.mark.parametrize(
    ("element", "syntax"),
    [(fragments(b"", TEXT), EXPLICIT), (native(TEXT), JPEG)],
    ids=["fragments in a native syntax", "native in a compressed syntax"],
)
def test_pixels_of_another_form_than_the_syntax_says_stay(element: bytes, syntax: str) -> None:
    assert reason(with_pixels(element, syntax=syntax)) is Reason.UNDECODABLE


@pytest.mark.parametrize("keyword", ["Rows", "Columns", "BitsAllocated"])
def test_native_pixels_of_unknown_size_stay(keyword: str) -> None:
    assert reason(with_pixels(native(TEXT * 4), without=keyword)) is Reason.NO_PIXELS


def test_a_text_in_too_few_pixels_is_found() -> None:
    assert reason(with_pixels(native(TEXT), NumberOfFrames=9999)) is Reason.LEAK


def test_a_long_text_goes_as_a_whole() -> None:
    assert "TextValue" not in released(instance_of(ct(TextValue="a b " * (MAX_CLEANED // 4 + 1))))


def test_retained_uids_are_those_of_the_file_and_of_its_references() -> None:
    dataset = ct()
    reference = Dataset()
    reference.ReferencedSOPInstanceUID = dataset.SOPInstanceUID
    dataset.ReferencedImageSequence = Sequence([reference])
    profile = replace(RESEARCH, options=RESEARCH.options | {Option.RETAIN_UIDS})

    image = released(instance_of(dataset), profile)

    kept = (image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID)
    assert kept == (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
    assert image.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
    assert image.ReferencedImageSequence[0].ReferencedSOPInstanceUID == dataset.SOPInstanceUID


def test_an_id_like_a_time_of_day_is_found_although_a_time_follows() -> None:
    check = LeakCheck(KnownValues(ids=frozenset({"101112"})), {}, ())

    found = [Element("00081030", "LO", ("101112",)), Element("00080030", "TM", ("101112",))]

    assert check.in_elements(found)
    assert not check.in_elements(found[1:])


def big_endian(dataset: Dataset, extra: bytes) -> IdentifiedInstance:
    """Return *dataset* in big endian with the bytes *extra* before its pixel data."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, False
    write_dataset(buffer, dataset)
    content = buffer.getvalue()
    place = content.index(struct.pack(">HH2s", 0x7FE0, 0x10, b"OW"))
    content = content[:place] + extra + content[place:]
    return replace(instance_of(dataset), content=content, transfer_syntax_uid=BIG_ENDIAN)


def unknown_sequence(tag: tuple[int, int], item: bytes) -> bytes:
    """Return a sequence that a big endian writer sent as UN: items in implicit VR little endian."""
    content = struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item
    return struct.pack(">HH2sHI", *tag, b"UN", 0, len(content)) + content


def test_numbers_of_an_unknown_sequence_keep_their_value_in_big_endian() -> None:
    item = struct.pack("<HHI3H", 0x0028, 0x3002, 6, 1, 2, 16)

    image = released(big_endian(ct(), unknown_sequence((0x0028, 0x3010), item)))

    assert image.VOILUTSequence[0].LUTDescriptor == [1, 2, 16]


def test_words_of_an_unknown_sequence_do_not_leave_in_the_wrong_order() -> None:
    item = struct.pack("<HHIH", 0x0028, 0x3006, 2, 1)

    assert reason(big_endian(ct(), unknown_sequence((0x0028, 0x3010), item))) is Reason.UNDECODABLE


def test_codes_of_structure_stay_though_a_person_is_called_so() -> None:
    dataset = ct(PatientName="Text^Anna", OperatorsName="QIN-HEADNECK-01", BodyPartExamined="HEADNECK")
    item = Dataset()
    item.ValueType = "TEXT"
    dataset.ContentSequence = Sequence([item])

    image = released(instance_of(dataset))

    assert (image.BodyPartExamined, image.ContentSequence[0].ValueType) == ("HEADNECK", "TEXT")


@pytest.mark.parametrize("profile", PRESETS.values(), ids=PRESETS)
def test_a_retained_institution_is_kept_and_its_people_are_not(profile: Profile) -> None:
    profile = replace(profile, options=profile.options | {Option.RETAIN_INSTITUTION})
    dataset = ct(
        PatientName=NAME, InstitutionName="Klinikum Musterstadt", ReferringPhysicianName="Haus^Gregor"
    )

    image = released(instance_of(dataset), profile)

    assert (image.InstitutionName, image.ReferringPhysicianName) == ("Klinikum Musterstadt", "")


def test_a_person_observer_named_by_a_long_code_is_judged_as_one() -> None:
    concept, item = Dataset(), Dataset()
    concept.LongCodeValue, concept.CodingSchemeDesignator = "121008", "DCM"
    item.ValueType, item.TextValue = "TEXT", "Karl Schmitz"
    item.ConceptNameCodeSequence = Sequence([concept])

    image = released(instance_of(ct(ContentSequence=Sequence([item]))))

    assert "Schmitz" not in str(image)


def test_the_strict_mode_puts_no_dummy_for_a_rescale_type() -> None:
    assert released(instance_of(ct(RescaleType="HU")), PRESETS["strict"]).RescaleType == "HU"


def test_items_without_end_cost_one_withheld_object() -> None:
    item = b"\xfe\xff\x00\xe0" + bytes(4)
    sequence = struct.pack("<HH2sHI", 0x0008, 0x1110, b"SQ", 0, len(item) * 100_001) + item * 100_001
    whole = instance_of(ct(ReferencedStudySequence=None))
    content = bytes(whole.content[:])
    place = content.index(struct.pack("<HH", 0x0010, 0x0010))

    assert reason(replace(whole, content=content[:place] + sequence + content[place:])) is Reason.UNDECODABLE
