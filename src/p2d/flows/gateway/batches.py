"""Patients of a bulk run in batches, three at a time: one is listed, one released, one loaded.

A batch is what one lease holds, or a part of it. Identity is asked once for all patients of a batch. What the
ledger is told stays in the order of the run: a batch is recorded when the one before it has its receipt.
A stop drops what was not recorded yet, and so does the loss of a lease: others have its patients.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import pyarrow as pa

from p2d.flows.gateway.ahead import ahead, side_by_side
from p2d.flows.gateway.blame import Blame, Outage, attempted
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
        listing = side_by_side(partial(self._list, lease), works, self.gateway.patients_at_once)
        with closing(listing):
            for work, one in zip(works, listing, strict=True):
                if self._stops(lease):
                    break
                found.append((str(work.patient), one))
                picked += len(one.picks) if isinstance(one, Listed) else 0
                if picked >= MOST_PICKED:
                    yield _Group(lease, unresolved, self._keyed(found), is_last=False)
                    found, unresolved, picked = [], [], 0
        yield _Group(lease, unresolved, self._keyed(found))

    def _list(self, lease: Lease, work: PatientWork) -> Listed | P2DError:
        with self._amid(lease, str(work.patient)):
            return attempted(lambda: listed(self.gateway, work, self.request))

    def _keyed(self, found: Sequence[tuple[str, Listed | P2DError]]) -> list[tuple[str, _Outcome]]:
        """Fetch the keys of all patients at once, or one by one where that fails: one may be the cause."""
        several = [one for _, one in found if isinstance(one, Listed)]
        together = attempted(lambda: keyed(self.gateway, several, self.request))
        fetched: list[_Outcome] = (
            [self._keyed_alone(one) for one in several] if isinstance(together, P2DError) else [*together]
        )
        outcomes = iter(fetched)
        return [(patient, next(outcomes) if isinstance(one, Listed) else one) for patient, one in found]

    def _keyed_alone(self, one: Listed) -> _Outcome:
        return attempted(lambda: keyed(self.gateway, [one], self.request)[0])

    def _extracted(self, group: _Group) -> list[tuple[str, PatientHeaders]]:
        ledger, lease = self.gateway.ledger, group.lease
        extracted: list[tuple[str, PatientHeaders]] = []
        try:
            for item in group.unresolved:
                ledger.unresolved(lease.run_id, str(item.pseudonym), item.reason, lease=lease)
            with closing(self._released_of(group)) as released:
                for patient, _ in group.patients:
                    if self._stops(lease):
                        break
                    headers = next(released)
                    if isinstance(headers, P2DError):
                        self.blame.failed(lease, patient, headers)
                    elif not headers.lines:
                        ledger.absent(lease.run_id, patient, lease=lease)
                    else:
                        extracted.append((patient, headers))
                    self._show(lease)
        except LeaseLost:
            return []
        return extracted

    def _released_of(self, group: _Group) -> Generator[PatientHeaders | P2DError, None, None]:
        release = partial(self._released, group.lease)
        return side_by_side(release, group.patients, self.gateway.patients_at_once)

    def _released(self, lease: Lease, item: tuple[str, _Outcome]) -> PatientHeaders | P2DError:
        patient, outcome = item
        if isinstance(outcome, P2DError):
            return outcome
        with self._amid(lease, patient):
            headers = attempted(lambda: released_headers(self.gateway, outcome, self.request.scope))
        if not isinstance(headers, P2DError):
            self.blame.went_well()
        return headers

    @contextmanager
    def _amid(self, lease: Lease, patient: str) -> Iterator[None]:
        """Let the ledger know that a death now would be amid *patient*."""
        leases = self.gateway.ledger.leases
        if not leases.begin(lease, patient):
            raise Outage  # stopped since: nothing is counted, the lease ends
        yield
        leases.leave(lease, patient)

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
        error = self._refusal(lease, extracted)
        half = len(extracted) // 2
        if error is None:
            return
        if half and not isinstance(error, Unavailable | ProtocolViolation):
            self._load(lease, extracted[:half])
            self._load(lease, extracted[half:])
            return
        for patient, _ in extracted:
            self.blame.failed(lease, patient, error)

    def _refusal(self, lease: Lease, extracted: Sequence[tuple[str, PatientHeaders]]) -> P2DError | None:
        """Record and post *extracted*; return why there is no receipt, with its patients pending again."""
        ledger, run_id = self.gateway.ledger, lease.run_id
        batch = attempted(lambda: self._batch(run_id, [headers for _, headers in extracted]))
        if isinstance(batch, P2DError):
            return batch
        entries = [
            Entry(patient, one.lines, one.notes, one.deid.as_counters(), one.findings)
            for patient, one in extracted
        ]
        try:
            ledger.record_all(run_id, batch.batch_id, entries, lease=lease)
        except InvalidRequest as error:
            return error
        posted = attempted(lambda: self._post(batch))
        if isinstance(posted, P2DError):
            ledger.forget(run_id, batch.batch_id, lease=lease)
            return posted
        ledger.loaded(run_id, batch.batch_id, lease=lease)
        return None

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
