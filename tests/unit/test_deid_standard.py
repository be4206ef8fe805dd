"""Tables of PS3.15 and PS3.16 as data: counts of the editions, look-ups, generators."""

import json
from collections import Counter
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom.sr.codedict import codes as pydicom_codes

from p2d.deid.data.generate_2026d import additions as made_additions
from p2d.deid.data.generate_2026d import content as made_content
from p2d.deid.data.generate_safe_private import digest, rows_in
from p2d.deid.data.generate_safe_private import table as made_safe_private
from p2d.deid.standard.bulk import is_sample
from p2d.deid.standard.codes import MEANINGS, OF_OPTION
from p2d.deid.standard.private import is_safe, safe_private, safe_vr
from p2d.deid.standard.structured import content_action, content_row, content_rows
from p2d.deid.standard.table import additions, row_of, table
from p2d.deid.standard.tsv import rows_of

BULK_VRS = {"OB", "OW", "OF", "OD", "OL", "OV", "UN"}
PUBLISHED_DIGEST = "7acb26dbab0e3124c02d075cbf8c5510354a20ded9f89ee4765976a905d92f63"
DOCBOOK = """\
<book xmlns="http://docbook.org/ns/docbook"><table xml:id="table_E.3.10-1">
<thead><tr><th>Data Element</th></tr></thead>
<tbody><tr><td><para>(2001,xx0a)</para></td><td><para>ACME  1</para></td><td><para>IS</para></td>
<td><para>1</para></td><td><para>Plane\u200b Number</para></td></tr></tbody></table></book>
"""


def parsed(document: str) -> ET.Element:
    return ET.fromstring(document)  # noqa: S314  # written above


def test_table_e1_1_holds_all_rows_of_edition_2024b() -> None:
    assert len(table()) == 621
    assert Counter(row.basic for row in table().values())["X"] > 370


def test_the_additions_are_the_attributes_that_2026d_lists_beyond_2024b() -> None:
    assert len(additions()) == 36
    assert not additions().keys() & table().keys()
    assert {row.basic for row in additions().values()} == {"X", "X/D", "D", "U"}
    assert next(iter(additions().values())).options.keys() == next(iter(table().values())).options.keys()


@pytest.mark.parametrize(
    ("tag", "name", "basic"),
    [
        ("00100010", "Patient's Name", "Z"),
        ("00100012", "Name to Use", "X"),
        ("60003000", "Overlay Data", "X"),
        ("60FE4000", "Overlay Comments", "X"),
        ("60xx3000", "Overlay Data", "X"),
        ("50000005", "Curve Data", "X"),
        ("50xx3000", "Curve Data", "X"),
        ("00091001", "Private Attributes", "X"),
        ("50011001", "Private Attributes", "X"),
        ("PRIVATE", "Private Attributes", "X"),
    ],
)
def test_a_tag_finds_its_row_also_in_repeating_groups_and_private_ones(
    tag: str, name: str, basic: str
) -> None:
    row = row_of(tag)

    assert row is not None
    assert (row.name, row.basic) == (name, basic)


@pytest.mark.parametrize("tag", ["00080060", "60000010", "7FE00010"])
def test_an_unlisted_tag_has_no_row(tag: str) -> None:
    assert row_of(tag) is None


def test_table_e3_4_1_holds_the_actions_of_edition_2026d() -> None:
    rows = {id(row): row for rows in content_rows().values() for row in rows}.values()

    assert Counter(row.action for row in rows) == {"X": 135, "D": 60, "X/D": 19}
    assert Counter(row.scheme for row in rows)["DCM"] == 189


@pytest.mark.parametrize(
    ("scheme", "code", "value_type", "action"),
    [
        ("DCM", "121008", "PNAME", "D"),
        ("DCM", "121106", "TEXT", "X"),
        ("DCM", "121124", "TEXT", "X/D"),
        ("DCM", "122146", "DATETIME", "X/D"),
        ("NCDR [2.0b]", "53", "TEXT", "X"),
        ("DCM", "121112", "IMAGE", "D"),
        ("DCM", "121112", "WAVEFORM", "X"),
        ("DCM", "121112", "", "D"),
        ("SCT", "363698007", "TEXT", "D"),
        ("SRT", "G-C0E3", "TEXT", "D"),
        ("SNM3", "G-C0E3", "TEXT", "D"),
        ("DCM", "121008", "TEXT", "D"),
        ("DCM", "121071", "CODE", ""),
        ("DCM", "121032", "CODE", "X"),
        ("99OWN", "121008", "PNAME", ""),
        ("", "", "", ""),
    ],
)
def test_a_concept_has_the_action_of_its_value_type(
    scheme: str, code: str, value_type: str, action: str
) -> None:
    assert content_action(scheme, code, value_type) == action


def test_a_concept_row_knows_the_options() -> None:
    row = content_row("DCM", "113769", "UIDREF")

    assert row is not None
    assert {name for name, action in row.options.items() if action} == {"uids"}


def test_table_e3_10_1_is_the_published_one_row_for_row() -> None:
    _, rows = rows_of("ps3_15_e3_10_1.tsv")

    assert digest(rows) == PUBLISHED_DIGEST
    assert Counter(row.creator for row in safe_private().values()) == {
        "Philips Imaging DD 001": 184,
        "Philips Imaging DD 002": 86,
        "Philips Imaging DD 097": 70,
        "SIEMENS Ultrasound SC2000": 40,
        "NQLeft": 22,
        "NQRight": 22,
        "Philips Imaging DD 129": 10,
        "ELSCINT1": 7,
        "NQHeader": 7,
        "HOLOGIC, Inc.": 5,
        "GEMS_ACQU_01": 4,
        "SIEMENS MR HEADER": 4,
        "SIEMENS SYNGO ULTRA-SOUND TOYON DATA STREAMING": 4,
        "GEMS_PARM_01": 3,
        "GEIIS PACS": 3,
        "Philips PET Private Group": 2,
        "GEMS_HELIOS_01": 2,
        "Philips MR Imaging DD 001": 2,
        "Philips ST80i": 1,
        "GEMS_SERS_01": 1,
    }


