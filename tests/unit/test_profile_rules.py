"""Research and strict: what stays, what is scrubbed, what goes; options; places; private elements."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom._dicom_dict import DicomDictionary

from p2d.deid.profile.action import BULK_VRS, Action
from p2d.deid.profile.options import Mode, Option
from p2d.deid.profile.profile import PRESETS, Profile, allow_list
from p2d.deid.profile.rulebook import Rules
from p2d.deid.standard.codes import MEANINGS
from p2d.deid.standard.table import row_of
from p2d.dicom.dictionary import keyword_of, tag_of, vr_of

RESEARCH = PRESETS["research"].rules()
STRICT = PRESETS["strict"].rules()
CT, MR, SEG = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2", "4", "66.4"))
TAGS = [f"{tag:08X}" for tag in DicomDictionary]
VRS = (
    *(
        "AE",
        "AS",
        "AT",
        "CS",
        "DA",
        "DS",
        "DT",
        "FD",
        "FL",
        "IS",
        "LO",
        "LT",
        "OB",
        "OD",
        "OF",
        "OL",
        "OV",
        "OW",
    ),
    *("PN", "SH", "SL", "SQ", "SS", "ST", "SV", "TM", "UC", "UI", "UL", "UN", "UR", "US", "UT", "UV"),
)


def rules_with(*options: Option, mode: Mode = Mode.BASIC, sop_class: str = "") -> Rules:
    return Profile("made", mode, frozenset(options)).rules(sop_class)


@pytest.mark.parametrize(
    ("keyword", "vr", "action"),
    [
        ("PatientName", "PN", Action.PATIENT),
        ("PatientID", "LO", Action.PATIENT),
        ("AccessionNumber", "SH", Action.ACCESSION),
        ("AdmissionID", "LO", Action.CASE),
        ("PatientBirthDate", "DA", Action.EMPTY),
        ("PatientSex", "CS", Action.CLEAN),
        ("PatientAge", "AS", Action.CAP_AGE),
        ("PatientWeight", "DS", Action.KEEP),
        ("StudyDate", "DA", Action.DATE),
        ("StudyTime", "TM", Action.DATE),
        ("StudyDescription", "LO", Action.CLEAN),
        ("Manufacturer", "LO", Action.CLEAN),
        ("KVP", "DS", Action.KEEP),
        ("StudyInstanceUID", "UI", Action.UID),
        ("SOPClassUID", "UI", Action.KEEP),
        ("ReferencedSOPClassUID", "UI", Action.KEEP),
        ("CodingSchemeUID", "UI", Action.KEEP),
        ("SpecificCharacterSet", "CS", Action.CHARACTER_SET),
        ("ReferencedImageSequence", "SQ", Action.ITEMS),
        ("ContentSequence", "SQ", Action.CONTENT),
        ("AcquisitionContextSequence", "SQ", Action.CONTENT),
        ("GraphicAnnotationSequence", "SQ", Action.ITEMS),
        ("UnformattedTextValue", "ST", Action.CLEAN),
        ("EvaluatorName", "PN", Action.EMPTY),
        ("RetrieveURL", "UR", Action.REMOVE),
        ("StationAETitle", "AE", Action.REMOVE),
        ("OriginalAttributesSequence", "SQ", Action.REMOVE),
        ("DigitalSignaturesSequence", "SQ", Action.REMOVE),
        ("IconImageSequence", "SQ", Action.REMOVE),
        ("EncapsulatedDocument", "OB", Action.REMOVE),
        ("PixelData", "OW", Action.BULK),
        ("RedPaletteColorLookupTableData", "OW", Action.BULK),
        ("DeidentificationMethod", "LO", Action.REMOVE),
    ],
)
def test_research_treats_each_kind_of_attribute(keyword: str, vr: str, action: Action) -> None:
    assert RESEARCH.action(tag_of(keyword), vr) is action


@pytest.mark.parametrize("profile", PRESETS.values(), ids=list(PRESETS))
@pytest.mark.parametrize(
    ("tag", "vr"),
    [
        ("00080000", "UL"),
        ("00020016", "AE"),
        ("00041511", "UI"),
        ("50040010", "US"),
        ("60020022", "LO"),
        ("FFFCFFFC", "OB"),
        ("00081FFE", "LO"),
        ("0008103E", "UN"),
    ],
)
def test_no_profile_keeps_group_lengths_planes_padding_or_what_is_not_known(
    profile: Profile, tag: str, vr: str
) -> None:
    assert profile.rules().action(tag, vr) is Action.REMOVE


@pytest.mark.parametrize("mode", ["research", "strict"])
@given(tag=st.sampled_from(TAGS), vr=st.sampled_from(VRS), inside=st.booleans())
def test_no_attribute_keeps_bytes_that_may_hold_a_text(mode: str, tag: str, vr: str, inside: bool) -> None:
    rules = PRESETS[mode].rules(CT)
    action = (rules.inside("00081115") if inside else rules).action(tag, vr)

    if action is Action.KEEP:
        assert vr not in BULK_VRS | {
            "PN",
            "SQ",
            "SH",
            "LO",
            "ST",
            "LT",
            "UC",
            "UT",
            "CS",
            "AE",
            "UR",
            "DA",
            "DT",
        }
    if vr == "UN":
        assert action is Action.REMOVE


@given(
    tag=st.sampled_from(TAGS), vr=st.sampled_from(VRS), sop_class=st.sampled_from(["", CT, MR, SEG, "1.2.3"])
)
def test_why_ends_with_the_action(tag: str, vr: str, sop_class: str) -> None:
    for profile in PRESETS.values():
        rules = profile.rules(sop_class)
        assert rules.why(tag, vr).endswith(f"-> {rules.action(tag, vr)}")


def test_why_names_row_type_and_iod() -> None:
    why = PRESETS["research"].rules(CT).why(tag_of("StationName"), "SH")

    assert why == "Table E.1-1 X/Z/D, type 3 in CT Image -> X"


def test_removal_leaves_what_the_iod_requires() -> None:
    rules = PRESETS["research"].rules(SEG)

    assert rules.action(tag_of("DeviceSerialNumber"), "LO") is Action.DUMMY
    assert rules.is_required(tag_of("DeviceSerialNumber"))
    assert not rules.is_required(tag_of("StationName"))


@pytest.mark.parametrize(
    ("keyword", "vr"), [("SeriesDescription", "US"), ("PatientComments", "DS"), ("KVP", "LO")]
)
def test_a_vr_of_another_kind_than_the_dictionarys_does_not_stay(keyword: str, vr: str) -> None:
    assert RESEARCH.action(tag_of(keyword), vr) is Action.REMOVE


def test_items_have_no_character_set_and_no_pixels_of_their_own() -> None:
    items = RESEARCH.inside(tag_of("ReferencedImageSequence"))

    assert items.action(tag_of("SpecificCharacterSet"), "CS") is Action.REMOVE
    assert items.action(tag_of("PixelData"), "OW") is Action.REMOVE


def test_rules_are_made_once_for_a_place() -> None:
    content = RESEARCH.inside("0040A730")

    assert RESEARCH.inside("0040A730") is content
    assert content.inside("0040A730") is content
    assert PRESETS["research"].rules(CT) is PRESETS["research"].rules(CT)
    assert PRESETS["research"].rules("1.2.3.4") is RESEARCH


class TestContent:
    def test_listed_concepts_go_or_get_a_dummy(self) -> None:
        assert RESEARCH.content("DCM", "110190", "TEXT") is Action.REMOVE
        assert RESEARCH.content("DCM", "110180", "UIDREF") is Action.DUMMY
        assert RESEARCH.content("DCM", "121206", "NUM") is Action.KEEP

    def test_a_selected_option_keeps_them(self) -> None:
        assert RESEARCH.content("DCM", "111018", "DATE") is Action.KEEP

    def test_without_the_option_nothing_is_judged(self) -> None:
        assert rules_with().content("DCM", "110190", "TEXT") is Action.KEEP

    @pytest.mark.parametrize(
        ("keyword", "vr", "action"),
        [
            ("TextValue", "UT", Action.CLEAN),
            ("PersonName", "PN", Action.DUMMY),
            ("UID", "UI", Action.UID),
            ("Date", "DA", Action.DATE),
            ("DateTime", "DT", Action.DATE),
            ("NumericValue", "DS", Action.KEEP),
        ],
    )
    def test_values_of_kept_items_are_treated_by_kind(self, keyword: str, vr: str, action: Action) -> None:
        assert RESEARCH.inside("0040A730").action(tag_of(keyword), vr) is action

    def test_a_dummy_item_keeps_concept_and_form(self) -> None:
        dummies = RESEARCH.inside("0040A730").dummies()

        assert dummies.action(tag_of("TextValue"), "UT") is Action.DUMMY
        assert dummies.action(tag_of("NumericValue"), "DS") is Action.DUMMY
        assert dummies.action(tag_of("UID"), "UI") is Action.UID
        assert dummies.action(tag_of("ValueType"), "CS") is Action.CLEAN
        assert dummies.inside("0040A043").action(tag_of("CodeMeaning"), "LO") is Action.CLEAN
        assert dummies.inside("0040A168").action(tag_of("CodeMeaning"), "LO") is Action.DUMMY
        assert dummies.inside("0040A730").action(tag_of("TextValue"), "UT") is Action.CLEAN


class TestPrivate:
    GE = "GEMS_ACQU_01"

    @pytest.mark.parametrize(
        ("tag", "vr", "creator", "action"),
        [
            ("00191023", "DS", GE, Action.KEEP),
            ("0019A523", "DS", GE, Action.KEEP),
            ("00191023", "DS", "ACME", Action.REMOVE),
            ("00191023", "DS", "", Action.REMOVE),
            ("00191023", "UN", GE, Action.REMOVE),
            ("00191023", "OB", GE, Action.REMOVE),
            ("00191023", "LO", GE, Action.CLEAN),
            ("00191023", "UI", GE, Action.UID),
            ("00191023", "PN", GE, Action.REMOVE),
            ("00191099", "DS", GE, Action.REMOVE),
            ("00190010", "LO", GE, Action.KEEP),
            ("00210010", "LO", GE, Action.REMOVE),
            ("00190010", "LO", "Müller^Anna", Action.REMOVE),
            ("00190001", "LO", GE, Action.REMOVE),
            ("00190123", "LO", GE, Action.REMOVE),
        ],
    )
    def test_elements_stay_by_creator_and_never_by_block(
        self, tag: str, vr: str, creator: str, action: Action
    ) -> None:
        assert RESEARCH.action(tag, vr, creator) is action

    def test_nothing_stays_without_the_option(self) -> None:
        assert rules_with(mode=Mode.RESEARCH).action("00191023", "DS", self.GE) is Action.REMOVE
        assert STRICT.action("00190010", "LO", self.GE) is Action.REMOVE


class TestOptions:
    @pytest.mark.parametrize(
        ("option", "keyword", "vr", "action"),
        [
            (Option.RETAIN_UIDS, "StudyInstanceUID", "UI", Action.KEEP),
            (Option.RETAIN_DEVICE, "DeviceSerialNumber", "LO", Action.KEEP),
            (Option.RETAIN_DEVICE, "StationAETitle", "AE", Action.CLEAN),
            (Option.RETAIN_INSTITUTION, "InstitutionName", "LO", Action.KEEP),
            (Option.RETAIN_PATIENT_CHARACTERISTICS, "PatientSex", "CS", Action.KEEP),
            (Option.RETAIN_PATIENT_CHARACTERISTICS, "SpecialNeeds", "LO", Action.CLEAN),
            (Option.RETAIN_PATIENT_CHARACTERISTICS, "PatientAge", "AS", Action.KEEP),
            (Option.FULL_DATES, "StudyDate", "DA", Action.DATE),
            (Option.MODIFIED_DATES, "StudyDate", "DA", Action.DATE),
            (Option.CLEAN_DESCRIPTORS, "SeriesDescription", "LO", Action.CLEAN),
            (Option.CLEAN_DESCRIPTORS, "RequestAttributesSequence", "SQ", Action.ITEMS),
            (Option.CLEAN_STRUCTURED_CONTENT, "ContentSequence", "SQ", Action.CONTENT),
            (Option.CLEAN_GRAPHICS, "GraphicAnnotationSequence", "SQ", Action.ITEMS),
        ],
    )
    def test_an_option_decides_before_the_basic_action(
        self, option: Option, keyword: str, vr: str, action: Action
    ) -> None:
        tag = tag_of(keyword)

        assert rules_with(option).action(tag, vr) is action
        assert row_of(tag) is not None

    def test_a_date_that_two_options_keep_moves_with_the_others(self) -> None:
        rules = rules_with(Option.RETAIN_DEVICE, Option.MODIFIED_DATES)

        assert rules.action(tag_of("DateOfLastCalibration"), "DA") is Action.DATE
        assert rules_with(Option.RETAIN_DEVICE).action(tag_of("DateOfLastCalibration"), "DA") is Action.KEEP

    def test_research_scrubs_what_an_option_retains(self) -> None:
        rules = rules_with(Option.RETAIN_INSTITUTION, mode=Mode.RESEARCH)

        assert rules.action(tag_of("InstitutionName"), "LO") is Action.CLEAN

    def test_research_without_dates_keeps_none(self) -> None:
        rules = rules_with(mode=Mode.RESEARCH, sop_class=CT)

        assert rules.action(tag_of("StudyDate"), "DA") is Action.EMPTY
        assert rules.action(tag_of("TriggerTime"), "DS") is Action.KEEP
        assert rules.action(tag_of("ContributionDateTime"), "DT") is Action.REMOVE

    @given(st.sets(st.sampled_from(list(Option))), st.sampled_from(list(Mode)), st.sampled_from(TAGS))
    def test_every_combination_decides_on_everything(
        self, options: set[Option], mode: Mode, tag: str
    ) -> None:
        rules = Profile("made", mode, frozenset(options)).rules(CT)

        for vr in vr_of(tag).split(" or "):
            assert isinstance(rules.action(tag, vr), Action)

    def test_codes_are_those_of_cid_7050(self) -> None:
        assert {option.code: option.meaning for option in Option} == {
            code: meaning for code, meaning in MEANINGS.items() if code not in {"113100", "113102"}
        }


class TestStrict:
    def test_the_allow_list_holds_attributes_of_ps3_6_with_their_keywords(self) -> None:
        assert [tag for tag in allow_list() if not keyword_of(tag)] == []

    def test_the_allow_list_names_no_person_device_or_place(self) -> None:
        forbidden = {"device", "institution", "patient_characteristics", "descriptors"}
        rows = [row for tag in allow_list() if (row := row_of(tag)) is not None]

        assert [row.name for row in rows if any(row.options[name] for name in forbidden)] == []
        assert [tag for tag in allow_list() if vr_of(tag) in {"PN", "LT", "ST", "UT", "AE", "AS"}] == []

    @pytest.mark.parametrize(
        ("keyword", "vr", "action"),
        [
            ("SeriesDescription", "LO", Action.REMOVE),
            ("Manufacturer", "LO", Action.EMPTY),
            ("PatientSex", "CS", Action.EMPTY),
            ("PatientAge", "AS", Action.REMOVE),
            ("StudyDate", "DA", Action.DATE),
            ("Rows", "US", Action.KEEP),
            ("PixelSpacing", "DS", Action.KEEP),
            ("BodyPartExamined", "CS", Action.CLEAN),
            ("AnatomicRegionSequence", "SQ", Action.ITEMS),
            ("ContributingEquipmentSequence", "SQ", Action.REMOVE),
            ("PixelData", "OW", Action.BULK),
            ("FrameOfReferenceUID", "UI", Action.UID),
        ],
    )
    def test_only_what_it_names_stays_and_types_hold(self, keyword: str, vr: str, action: Action) -> None:
        assert PRESETS["strict"].rules(CT).action(tag_of(keyword), vr) is action

    def test_code_strings_that_the_iod_requires_stay(self) -> None:
        rules = PRESETS["strict"].rules("1.2.840.10008.5.1.4.1.1.88.11")

        assert rules.action(tag_of("CompletionFlag"), "CS") is Action.CLEAN

    def test_an_option_lets_its_attributes_in(self) -> None:
        rules = rules_with(Option.RETAIN_PATIENT_CHARACTERISTICS, mode=Mode.STRICT)

        assert rules.action(tag_of("PatientSex"), "CS") is Action.CLEAN
