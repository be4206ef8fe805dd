"""One patient through the pipeline: list, pick, retrieve, release; every image accounted for."""

from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from p2d.deid.references import References, references_in_headers
from p2d.deid.release import Releaser
from p2d.deid.report.tally import DeidTally
from p2d.deid.rewrite.content import Opened, Unreadable
from p2d.flows.gateway.ahead import ahead
from p2d.flows.gateway.fetch import fetched
from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.inconsistencies import in_listing, in_object, missing
from p2d.flows.gateway.keys import Wanted, extended, keys_for
from p2d.flows.gateway.listing import UNLISTED, SeriesListing, list_series, unlisted_of
from p2d.flows.gateway.locate import PatientWork
from p2d.jobs.counts import SeriesCounts
from p2d.jobs.register import Finding, Inconsistency
from p2d.model.header import text_of
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, PatientKeys
from p2d.model.level import Choice, Scope
from p2d.model.released import Reason, ReleasedHeader, ReleasedInstance, Withheld
from p2d.model.request import Request
from p2d.pacs.pick import pick
from p2d.pacs.port import RetrieveCounts

_MODALITY: Final = "00080060"
_RELEASED = TypeVar("_RELEASED", ReleasedHeader, ReleasedInstance)
BYTES_AT_ONCE: Final = 4 << 20
"""Bytes of retrieved instances held together while their UIDs are derived in one call."""

BYTES_AHEAD: Final = 8 << 20
"""Bytes of instances that may have arrived while earlier ones are released."""

_OVERHEAD: Final = 16 << 10


@dataclass(slots=True)
class Tally:
    """The ledger lines of one patient while its images arrive."""

    patient: str
    expected: dict[tuple[str, str], int] = field(default_factory=dict)
    released: Counter[tuple[str, str]] = field(default_factory=Counter)
    withheld: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    notes: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def count(self, study: str, series: str, outcome: ReleasedHeader | ReleasedInstance | Withheld) -> None:
        """Count one received instance under the archive's own study and series (pseudonyms)."""
        if isinstance(outcome, Withheld):
            self.withheld[study, series][str(outcome.reason)] += 1
        else:
            self.released[study, series] += 1

    def lines(self) -> list[SeriesCounts]:
        """Return one line a series; received is what was released or withheld."""
        return [
            SeriesCounts(
                patient=self.patient,
                study=study,
                series=series,
                expected=expected,
                received=self.released[study, series] + sum(self.withheld[study, series].values()),
                released=self.released[study, series],
                withheld=dict(self.withheld[study, series]),
            )
            for (study, series), expected in self.expected.items()
        ]


@dataclass(frozen=True, slots=True)
class Prepared:
    """One patient's listing with the keys to release it; lives for one batch.

    ``tally`` counts images for the ledger, ``deid`` what became of their attributes.
    """

    work: PatientWork = field(repr=False)
    picks: Sequence[IdentifiedHeader] = field(repr=False)
    keys: PatientKeys = field(repr=False)
    references: References = field(repr=False)
    tally: Tally
    deid: DeidTally = field(default_factory=DeidTally, repr=False)

    def pseudonyms_of(self, header: IdentifiedHeader) -> tuple[str, str]:
        """Return the study and series pseudonym of *header*."""
        return self.keys.uids[header.study_instance_uid], self.keys.uids[header.series_instance_uid]


@dataclass(frozen=True, slots=True)
class Listed:
    """What the archive lists of one patient and what of it was picked; no key was fetched for it yet."""

    wanted: Wanted
    listings: Sequence[SeriesListing] = field(repr=False)
    unlisted: Mapping[str, int]
    notes: Sequence[str]
    picks: Sequence[IdentifiedHeader] = field(repr=False)


def listed(gateway: Gateway, work: PatientWork, request: Request) -> Listed:
    """List and pick what *request* asks of one patient.

    Raises:
        Unavailable, ProtocolViolation, InvalidRequest: as ``Pacs.find``; nothing was counted.

    """
    # a retrieved object tells the rest itself
    is_retrieved = request.output.is_image or request.scope is Scope.EXTENDED
    full = None if is_retrieved else request.choice
    notes: list[str] = []
    listings = list_series(gateway, work, request.modalities, full, notes)
    picks = [header for listing in listings for header in pick(listing.headers, request.choice)]
    references = references_in_headers(picks)
    # the ledger names every series, also one whose UID has no form of one
    series = frozenset(listing.series_instance_uid for listing in listings)
    wanted = Wanted(
        work,
        replace(references, uids=references.uids | series),
        frozenset(listing.study_instance_uid for listing in listings),
    )
    return Listed(wanted, listings, unlisted_of(work, listings, request), notes, picks)


