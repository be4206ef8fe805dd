from collections.abc import Mapping

import pytest

from p2d.deid.pixels.decision import Decision, Head, Verdict, decide, is_sampled
from p2d.model.header import Element, Value
from p2d.model.released import Reason
from p2d.pixels.box import Box

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
US = "1.2.840.10008.5.1.4.1.1.6.1"
XA = "1.2.840.10008.5.1.4.1.1.12.1"
SC = "1.2.840.10008.5.1.4.1.1.7"
PHOTO = "1.2.840.10008.5.1.4.1.1.77.1.4"
FUNDUS = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"
STL = "1.2.840.10008.5.1.4.1.1.104.3"
SR = "1.2.840.10008.5.1.4.1.1.88.33"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
ECG = "1.2.840.10008.5.1.4.1.1.9.1.1"


def header(**values: tuple[Value, ...]) -> dict[str, Element]:
    """Return elements by path; the argument's name is ``t`` and the tag."""
    return {name[1:]: Element(name[1:], "CS", value) for name, value in values.items()}


def decided(
    sop_class_uid: str,
    modality: str,
    *,
    has_pixels: bool = True,
    head: Head = "keep",
    sample: bool = False,
    more: Mapping[str, tuple[Value, ...]] | None = None,
    **values: tuple[Value, ...],
) -> Decision:
    elements = header(t00080016=(sop_class_uid,), t00080060=(modality,), **values, **(more or {}))
    return decide(elements, sop_class_uid, modality, has_pixels=has_pixels, head=head, sample=sample)


@pytest.mark.parametrize(
    ("sop_class_uid", "modality", "values"),
    [
        (US, "US", {}),
        (CT, "US", {}),
        (SC, "OT", {}),
        (SC, "CT", {}),
        (PHOTO, "XC", {}),
        (FUNDUS, "OP", {}),
        (XA, "XA", {"t00080008": ("DERIVED", "SECONDARY")}),
        (SLIDE, "SM", {"t00080008": ("ORIGINAL", "PRIMARY", "LABEL", "NONE")}),
        (SLIDE, "SM", {"t00080008": ("DERIVED", "PRIMARY", "OVERVIEW", "NONE")}),
        (CT, "CT", {"t00280301": ("UNKNOWN",)}),
        (CT, "CT", {"t60000102": (12,)}),
    ],
)
def test_what_may_show_text_is_screened(
    sop_class_uid: str, modality: str, values: dict[str, tuple[Value, ...]]
) -> None:
    decision = decided(sop_class_uid, modality, more=values)

    assert (decision.verdict, decision.alarm) == (Verdict.SCREEN, False)


@pytest.mark.parametrize(
    ("sop_class_uid", "modality"), [(CT, "CT"), (MR, "MR"), (XA, "XA"), (SLIDE, "SM"), (SEG, "SEG")]
)
def test_plain_radiography_slides_and_segmentations_pass(sop_class_uid: str, modality: str) -> None:
    assert decided(sop_class_uid, modality, t00280301=("NO",)).verdict is Verdict.PASS


@pytest.mark.parametrize(("sop_class_uid", "modality"), [(SR, "SR"), (ECG, "ECG"), (CT, "CT"), (US, "US")])
def test_what_has_no_pixels_passes(sop_class_uid: str, modality: str) -> None:
    assert decided(sop_class_uid, modality, has_pixels=False).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("sop_class_uid", "modality", "values", "reason"),
    [
        (PDF, "DOC", {}, Reason.DOCUMENT),
        (STL, "M3D", {}, Reason.DOCUMENT),
        ("1.2.3.4", "CT", {}, Reason.SOP_CLASS),
        ("", "CT", {}, Reason.SOP_CLASS),
        ("1.2.840.10008.1.2", "CT", {}, Reason.SOP_CLASS),
        (SC, "CT", {"t00080008": ("DERIVED", "SECONDARY", "SCREEN SAVE")}, Reason.SCREEN_SAVE),
        (
            SC,
            "CT",
            {"t00080008": ("DERIVED", "SECONDARY", "OTHER"), "t0008103E": ("Dose Report",)},
            Reason.SCREEN_SAVE,
        ),
        (
            CT,
            "CT",
            {"t00080008": ("DERIVED", "SECONDARY", "AXIAL"), "t0008103E": ("Patient Protocol",)},
            Reason.SCREEN_SAVE,
        ),
    ],
)
def test_documents_screens_and_unknown_classes_are_withheld(
    sop_class_uid: str, modality: str, values: dict[str, tuple[Value, ...]], reason: Reason
) -> None:
    decision = decided(sop_class_uid, modality, more=values)

    assert (decision.verdict, decision.reason) == (Verdict.WITHHOLD, reason)


