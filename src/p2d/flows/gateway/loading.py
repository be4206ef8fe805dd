"""Load what was extracted of a few patients as one batch, and believe its receipt alone."""

import hashlib
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.patient import PatientHeaders
from p2d.flows.gateway.rows import tables_of
from p2d.jobs.lease import Lease
from p2d.model.errors import InvalidRequest, P2DError, ProtocolViolation, Unavailable
from p2d.model.request import Request
from p2d.warehouse.batch import Batch, Receipt

Extracted = tuple[str, PatientHeaders]
"""A patient and what was extracted of it."""
Failure = tuple[tuple[str, ...], P2DError]
Again = Callable[[], bool]


def load(
    gateway: Gateway, lease: Lease, request: Request, extracted: Sequence[Extracted], again: Again
) -> Iterator[Failure]:
    """Record and load *extracted*; yield the patients that were not loaded, pending again, and why.

    A batch that is refused for its rows is halved until the rows are one patient's: the others are loaded.
    While the warehouse is silent *again* says, after a pause, whether to post the same batch once more.

    Raises:
        LeaseLost: others have these patients now.

    """
    ledger = gateway.ledger
    batch = _batch_of(gateway.pacs.name, lease.run_id, request, [headers for _, headers in extracted])
    patients = tuple(patient for patient, _ in extracted)
    for patient, one in extracted:
        ledger.record(
            lease.run_id,
            batch.batch_id,
            patient,
            one.lines,
            one.notes,
            one.deid.as_counters(),
            lease=lease,
        )
    try:
        receipt = _posted(gateway, batch, again)
    except P2DError as error:
        ledger.forget(lease.run_id, batch.batch_id, lease=lease)
        if not isinstance(error, InvalidRequest) or len(extracted) == 1:
            yield patients, error
            return
        half = len(extracted) // 2
        for some in (extracted[:half], extracted[half:]):
            yield from load(gateway, lease, request, some, again)
        return
    if not _matches(receipt, batch):
        ledger.forget(lease.run_id, batch.batch_id, lease=lease)
        yield patients, ProtocolViolation("warehouse", "its receipt does not match the batch")
        return
    ledger.loaded(lease.run_id, batch.batch_id, lease=lease)


def _posted(gateway: Gateway, batch: Batch, again: Again) -> Receipt:
    while True:
        try:
            return gateway.warehouse.load(batch)
        except Unavailable:
            if not again():
                raise


def _matches(receipt: Receipt, batch: Batch) -> bool:
    expected = {name: table.num_rows for name, table in batch.tables.items() if table.num_rows}
    committed = {name: number for name, number in receipt.rows.items() if number}
    return receipt.batch_id == batch.batch_id and committed == expected


def _batch_of(archive: str, run_id: str, request: Request, extracted: Sequence[PatientHeaders]) -> Batch:
    parts = [tables_of(archive, item.basic, item.extended, request.scope) for item in extracted]
    tables = {name: pa.concat_tables([part[name] for part in parts]) for name in parts[0]}
    keys = hashlib.sha256()
    for name in sorted(tables):
        for row_batch in tables[name].to_batches():
            keys.update(name.encode())
            keys.update(row_batch.serialize())
    return Batch(f"{run_id}-{keys.hexdigest()[:24]}", str(request.scope), run_id, tables)
