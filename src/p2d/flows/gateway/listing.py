"""What the archive holds of one patient: its instances, and whether the list is whole."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.locate import PatientWork, Search
from p2d.model.header import count_of, text_of
from p2d.model.identified import IdentifiedHeader
from p2d.model.level import Choice, Level
from p2d.model.request import Request
from p2d.pacs.capped import SUSPICIOUS
from p2d.pacs.port import Query

UidOf = Callable[[IdentifiedHeader], str]

_MODALITY = "00080060"
_ADMISSION_ID = "00380010"
_RELATED_INSTANCES = "00201209"
_RELATED_TO_STUDY = "00201208"
_SERIES_OF_STUDY = "00201206"

UNLISTED: Final = ""
"""In place of a series: images that the archive counts in a study but lists in none of its series."""


@dataclass(frozen=True, slots=True)
class SeriesListing:
    """One series: the instances listed and how many the archive says there are.

    ``counted`` is NumberOfSeriesRelatedInstances (0020,1209), or a second count where the archive gives none;
    None where only some instances of the series were asked for.
    """

    study_instance_uid: str = field(repr=False)
    series_instance_uid: str = field(repr=False)
    headers: Sequence[IdentifiedHeader] = field(repr=False)
    counted: int | None

    @property
    def expected(self) -> int:
        """Instances there should be; what was listed where the archive's count is lower."""
        return max(self.counted or 0, len(self.headers))

    @property
    def may_be_cut(self) -> bool:
        """Whether the list ends at a number that limits are set to, and the archive does not count itself."""
        is_counted = count_of(self.headers[0].elements, _RELATED_INSTANCES) is not None
        return not is_counted and len(self.headers) in SUSPICIOUS


def list_series(
    gateway: Gateway, work: PatientWork, modalities: frozenset[str], full: Choice | None, notes: list[str]
) -> list[SeriesListing]:
    """List the series of *work* with their instances, in the archive's order; the rest is as in ``Query``.

    Raises:
        Unavailable, ProtocolViolation: as ``Pacs.find``; a partial answer is never returned.

    """
    headers: dict[str, IdentifiedHeader] = {}
    partial: set[str] = set()
    for search in work.searches:
        if search.is_empty:  # an inverted range matches nothing, or in some archives everything
            continue
        for header in _matching(gateway, _query(work, search, full, notes), search, modalities):
            headers.setdefault(header.sop_instance_uid, header)
            if search.instance:
                partial.add(header.series_instance_uid)
    groups: dict[tuple[str, str], list[IdentifiedHeader]] = defaultdict(list)
    for header in headers.values():
        groups[header.study_instance_uid, header.series_instance_uid].append(header)
    return [
        SeriesListing(
            study, series, group, None if series in partial else _count(gateway, work, study, series, group)
        )
        for (study, series), group in groups.items()
    ]


def unlisted_of(work: PatientWork, listings: Sequence[SeriesListing], request: Request) -> dict[str, int]:
    """Return how many images the archive counts in each study beyond all series that it lists, by UID.

    One for each series where one image of each is chosen. Known only where whole studies were asked for, and
    where the archive counts what is below a study.
    """
    if request.modalities or any(one.series or one.instance or one.admission_id for one in work.searches):
        return {}
    by_study: dict[str, list[SeriesListing]] = defaultdict(list)
    for listing in listings:
        by_study[listing.study_instance_uid].append(listing)
    counted = _RELATED_TO_STUDY if request.choice is Choice.ALL else _SERIES_OF_STUDY
    unlisted = {}
    for study, some in by_study.items():
        stated = count_of(some[0].headers[0].elements, counted) or 0
        found = sum(one.expected for one in some) if request.choice is Choice.ALL else len(some)
        if stated > found:
            unlisted[study] = stated - found
    return unlisted


def _query(work: PatientWork, search: Search, full: Choice | None, notes: list[str]) -> Query:
    return Query(
        level=Level.INSTANCE,
        patient_id=work.patient_id,
        study_instance_uid=search.study_instance_uid,
        accession_number=search.accession_number,
        first_day=search.first_day,
        last_day=search.last_day,
        full=Choice.ALL if search.instance else full,
        notes=notes,
    )


def _matching(
    gateway: Gateway, query: Query, search: Search, modalities: frozenset[str]
) -> Iterable[IdentifiedHeader]:
    headers = [
        header
        for header in gateway.pacs.find(query)
        if (not modalities or text_of(header.elements, _MODALITY) in modalities)
        and _is_of_stay(header, search)
    ]
    if search.series:
        return _derived(gateway, headers, search.series, lambda header: header.series_instance_uid)
    if search.instance:
        return _derived(gateway, headers, search.instance, lambda header: header.sop_instance_uid)
    return headers


def _is_of_stay(header: IdentifiedHeader, search: Search) -> bool:
    stated = text_of(header.elements, _ADMISSION_ID).strip()
    if not search.admission_id or stated == search.admission_id:
        return True
    return not stated and not search.admission_stated


def _derived(
    gateway: Gateway, headers: list[IdentifiedHeader], wanted: str, uid_of: UidOf
) -> list[IdentifiedHeader]:
    derived: Mapping[str, str] = gateway.identity.derive(sorted({uid_of(header) for header in headers}))
    return [header for header in headers if derived[uid_of(header)] == wanted]


def _count(
    gateway: Gateway, work: PatientWork, study: str, series: str, group: Sequence[IdentifiedHeader]
) -> int:
    stated = count_of(group[0].elements, _RELATED_INSTANCES)
    if stated is not None:
        return stated
    again = Query(
        level=Level.INSTANCE,
        patient_id=work.patient_id,
        study_instance_uid=study,
        series_instance_uid=series,
        full=None,
    )
    return len({header.sop_instance_uid for header in gateway.pacs.find(again)})
