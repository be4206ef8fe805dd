"""Port to the warehouse as the gateway sees it: batches in, receipts out."""

from typing import Protocol

from p2d.warehouse.batch import Batch, Receipt


class Warehouse(Protocol):
    """Where batches go; safe to share between threads."""

    def load(self, batch: Batch) -> Receipt:
        """Commit *batch* and its receipt in one transaction, or nothing at all.

        Raises:
            InvalidRequest: a value that is not a pseudonym or date where one is due, duplicate keys in the
                batch, or another digest under a known batch id.
            Unavailable: the warehouse is silent or busy.

        """
        ...

    def receipt(self, batch_id: str) -> Receipt | None:
        """Return the receipt of a committed batch, or None."""
        ...