def keyed(gateway: Gateway, several: Sequence[Listed], request: Request) -> list[Prepared]:
    """Fetch the keys to release *several* patients, all at once, and count what is expected of each.

    Raises:
        Unavailable, Refused, ProtocolViolation, InvalidRequest: as the identity port.
        Misconfigured: as ``keys_for``.

    """
    fetched = keys_for(gateway, [one.wanted for one in several])
    return [_prepared(one, keys, request.choice) for one, keys in zip(several, fetched, strict=True)]


def _prepared(one: Listed, keys: PatientKeys, choice: Choice) -> Prepared:
    tally = Tally(str(keys.patient))
    tally.notes.extend(f"patient {tally.patient}: {note}" for note in one.notes)
    for listing in one.listings:
        _expect(tally, keys, listing, choice)
    for study, number in one.unlisted.items():
        tally.expected[keys.uids[study], UNLISTED] = number
        tally.findings.append(
            Finding(Inconsistency.COUNT_DISAGREES, tally.patient, keys.uids[study], times=number)
        )
    tally.findings.extend(in_listing(tally.patient, one.listings, keys.uids.__getitem__))
    return Prepared(one.wanted.work, one.picks, keys, one.wanted.references, tally)


def prepare(gateway: Gateway, work: PatientWork, request: Request) -> Prepared:
    """List and pick what *request* asks of one patient and fetch the keys to release it.

    Raises:
        Unavailable, ProtocolViolation: the archive or identity failed; nothing was counted.

    """
    (prepared,) = keyed(gateway, [listed(gateway, work, request)], request)
    return prepared


def prepared_ahead(
    gateway: Gateway, works: Iterable[PatientWork], request: Request
) -> Generator[Prepared, None, None]:
    """Yield *works* prepared, in their order; the next is prepared in a thread while one is worked.

    Raises:
        Unavailable, ProtocolViolation: as ``prepare``, after the patients before it.

    """
    return ahead((prepare(gateway, work, request) for work in works), 1)


def _expect(tally: Tally, keys: PatientKeys, listing: SeriesListing, choice: Choice) -> None:
    study, series = keys.uids[listing.study_instance_uid], keys.uids[listing.series_instance_uid]
    tally.expected[study, series] = listing.expected if choice is Choice.ALL else 1
    if listing.may_be_cut:
        tally.notes.append(
            f"series {series}: lists exactly {len(listing.headers)} instances, which may be a limit of the "
            "archive; it gives no count to compare with"
        )
    if listing.counted is not None and listing.counted != len(listing.headers):
        tally.notes.append(
            f"series {series}: the archive counts {listing.counted} instances, lists {len(listing.headers)}"
        )


def release_basic(gateway: Gateway, prepared: Prepared) -> list[ReleasedHeader]:
    """Release the archive's answers for the picked instances; what is withheld is counted."""
    releaser = Releaser(prepared.keys, gateway.profile)
    released: list[ReleasedHeader] = []
    for header in prepared.picks:
        outcome = releaser.header(header)
        prepared.tally.count(*prepared.pseudonyms_of(header), outcome)
        if isinstance(outcome, ReleasedHeader):
            released.append(outcome)
    prepared.deid.merge(releaser.tally)
    return released


def release_extended(gateway: Gateway, prepared: Prepared) -> Iterator[ReleasedHeader | Withheld]:
    """Retrieve the picked instances and release their whole headers, one by one."""
    return _retrieved(gateway, prepared, lambda releaser, opened: releaser.extended(opened), pixels=False)


def release_images(
    gateway: Gateway, prepared: Prepared, permits: Callable[[str], bool]
) -> Iterator[ReleasedInstance | Withheld]:
    """Retrieve the picked instances and release them as images, one by one.

    ``permits`` is asked with the Modality of each received object, which can differ from what was listed.
    """

    def release(releaser: Releaser, opened: Opened | Unreadable) -> ReleasedInstance | Withheld:
        outcome = releaser.image(opened)
        if isinstance(outcome, Withheld) or permits(text_of(outcome.header.elements, _MODALITY)):
            return outcome
        header = outcome.header
        return Withheld(header.patient, header.study, header.series, header.instance, Reason.MODALITY)

    return _retrieved(gateway, prepared, release, pixels=True)


