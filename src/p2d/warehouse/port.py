"""Ports to the warehouse: as the gateway sees it, and as the research side does."""

from typing import Protocol

from p2d.model.ids import Pseudonym
from p2d.warehouse.batch import Batch, Receipt
from p2d.warehouse.browse import StudyLine
from p2d.warehouse.quarantine import OnBadRows
from p2d.warehouse.query.results import CohortEngine
from p2d.warehouse.saved import CohortStore
from p2d.warehouse.upkeep.tending import Tended


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


class ResearchWarehouse(Warehouse, CohortEngine, Tended, Protocol):
    """What the warehouse process serves, whichever engine keeps it; safe to share between threads."""

    def load(self, batch: Batch, on_bad_rows: OnBadRows = "refuse") -> Receipt:
        """Commit as a ``Warehouse`` does; with ``quarantine`` set bad rows of a clinical batch aside."""
        ...

    @property
    def saved(self) -> CohortStore:
        """The saved cohorts."""
        ...

    def studies_of(self, patient: str) -> tuple[StudyLine, ...]:
        """Return the studies and series known of *patient*, oldest first; none for an unknown one."""
        ...

    def patients(self) -> tuple[Pseudonym, ...]:
        """Return all patients' pseudonyms, in order."""
        ...

    def counts(self) -> dict[str, int]:
        """Return the number of rows of every table."""
        ...

    def close(self) -> None:
        """Let go of file or server."""
        ...
