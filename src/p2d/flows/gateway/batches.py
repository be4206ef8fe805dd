"""Patients of a bulk run in batches, three at a time: one is listed, one released, one loaded.

A batch is what one lease holds, or a part of it. Identity is asked once for all patients of a batch. What the
ledger is told stays in the order of the run: a batch is recorded when the one before it has its receipt.
A stop drops what was not recorded yet, and so does the loss of a lease: others have its patients.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Final

import pyarrow as pa

from p2d.flows.gateway.ahead import ahead, side_by_side
from p2d.flows.gateway.blame import Blame
from p2d.flows.gateway.bulk_request import targets_of
from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.held import Held
from p2d.flows.gateway.locate import PatientWork, Unresolved, locate
from p2d.flows.gateway.patient import Listed, PatientHeaders, Prepared, keyed, listed, released_headers
from p2d.flows.gateway.rows import tables_of
from p2d.jobs.lease import Lease, LeaseLost
from p2d.jobs.ledger import Entry, Progress
from p2d.model.errors import InvalidRequest, P2DError, ProtocolViolation, Unavailable
from p2d.model.request import Request
from p2d.warehouse.batch import Batch, Receipt
from p2d.warehouse.wire import sealed

Watch = Callable[[Progress], None]
MOST_PICKED: Final = 4_000
"""Instances at which a batch ends, however few its patients: two batches are in memory at a time."""

_Failures = (Unavailable, ProtocolViolation, InvalidRequest)
_Outcome = Prepared | P2DError


@dataclass(slots=True)
class _Group:
    """Patients of one batch, in order: what is to be released of each, or why nothing is."""

    lease: Lease
    unresolved: list[Unresolved] = field(default_factory=list)
    patients: list[tuple[str, _Outcome]] = field(default_factory=list)
    is_last: bool = True


@dataclass(frozen=True, slots=True)
class PatientBatches:
    """The batches of one run; ``watch`` is called after every patient and every batch."""

    gateway: Gateway
    request: Request
    held: Held
    blame: Blame
    watch: Watch | None

    def work(self, leases: Iterable[Lease]) -> None:
        """Work the patients of *leases*, each once, to rows with a receipt or a reason in the ledger.

        *leases* is taken from one lease ahead, in another thread. Ends early when the run is asked to stop.

        Raises:
            Outage: a peer answers to nobody; what was not loaded is still pending.

        """
        with ThreadPoolExecutor(1, "load") as loader, closing(ahead(self._groups(leases), 1)) as groups:
            loading: Future[None] | None = None
            try:
                for group in groups:
                    extracted = self._extracted(group)
                    self._loaded(loading, group.lease)
                    loading = None
                    if self._stops(group.lease):
                        return
                    loading = loader.submit(self._load_group, group, extracted)
            finally:
                if loading is not None:
                    loading.result()

    def _stops(self, lease: Lease) -> bool:
        return self.blame.drain.is_set() or self.gateway.ledger.is_stopping(lease.run_id)

    def _loaded(self, loading: "Future[None] | None", lease: Lease) -> None:
        if loading is not None:
            loading.result()
        self._show(lease)

    def _show(self, lease: Lease) -> None:
        if self.watch is not None:
            self.watch(self.gateway.ledger.progress(lease.run_id))

    def _groups(self, leases: Iterable[Lease]) -> Iterator[_Group]:
        for lease in leases:
            targets = targets_of(self.gateway.ledger, lease.run_id, self.request, lease.patients)
            try:
                works, unresolved = locate(
                    self.gateway, [one for some in targets.values() for one in some], None
                )
            except (Unavailable, ProtocolViolation) as error:
                yield _Group(lease, patients=[(patient, error) for patient in lease.patients])
                continue
            try:
                yield from self._listed(lease, works, unresolved)
            except LeaseLost:
                self.held.end(lease)

    def _listed(
        self, lease: Lease, works: Sequence[PatientWork], unresolved: list[Unresolved]
    ) -> Iterator[_Group]:
        """List *works*; a group ends with the last or with MOST_PICKED instances."""
        found: list[tuple[str, Listed | P2DError]] = []
        picked = 0
        with closing(side_by_side(self._list, works, self.gateway.patients_at_once)) as listing:
            for work in works:
                if not self._goes_on(lease, str(work.patient)):
                    break
                one = next(listing)
                found.append((str(work.patient), one))
                picked += len(one.picks) if isinstance(one, Listed) else 0
                if picked >= MOST_PICKED:
                    yield _Group(lease, unresolved, self._keyed(found), is_last=False)
                    found, unresolved, picked = [], [], 0
        self.gateway.ledger.leases.begin(lease, None)
        yield _Group(lease, unresolved, self._keyed(found))

    def _goes_on(self, lease: Lease, patient: str) -> bool:
        """Note that *patient* is the next to be done; whether it is to be done at all."""
        return self.gateway.ledger.leases.begin(lease, patient) and not self.blame.drain.is_set()

    def _list(self, work: PatientWork) -> Listed | P2DError:
        try:
            return listed(self.gateway, work, self.request)
        except _Failures as error:
            return error

    def _keyed(self, found: Sequence[tuple[str, Listed | P2DError]]) -> list[tuple[str, _Outcome]]:
        """Fetch the keys of all patients at once, or one by one where that fails: one may be the cause."""
        several = [one for _, one in found if isinstance(one, Listed)]
        try:
            fetched: list[_Outcome] = [*keyed(self.gateway, several, self.request)]
        except _Failures:
            fetched = [self._keyed_alone(one) for one in several]
        outcomes = iter(fetched)
        return [(patient, next(outcomes) if isinstance(one, Listed) else one) for patient, one in found]

    def _keyed_alone(self, one: Listed) -> _Outcome:
        try:
            return keyed(self.gateway, [one], self.request)[0]
        except _Failures as error:
            return error

    def _extracted(self, group: _Group) -> list[tuple[str, PatientHeaders]]:
        ledger, lease = self.gateway.ledger, group.lease
        extracted: list[tuple[str, PatientHeaders]] = []
        outcomes = [outcome for _, outcome in group.patients]
        try:
            for item in group.unresolved:
                ledger.unresolved(lease.run_id, str(item.pseudonym), item.reason, lease=lease)
            with closing(side_by_side(self._released, outcomes, self.gateway.patients_at_once)) as released:
                for patient, _ in group.patients:
                    if not self._goes_on(lease, patient):
                        break
                    headers = self._judged(lease, patient, next(released))
                    if headers is not None:
                        extracted.append((patient, headers))
                    self._show(lease)
            ledger.leases.begin(lease, None)
        except LeaseLost:
            return []
        return extracted

    def _judged(
        self, lease: Lease, patient: str, outcome: PatientHeaders | P2DError
    ) -> PatientHeaders | None:
        """Book a failure or an absence; return the headers of a patient that has some."""
        if isinstance(outcome, P2DError):
            self.blame.failed(lease, patient, outcome)
            return None
        self.blame.went_well()
        if not outcome.lines:
            self.gateway.ledger.absent(lease.run_id, patient, lease=lease)
            return None
        return outcome

    def _released(self, outcome: _Outcome) -> PatientHeaders | P2DError:
        if isinstance(outcome, P2DError):
            return outcome
        try:
            return released_headers(self.gateway, outcome, self.request.scope)
        except _Failures as error:
            return error

    def _load_group(self, group: _Group, extracted: Sequence[tuple[str, PatientHeaders]]) -> None:
        try:
            if extracted:
                self._load(group.lease, extracted)
        except LeaseLost:
            pass
        if group.is_last:
            self.held.end(group.lease)

    def _load(self, lease: Lease, extracted: Sequence[tuple[str, PatientHeaders]]) -> None:
        """Load *extracted*; a batch that is refused for its rows is halved until they are one patient's."""
        batch = self._batch(lease.run_id, [headers for _, headers in extracted])
        ledger = self.gateway.ledger
        ledger.record_all(
            lease.run_id,
            batch.batch_id,
            [Entry(patient, one.lines, one.notes, one.deid.as_counters()) for patient, one in extracted],
            lease=lease,
        )
        try:
            self._post(batch)
        except P2DError as error:
            ledger.forget(lease.run_id, batch.batch_id, lease=lease)
            half = len(extracted) // 2
            if isinstance(error, InvalidRequest) and half:
                self._load(lease, extracted[:half])
                self._load(lease, extracted[half:])
                return
            for patient, _ in extracted:
                self.blame.failed(lease, patient, error)
            return
        ledger.loaded(lease.run_id, batch.batch_id, lease=lease)

    def _post(self, batch: Batch) -> None:
        receipt = self._receipt(batch)
        expected = {name: table.num_rows for name, table in batch.tables.items() if table.num_rows}
        committed = {name: number for name, number in receipt.rows.items() if number}
        if receipt.batch_id != batch.batch_id or committed != expected:
            raise ProtocolViolation("warehouse", "its receipt does not match the batch")

    def _receipt(self, batch: Batch) -> Receipt:
        while True:
            try:
                return self.gateway.warehouse.load(batch)
            except Unavailable:
                if not self.blame.waits():
                    raise

    def _batch(self, run_id: str, extracted: Sequence[PatientHeaders]) -> Batch:
        scope, archive = self.request.scope, self.gateway.pacs.name
        parts = [tables_of(archive, item.basic, item.extended, scope) for item in extracted]
        tables = {name: pa.concat_tables([part[name] for part in parts]) for name in parts[0]}
        batch = sealed(Batch("", str(scope), run_id, tables))
        return replace(batch, batch_id=f"{run_id}-{batch.digest[:24]}")
