"""Table E.1-1 as data, and the actions made of it."""

import pytest
from pydicom.datadict import dictionary_VR

from p2d.deid.data.generate import table as generated
from p2d.deid.profile.action import Action
from p2d.deid.profile.rules import action_of, table


def test_the_table_holds_all_rows_of_the_edition() -> None:
    rows = table()

    assert len(rows) == 621
    assert {"50xxxxxx", "60xx3000", "60xx4000", "PRIVATE"} <= rows.keys()
    assert (rows["00100010"].basic, rows["0008103E"].options["descriptors"]) == ("Z", "C")


def test_the_generator_makes_tabs_of_json() -> None:
    made = generated(
        [{"id": "60xx3000", "name": "Overlay\u2028 Data", "basicProfile": "X", "cleanGraphOpt": "C"}]
    )

    assert made.splitlines()[-1].split("\t") == ["60xx3000", "Overlay Data", "X", *[""] * 9, "C"]


@pytest.mark.parametrize(
    ("tag", "vr", "action"),
    [
        ("00100010", "PN", Action.PATIENT),
        ("00100020", "LO", Action.PATIENT),
        ("00100030", "DA", Action.EMPTY),
        ("00100040", "CS", Action.CLEAN),
        ("00101010", "AS", Action.KEEP),
        ("00080050", "SH", Action.ACCESSION),
        ("00380010", "LO", Action.CASE),
        ("00080020", "DA", Action.DATE),
        ("00080030", "TM", Action.DATE),
        ("0008103E", "LO", Action.CLEAN),
        ("00104000", "LT", Action.CLEAN),
        ("00200010", "SH", Action.EMPTY),
        ("0020000D", "UI", Action.UID),
        ("00081140", "SQ", Action.ITEMS),
        ("00081048", "PN", Action.REMOVE),
        ("00180015", "CS", Action.CLEAN),
        ("00280010", "US", Action.KEEP),
        ("00091001", "LO", Action.REMOVE),
        ("00081FFE", "LO", Action.REMOVE),
        ("60023000", "OW", Action.REMOVE),
        ("50000005", "US", Action.REMOVE),
        ("04000561", "SQ", Action.REMOVE),
        ("00880200", "SQ", Action.REMOVE),
        ("0040A730", "SQ", Action.REMOVE),
        ("00420011", "OB", Action.REMOVE),
        ("FFFAFFFA", "SQ", Action.REMOVE),
        ("FFFCFFFC", "OB", Action.REMOVE),
        ("00100012", "UT", Action.REMOVE),
        ("00100033", "LO", Action.REMOVE),
        ("40101051", "LO", Action.REMOVE),
        ("7FE00010", "OW", Action.BULK),
        ("00281201", "OW", Action.BULK),
    ],
)
def test_each_kind_of_attribute_has_its_action(tag: str, vr: str, action: Action) -> None:
    assert action_of(tag, vr) is action


def test_no_attribute_of_the_table_is_merely_kept_unless_an_option_says_so() -> None:
    kept = [
        row.name
        for tag, row in table().items()
        if "x" not in tag and tag != "PRIVATE"
        if action_of(tag, _vr(tag)) is Action.KEEP and not row.options["patient_characteristics"]
    ]

    assert kept == []


def test_every_action_is_defined_for_every_row() -> None:
    for tag, row in table().items():
        if "x" in tag or tag == "PRIVATE":
            continue
        action = action_of(tag, _vr(tag))
        if row.basic == "X" and not any(row.options[o] for o in ("descriptors", "modified_dates")):
            assert action in {Action.REMOVE, Action.CASE, Action.KEEP, Action.CLEAN}, row.name


def _vr(tag: str) -> str:
    return dictionary_VR(int(tag, 16)).split(" or ")[0]