def test_a_class_that_header_and_archive_disagree_on_follows_the_stricter() -> None:
    elements = header(t00080016=(CT,), t00080060=("CT",))

    assert decide(elements, US, "", has_pixels=True).verdict is Verdict.SCREEN
    assert decide(elements, PDF, "", has_pixels=True).verdict is Verdict.WITHHOLD


def test_a_sample_of_radiography_is_screened_as_an_alarm() -> None:
    decision = decided(CT, "CT", sample=True)

    assert (decision.verdict, decision.alarm) == (Verdict.SCREEN, True)


def test_secondary_radiography_is_screened_as_an_alarm() -> None:
    decision = decided(CT, "CT", t00080008=("DERIVED", "SECONDARY", "MPR"))

    assert (decision.verdict, decision.alarm) == (Verdict.SCREEN, True)


def test_labels_and_quantities_are_never_masked() -> None:
    assert decided(SEG, "SEG", sample=True).verdict is Verdict.PASS


def test_text_the_header_announces_has_to_be_found() -> None:
    assert decided(CT, "CT", t00280301=("YES",)).reason is Reason.BURNED_IN


def test_overlay_bits_are_told() -> None:
    assert decided(CT, "CT", t60000102=(12,), t60020102=(0,)).overlay_bits == (12,)


def region(index: int, corners: tuple[Value, ...], kind: int = 1) -> dict[str, tuple[Value, ...]]:
    item = f"t00186011[{index}]."
    tags = ("00186018", "0018601A", "0018601C", "0018601E")
    found: dict[str, tuple[Value, ...]] = {item + "00186014": (kind,)}
    for tag, corner in zip(tags, corners, strict=True):
        found[item + tag] = (corner,)
    return found


@pytest.mark.parametrize(
    ("corners", "kind"),
    [
        ((50, 0, 10, 99), 1),
        ((200, 0, 300, 99), 1),
        ((0, 0, 99, 99), 0),
        ((0, 0, 2, 2), 1),
        (("x", 0, 9, 9), 1),
    ],
)
def test_a_region_that_cannot_be_is_passed_over(corners: tuple[Value, ...], kind: int) -> None:
    image: dict[str, tuple[Value, ...]] = {"t00280010": (100,), "t00280011": (100,)}

    decision = decided(US, "US", more=image | region(0, corners, kind) | region(1, (10, 20, 500, 79)))

    assert decision.regions == (Box(10, 20, 100, 80),)


@pytest.mark.parametrize(
    ("values", "is_head"),
    [
        ({"t00180015": ("HEAD",), "t00180050": (1.0,)}, True),
        ({"t0008103E": ("t1_mprage_sag",), "t00180050": (0.9,)}, True),
        ({"t00181030": ("Kopf nativ",)}, True),
        ({"t00082218[0].00080100": ("69536005",), "t00180050": (2.0,)}, True),
        ({"t00180015": ("HEAD",), "t00180050": (5.0,)}, False),
        ({"t00180015": ("CHEST",), "t00180050": (1.0,)}, False),
        ({"t0008103E": ("surface coil",), "t00180050": (1.0,)}, False),
    ],
)
def test_thin_slices_of_a_head_are_recognisable(values: dict[str, tuple[Value, ...]], is_head: bool) -> None:
    assert decided(MR, "MR", more=values).recognisable is is_head


@pytest.mark.parametrize("head", ["exclude", "coarsen"])
def test_a_project_without_heads_gets_none(head: Head) -> None:
    decision = decided(CT, "CT", head=head, t00180015=("HEAD",), t00180050=(0.6,))

    assert (decision.verdict, decision.reason) == (Verdict.WITHHOLD, Reason.HEAD)


def test_the_sample_is_a_fixed_share() -> None:
    uids = [f"2.25.{number}" for number in range(4000)]

    chosen = [uid for uid in uids if is_sampled(uid, 0.25)]

    assert chosen == [uid for uid in uids if is_sampled(uid, 0.25)]
    assert 0.2 < len(chosen) / len(uids) < 0.3
    assert not any(is_sampled(uid, 0.0) for uid in uids)
    assert all(is_sampled(uid, 1.0) for uid in uids)
