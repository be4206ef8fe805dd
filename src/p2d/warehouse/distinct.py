"""Columns by their distinct values: most values of a batch repeat, so that each is looked at once.

A header table of a million rows holds a few thousand distinct texts; comparing, matching and ordering these
costs little, and the rows follow by their numbers.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_MOST: Final = 1 << 62
_MANY_ROWS: Final = 50_000
_T = TypeVar("_T")


class Distinct:
    """One column: its distinct ``values`` and the number of each row's; nulls are a value of their own."""

    def __init__(self, column: Any) -> None:
        if pa.types.is_floating(column.type):
            column = pc.add(column, 0.0)  # -0.0 and 0.0 are one value
        encoded = pa.chunked_array(column.chunks, column.type).combine_chunks().dictionary_encode("encode")
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        self.values = encoded.dictionary
        self._codes = encoded.indices
        self._ranks: Any = None

    def where(self, test: Callable[[Any], Any]) -> Any:
        """Return, for every row, what *test* says of its value; *test* gets all distinct values at once."""
        return test(self.values).take(self._codes)

    def rows(self, order: Any) -> Any:
        """Return the column's rows in *order*, as a dictionary over its distinct values."""
        return pa.DictionaryArray.from_arrays(self._codes.take(order), self.values)

    @property
    def size(self) -> int:
        """How many distinct values there are."""
        return len(self.values)

    def ranks(self) -> Any:
        """Return, for every row, the place of its value among the distinct ones: ascending, nulls last.

        NaN, one value, stands between numbers and nulls.
        """
        if self._ranks is None:
            self._ranks = self._ranked()
        return self._ranks

    def _ranked(self) -> Any:
        if self.size == 1:
            return np.zeros(len(self._codes), np.int64)
        listed = pa.table({"value": self.values})
        order = np.asarray(pc.sort_indices(listed, sort_keys=[("value", "ascending", "at_end")]))
        places = np.empty(len(order), np.int64)
        places[order] = np.arange(len(order))
        return places[np.asarray(self._codes)]


def in_parallel(work: Callable[[str], _T], names: Iterable[str], rows: int) -> Iterator[_T]:
    """Yield what *work* makes of each of *names*, in order; beside each other where many *rows* pay for it.

    Arrow and NumPy let go of the interpreter while they work.
    """
    if rows < _MANY_ROWS:
        yield from map(work, names)
        return
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        yield from pool.map(work, names)


class Columns:
    """The columns of one table, each taken apart once however often it is looked at."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self._distinct: dict[str, Distinct] = {}
        self._joint: dict[tuple[str, ...], Any] = {}

    def __getitem__(self, name: str) -> Distinct:
        """Return the distinct values of the column *name*."""
        if name not in self._distinct:
            self._distinct[name] = Distinct(self.table[name])
        return self._distinct[name]

    def take_apart(self, names: Sequence[str]) -> None:
        """Find the distinct values of the columns *names* now, several at a time."""
        for _ in in_parallel(lambda name: self[name].ranks(), names, self.table.num_rows):
            pass

    def joint_ranks(self, names: Sequence[str]) -> Any:
        """Return one number a row that orders the rows by the columns *names*; see ``joint_ranks``."""
        key = tuple(names)
        if key not in self._joint:
            self._joint[key] = joint_ranks(self[name] for name in names)
        return self._joint[key]


def joint_ranks(columns: Iterable[Distinct]) -> Any:
    """Return one number a row that orders the rows by *columns*, the first counting most.

    Equal rows have equal numbers, others different ones.
    """
    joint, size = None, 1
    for distinct in columns:
        if joint is None:
            joint, size = distinct.ranks(), distinct.size
            continue
        if distinct.size == 1:
            continue
        if size * distinct.size >= _MOST:
            joint, size = _dense(joint)
        joint, size = joint * distinct.size + distinct.ranks(), size * distinct.size
    return joint


def _dense(numbers: Any) -> tuple[Any, int]:
    """Return *numbers* with their places among the distinct ones for themselves, and how many there are."""
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    places = np.cumsum(np.concatenate(([0], ordered[1:] != ordered[:-1])))
    found = np.empty(len(numbers), np.int64)
    found[order] = places
    return found, int(places[-1]) + 1 if len(places) else 1
