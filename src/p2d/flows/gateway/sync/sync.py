"""Incremental sync: what is new or changed is extracted by a bulk run, what is gone is marked.

A study counts as seen when its patient is done in the run, in one transaction with all others of the run: a
sync that was killed at any point is gone on with by the next one, which repeats nothing that was settled.
Marks go to the warehouse first, then into the ledger; both can be repeated.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from threading import Event
from typing import Final

import pyarrow as pa

from p2d.access.caller import Caller
from p2d.access.check import check_bulk
from p2d.audit.refusals import refusals_recorded
from p2d.flows.gateway.batches import Watch
from p2d.flows.gateway.bulk import BulkExtractor
from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.sync.claim import only_one
from p2d.flows.gateway.sync.counts import SyncCounts, SyncReport
from p2d.flows.gateway.sync.gone import Vanished, vanished
from p2d.flows.gateway.sync.look import Look, View, WatchDays
from p2d.flows.gateway.sync.options import SyncOptions
from p2d.jobs.seen import SeenStudy, write_found
from p2d.jobs.store import Db
from p2d.model.ids import Pseudonym
from p2d.model.level import Kind
from p2d.model.request import Target, TimeFrame
from p2d.warehouse.batch import PRESENCE, Batch
from p2d.warehouse.wire import sealed

_KIND: Final = "sync"


def _unwatched(*_: object) -> None:
    """Show nothing."""


@dataclass(frozen=True, slots=True)
class Sync:
    """Syncs of one gateway; ``drain``, once set, ends one after the day or the patient at hand."""

    gateway: Gateway
    drain: Event = field(default_factory=Event)
    watch_days: WatchDays = _unwatched
    watch: Watch = _unwatched

    def run(self, options: SyncOptions, caller: Caller, *, dry: bool = False) -> SyncReport:
        """Look at the archives, extract what is new or changed, mark what is gone; *dry* only looks.

        Raises:
            Refused: the caller is no operator.
            Busy: another sync is under way.
            Unavailable, ProtocolViolation: archive, identity, warehouse or ledger failed; the next sync goes
                on from there.

        """
        self._check(caller)
        with only_one(self.gateway) as lost:
            return self.run_held(options, caller, lost, dry=dry)

    def run_held(self, options: SyncOptions, caller: Caller, lost: Event, *, dry: bool = False) -> SyncReport:
        """Do as ``run`` for who holds the claim until *lost* is set."""
        self._check(caller)
        # the days are not recorded: beside the run's shifted frames they would tell shifts
        subject = {
            "days": options.number_of_days,
            "modalities": sorted(options.modalities),
            "scope": str(options.scope),
            "choice": str(options.choice),
            "admit_unknown": options.admit_unknown,
            "dry": dry,
        }
        audit = self.gateway.audit
        with audit.query(action=_KIND, user=caller.user, session="", subject=subject) as entry:
            report = self._run(options, caller, lost, dry=dry)
            run = {} if report.run is None else {"run": report.run.run_id, "state": report.run.state}
            entry.outcome(**report.counts.as_json(), **run, whole=report.is_whole)
        return report

    def _check(self, caller: Caller) -> None:
        with refusals_recorded(self.gateway.audit, action=_KIND, user=caller.user):
            check_bulk(caller)

    def _run(self, options: SyncOptions, caller: Caller, lost: Event, *, dry: bool) -> SyncReport:
        def goes_on() -> bool:
            return not self.drain.is_set() and not lost.is_set()

        if not dry:
            self._settle_earlier(caller)
        if options.admit_unknown and dry:
            options = replace(options, admit_unknown=False)
        view = Look(self.gateway, options, self.watch_days).view(goes_on)
        if view is None:
            return SyncReport(SyncCounts(), is_whole=False)
        lacking = vanished(self.gateway, options, view.listed)
        _count(view.counts, view, lacking)
        if dry:
            return SyncReport(view.counts)
        if lacking.moved:
            self.gateway.ledger.seen.move(lacking.moved)
        wanted = [*view.wanted, *lacking.gone]
        if not wanted:
            return SyncReport(view.counts)
        return self._extracted(options, caller, view, lacking, wanted)

    def _settle_earlier(self, caller: Caller) -> None:
        """Go on with the runs of syncs that did not end; one that an operator paused stays as it is."""
        ledger = self.gateway.ledger
        for run_id in ledger.seen.unsettled():
            state = ledger.state(run_id)
            if state == "paused":
                continue
            if state not in {"cancelled", "completed"}:
                self._extractor.run(run_id, caller, self.watch)
            ledger.seen.settle(run_id, drop=state == "cancelled")

    @property
    def _extractor(self) -> BulkExtractor:
        return BulkExtractor(self.gateway, self.drain)

    def _extracted(
        self,
        options: SyncOptions,
        caller: Caller,
        view: View,
        lacking: Vanished,
        wanted: Sequence[SeenStudy],
    ) -> SyncReport:
        ledger = self.gateway.ledger

        def beside(db: Db, run_id: str) -> None:
            write_found(db, run_id, view.wanted)

        request = options.request(_targets(wanted))
        run_id = self._extractor.open(request, caller, kind=_KIND, beside=beside)
        report = self._extractor.run(run_id, caller, self.watch)
        ledger.seen.settle(run_id)
        if report.patients.pending:  # stopped: the next sync goes on, and marks
            return SyncReport(view.counts, report, is_whole=False)
        if lacking.gone or view.back:
            self.gateway.warehouse.load(_presence(run_id, lacking.gone, view.back))
            ledger.seen.note_presence(run_id, lacking.gone, view.back, lacking.findings())
        return SyncReport(view.counts, ledger.report(run_id))


def _count(counts: SyncCounts, view: View, lacking: Vanished) -> None:
    places = {one.key[:2] for one in lacking.gone}
    counts.back = len({one.key[:2] for one in view.back})
    counts.gone = len(lacking.wholly)
    counts.gone_from_one = len(places) - counts.gone
    counts.moved, counts.unjudged = len(lacking.moved), lacking.unjudged


def _targets(studies: Sequence[SeenStudy]) -> list[Target]:
    """Return the patients of *studies*, each with the shifted days of its studies as time frames."""
    days: dict[str, set[date]] = defaultdict(set)
    for one in studies:
        if one.day is not None:
            days[one.patient].add(one.day)
    return [
        Target(Kind.PATIENT, Pseudonym(patient), frame=TimeFrame(day, day))
        for patient, some in sorted(days.items())
        for day in sorted(some)
    ]


def _presence(run_id: str, gone: Sequence[SeenStudy], back: Sequence[SeenStudy]) -> Batch:
    rows = [
        {"patient": one.patient, "study": one.study, "archive": one.archive, "state": state}
        for state, some in (("gone", gone), ("present", back))
        for one in some
    ]
    tables = {"presence": pa.Table.from_pylist(rows, schema=PRESENCE)}
    batch = sealed(Batch("", _KIND, run_id, tables))
    return replace(batch, batch_id=f"{run_id}-{batch.digest[:24]}")
