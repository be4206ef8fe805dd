"""Decisions taken for a whole series: the same bytes, rows, counts and reasons as element by element."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from p2d.deid.profile.profile import BASIC, RESEARCH, STRICT, Profile
from p2d.deid.release import Releaser
from p2d.deid.rewrite.content import Opened
from p2d.model.identified import IdentifiedInstance, PatientKeys
from p2d.model.released import ReleasedHeader, ReleasedInstance, Withheld
from p2d.testing.datasets import ct
from p2d.testing.releasing import EXPLICIT, IMPLICIT, instance_of, keys_for

BIG_ENDIAN = "1.2.840.10008.1.2.2"
SAFE_CREATOR = "SIEMENS MR HEADER"
Change = Callable[[Dataset], None]


def slice_of(number: int, changes: Sequence[Change] = ()) -> Dataset:
    """Return image *number* of a series, with sequences and private blocks, changed by *changes*."""
    dataset = ct(
        PatientName="Zwetschgenbaum^Gerlinde", PatientID="98765432", AccessionNumber="ACC-771144",
        PatientBirthDate="19500201", StudyInstanceUID="1.2.276.0.2.1", SeriesInstanceUID="1.2.276.0.3.1",
        SOPInstanceUID=f"1.2.276.0.4.{number}", InstanceNumber=number, SeriesDescription="Thorax 1.0",
        StudyDescription="CT Thorax Zwetschgenbaum nativ", ContentDate="20200110",
        AcquisitionTime=f"1011{number % 60:02d}.5", SliceLocation=number * 1.5,
        ImageComments="besprochen mit Frau Zwetschgenbaum", Manufacturer="SIEMENS",
        WindowCenter=[-600, 40], RescaleSlope=1,
    )  # fmt: skip
    reference = Dataset()
    reference.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    reference.ReferencedSOPInstanceUID = "1.2.276.9.9"
    dataset.ReferencedImageSequence = Items([reference])
    dataset.ReferencedImageSequence.is_undefined_length = True
    block = dataset.private_block(0x0019, SAFE_CREATOR, create=True)
    block.add_new(0x0C, "IS", number % 3)
    block.add_new(0x0D, "CS", "NONE")
    dataset.private_block(0x0029, "MAKER", create=True).add_new(1, "LO", f"free {number}")
    for change in changes:
        change(dataset)
    return dataset


def assigned(keyword: str, *values: Any) -> st.SearchStrategy[Change]:
    return st.sampled_from(values).map(lambda value: lambda dataset: setattr(dataset, keyword, value))


def deleted(keyword: str) -> Change:
    def change(dataset: Dataset) -> None:
        dataset.pop(keyword, None)

    return change


def _other_creator(dataset: Dataset) -> None:
    dataset[0x0019, 0x0010].value = "SOMEBODY ELSE"


def _two_items(dataset: Dataset) -> None:
    dataset.ReferencedImageSequence.append(dataset.ReferencedImageSequence[0])


def _long_private(dataset: Dataset) -> None:
    dataset.private_block(0x0029, "MAKER").add_new(2, "OB", b"csa" * 2000)


def _nested_private(dataset: Dataset) -> None:
    item = dataset.ReferencedImageSequence[0]
    item.private_block(0x0019, SAFE_CREATOR, create=True).add_new(0x0C, "IS", 7)


def _umlauts(dataset: Dataset) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SeriesDescription = "Schädel für Gerlinde"


def _unicode(dataset: Dataset) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SeriesDescription = "Schädel für Gerlinde"


def _kanji(dataset: Dataset) -> None:
    dataset.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    dataset.PatientName = "Yamada^Tarou=山田^太郎"


CHANGES: st.SearchStrategy[Change] = st.one_of(
    assigned("SeriesDescription", "Thorax Gerlinde", "A", "", "x" * 64),
    assigned("WindowCenter", [-600, 40], [1, 2, 3], 40),
    assigned("PatientID", "98765432", "11111111", ""),
    assigned("PatientName", "Zwetschgenbaum^Gerlinde", "Holunder^Kurt", ""),
    assigned("SeriesInstanceUID", "1.2.276.0.3.1", "1.2.276.0.3.2"),
    assigned("AccessionNumber", "ACC-771144", "ACC-9", ""),
    assigned("PixelRepresentation", 0, 1),
    assigned("ImageComments", "98765432 am 10.01.2020", "y" * 5000, "Holunder"),
    assigned("FrameOfReferenceUID", "1.2.276.5.1", "1.2.276.0.4.3", "1.2.999"),
    assigned("SOPClassUID", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.7", "1.2.3"),
    assigned("ContentDate", "20200110", "20200111", "19500201"),
    assigned("BurnedInAnnotation", "NO", "YES"),
    assigned("ImageType", ["ORIGINAL", "PRIMARY"], ["DERIVED", "SECONDARY", "SCREEN SAVE"]),
    assigned("Rows", 8, 9, 1000),
    st.sampled_from(
        [
            *(deleted(k) for k in ("PixelData", "AcquisitionTime", "ReferencedImageSequence", "StudyDate")),
            *(_other_creator, _two_items, _long_private, _nested_private, _umlauts, _unicode, _kanji),
        ]
    ),
)  # fmt: skip


@st.composite
def series(draw: st.DrawFn) -> list[IdentifiedInstance]:
    """Draw objects as one patient's archive may send them, some of them damaged."""
    syntax = draw(st.sampled_from([EXPLICIT, EXPLICIT, IMPLICIT, BIG_ENDIAN]))
    shared = draw(st.lists(CHANGES, max_size=2))
    made: list[IdentifiedInstance] = []
    for number in draw(st.lists(st.integers(1, 40), min_size=2, max_size=8)):
        own = draw(st.lists(CHANGES, max_size=1))
        instance = _sent(slice_of(number, [*shared, *own]), syntax)
        if draw(st.integers(0, 5)) == 0:
            instance = _damaged(draw, instance)
        made.append(instance)
    return made


