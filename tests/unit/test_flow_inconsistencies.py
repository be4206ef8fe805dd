"""What does not fit together is found by kind and place, and what fits is not."""

from collections.abc import Sequence

from p2d.deid.rewrite.content import Opened, open_content
from p2d.deid.rewrite.decoder import Decoders
from p2d.flows.gateway.inconsistencies import in_listing, in_object, missing
from p2d.flows.gateway.listing import SeriesListing
from p2d.jobs.register import Finding, Inconsistency
from p2d.model.header import Element
from p2d.model.identified import IdentifiedHeader
from p2d.model.level import Level
from p2d.testing.datasets import held_ct
from p2d.testing.memory_pacs import instance_of

PATHS = {
    "PatientID": "00100020", "StudyInstanceUID": "0020000D", "SeriesInstanceUID": "0020000E",
    "SOPInstanceUID": "00080018", "AccessionNumber": "00080050", "StudyDate": "00080020",
    "Modality": "00080060", "InstanceNumber": "00200013", "SOPClassUID": "00080016",
}  # fmt: skip
USUAL = {
    "PatientID": "P-1", "StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.1", "SOPInstanceUID": "1.1.1.1",
    "AccessionNumber": "A1", "StudyDate": "20200101", "Modality": "CT", "InstanceNumber": "1",
}  # fmt: skip


def header(**changes: str) -> IdentifiedHeader:
    stated = {**USUAL, **changes}
    return IdentifiedHeader(
        Level.INSTANCE,
        {PATHS[name]: Element(PATHS[name], "LO", (value,)) for name, value in stated.items() if value},
    )


def listing(*headers: IdentifiedHeader, counted: int | None = None) -> SeriesListing:
    return SeriesListing(
        headers[0].study_instance_uid, headers[0].series_instance_uid, headers, counted or len(headers)
    )


def pseudonym(uid: str) -> str:
    return f"psn-{uid}"


def found(*listings: SeriesListing) -> list[Finding]:
    return list(in_listing("PSN", listings, pseudonym))


def test_a_list_that_fits_has_no_finding() -> None:
    second = header(SOPInstanceUID="1.1.1.2", InstanceNumber="2")

    assert found(listing(header(), second)) == []


def test_counts_numbers_dates_and_modality_are_looked_at() -> None:
    same = header(SOPInstanceUID="1.1.1.2")
    bare = header(SOPInstanceUID="1.1.2.1", SeriesInstanceUID="1.1.2", InstanceNumber="", Modality="",
                  StudyDate="")  # fmt: skip

    kinds = {(one.kind, one.series, one.times) for one in found(listing(same, header(), counted=5))}
    assert kinds == {
        (Inconsistency.COUNT_DISAGREES, "psn-1.1.1", 3),
        (Inconsistency.NUMBER_REPEATED, "psn-1.1.1", 2),
    }
    assert {(one.kind, one.attribute) for one in found(listing(bare))} == {
        (Inconsistency.DATE_MISSING, "StudyDate"),
        (Inconsistency.NUMBER_MISSING, "InstanceNumber"),
        (Inconsistency.MODALITY_MISSING, "Modality"),
    }


def test_studies_that_share_an_accession_and_a_split_series_are_found() -> None:
    other = header(StudyInstanceUID="1.2", SOPInstanceUID="1.2.1.1")

    kinds = [(one.kind, one.study, one.series) for one in found(listing(header()), listing(other))]
    assert kinds == [
        (Inconsistency.ACCESSION_SHARED, "psn-1.1", ""),
        (Inconsistency.ACCESSION_SHARED, "psn-1.2", ""),
        (Inconsistency.SERIES_SPLIT, "", "psn-1.1.1"),
    ]


def opened(answered: IdentifiedHeader) -> Opened:
    one = open_content(instance_of(answered, held_ct()), Decoders())
    assert isinstance(one, Opened)
    return one


def answers(**changes: str) -> IdentifiedHeader:
    """What an archive answers for ``held_ct``, with changes."""
    own = {name: held_ct()[name] for name in USUAL}
    return header(**{**own, **changes})


def of_object(answered: IdentifiedHeader) -> Sequence[tuple[str, str]]:
    return [(one.kind, one.attribute) for one in in_object("PSN", opened(answered), pseudonym)]


def test_an_object_that_agrees_has_no_finding_and_optional_keys_may_be_unanswered() -> None:
    assert of_object(answers()) == []
    assert of_object(answers(Modality="", AccessionNumber="", StudyDate="")) == []


def test_an_object_that_disagrees_is_told_by_attribute_and_pseudonym() -> None:
    answered = answers(PatientID="P-77", Modality="MR", InstanceNumber="9")
    findings = list(in_object("PSN", opened(answered), pseudonym))

    assert {(one.kind, one.attribute) for one in findings} == {
        (Inconsistency.FOREIGN_PATIENT, "PatientID"),
        (Inconsistency.HEADER_DISAGREES, "Modality"),
        (Inconsistency.HEADER_DISAGREES, "InstanceNumber"),
    }
    assert all(one.instance == f"psn-{answered.sop_instance_uid}" for one in findings)
    assert not any("P-77" in str(one.as_json()) for one in findings)


def test_what_never_arrived_is_named_by_its_pseudonym() -> None:
    second = header(SOPInstanceUID="1.1.1.2")

    (one,) = missing("PSN", [header(), second], frozenset({"1.1.1.1"}), pseudonym)
    assert (one.kind, one.instance) == (Inconsistency.NEVER_ARRIVED, "psn-1.1.1.2")