def _retrieved(
    gateway: Gateway,
    prepared: Prepared,
    release: Callable[[Releaser, Opened | Unreadable], _RELEASED | Withheld],
    *,
    pixels: bool,
) -> Iterator[_RELEASED | Withheld]:
    keys, releaser = prepared.keys, Releaser(prepared.keys, gateway.profile, screen=gateway.screen)
    counts, tally, arrived = RetrieveCounts(), prepared.tally, set[str]()
    arriving = fetched(gateway, prepared.work.patient_id, prepared.picks, counts, pixels=pixels)
    with closing(ahead(arriving, BYTES_AHEAD, _weight)) as waiting:
        for some in _batched(waiting):
            opened = [releaser.open(instance) for instance in some]
            (keys,) = extended(gateway, [(keys, releaser.references)])
            releaser.learn(keys)
            for one in opened:
                arrived.add(one.instance.header.sop_instance_uid)
                if isinstance(one, Opened):
                    tally.findings.extend(in_object(tally.patient, one, keys.uids.__getitem__))
                outcome = release(releaser, one)
                prepared.tally.count(*prepared.pseudonyms_of(one.instance.header), outcome)
                yield outcome
    prepared.deid.merge(releaser.tally)
    tally.findings.extend(missing(tally.patient, prepared.picks, arrived, keys.uids.__getitem__))
    _note(gateway, tally, counts)


def _note(gateway: Gateway, tally: Tally, counts: RetrieveCounts) -> None:
    """Book what *counts* tell beside the objects that arrived."""
    patient = tally.patient
    if counts.refused or counts.duplicates:
        tally.notes.append(
            f"patient {patient}: {counts.refused} objects refused that were not asked for, "
            f"{counts.duplicates} arrived twice"
        )
    if counts.refused:
        gateway.audit.record(
            "foreign objects refused", subject={"patient": patient, "objects": counts.refused}
        )
        tally.findings.append(Finding(Inconsistency.NOT_ASKED_FOR, patient, times=counts.refused))
    if counts.conflicts:
        tally.findings.append(Finding(Inconsistency.DUPLICATE_DIFFERS, patient, times=counts.conflicts))
    tally.notes.extend(f"patient {patient}: {note}" for note in counts.notes)


def _weight(instance: IdentifiedInstance) -> int:
    """Return what *instance* takes of memory, in bytes; nothing of a file that is mapped."""
    return _OVERHEAD + (len(instance.content) if isinstance(instance.content, bytes) else 0)


def _batched(items: Iterable[IdentifiedInstance]) -> Iterator[list[IdentifiedInstance]]:
    """Yield *items* in groups whose UIDs are derived in one call."""
    some: list[IdentifiedInstance] = []
    weight = 0
    for item in items:
        some.append(item)
        weight += _weight(item)
        if weight >= BYTES_AT_ONCE:
            yield some
            some, weight = [], 0
    if some:
        yield some


@dataclass(frozen=True, slots=True)
class PatientHeaders:
    """What metadata queries and bulk runs take from one patient.

    ``deid`` counts attributes of whole headers in extended scope, else those of the archive's answers.
    """

    basic: list[ReleasedHeader]
    extended: list[ReleasedHeader]
    lines: list[SeriesCounts]
    notes: list[str]
    deid: DeidTally = field(default_factory=DeidTally, repr=False)
    findings: Sequence[Finding] = field(default=(), repr=False)


def extract_headers(gateway: Gateway, work: PatientWork, request: Request) -> PatientHeaders:
    """Run one patient's headers through the pipeline in the scope of *request*.

    Raises:
        Unavailable, ProtocolViolation: the patient as a whole failed; nothing of it is to be used.

    """
    return released_headers(gateway, prepare(gateway, work, request), request.scope)


def released_headers(gateway: Gateway, prepared: Prepared, scope: Scope) -> PatientHeaders:
    """Release the headers of a *prepared* patient, retrieved first in extended scope.

    Raises:
        Unavailable, ProtocolViolation: as ``extract_headers``.

    """
    if scope is Scope.BASIC:
        basic = release_basic(gateway, prepared)
        return _headers(prepared, basic, [])
    whole = [
        outcome for outcome in release_extended(gateway, prepared) if isinstance(outcome, ReleasedHeader)
    ]
    arrived = {header.instance for header in whole}
    releaser = Releaser(prepared.keys, gateway.profile)
    basic = [
        outcome
        for outcome in (releaser.header(header) for header in prepared.picks)
        if isinstance(outcome, ReleasedHeader) and outcome.instance in arrived
    ]
    return _headers(prepared, basic, whole)


def _headers(prepared: Prepared, basic: list[ReleasedHeader], whole: list[ReleasedHeader]) -> PatientHeaders:
    tally = prepared.tally
    return PatientHeaders(basic, whole, tally.lines(), tally.notes, prepared.deid, tally.findings)
