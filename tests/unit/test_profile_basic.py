"""Basic mode is Table E.1-1 to the letter: every row, every combined code, nothing else."""

import pytest

from p2d.deid.profile.action import Action
from p2d.deid.profile.profile import PRESETS
from p2d.deid.standard.table import Row, additions, table
from p2d.dicom.dictionary import keyword_of, tag_of, vr_of

RULES = PRESETS["basic"].rules()
PSEUDONYMS = {
    "PatientID": Action.PATIENT,
    "PatientName": Action.PATIENT,
    "AccessionNumber": Action.ACCESSION,
}
CT, SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.11"
LETTERS = {"X": Action.REMOVE, "Z": Action.EMPTY, "D": Action.DUMMY, "U": Action.UID}
OF_TYPE = {
    "X/Z": {"1": "D", "2": "Z", "3": "X"},
    "X/D": {"1": "D", "2": "D", "3": "X"},
    "X/Z/D": {"1": "D", "2": "Z", "3": "X"},
    "Z/D": {"1": "D", "2": "Z", "3": "Z"},
    "X/Z/U*": {"1": "U", "2": "Z", "3": "X"},
    "Z": {"1": "D", "2": "Z", "3": "Z"},
    **{code: dict.fromkeys("123", code) for code in "XDU"},
}


def expected(row: Row, vr: str, kind: str) -> Action:
    letter = OF_TYPE[row.basic][kind]
    if vr == "UI" and letter == "D":
        return Action.UID
    return Action.ITEMS if vr == "SQ" and letter == "U" else LETTERS[letter]


def plain_rows() -> list[Row]:
    return [row for tag, row in table().items() if "x" not in tag and tag != "PRIVATE"]


@pytest.mark.parametrize("kind", ["1", "2", "3"])
def test_every_row_gets_its_letter(kind: str) -> None:
    wrong = {}
    for row in plain_rows():
        vr, keyword = vr_of(row.tag).split(" or ")[0], keyword_of(row.tag)
        want = PSEUDONYMS.get(keyword) or expected(row, vr, kind)
        if row.tag[:4] in {"0000", "0002", "0004"} or vr == "UN":
            want = Action.REMOVE  # parts that no data set of an instance keeps, and a value without meaning
        got = RULES.at_type(row.tag, vr, kind).action
        if got is not want:
            wrong[keyword] = (row.basic, got, want)

    assert wrong == {}


def test_the_table_has_no_code_that_the_test_does_not_know() -> None:
    assert {row.basic for row in table().values()} == OF_TYPE.keys()


@pytest.mark.parametrize("tag", ["50003000", "60003000", "60024000", "FFFCFFFC", "00091001", "7FE11010"])
def test_repeating_groups_padding_and_private_elements_go(tag: str) -> None:
    assert RULES.action(tag, "OW", "ACME 1") is Action.REMOVE


@pytest.mark.parametrize(
    ("keyword", "vr", "action"),
    [
        ("Manufacturer", "LO", Action.KEEP),
        ("ImageType", "CS", Action.KEEP),
        ("TextValue", "UT", Action.KEEP),
        ("SOPClassUID", "UI", Action.KEEP),
        ("PixelData", "OW", Action.BULK),
        ("WaveformSequence", "SQ", Action.ITEMS),
    ],
)
def test_what_the_table_does_not_list_stays_unaltered(keyword: str, vr: str, action: Action) -> None:
    assert RULES.action(tag_of(keyword), vr) is action


def test_rows_of_later_editions_do_not_count() -> None:
    known = [tag for tag in additions() if keyword_of(tag) and vr_of(tag) not in {"SQ", "OB"}]

    assert {RULES.action(tag, vr_of(tag)) for tag in known} == {Action.KEEP}


@pytest.mark.parametrize(
    ("keyword", "vr", "sop_class", "action"),
    [
        ("StationName", "SH", CT, Action.REMOVE),  # X/Z/D, type 3
        ("ContentCreatorName", "PN", "1.2.840.10008.5.1.4.1.1.66.4", Action.EMPTY),  # Z/D, type 2
        ("ReferringPhysicianName", "PN", CT, Action.EMPTY),
        ("ContentDate", "DA", SR, Action.DUMMY),  # Z/D, type 1
        ("ReferencedImageSequence", "SQ", CT, Action.REMOVE),  # X/Z/U*, type 3
        ("ReferencedImageSequence", "SQ", "", Action.ITEMS),  # X/Z/U*, IOD not known
    ],
)
def test_combined_codes_follow_the_type_in_the_iod(
    keyword: str, vr: str, sop_class: str, action: Action
) -> None:
    assert PRESETS["basic"].rules(sop_class).action(tag_of(keyword), vr) is action


def test_a_sequence_with_a_dummy_keeps_its_form_and_no_text() -> None:
    items = RULES.inside(tag_of("VerifyingObserverSequence"))
    codes = items.inside(tag_of("PersonIdentificationCodeSequence"))

    assert RULES.action(tag_of("VerifyingObserverSequence"), "SQ") is Action.ITEMS
    assert items.action(tag_of("VerifyingObserverName"), "PN") is Action.DUMMY
    assert {codes.action(tag_of(k), "LO") for k in ("CodeMeaning", "CodeValue")} == {Action.DUMMY}


def test_content_keeps_its_concept_names_and_form_but_no_value() -> None:
    items = RULES.inside(tag_of("ContentSequence"))
    deeper = items.inside(tag_of("ContentSequence"))

    assert items.action(tag_of("TextValue"), "UT") is Action.DUMMY
    assert items.action(tag_of("ValueType"), "CS") is Action.KEEP
    assert items.inside(tag_of("ConceptNameCodeSequence")).action(tag_of("CodeMeaning"), "LO") is Action.KEEP
    assert items.inside(tag_of("ConceptCodeSequence")).action(tag_of("CodeMeaning"), "LO") is Action.DUMMY
    assert deeper is items
