"""Find what does not fit together in an archive's answers and objects; told in pseudonyms, by attribute."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final

from p2d.deid.rewrite.content import Opened
from p2d.flows.gateway.listing import SeriesListing
from p2d.jobs.register import Finding, Inconsistency
from p2d.model.header import Elements, text_of
from p2d.model.identified import IdentifiedHeader

_ACCESSION: Final = "00080050"
_MODALITY: Final = "00080060"
_NUMBER: Final = "00200013"
_PATIENT_ID: Final = "00100020"
_STUDY_DATE: Final = "00080020"
_COMPARED: Final = {
    "0020000D": "StudyInstanceUID",
    "0020000E": "SeriesInstanceUID",
    "00080016": "SOPClassUID",
    _MODALITY: "Modality",
    _STUDY_DATE: "StudyDate",
    _ACCESSION: "AccessionNumber",
    _NUMBER: "InstanceNumber",
}
"""Attributes that both the archive's answer and the object state; others are not the archive's to decide."""

PseudonymOf = Callable[[str], str]
"""Returns the pseudonym of a study, series or instance UID."""


def in_listing(
    patient: str, listings: Sequence[SeriesListing], pseudonym_of: PseudonymOf
) -> Iterator[Finding]:
    """Yield what does not fit in one patient's list of series and instances."""
    yield from _of_studies(patient, listings, pseudonym_of)
    for listing in listings:
        study, series = pseudonym_of(listing.study_instance_uid), pseudonym_of(listing.series_instance_uid)
        if listing.counted is not None and (off := abs(listing.counted - len(listing.headers))):
            yield Finding(Inconsistency.COUNT_DISAGREES, patient, study, series, times=off)
        yield from _of_numbers(listing.headers, Finding(Inconsistency.NUMBER_MISSING, patient, study, series))
        if not text_of(listing.headers[0].elements, _MODALITY).strip():
            yield Finding(
                Inconsistency.MODALITY_MISSING,
                patient,
                study,
                series,
                attribute="Modality",
                times=len(listing.headers),
            )


def _of_studies(
    patient: str, listings: Sequence[SeriesListing], pseudonym_of: PseudonymOf
) -> Iterator[Finding]:
    studies: dict[str, IdentifiedHeader] = {}
    places: dict[str, set[str]] = defaultdict(set)
    for listing in listings:
        studies.setdefault(listing.study_instance_uid, listing.headers[0])
        places[listing.series_instance_uid].add(listing.study_instance_uid)
    by_accession: dict[str, list[str]] = defaultdict(list)
    for uid, header in studies.items():
        if accession := text_of(header.elements, _ACCESSION).strip():
            by_accession[accession].append(uid)
        if not text_of(header.elements, _STUDY_DATE).strip():
            yield Finding(Inconsistency.DATE_MISSING, patient, pseudonym_of(uid), attribute="StudyDate")
    for sharing in by_accession.values():
        if len(sharing) > 1:
            for uid in sharing:
                yield Finding(
                    Inconsistency.ACCESSION_SHARED,
                    patient,
                    pseudonym_of(uid),
                    attribute="AccessionNumber",
                    times=len(sharing),
                )
    for series, within in places.items():
        if len(within) > 1:
            yield Finding(Inconsistency.SERIES_SPLIT, patient, series=pseudonym_of(series), times=len(within))


def _of_numbers(headers: Sequence[IdentifiedHeader], place: Finding) -> Iterator[Finding]:
    numbers = Counter(text_of(header.elements, _NUMBER).strip() for header in headers)
    if without := numbers.pop("", 0):
        yield replace(place, attribute="InstanceNumber", times=without)
    if repeated := sum(times for times in numbers.values() if times > 1):
        yield replace(place, kind=Inconsistency.NUMBER_REPEATED, attribute="InstanceNumber", times=repeated)


def in_object(patient: str, opened: Opened, pseudonym_of: PseudonymOf) -> Iterator[Finding]:
    """Yield where a retrieved object disagrees with the archive's answer for it.

    An attribute that only one of them states is no disagreement: archives need not answer optional keys.
    """
    header = opened.instance.header
    disagreeing = list(_disagreeing(header.elements, opened.elements))
    foreign = _stated(opened.elements, _PATIENT_ID) not in {"", _stated(header.elements, _PATIENT_ID)}
    if not disagreeing and not foreign:
        return
    place = Finding(
        Inconsistency.HEADER_DISAGREES,
        patient,
        pseudonym_of(header.study_instance_uid),
        pseudonym_of(header.series_instance_uid),
        pseudonym_of(header.sop_instance_uid),
    )
    if foreign:
        yield replace(place, kind=Inconsistency.FOREIGN_PATIENT, attribute="PatientID")
    for keyword in disagreeing:
        yield replace(place, attribute=keyword)


def _disagreeing(answered: Elements, own: Elements) -> Iterable[str]:
    for path, keyword in _COMPARED.items():
        theirs, ours = _stated(answered, path), _stated(own, path)
        if theirs and ours and theirs != ours:
            yield keyword


def _stated(elements: Elements, path: str) -> str:
    return text_of(elements, path).strip().rstrip("\0")


def missing(
    patient: str, picks: Iterable[IdentifiedHeader], arrived: AbstractSet[str], pseudonym_of: PseudonymOf
) -> Iterator[Finding]:
    """Yield each of *picks* whose SOP Instance UID is not among those that *arrived*."""
    for header in picks:
        if header.sop_instance_uid not in arrived:
            yield Finding(
                Inconsistency.NEVER_ARRIVED,
                patient,
                pseudonym_of(header.study_instance_uid),
                pseudonym_of(header.series_instance_uid),
                pseudonym_of(header.sop_instance_uid),
            )
