"""Project files: layered on a preset, checked, never looser than what a project may decide."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.deid.profile.action import Action
from p2d.deid.profile.options import Mode, Option
from p2d.deid.profile.profile import PRESETS, Profile
from p2d.deid.profile.project import read_profile
from p2d.dicom.dictionary import tag_of
from p2d.model.errors import Misconfigured

WHOLE = """
extends: research
name: liver
options:
  add: [retain-device, full-dates]
  remove: [modified-dates]
attributes:
  SeriesDescription: empty
  "(0018,1030)": remove
  "00081030": keep
  RequestAttributesSequence.ScheduledProcedureStepDescription: remove
private:
  ACME 1.1: ["(0019,xx5A)", 0019xx5b]
withhold:
  modalities: [US]
  sop_classes: ["1.2.840.10008.5.1.4.1.1.7"]
dates: {unit: weeks}
age_cap: 80
head: exclude
review: true
screen: all
vocabulary: [Leber, Milz]
known_words: words.txt
"""


def read(folder: Path, text: str) -> Profile:
    file = folder / "project.yaml"
    file.write_text(text, encoding="utf-8")
    return read_profile(file)


def test_every_key_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("Haus Nord\n# remark\n\nHaus Süd # the other\n", encoding="utf-8")

    profile = read(tmp_path, WHOLE)

    preset = PRESETS["research"].options
    assert (profile.name, profile.mode) == ("liver", Mode.RESEARCH)
    assert profile.options == preset - {Option.MODIFIED_DATES} | {Option.RETAIN_DEVICE, Option.FULL_DATES}
    assert (profile.whole_weeks, profile.age_cap, profile.head) == (True, 80, "exclude")
    assert (profile.review, profile.screen) == (True, "all")
    assert profile.vocabulary == {"Leber", "Milz"}
    assert profile.known_words == {"Haus Nord", "Haus Süd"}
    assert profile.withholds("1.2.840.10008.5.1.4.1.1.7", "OT")
    assert profile.withholds("", "US")
    assert not profile.withholds("1.2.840.10008.5.1.4.1.1.2", "CT")
    assert profile.keeps_true_dates


def test_its_attributes_get_its_actions(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("")
    rules = read(tmp_path, WHOLE).rules()

    assert rules.action(tag_of("SeriesDescription"), "LO") is Action.EMPTY
    assert rules.action(tag_of("ProtocolName"), "LO") is Action.REMOVE
    assert rules.action(tag_of("StudyDescription"), "LO") is Action.CLEAN
    assert rules.action("0019105A", "SL", "ACME 1.1") is Action.KEEP
    assert rules.action("0019FF5B", "LO", "ACME 1.1") is Action.CLEAN
    assert rules.action("0019105A", "SQ", "ACME 1.1") is Action.REMOVE
    assert rules.action("0019105A", "SL", "ACME 2") is Action.REMOVE
    assert rules.action("00190010", "LO", "ACME 1.1") is Action.KEEP
    assert rules.why(tag_of("SeriesDescription"), "LO") == "project file -> Z"


def test_a_path_counts_at_its_place_only(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("")
    rules = read(tmp_path, WHOLE).rules()
    tag = tag_of("ScheduledProcedureStepDescription")

    assert rules.inside(tag_of("RequestAttributesSequence")).action(tag, "LO") is Action.REMOVE
    assert rules.action(tag, "LO") is Action.CLEAN


@pytest.mark.parametrize(
    ("text", "field", "problem"),
    [
        ("extends: resarch", "extends", "Input should be"),
        ("name: x", "extends", "Field required"),
        ("extends: basic\nattribute: {}", "attribute", "Extra inputs"),
        ("extends: basic\nname: Basic Study", "name", "not the name"),
        ("extends: basic\nname: strict", "name", "not the name"),
        ("extends: research\noptions: {add: [full-dates]}", "options", "exclude each other"),
        ("extends: basic\noptions: {remove: [retain-uids]}", "options.remove", "not an option"),
        ("extends: basic\noptions: {add: [retain-all]}", "options.add", "Input should be"),
        ("extends: research\nage_cap: 95", "age_cap", "less than or equal to 90"),
        ("extends: research\nwithhold: {modalities: [XX]}", "withhold.modalities", "modality"),
        ("extends: research\nwithhold: {sop_classes: ['1.2']}", "withhold.sop_classes", "SOP class"),
        ("extends: research\nvocabulary: nowhere.txt", "vocabulary", "not readable"),
        ("extends: research\ndates: {unit: months}", "dates.unit", "Input should be"),
        ("extends: research\nprivate: {ACME: ['0019105A']}", "private.ACME", "not a private element"),
        ("extends: research\nprivate: {ACME: ['(0018,xx5A)']}", "private.ACME", "not a private element"),
        ("extends: research\nprivate: {SIEMENS CSA HEADER: ['(0029,xx10)']}", "private.SIEMENS", "VR OB"),
        ("extends: basic\nextends: research", "project.yaml", "given twice"),
        ("extends: &a basic\nname: *a", "project.yaml", "aliases"),
        ("extends: basic\nattributes: {00101030: keep}", "project.yaml", "in quotes"),
        ("extends: !!python/name:os.system", "project.yaml", "not readable as YAML"),
        ("[", "project.yaml", "not readable as YAML"),
        ("- basic", "settings", "valid dictionary"),
    ],
)
def test_a_wrong_file_is_refused_with_the_name_of_the_field(
    tmp_path: Path, text: str, field: str, problem: str
) -> None:
    with pytest.raises(Misconfigured) as caught:
        read(tmp_path, text)

    assert field in caught.value.field
    assert problem in caught.value.problem
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("attribute", "action", "problem"),
    [
        ("PatientName", "keep", "is a pseudonym"),
        ("PatientID", "keep", "is a pseudonym"),
        ("AccessionNumber", "empty", "is a pseudonym"),
        ("PatientBirthDate", "keep", "is a date"),
        ("PatientBirthDate", "date", "identifies people"),
        ("OtherPatientIDs", "clean", "identifies people"),
        ("PatientAddress", "keep", "identifies people"),
        ("ReferringPhysicianName", "keep", "name of a person"),
        ("StudyInstanceUID", "remove", "hierarchy"),
        ("FrameOfReferenceUID", "keep", "is a UID"),
        ("EncapsulatedDocument", "keep", "is fixed"),
        ("MakerNote", "keep", "is bulk"),
        ("IconImageSequence", "keep", "identifies people"),
        ("(6000,3000)", "keep", "is fixed"),
        ("DeidentificationMethod", "keep", "is fixed"),
        ("SpecificCharacterSet", "keep", "is fixed"),
        ("StudyDate", "keep", "is a date"),
        ("Rows", "date", "does not fit"),
        ("StudyDescription", "uid", "does not fit"),
        ("(0009,1001)", "keep", "private attribute"),
        ("(0008,1FFE)", "remove", "not an attribute"),
        ("PatientNmae", "remove", "not a keyword"),
        ("ReferencedStudySequence.PatientID", "keep", "is a pseudonym"),
    ],
)
def test_a_project_never_loosens_what_identifies(
    tmp_path: Path, attribute: str, action: str, problem: str
) -> None:
    with pytest.raises(Misconfigured, match=problem) as caught:
        read(tmp_path, f'extends: research\nattributes: {{"{attribute}": {action}}}')

    assert attribute in caught.value.field
    assert caught.value.remedy


def test_dates_need_a_dates_option(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="keeps no dates"):
        read(tmp_path, "extends: basic\nattributes: {StudyDate: date}")


def test_an_attribute_in_two_notations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="two notations"):
        read(tmp_path, 'extends: research\nattributes: {StudyDescription: keep, "00081030": empty}')


def test_an_absent_file_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="preset"):
        read_profile(tmp_path / "none.yaml")


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="1 MiB"):
        read(tmp_path, "#" * (1 << 20) + "\n")


def test_the_version_follows_from_all_that_decides_and_from_nothing_else(tmp_path: Path) -> None:
    plain = read(tmp_path, "extends: research\nname: one")
    renamed = read(tmp_path, "extends: research\nname: two")
    other = read(tmp_path, "extends: research\nname: one\nattributes: {StudyDescription: empty}")

    assert plain.version == renamed.version == PRESETS["research"].version
    assert other.version != plain.version
    assert hash(plain) == hash(read(tmp_path, "extends: research\nname: one"))
    assert len({profile.version for profile in PRESETS.values()}) == 3


@given(st.text(max_size=200))
def test_any_text_is_a_profile_or_misconfigured(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp()

    try:
        profile = read(folder, text)
    except (Misconfigured, UnicodeEncodeError):
        return

    assert profile.mode in set(Mode)
