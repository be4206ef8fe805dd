"""Patients of a bulk run in batches, three at a time: one is listed, one released, one loaded.

Identity is asked once for all patients of a batch. What the ledger is told stays in the order of the run: a
batch is recorded when the one before it has its receipt, and a stop drops what was not recorded yet.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Final

import pyarrow as pa

from p2d.flows.gateway.ahead import ahead, side_by_side
from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.locate import PatientWork, Unresolved, locate
from p2d.flows.gateway.patient import Listed, PatientHeaders, Prepared, keyed, listed, released_headers
from p2d.flows.gateway.rows import tables_of
from p2d.jobs.ledger import Progress
from p2d.model.errors import InvalidRequest, P2DError, ProtocolViolation, Unavailable
from p2d.model.request import Request, Target
from p2d.warehouse.batch import Batch
from p2d.warehouse.wire import sealed

Watch = Callable[[Progress], None]
MOST_PICKED: Final = 4_000
"""Instances at which a batch ends, however few its patients: two batches are in memory at a time."""

_Failures = (Unavailable, ProtocolViolation, InvalidRequest)
_Outcome = Prepared | P2DError


@dataclass(slots=True)
class _Group:
    """Patients of one batch, in order: what is to be released of each, or why nothing is."""

    unresolved: list[Unresolved] = field(default_factory=list)
    patients: list[tuple[str, _Outcome]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PatientBatches:
    """The batches of one run; ``watch`` is called after every patient and every batch."""

    gateway: Gateway
    run_id: str
    request: Request
    watch: Watch

    def work(self, chunks: Iterable[Sequence[str]]) -> None:
        """Work the patients of *chunks*, each once, to rows with a receipt or a reason in the ledger.

        *chunks* is taken from one chunk ahead, in another thread. Ends early when the run is asked to stop.
        """
        ledger = self.gateway.ledger
        with ThreadPoolExecutor(1, "load") as loader, closing(ahead(self._groups(chunks), 1)) as groups:
            loading: Future[None] | None = None
            try:
                for group in groups:
                    extracted = self._extracted(group)
                    self._loaded(loading)
                    loading = None
                    if ledger.is_stopping(self.run_id):
                        return
                    if extracted:
                        loading = loader.submit(self._load, extracted)
            finally:
                self._loaded(loading)

    def _loaded(self, loading: "Future[None] | None") -> None:
        if loading is not None:
            loading.result()
        self.watch(self.gateway.ledger.progress(self.run_id))

    def _groups(self, chunks: Iterable[Sequence[str]]) -> Iterator[_Group]:
        by_patient = _targets_of(self.request)
        for chunk in chunks:
            try:
                flat = [target for patient in chunk for target in by_patient[patient]]
                works, unresolved = locate(self.gateway, flat, None)
            except (Unavailable, ProtocolViolation) as error:
                yield _Group(patients=[(patient, error) for patient in chunk])
                continue
            yield from self._listed(works, unresolved)

    def _listed(self, works: Sequence[PatientWork], unresolved: list[Unresolved]) -> Iterator[_Group]:
        """List *works*; a group ends with the last or with MOST_PICKED instances."""
        found: list[tuple[str, Listed | P2DError]] = []
        picked = 0
        listing = side_by_side(self._list, works, self.gateway.patients_at_once)
        with closing(listing):
            for work, one in zip(works, listing, strict=True):
                if self.gateway.ledger.is_stopping(self.run_id):
                    break
                found.append((str(work.patient), one))
                picked += len(one.picks) if isinstance(one, Listed) else 0
                if picked >= MOST_PICKED:
                    yield _Group(unresolved, self._keyed(found))
                    found, unresolved, picked = [], [], 0
        if found or unresolved:
            yield _Group(unresolved, self._keyed(found))

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
        ledger = self.gateway.ledger
        for item in group.unresolved:
            ledger.unresolved(self.run_id, str(item.pseudonym), item.reason)
        extracted: list[tuple[str, PatientHeaders]] = []
        outcomes = [outcome for _, outcome in group.patients]
        with closing(side_by_side(self._released, outcomes, self.gateway.patients_at_once)) as released:
            for patient, _ in group.patients:
                if ledger.is_stopping(self.run_id):
                    break
                headers = next(released)
                if isinstance(headers, P2DError):
                    self._failed(patient, headers)
                elif not headers.lines:
                    ledger.absent(self.run_id, patient)
                else:
                    extracted.append((patient, headers))
                self.watch(ledger.progress(self.run_id))
        return extracted

    def _released(self, outcome: _Outcome) -> PatientHeaders | P2DError:
        if isinstance(outcome, P2DError):
            return outcome
        try:
            return released_headers(self.gateway, outcome, self.request.scope)
        except _Failures as error:
            return error

    def _failed(self, patient: str, error: P2DError) -> None:
        """Count an attempt; what is invalid stays so and is parked at once."""
        allowed = 1 if isinstance(error, InvalidRequest) else self.gateway.attempts
        reason = f"{type(error).__name__}: {error.field}: {error.problem}"
        self.gateway.ledger.fail(self.run_id, patient, reason, attempts_allowed=allowed)

    def _load(self, extracted: Sequence[tuple[str, PatientHeaders]]) -> None:
        batch = self._batch([headers for _, headers in extracted])
        ledger = self.gateway.ledger
        for patient, headers in extracted:
            counted = headers.deid.as_counters()
            ledger.record(self.run_id, batch.batch_id, patient, headers.lines, headers.notes, counted)
        try:
            self._post(batch)
        except P2DError as error:
            ledger.forget(self.run_id, batch.batch_id)
            if isinstance(error, InvalidRequest) and len(extracted) > 1:
                for one in extracted:  # the refused rows are some patient's: the others are loaded
                    self._load([one])
                return
            for patient, _ in extracted:
                self._refused(patient, error)
            return
        ledger.loaded(self.run_id, batch.batch_id)

    def _refused(self, patient: str, error: P2DError) -> None:
        reason = f"{type(error).__name__}: {error.field}: {error.problem}"
        self.gateway.ledger.fail(self.run_id, patient, reason, attempts_allowed=self.gateway.attempts)

    def _post(self, batch: Batch) -> None:
        receipt = self.gateway.warehouse.load(batch)
        expected = {name: table.num_rows for name, table in batch.tables.items() if table.num_rows}
        committed = {name: number for name, number in receipt.rows.items() if number}
        if receipt.batch_id != batch.batch_id or committed != expected:
            raise ProtocolViolation("warehouse", "its receipt does not match the batch")

    def _batch(self, extracted: Sequence[PatientHeaders]) -> Batch:
        scope, archive = self.request.scope, self.gateway.pacs.name
        parts = [tables_of(archive, item.basic, item.extended, scope) for item in extracted]
        tables = {name: pa.concat_tables([part[name] for part in parts]) for name in parts[0]}
        batch = sealed(Batch("", str(scope), self.run_id, tables))
        return replace(batch, batch_id=f"{self.run_id}-{batch.digest[:24]}")


def _targets_of(request: Request) -> dict[str, list[Target]]:
    groups: dict[str, list[Target]] = {}
    for target in request.targets:
        groups.setdefault(str(target.pseudonym), []).append(target)
    return groups
