"""One retrieve (PS3.4 C.4.2, C.4.3): by lists as far as the archive goes, reconciled by UID, never by status.

What a pass leaves out is asked for again in a narrower way: per series with all upper keys, then one by one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from p2d.dimse.awaited import Arrived, Awaited, Limits
from p2d.model.errors import Misconfigured
from p2d.model.header import text_of
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, PatientId
from p2d.model.level import Level
from p2d.pacs.lean.proposals import groups
from p2d.pacs.lists import Request, by_patient, by_series, whole
from p2d.pacs.port import RetrieveCounts
from p2d.pacs.query import SOP_CLASS_UID, UNIQUE

_MOST_FRUITLESS: Final = 50
"""Single instances asked for in vain, one after the other, before the rest counts as missing."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What one request may name, as the archive's profile has it; the plain way is a list within a series.

    ``series`` and ``study``: these may be named whole. ``patient``: a list needs no upper keys but PatientID.
    """

    list_length: int
    series: bool = False
    study: bool = False
    patient: bool = False


class GetRefused(Misconfigured):
    """The archive does not do C-GET, or not for us."""


@dataclass(slots=True)
class Retrieve:
    """The instances of one patient on their way; its generator is run by one thread."""

    patient_id: PatientId
    instances: Sequence[IdentifiedHeader] = field(repr=False)
    counts: RetrieveCounts
    pixels: bool
    limits: Limits
    headers: dict[str, IdentifiedHeader] = field(init=False, repr=False)
    awaited: Awaited = field(init=False)
    is_bulk_left_out: bool = field(init=False, default=False)
    late_seconds: float = field(init=False, default=1.0)
    arrived_classes: dict[str, set[str]] = field(init=False, default_factory=dict, repr=False)
    known_classes: dict[str, set[str]] = field(init=False, default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Expect the instances."""
        self.headers = {one.sop_instance_uid: one for one in self.instances}
        self.awaited = Awaited(self.headers, pixels=self.pixels, limits=self.limits)

    @property
    def missing(self) -> list[IdentifiedHeader]:
        """Instances that have not arrived, in the order asked for."""
        return [self.headers[uid] for uid in self.awaited.missing]

    def instance(self, one: Arrived) -> IdentifiedInstance:
        """Return what arrived under the archive's own header."""
        header = self.headers[one.sop_instance_uid]
        self.arrived_classes.setdefault(header.series_instance_uid, set()).add(one.sop_class_uid)
        return IdentifiedInstance(
            header=header,
            content=one.content,
            transfer_syntax_uid=one.transfer_syntax_uid,
            sop_class_uid=one.sop_class_uid,
            is_cut=one.is_cut or self.is_bulk_left_out,
        )

    def note(self, sentence: str) -> None:
        """Tell the caller once that something was done otherwise than planned."""
        if sentence not in self.counts.notes:
            self.counts.notes.append(sentence)

    def settle(self) -> None:
        """Hand the counts on; called once, at the end."""
        ours = self.awaited.counts
        self.counts.refused += ours.refused + ours.mismatched
        self.counts.duplicates += ours.duplicates
        self.counts.octets += self.awaited.octets
        if ours.conflicts:
            self.counts.conflicts += ours.conflicts
            self.note(f"{ours.conflicts} instance(s) came more than once with different content.")
        if ours.unreadable:
            self.note(f"{ours.unreadable} object(s) were no readable data sets and were refused.")
        if ours.unkept:
            self.note(f"{ours.unkept} object(s) found no room and were refused for the time being.")


Plan = Callable[[Sequence[IdentifiedHeader]], list[Request]]
"""Returns the requests for some instances."""

Transport = Callable[[Retrieve, Plan], Iterator[IdentifiedInstance]]
"""Yields what is still missing, as far as it comes by requests of this plan."""


def passes(run: Retrieve, reach: Reach, transport: Transport) -> Iterator[IdentifiedInstance]:
    """Yield what arrives, in as few requests as *reach* allows, then what those left out, more narrowly."""

    def within_series(some: Sequence[IdentifiedHeader]) -> list[Request]:
        return by_series(run.patient_id, some, reach.list_length)

    if reach.series or reach.study or reach.patient:
        yield from transport(run, lambda some: _widest(run.patient_id, some, reach))
        if not run.awaited.is_complete:
            run.note(
                "Requests for whole entities or without upper keys left instances out; "
                "these were asked for in lists within their series."
            )
    if not run.awaited.is_complete:
        yield from transport(run, within_series)
    if not run.awaited.is_complete and reach.list_length > 1:
        yield from _one_by_one(run, transport)


def _one_by_one(run: Retrieve, transport: Transport) -> Iterator[IdentifiedInstance]:
    missing = run.missing
    run.note("Lists left instances out; these were asked for one by one.")
    run.known_classes = {series: set(some) for series, some in run.arrived_classes.items()}
    for start in range(0, len(missing), _MOST_FRUITLESS):
        some = missing[start : start + _MOST_FRUITLESS]
        before = len(run.awaited.missing)

        def single(rest: Sequence[IdentifiedHeader], some: list[IdentifiedHeader] = some) -> list[Request]:
            uids = {one.sop_instance_uid for one in some}
            return by_series(run.patient_id, [one for one in rest if one.sop_instance_uid in uids], 1)

        yield from transport(run, single)
        left = len(missing) - start - len(some)
        if left and len(run.awaited.missing) == before:
            run.note(
                f"{left} instance(s) were not asked for one by one, after {len(some)} others did not come."
            )
            return


def _widest(patient_id: PatientId, some: Sequence[IdentifiedHeader], reach: Reach) -> list[Request]:
    requests: list[Request] = []
    rest = list(some)
    for level, is_allowed in ((Level.STUDY, reach.study), (Level.SERIES, reach.series)):
        if is_allowed:
            found, rest = whole(patient_id, rest, level)
            requests += found
    listed = by_patient if reach.patient else by_series
    return [*requests, *listed(patient_id, rest, reach.list_length)]


def without_upper_keys(length: int) -> Plan:
    """Return the plan for PS3.4 Annex Z, whose requests name instances alone (Z.4.2.1.3)."""

    def plan(some: Sequence[IdentifiedHeader]) -> list[Request]:
        requests = by_patient(PatientId(""), some, length)
        return [
            replace(one, keys={UNIQUE[Level.INSTANCE]: one.keys[UNIQUE[Level.INSTANCE]]}) for one in requests
        ]

    return plan


def class_groups(
    instances: Sequence[IdentifiedHeader], usual: Sequence[str], known: Mapping[str, set[str]]
) -> Iterator[tuple[tuple[str, ...], list[IdentifiedHeader]]]:
    """Yield the SOP classes to propose together and the instances that may come with them.

    Instances of unknown class stand with the classes *known* of their series, else with each group of the
    *usual* ones: who takes them leaves out those that have come meanwhile.
    """
    by_class: dict[str, list[IdentifiedHeader]] = {}
    for header in instances:
        stated = text_of(header.elements, SOP_CLASS_UID)
        for one in [stated] if stated else known.get(header.series_instance_uid, {""}):
            by_class.setdefault(one, []).append(header)
    unknown = by_class.pop("", [])
    for some in groups(sorted(by_class)):
        yield some, [header for one in some for header in by_class[one]]
    if unknown:
        for some in groups(usual):
            yield some, unknown
