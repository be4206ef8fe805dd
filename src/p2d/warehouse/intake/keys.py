"""Which natural keys were seen before, by 64-bit hashes: 8 bytes a key, looked up a column at a time.

Two of a hundred million keys share a hash with probability 3e-4; a row would then be set aside as a repeat.
"""

from hashlib import blake2b
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa


class Hasher:
    """Hashes rows of tables; equal rows have equal hashes, a null is a value of its own."""

    def __init__(self) -> None:
        self._own = duckdb.connect(":memory:", config={"temp_directory": "", "threads": 1})

    def hashes(self, columns: list[Any]) -> Any:
        """Return one unsigned 64-bit number a row of *columns*."""
        table = pa.table({f"c{number}": column for number, column in enumerate(columns)})
        self._own.register("incoming", table)
        names = ", ".join(table.column_names)
        found = self._own.sql(f"SELECT hash({names}) AS h FROM incoming").to_arrow_table()  # noqa: S608 - c0, c1 …
        self._own.unregister("incoming")
        return np.asarray(found["h"].combine_chunks()).astype(np.uint64)


def uid_of(patient: str | None, label: str) -> str:
    """Return a UID in the form of derived ones (``2.25.`` and 128 bits) for a label of *patient*."""
    content = f"{patient or ''}\x1f{label}".encode("utf-8", "surrogatepass")
    return f"2.25.{int.from_bytes(blake2b(content, digest_size=16).digest(), 'big')}"


class Seen:
    """A growing set of hashes in sorted arrays; small ones are merged into larger ones."""

    def __init__(self) -> None:
        self._runs: list[Any] = []

    def has(self, hashes: Any) -> Any:
        """Return, for every hash, whether it was added before."""
        found = np.zeros(len(hashes), bool)
        for run in self._runs:
            places = np.minimum(np.searchsorted(run, hashes), len(run) - 1)
            found |= run[places] == hashes
        return found

    def add(self, hashes: Any) -> None:
        """Add *hashes*, none of which was added before."""
        run = np.sort(hashes)
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]))
        if len(run):
            self._runs.append(run)


def repeats(hashes: Any) -> Any:
    """Return, for every hash, whether an earlier row of the same array has it."""
    order = np.argsort(hashes, kind="stable")
    again = np.zeros(len(hashes), bool)
    again[order[1:]] = hashes[order[1:]] == hashes[order[:-1]]
    return again
