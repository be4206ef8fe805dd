"""What the IOD of an object demands of an attribute, and what a code of Table E.1-1 then means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.deid.data.generate_iods import table as generated
from p2d.deid.standard.iods import attribute_type, iod_of
from p2d.deid.standard.table import table
from p2d.deid.standard.weakest import conforming_action

CT = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"
WAVEFORM_PRESENTATION = "1.2.840.10008.5.1.4.1.1.9.100.1"
TYPES = ("1", "1C", "2", "2C", "3", "")


@pytest.mark.parametrize(
    ("sop_class", "path", "expected"),
    [
        (CT, ("00080018",), "1"),
        (CT, ("00100010",), "2"),
        (CT, ("00080080",), "3"),
        (CT, ("00180010",), "2C"),
        (CT, ("00081111", "00081155"), "1"),
        (CT, ("60003000",), "1C"),
        (SECONDARY_CAPTURE, ("00080064",), "1"),
        (STRUCTURE_SET, ("00080080",), "3"),
        (STRUCTURE_SET, ("30060020", "3006004D", "00080080"), "2"),
        (STRUCTURE_SET, ("00080096", "00080080"), "1C"),
        (ENHANCED_CT, ("52009230", "00209111", "00189074"), "1C"),
        (COMPREHENSIVE_SR, ("0040A073", "0040A075"), "1"),
    ],
)
def test_an_attribute_has_the_type_of_its_place_in_the_iod(
    sop_class: str, path: tuple[str, ...], expected: str
) -> None:
    assert attribute_type(sop_class, path) == expected


def test_content_items_have_their_type_at_any_depth() -> None:
    for depth in (1, 2, 9):
        assert attribute_type(COMPREHENSIVE_SR, (*["0040A730"] * depth, "0040A123")) == "1C"


@pytest.mark.parametrize(
    "path",
    [("00187A60",), ("00091001",), ("00081111", "00100010")],
)
def test_what_a_known_iod_does_not_define_at_a_place_is_optional(path: tuple[str, ...]) -> None:
    assert attribute_type(CT, path) == "3"


@pytest.mark.parametrize(
    ("sop_class", "path"),
    [
        ("1.2.3", ("00100010",)),
        ("", ("00100010",)),
        (CT, ()),
        (CT, ("04000561", "04000550", "00100010")),
        (CT, ("00091001", "00100010")),
        (WAVEFORM_PRESENTATION, ("00187A60",)),
    ],
)
def test_where_nothing_is_known_there_is_no_type(sop_class: str, path: tuple[str, ...]) -> None:
    assert attribute_type(sop_class, path) == ""


def test_the_retired_ultrasound_classes_have_the_iod_of_their_successors() -> None:
    assert iod_of("1.2.840.10008.5.1.4.1.1.6") == iod_of("1.2.840.10008.5.1.4.1.1.6.1") != ""
    assert attribute_type("1.2.840.10008.5.1.4.1.1.6", ("00100020",)) == "2"


def test_the_generator_writes_equal_places_once_and_the_strictest_type() -> None:
    attributes = [
        {"keyword": "StudyDate", "type": "3", "path": []},
        {"keyword": "StudyDate", "type": "2", "path": []},
        {"keyword": "OverlayData", "type": "1", "path": []},
        {"keyword": "PatientName", "type": "None", "path": []},
        {"keyword": "RequestAttributesSequence", "type": "3", "path": []},
        {"keyword": "AccessionNumber", "type": "3", "path": ["RequestAttributesSequence"]},
    ]
    modules = [{"key": "one", "usage": "M"}, {"key": "two", "usage": "U"}, {"key": "lost", "usage": "C"}]

    made = generated({CT: "ct"}, {"ct": modules}, {"one": attributes, "two": attributes})

    assert [line for line in made.splitlines() if not line.startswith("#")] == [
        f"class\t{CT}\tct",
        "iod\tct\tpartial\tone:M:1\ttwo:U:1",
        "place\t0\t00080050:3",
        "place\t1\t00080020:2\t00400275:3:0\t60xx3000:1",
    ]


@pytest.mark.parametrize(
    ("code", "by_type"),
    [
        ("X/Z", {"1": "D", "1C": "D", "2": "Z", "2C": "Z", "3": "X", "": "Z"}),
        ("X/D", {"1": "D", "1C": "D", "2": "D", "2C": "D", "3": "X", "": "D"}),
        ("X/Z/D", {"1": "D", "1C": "D", "2": "Z", "2C": "Z", "3": "X", "": "D"}),
        ("Z/D", {"1": "D", "1C": "D", "2": "Z", "2C": "Z", "3": "Z", "": "D"}),
        ("X/Z/U*", {"1": "U", "1C": "U", "2": "Z", "2C": "Z", "3": "X", "": "U"}),
        ("Z", {"1": "D", "1C": "D", "2": "Z", "2C": "Z", "3": "Z", "": "Z"}),
    ],
)
def test_a_code_means_the_strongest_removal_that_conforms(code: str, by_type: dict[str, str]) -> None:
    assert {kind: conforming_action(code, kind) for kind in TYPES} == by_type


@given(st.sampled_from(sorted({row.basic for row in table().values()})), st.sampled_from(TYPES))
def test_every_code_of_the_table_becomes_one_letter(code: str, attribute_type: str) -> None:
    action = conforming_action(code, attribute_type)

    assert action in {"X", "Z", "D", "U"}
    assert conforming_action(action, attribute_type) == action
    if "/" in code:
        assert not (attribute_type in {"1", "1C"} and action in {"X", "Z"})
        assert not (attribute_type in {"2", "2C"} and action == "X")


@given(
    st.lists(
        st.sampled_from(["0040A730", "00081115", "0020000E", "60003000", "00091001", "zz", ""]), max_size=6
    )
)
def test_any_path_has_an_answer(path: list[str]) -> None:
    assert attribute_type(COMPREHENSIVE_SR, tuple(path)) in TYPES