def test_a_private_element_is_safe_by_its_creator_whatever_block_it_reserved() -> None:
    assert is_safe(0x7053, "Philips PET Private Group", 0x00)
    assert is_safe(0x7053, "Philips PET Private Group ", 0x1000)
    assert is_safe(0x2001, "Philips Imaging DD 001", 0xFF0A)
    assert not is_safe(0x7053, "PHILIPS PET PRIVATE GROUP", 0x00)
    assert not is_safe(0x7055, "Philips PET Private Group", 0x00)
    assert not is_safe(0x7053, "Philips PET Private Group", 0x01)
    assert not is_safe(0x7053, "", 0x00)


def test_a_safe_private_element_has_the_vr_that_is_printed() -> None:
    assert safe_vr(0x0019, "SIEMENS MR HEADER", 0x0C) == "IS"
    assert safe_vr(0x2001, "Philips Imaging DD 001", 0x7D) == "OW/OB"
    assert safe_vr(0x0119, "SIEMENS Ultrasound SC2000", 0x11) == ""
    assert safe_vr(0x0019, "SIEMENS CSA HEADER", 0x10) == ""


def test_every_bulk_attribute_of_the_dictionary_is_decided() -> None:
    _, rows = rows_of("bulk_samples.tsv")
    listed = {tag: vr for tag, vr, *_ in rows}
    entries = {f"{tag:08X}": entry[0] for tag, entry in DicomDictionary.items()}
    entries |= {mask: entry[0] for mask, entry in RepeatersDictionary.items()}

    assert listed == {tag: vr for tag, vr in entries.items() if BULK_VRS & set(vr.split(" or "))}
    assert {decision for _, _, decision, *_ in rows} == {"keep", "remove"}
    assert all(reason for *_, reason in rows)


@pytest.mark.parametrize(
    "tag", ["7FE00010", "7FE00001", "00281203", "00283006", "00282000", "54001010", "00660016"]
)
def test_samples_geometry_and_look_up_tables_are_samples(tag: str) -> None:
    assert is_sample(tag)


@pytest.mark.parametrize(
    "tag",
    [
        "00420011",
        "04000520",
        "04000120",
        "60003000",
        "50003000",
        "7F000010",
        "0016002B",
        "00091010",
        "00081111",
    ],
)
def test_documents_signatures_overlays_and_unknown_bulk_are_no_samples(tag: str) -> None:
    assert not is_sample(tag)


def test_the_method_codes_have_the_meanings_of_cid_7050() -> None:
    context_group = pydicom_codes.cid7050
    independent = {
        getattr(context_group, name).value: getattr(context_group, name).meaning
        for name in context_group.dir()
    }

    assert dict(MEANINGS) == independent
    assert list(MEANINGS) == [str(code) for code in range(113100, 113113)]


def test_every_option_column_of_the_table_has_its_method_code() -> None:
    assert OF_OPTION.keys() == table()["00100010"].options.keys()
    assert set(OF_OPTION.values()) == MEANINGS.keys() - {"113100", "113101", "113102"}
    assert MEANINGS[OF_OPTION["uids"]] == "Retain UIDs Option"


def test_the_generator_of_content_items_adds_codes_of_older_objects() -> None:
    row = {
        "scheme": "SCT",
        "code": "363698007",
        "meaning": "Finding Site",
        "value_type": "TEXT",
        "basic": "D",
        "options": {"clean_descriptors": "C"},
    }

    made = made_content({"content_items": [row]})

    assert made.splitlines()[-1].split("\t") == [
        "SCT", "363698007", "G-C0E3", "Finding Site", "TEXT", "D", *[""] * 6, "C",
    ]  # fmt: skip


def test_the_generator_of_additions_leaves_out_listed_attributes() -> None:
    rows = [
        {"tag": "60xx3000", "name": "Overlay Data", "basic": "X", "options": {}},
        {"tag": "0040e012", "name": "Display URI", "basic": "X", "options": {}},
    ]

    made = made_additions({"rules": rows}, frozenset({"60xx3000"}))

    assert [line.split("\t")[0] for line in made.splitlines() if not line.startswith("#")] == [
        "tag",
        "0040E012",
    ]


def test_the_generator_of_safe_private_attributes_reads_docbook() -> None:
    rows = list(rows_in(parsed(DOCBOOK)))

    assert rows == [["2001", "ACME 1", "xx0a", "IS", "1", "Plane Number"]]
    assert made_safe_private(rows, "2030a").splitlines()[-1] == "2001\tACME 1\txx0a\tIS\t1\tPlane Number"


@pytest.mark.parametrize(
    "document", [DOCBOOK.replace("E.3.10-1", "E.3.10-2"), DOCBOOK.replace("(2001,xx0a)", "(2001,000a)")]
)
def test_the_generator_of_safe_private_attributes_refuses_another_document(document: str) -> None:
    with pytest.raises(ValueError, match=r"E\.3\.10-1|private tag"):
        list(rows_in(parsed(document)))


@given(st.text("0123456789ABCDEF", min_size=8, max_size=8))
def test_any_tag_has_one_answer_from_every_table(tag: str) -> None:
    row = row_of(tag)

    assert row is None or json.dumps(row.basic)
    assert (row is not None) or int(tag[3], 16) % 2 == 0
    assert not (is_sample(tag) and int(tag[3], 16) % 2)