def _sent(dataset: Dataset, syntax: str) -> IdentifiedInstance:
    if syntax != BIG_ENDIAN:
        return instance_of(dataset, transfer_syntax_uid=syntax)
    from pydicom.filebase import DicomBytesIO  # noqa: PLC0415 - for this encoding only
    from pydicom.filewriter import write_dataset  # noqa: PLC0415

    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, False
    write_dataset(buffer, dataset)
    return replace(instance_of(dataset), content=buffer.getvalue(), transfer_syntax_uid=BIG_ENDIAN)


def _damaged(draw: st.DrawFn, instance: IdentifiedInstance) -> IdentifiedInstance:
    content = bytearray(instance.content[:])
    at = draw(st.integers(0, len(content) - 1))
    match draw(st.sampled_from(["flip", "cut", "more", "insert"])):
        case "flip":
            content[at] ^= 1 << draw(st.integers(0, 7))
        case "cut":
            del content[at:]
        case "more":
            content += draw(st.sampled_from([b"\0", b"\x10\0\x10\0LO\x02\0ab", b"Zwetschgenbaum"]))
        case _:
            content[at:at] = b"\x29\x00\x10\x00LO\x06\x00MAKER "
    return replace(instance, content=bytes(content))


def told(
    releaser: Releaser, instances: Sequence[IdentifiedInstance], keys: PatientKeys, *, first: bool
) -> Any:
    """Return all that a caller can see of the release of *instances*; with *first* all are opened before."""
    opened = [releaser.open(instance) for instance in instances] if first else list(instances)
    if first:
        releaser.learn(keys)
    seen: list[Any] = []
    for one in opened:
        seen += [shown(releaser.image(one)), shown(releaser.extended(one))]
    values = [
        (list(one.elements.items()), one.pixels, one.encoding) if isinstance(one, Opened) else one.reason
        for one in map(releaser.open, instances)
    ]
    return seen, values, releaser.references, releaser.tally.as_json()


