"""A warehouse in memory: keeps batches and gives receipts, and can be told to fail."""

import threading

from p2d.model.errors import InvalidRequest, P2DError
from p2d.warehouse.batch import Batch, Receipt
from p2d.warehouse.check import check
from p2d.warehouse.wire import digest


class MemoryWarehouse:
    """The port over a dictionary; ``batches`` holds what was committed, in order.

    ``failures`` are raised by the next calls of ``load``, first one first, before anything is kept.
    """

    def __init__(self, patient_form: str | None = None) -> None:
        self.batches: dict[str, Batch] = {}
        self.failures: list[P2DError] = []
        self._patient_form = patient_form
        self._receipts: dict[str, Receipt] = {}
        self._lock = threading.Lock()

    def load(self, batch: Batch) -> Receipt:
        """Keep *batch* and return its receipt; the same batch again gives the same receipt.

        Raises:
            InvalidRequest: a value that may not enter, or another digest under a known batch id.

        """
        with self._lock:
            if self.failures:
                raise self.failures.pop(0)
            check(batch, self._patient_form)
            content = digest(batch)
            known = self._receipts.get(batch.batch_id)
            if known is None:
                rows = {name: table.num_rows for name, table in batch.tables.items() if table.num_rows}
                known = Receipt(batch.batch_id, content, rows)
                self.batches[batch.batch_id] = batch
                self._receipts[batch.batch_id] = known
            if known.digest != content:
                raise InvalidRequest("batch_id", "is known with another digest", "use a new batch id")
            return known

    def receipt(self, batch_id: str) -> Receipt | None:
        """Return the receipt of a kept batch, or None."""
        with self._lock:
            return self._receipts.get(batch_id)

    def rows(self, table: str) -> list[dict[str, object]]:
        """Return the rows of *table* of all batches, in the order they came."""
        found = [batch.tables[table] for batch in self.batches.values() if table in batch.tables]
        return [row for part in found for row in part.to_pylist()]
