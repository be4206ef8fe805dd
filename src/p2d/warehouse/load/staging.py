"""What a load asks of the database it goes into, whichever it is."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from p2d.warehouse.statements import Statements

Keys = npt.NDArray[np.int64]


class Staging(Statements, Protocol):
    """A transaction that a batch goes into; its temporary tables are gone when it ends."""

    @property
    def row_id(self) -> str:
        """The engine's hidden column that names a row of a table within a transaction."""
        ...

    def receive(self, name: str, table: pa.Table) -> None:
        """Make *table* readable as *name* until the next one is received under that name."""
        ...

    def keep(self, name: str, select: str, /, **values: object) -> None:
        """Keep what *select* yields as the temporary table *name*, in place of an earlier one."""
        ...

    def changed(self, statement: str, /, **values: object) -> int:
        """Run *statement* and return how many rows it inserted, updated or deleted."""
        ...

    def draw(self, count: int) -> Keys:
        """Return *count* new surrogate keys, ascending.

        Raises:
            Unavailable: another writer draws keys, too, where the engine has one writer only.

        """
        ...

    def same(self, columns: Sequence[str]) -> str:
        """Return the condition that rows *t* and *s* agree in *columns*, empty with empty."""
        ...

    def index_documents(self, table: str) -> None:
        """Index the words of *table* (document_key, text), where the engine keeps such an index itself."""
        ...

    def catch_up(self, tables: frozenset[str]) -> None:
        """Bring up to date what the engine itself counts or copies of the staged *tables*."""
        ...


def agree(columns: Sequence[str]) -> str:
    """Return the condition that rows *t* and *s* agree in *columns*, in words that every engine knows."""
    return " AND ".join(f't."{column}" IS NOT DISTINCT FROM s."{column}"' for column in columns)