def shown(released: ReleasedInstance | ReleasedHeader | Withheld) -> Any:
    """Return *released* so that the order of its elements counts."""
    if isinstance(released, Withheld):
        return released
    header = released if isinstance(released, ReleasedHeader) else released.header
    content = released.content if isinstance(released, ReleasedInstance) else b""
    return content, list(header.elements.items()), header


@pytest.mark.parametrize("profile", [BASIC, RESEARCH, STRICT], ids=lambda profile: profile.name)
@given(instances=series(), first=st.booleans(), known=st.integers(1, 8))
def test_a_series_is_released_as_its_objects_one_by_one(
    profile: Profile, instances: list[IdentifiedInstance], first: bool, known: int
) -> None:
    keys = keys_for(*instances[:known] if not first else instances)

    together = told(Releaser(keys, profile), instances, keys, first=first)
    one_by_one = told(Releaser(keys, profile, reuses=False), instances, keys, first=first)

    assert together == one_by_one


def _written_in_latin_1(dataset: Dataset) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SeriesDescription = "Schädel für Gerlinde"


def _with_guessed_number(dataset: Dataset) -> None:
    dataset.PixelRepresentation = 0
    dataset.add_new(0x00280106, "US", 0xFFF0)  # SmallestImagePixelValue, US or SS


SIGN = bytes.fromhex("28000301 02000000 0000")
INSIDE: dict[str, tuple[str, Change, bytes, bytes]] = {
    "character set": (EXPLICIT, _written_in_latin_1, b"ISO_IR 100", b"ISO_IR 144"),
    "PixelRepresentation": (IMPLICIT, _with_guessed_number, SIGN, SIGN[:-2] + b"\1\0"),
    "private creator": (EXPLICIT, lambda _: None, b"SIEMENS MR HEADER", b"SOMEBODY ELSE'S  "),
    "SOP class": (EXPLICIT, lambda _: None, b"5.1.4.1.1.2\0", b"5.1.4.1.1.4\0"),
    "PatientID": (EXPLICIT, lambda _: None, b"98765432", b"11111111"),
    "text with a name": (EXPLICIT, lambda _: None, b"Thorax 1.0", b"Gerlinde 7"),
    "ImageType": (EXPLICIT, lambda d: setattr(d, "ImageType", ["ORIGINAL", "A"]), b"ORIGINAL", b"LOCALIZE"),
    "burned-in text": (EXPLICIT, lambda d: setattr(d, "BurnedInAnnotation", "NO"), b"CS\2\0NO", b"CS\2\0YE"),
    "safe private value": (
        EXPLICIT,
        lambda _: None,
        b"\x19\0\x0d\x10CS\x04\0NONE",
        b"\x19\0\x0d\x10UN\x04\0NONE",
    ),
}


@pytest.mark.parametrize("pair", INSIDE.values(), ids=INSIDE)
@pytest.mark.parametrize("order", ["aaabbbababab", "aabaabaaabbb", "abababab"])
def test_one_thing_that_differs_between_images_counts_for_each(
    pair: tuple[str, Change, bytes, bytes], order: str
) -> None:
    syntax, prepare, old, new = pair
    sent = [instance_of(slice_of(n, [prepare]), transfer_syntax_uid=syntax) for n in range(1, len(order) + 1)]
    assert sent[0].content.find(old) > 0
    assert len(old) == len(new)
    instances = [
        one if kind == "a" else replace(one, content=one.content[:].replace(old, new, 1))
        for one, kind in zip(sent, order, strict=True)
    ]
    keys = keys_for(*instances)

    for first in (True, False):
        together = told(Releaser(keys), instances, keys, first=first)
        assert together == told(Releaser(keys, reuses=False), instances, keys, first=first)


def _body(part: str) -> Change:
    return lambda dataset: setattr(dataset, "BodyPartExamined", part)


