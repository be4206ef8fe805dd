"""What leaves and what is withheld: headers, whole headers and images."""

from datetime import date, timedelta
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import RLELossless

from p2d.deid.references import References, references_in_headers
from p2d.deid.release import Releaser, release_header
from p2d.deid.scrub.cleaner import TextCleaner
from p2d.dicom.dictionary import tag_of
from p2d.dicom.uids import IMPLEMENTATION_CLASS_UID
from p2d.model.identified import IdentifiedInstance, KnownValues, PatientId, PatientKeys
from p2d.model.ids import Pseudonym
from p2d.model.released import Reason, ReleasedHeader, ReleasedInstance, Withheld
from p2d.testing.datasets import ct
from p2d.testing.releasing import (
    IMPLICIT,
    PATIENT,
    answer_of,
    derived_uid,
    instance_of,
    keys_for,
    references_in_instance,
)

US_IMAGE = "1.2.840.10008.5.1.4.1.1.6.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
NAME = "Zwetschgenbaum^Gerlinde"
CANARIES = ("zwetschgenbaum", "gerlinde", "98765432", "ACC-771144", "CASE-5599")
FOREIGN_UID = "1.2.276.99.1.2.3.4.5"


def item(**keywords: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in keywords.items():
        setattr(dataset, keyword, value)
    return dataset


def with_overlay(bit: int) -> Dataset:
    """Return a CT with an overlay in *bit* of its pixels, 0 for data of its own."""
    dataset = ct()
    dataset.add_new(0x60000102, "US", bit)
    return dataset


def patient_ct(**keywords: object) -> Dataset:
    """Return a CT whose every corner names the patient."""
    dataset = ct(
        PatientName=NAME, PatientID="98765432", PatientBirthDate="19010203", AccessionNumber="ACC-771144",
        AdmissionID="CASE-5599", StudyDescription="CT Zwetschgenbaum Thorax", PatientAge="095Y", **keywords,
    )  # fmt: skip
    dataset.ReferencedStudySequence = Sequence([item(ReferencedSOPInstanceUID=FOREIGN_UID)])
    dataset.ReferencedSeriesSequence = Sequence(
        [item(SeriesInstanceUID=FOREIGN_UID, SeriesDate="20200105", SeriesDescription="Gerlinde nativ")]
    )
    dataset.OriginalAttributesSequence = Sequence(
        [item(ModifiedAttributesSequence=Sequence([item(PatientName=NAME)]))]
    )
    dataset.IconImageSequence = Sequence([item(Rows=1, BitsAllocated=8, PixelData=b"zwetschgenbaum")])
    dataset.ContentSequence = Sequence([item(TextValue="Zwetschgenbaum")])
    dataset.PerformedProcedureStepDescription = "98765432 am 05.01.2020"
    dataset.DerivationDescription = "for Gerlinde Zwetschgenbaum"
    dataset.ScheduledStationName = "Gerlinde"
    dataset.private_block(0x0009, "MAKER", create=True).add_new(1, "LO", "Zwetschgenbaum")
    dataset.add_new(0x60003000, "OW", b"zwetschgenbaum")
    dataset.add_new(0x50003000, "OW", b"zwetschgenbaum")
    dataset.add_new(0xFFFCFFFC, "OB", b"zwetschgenbaum")
    return dataset


def released_header(instance: IdentifiedInstance, keys: PatientKeys | None = None) -> ReleasedHeader:
    released = Releaser(keys or keys_for(instance)).extended(instance)
    assert isinstance(released, ReleasedHeader)
    return released


def released_image(instance: IdentifiedInstance, keys: PatientKeys | None = None) -> ReleasedInstance:
    released = Releaser(keys or keys_for(instance)).image(instance)
    assert isinstance(released, ReleasedInstance)
    return released


def text(header: ReleasedHeader, keyword: str) -> str | None:
    element = header.elements.get(tag_of(keyword))
    return None if element is None else element.text


def reason_of(dataset: Dataset, **answer: str) -> Reason | None:
    instance = instance_of(dataset, answer={tag_of(keyword): value for keyword, value in answer.items()})
    released = Releaser(keys_for(instance)).image(instance)
    return released.reason if isinstance(released, Withheld) else None


def test_a_find_answer_leaves_with_pseudonyms_and_shifted_dates() -> None:
    instance = instance_of(patient_ct())
    keys = keys_for(instance)

    header = release_header(instance.header, keys)

    assert isinstance(header, ReleasedHeader)
    assert (text(header, "PatientID"), text(header, "PatientName")) == (PATIENT, PATIENT)
    assert text(header, "PatientBirthDate") == ""
    assert text(header, "StudyDate") == "20191017"
    assert text(header, "StudyDescription") == "CT Thorax"
    assert text(header, "AccessionNumber") == keys.accessions["ACC-771144"]
    assert header.instance == derived_uid(instance.header.sop_instance_uid) == text(header, "SOPInstanceUID")


def test_a_whole_header_leaves_without_the_patient() -> None:
    header = released_header(instance_of(patient_ct()))

    shown = " ".join(element.text for element in header.elements.values()).lower()
    assert not [canary for canary in CANARIES if canary.lower() in shown]
    assert text(header, "PatientAge") == "090Y"
    assert text(header, "PerformedProcedureStepDescription") == "am 20.10.2019"
    assert text(header, "AdmissionID") not in {None, "", "CASE-5599"}
    assert header.elements["00081115[0].0020000E"].text == derived_uid(FOREIGN_UID)
    assert header.elements["00081115[0].00080021"].text == "20191020"
    assert header.elements["00081115[0].0008103E"].text == "nativ"
    assert header.elements["0040A730[0].0040A160"].text == ""
    assert not [path for path in header.elements if path.startswith(("0009", "6000", "5000", "04000561"))]


def test_a_whole_header_says_what_was_done() -> None:
    header = released_header(instance_of(patient_ct()))

    codes = [
        e.text
        for path, e in header.elements.items()
        if path.startswith("00120064[") and path.endswith("0100")
    ]
    assert text(header, "PatientIdentityRemoved") == "YES"
    assert text(header, "LongitudinalTemporalInformationModified") == "MODIFIED"
    assert codes == ["113100", "113103", "113104", "113105", "113107", "113108", "113111"]


def test_true_dates_stay_where_the_site_keeps_them() -> None:
    instance = instance_of(patient_ct())

    header = released_header(instance, keys_for(instance, true_dates=True))

    assert text(header, "StudyDate") == "20200102"
    assert text(header, "PerformedProcedureStepDescription") == "am 05.01.2020"
    assert text(header, "LongitudinalTemporalInformationModified") == "UNMODIFIED"


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", IMPLICIT])
def test_an_image_leaves_as_a_new_file_with_its_own_pixels(syntax: str) -> None:
    dataset = patient_ct()
    instance = instance_of(dataset, transfer_syntax_uid=syntax)

    image = released_image(instance)

    read = dcmread(BytesIO(image.content))
    assert read.PixelData == dataset.PixelData
    assert image.content[:128] == bytes(128)
    assert read.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert read.file_meta.MediaStorageSOPInstanceUID == read.SOPInstanceUID == image.header.instance
    assert read.file_meta.TransferSyntaxUID == syntax
    assert read.PatientID == PATIENT
    assert "113108" in [item.CodeValue for item in read.DeidentificationMethodCodeSequence]
    assert not [canary for canary in CANARIES if canary.lower().encode() in image.content.lower()]
    assert FOREIGN_UID.encode() not in image.content


def test_compressed_pixels_are_copied() -> None:
    dataset = ct()
    dataset.compress(RLELossless, generate_instance_uid=False)
    instance = instance_of(dataset, transfer_syntax_uid=RLELossless)

    image = released_image(instance)

    read = dcmread(BytesIO(image.content))
    assert read.file_meta.TransferSyntaxUID == RLELossless
    assert read.PixelData == dataset.PixelData


def test_numbers_keep_their_writing() -> None:
    instance = instance_of(ct(PixelSpacing=["0.48800000", "0.48800000"], WindowCenter="40."))

    read = dcmread(BytesIO(released_image(instance).content))

    assert read["PixelSpacing"].value[0].original_string == "0.48800000"


@pytest.mark.parametrize(
    ("dataset", "reason"),
    [
        (ct(SOPClassUID=US_IMAGE, Modality="US"), Reason.BURNED_IN),
        (ct(Modality="US"), Reason.BURNED_IN),
        (ct(SOPClassUID=SECONDARY_CAPTURE), Reason.BURNED_IN),
        (ct(SOPClassUID="1.2.3.4"), Reason.SOP_CLASS),
        (ct(SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1"), Reason.DOCUMENT),
        (ct(BurnedInAnnotation="YES"), Reason.BURNED_IN),
        (ct(BurnedInAnnotation="MAYBE"), Reason.BURNED_IN),
        (ct(ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"]), Reason.SCREEN_SAVE),
        (with_overlay(bit=12), Reason.BURNED_IN),
        (with_overlay(bit=0), None),
        (ct(PixelData=None), Reason.NO_PIXELS),
        (ct(BurnedInAnnotation="NO"), None),
    ],
)
def test_images_that_may_show_text_or_are_none_stay(dataset: Dataset, reason: Reason | None) -> None:
    assert reason_of(dataset) is reason


def test_the_archives_word_on_modality_counts_too() -> None:
    assert reason_of(ct(), Modality="US") is Reason.BURNED_IN


def test_an_object_without_its_pixels_is_no_image() -> None:
    instance = instance_of(ct())
    cut = IdentifiedInstance(instance.header, instance.content, instance.transfer_syntax_uid, "", is_cut=True)

    withheld = Releaser(keys_for(instance)).image(cut)

    assert isinstance(withheld, Withheld)
    assert withheld.reason is Reason.NO_PIXELS


def test_a_header_of_another_patient_is_scrubbed_and_marked_and_its_image_stays() -> None:
    dataset = ct(
        PatientID="FOREIGN-77", PatientName="Quittenmus^Ida", StudyDescription="CT Quittenmus FOREIGN-77"
    )
    instance = instance_of(dataset, answer={"00100020": "P-1", "00100010": "Example^Anna"})
    keys = keys_for(instance_of(ct(StudyInstanceUID=dataset.StudyInstanceUID)))

    header, image = Releaser(keys).extended(instance), Releaser(keys).image(instance)

    assert isinstance(header, ReleasedHeader)
    assert header.flags == ("patient_mismatch",)
    assert (text(header, "PatientID"), text(header, "StudyDescription")) == (PATIENT, "CT")
    assert isinstance(image, Withheld)
    assert image.reason is Reason.PATIENT_MISMATCH


def test_an_image_that_names_no_patient_stays() -> None:
    instance = instance_of(ct(PatientID="", PatientName="Quittenmus^Ida"), answer={"00100020": "P-1"})
    keys = keys_for(instance_of(ct(StudyInstanceUID=instance.header.study_instance_uid)))

    image = Releaser(keys).image(instance)

    assert isinstance(image, Withheld)
    assert image.reason is Reason.PATIENT_MISMATCH


def test_the_archive_decides_the_hierarchy_and_a_disagreement_is_marked() -> None:
    instance = instance_of(ct(), answer={"0020000E": "1.2.3.4.5", "00080050": "ACC-9"})

    image = released_image(instance)

    assert image.header.flags == ("uid_mismatch", "accession_mismatch")
    assert image.header.series == derived_uid("1.2.3.4.5")
    assert dcmread(BytesIO(image.content)).SeriesInstanceUID == derived_uid("1.2.3.4.5")


def test_an_answer_about_another_patient_stays() -> None:
    instance = instance_of(ct())
    keys = keys_for(instance)

    withheld = Releaser(keys).header(answer_of(ct(PatientID="P-2")))

    assert isinstance(withheld, Withheld)
    assert withheld.reason is Reason.PATIENT_MISMATCH


@pytest.mark.parametrize("missing", ["uids", "accessions"])
def test_without_a_pseudonym_for_each_reference_nothing_leaves(missing: str) -> None:
    instance = instance_of(patient_ct())
    keys = keys_for(instance)
    keys = PatientKeys(
        keys.patient, keys.patient_id, 3, {} if missing == "uids" else keys.uids,
        {} if missing == "accessions" else keys.accessions, keys.cases, keys.known,
    )  # fmt: skip
    releaser = Releaser(keys)

    outcomes = [releaser.header(instance.header), releaser.extended(instance), releaser.image(instance)]

    assert [o.reason for o in outcomes if isinstance(o, Withheld)] == [Reason.UNDERIVED] * 3


def test_an_unknown_case_is_removed_and_an_empty_accession_stays_empty() -> None:
    instance = instance_of(ct(AccessionNumber=""))
    keys = keys_for(instance)
    keys = PatientKeys(PATIENT, keys.patient_id, 3, keys.uids, {}, {}, keys.known)

    header = released_header(instance, keys)

    assert text(header, "AdmissionID") is None
    assert text(header, "AccessionNumber") == ""


def test_undecodable_content_is_withheld() -> None:
    good = instance_of(ct())
    keys = keys_for(good)
    broken = IdentifiedInstance(
        good.header, b"(\x00\x10\x00US\x03\x00abc", good.transfer_syntax_uid, ""
    )  # 3 bytes for a 2-byte number
    bad_text = good.content[:].replace(b"CT head", b"CT h\xffad")
    bad_charset = IdentifiedInstance(good.header, bad_text, good.transfer_syntax_uid, good.sop_class_uid)

    for instance, reason in ((broken, Reason.UNDECODABLE), (bad_charset, Reason.CHARACTER_SET)):
        for outcome in (Releaser(keys).extended(instance), Releaser(keys).image(instance)):
            assert isinstance(outcome, Withheld)
            assert outcome.reason is reason


@given(st.binary(max_size=300))
def test_no_bytes_raise(content: bytes) -> None:
    good = instance_of(ct())
    instance = IdentifiedInstance(good.header, content, good.transfer_syntax_uid, good.sop_class_uid)
    releaser = Releaser(keys_for(good))

    assert isinstance(releaser.extended(instance), Withheld | ReleasedHeader)
    assert isinstance(releaser.image(instance), Withheld)


def test_a_value_that_the_cleaner_lets_pass_is_caught_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = instance_of(patient_ct())
    monkeypatch.setattr(TextCleaner, "clean", lambda _, text: text)

    withheld = release_header(instance.header, keys_for(instance))

    assert isinstance(withheld, Withheld)
    assert withheld.reason is Reason.LEAK


@pytest.mark.parametrize("vr", ["IS", "DS", "UL"])
def test_a_number_that_is_the_patients_id_does_not_leave(vr: str) -> None:
    dataset = patient_ct()
    dataset.add_new(0x00200012, vr, 98765432 if vr == "UL" else "98765432")
    instance = instance_of(dataset)

    withheld = Releaser(keys_for(instance)).extended(instance)

    assert isinstance(withheld, Withheld)
    assert withheld.reason is Reason.LEAK


def test_references_name_all_that_identity_is_asked_for() -> None:
    instance = instance_of(patient_ct(ReferringPhysicianName="Holunder^Kurt", OtherPatientIDs="X-4455"))

    references = references_in_instance(instance)

    assert FOREIGN_UID in references.uids
    assert instance.header.study_instance_uid in references.uids
    assert not [uid for uid in references.uids if uid.startswith("1.2.840.10008.")]
    assert references.accessions == {"ACC-771144"}
    assert references.admissions == {"CASE-5599"}
    assert references.known.names >= {NAME, "Holunder^Kurt"}
    assert references.known.ids == {"98765432", "X-4455", "CASE-5599"}
    assert references.known.birth_dates == {"19010203"}


def test_references_of_unreadable_content_are_those_of_the_answer() -> None:
    good = instance_of(ct())
    broken = IdentifiedInstance(good.header, b"\xff" * 40, good.transfer_syntax_uid, "")

    assert references_in_instance(broken) == references_in_headers([good.header])
    assert References().merge(references_in_headers([good.header])) == references_in_headers([good.header])


PLANTABLE = (
    *("StationName", "SeriesDescription", "ProtocolName", "DerivationDescription", "ImageComments"),
    *(
        "PatientComments",
        "AcquisitionComments",
        "RequestedProcedureDescription",
        "BodyPartExamined",
        "StudyID",
    ),
    *("AdmittingDiagnosesDescription", "ManufacturerModelName", "SoftwareVersions", "ContrastBolusAgent"),
    *("OperatorsName", "PerformingPhysicianName", "InstitutionName", "InstitutionAddress", "RetrieveURL"),
    *("DeviceSerialNumber", "StationAETitle", "RetrieveAETitle", "AdditionalPatientHistory", "Occupation"),
    *("ReasonForStudy", "ImageLaterality", "FrameComments", "RescaleType", "CodeMeaning", "LongCodeValue"),
    *(
        "KVP",
        "ImagePositionPatient",
        "StudyTime",
        "PatientAge",
        "TextString",
        "Allergies",
        "LossyImageCompression",
    ),
)
NO_TEXT_VR = {"KVP", "ImagePositionPatient", "StudyTime", "PatientAge"}


@given(
    keyword=st.sampled_from(PLANTABLE),
    planted=st.sampled_from(["Zwetschgenbaum", "ZWETSCHGENBAUM", "Gerlinde", "98765432", "03.02.1901"]),
    nested=st.booleans(),
)
def test_the_patient_is_found_wherever_it_stands(keyword: str, planted: str, *, nested: bool) -> None:
    dataset = patient_ct()
    target = dataset.ReferencedSeriesSequence[0] if nested else dataset
    tag = int(tag_of(keyword), 16)
    vr = "LO" if keyword in NO_TEXT_VR else dictionary_VR(tag)
    target[tag] = DataElement(tag, vr, f"x {planted}", validation_mode=IGNORE)

    image = released_image(instance_of(dataset))

    shown = " ".join(element.text for element in image.header.elements.values()).lower()
    assert planted.lower() not in shown
    assert planted.lower().encode() not in image.content.lower()


@given(st.permutations(range(4)))
def test_the_order_of_release_changes_nothing(order: list[int]) -> None:
    instances = [
        instance_of(patient_ct(SOPInstanceUID=f"1.2.3.{i}", ReferringPhysicianName=f"Arzt{'abcd'[i]}^Ute"))
        for i in range(4)
    ]
    keys = keys_for(*instances)
    first = [Releaser(keys).extended(instance) for instance in instances]

    releaser = Releaser(keys)
    again = {i: releaser.extended(instances[i]) for i in order}

    assert [again[i] for i in range(4)] == first
    assert [releaser.extended(instance) for instance in instances] == first


@given(st.integers(1, 4000), st.integers(0, 20000), st.integers(-365, 365).filter(bool))
def test_intervals_between_dates_are_kept(gap: int, start: int, shift: int) -> None:
    first = date(1960, 1, 1) + timedelta(days=start)
    second = first + timedelta(days=gap)
    instance = instance_of(
        ct(StudyDate=f"{first:%Y%m%d}", SeriesDate=f"{second:%Y%m%d}", PatientBirthDate=None)
    )

    header = released_header(instance, keys_for(instance, shift_days=shift))

    moved = [date.fromisoformat(text(header, k) or "") for k in ("StudyDate", "SeriesDate")]
    assert moved == [first + timedelta(days=shift), second + timedelta(days=shift)]


def test_header_whole_header_and_image_agree_on_every_uid() -> None:
    instance = instance_of(patient_ct())
    releaser = Releaser(keys_for(instance))

    header, whole, image = (
        releaser.header(instance.header),
        releaser.extended(instance),
        releaser.image(instance),
    )

    assert isinstance(header, ReleasedHeader)
    assert isinstance(whole, ReleasedHeader)
    assert isinstance(image, ReleasedInstance)
    for one in (whole, image.header):
        assert (one.study, one.series, one.instance) == (header.study, header.series, header.instance)


def test_nothing_identifying_stands_in_a_repr() -> None:
    keys = PatientKeys(
        Pseudonym("P1"), PatientId("98765432"), 4, {}, {}, {}, KnownValues(names=frozenset({NAME}))
    )

    shown = f"{keys!r} {References(known=keys.known)!r} {Releaser(keys)!r}"

    assert "98765432" not in shown
    assert "Zwetschgenbaum" not in shown
