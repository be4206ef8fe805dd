"""What upkeep asks of an engine: the transactions it opens, and the few things each writes in its own way."""

from contextlib import AbstractContextManager
from typing import Literal, Protocol

from p2d.warehouse.load.staging import Staging
from p2d.warehouse.statements import Statements

ColumnType = Literal["number", "date", "text", "multi"]


class Tending(Staging, Protocol):
    """A transaction that writes, with what only upkeep does."""

    def add_column(self, table: str, name: str, kind: ColumnType) -> None:
        """Give *table* (study, series, instance) the empty column *name*, a DICOM keyword."""
        ...

    def drop_column(self, table: str, name: str) -> None:
        """Take the promoted column *name* away from *table*."""
        ...

    def index_all_documents(self) -> None:
        """Index the words of all documents anew, where the engine keeps such an index itself."""
        ...


class Tended(Protocol):
    """A warehouse that can be tended; every method raises Unavailable where the engine does not answer."""

    @property
    def keeps_words(self) -> bool:
        """Whether there is the table ``term``, an index of the words of documents."""
        ...

    def looking(self) -> AbstractContextManager[Statements]:
        """Open one state of what questions see."""
        ...

    def inspecting(self) -> AbstractContextManager[Statements]:
        """Open one state of everything, receipts and what was set aside as well."""
        ...

    def tending(self) -> AbstractContextManager[Tending]:
        """Open the one transaction that writes now; it commits unless an error leaves."""
        ...

    def arrange(self) -> dict[str, bool]:
        """Bring every table in the order of queries; tell which were out of it.

        A table is a transaction. Engines that read by indexes have no order, and no table to tell of.
        """
        ...