FORMS: dict[str, tuple[Change, Change, bytes]] = {
    "items of a sequence": (lambda _: None, _two_items, b""),
    "private element in an item": (lambda _: None, _nested_private, b""),
    "a code that names the patient and goes": (_body("CHEST"), _body("GERLINDE"), b""),
    "bytes behind the pixels": (lambda _: None, lambda _: None, b"\x10\0"),
    "an element behind the pixels": (lambda _: None, lambda _: None, b"\xfc\xff\xfc\xffOB\0\0\2\0\0\0\0\0"),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("order", ["aaabbbababab", "bbbaaaabab"])
def test_what_changes_the_form_of_an_element_counts_for_each(
    form: tuple[Change, Change, bytes], order: str
) -> None:
    plain, changed, behind = form
    instances: list[IdentifiedInstance] = []
    for number, kind in enumerate(order, 1):
        sent = instance_of(slice_of(number, [plain if kind == "a" else changed]))
        instances.append(sent if kind == "a" else replace(sent, content=sent.content[:] + behind))
    keys = keys_for(*instances)

    for first in (True, False):
        together = told(Releaser(keys), instances, keys, first=first)
        assert together == told(Releaser(keys, reuses=False), instances, keys, first=first)


def test_a_private_element_that_only_some_images_lose_takes_its_creator_along() -> None:
    """A value that is no number goes; its creator goes with it where nothing else of the block is left."""

    def only_number(dataset: Dataset) -> None:
        del dataset[0x0019, 0x100D]

    instances = [instance_of(slice_of(number, [only_number])) for number in range(1, 13)]
    number = re.compile(rb"(?<=\x19\0\x0c\x10IS\x02\0)..")
    broken = [
        replace(one, content=number.sub(b"xx", one.content[:])) if at % 3 == 2 else one
        for at, one in enumerate(instances)
    ]
    keys = keys_for(*broken)

    together = told(Releaser(keys), broken, keys, first=True)

    assert together == told(Releaser(keys, reuses=False), broken, keys, first=True)


def test_most_elements_of_a_series_are_looked_at_once() -> None:
    instances = [instance_of(slice_of(number)) for number in range(1, 20)]
    releaser = Releaser(keys_for(*instances))

    opened = [releaser.open(instance) for instance in instances]

    varying = [len(one.header) for one in opened if isinstance(one, Opened) and one.pattern is not None]
    assert len(varying) >= 15
    assert max(varying) <= 8


def test_two_patients_in_turn_keep_their_own_values() -> None:
    one = [instance_of(slice_of(number)) for number in range(1, 9)]
    other = [instance_of(slice_of(n, [lambda d: setattr(d, "PatientID", "11111111")])) for n in range(1, 9)]
    first, second = Releaser(keys_for(*one)), Releaser(keys_for(*other))

    mixed = [(first.image(a), second.image(b), first.image(b)) for a, b in zip(one, other, strict=True)]

    alone = Releaser(keys_for(*one), reuses=False)
    assert [shown(a) for a, _, _ in mixed] == [shown(alone.image(a)) for a in one]
    assert all(isinstance(b, ReleasedInstance) and isinstance(c, Withheld) for _, b, c in mixed)


def test_what_becomes_known_later_is_removed_from_what_never_varied() -> None:
    instances = [instance_of(slice_of(number)) for number in range(1, 6)]
    late = instance_of(slice_of(6, [lambda d: setattr(d, "OperatorsName", "Thorax^Ida")]))
    keys = keys_for(*instances, late)
    releaser = Releaser(replace(keys, known=keys_for(*instances).known))

    before = [releaser.image(instance) for instance in instances]
    releaser.image(late)
    after = releaser.image(instances[0])

    expected = Releaser(keys, reuses=False)
    expected.open(late)
    assert isinstance(before[-1], ReleasedInstance)
    assert shown(after) == shown(expected.image(instances[0]))
