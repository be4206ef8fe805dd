"""Columns by their distinct values: most values of a batch repeat, so that each is looked at once.

A header table of a million rows holds a few thousand distinct texts; comparing, matching and ordering these
costs little, and the rows follow by their numbers.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_MOST: Final = 1 << 62


class Distinct:
    """One column: its distinct ``values`` and the number of each row's; nulls are a value of their own."""

    def __init__(self, column: Any) -> None:
        encoded = pa.chunked_array(column.chunks, column.type).combine_chunks().dictionary_encode("encode")
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        self.values = encoded.dictionary
        self._codes = encoded.indices

    def where(self, test: Callable[[Any], Any]) -> Any:
        """Return, for every row, what *test* says of its value; *test* gets all distinct values at once."""
        return test(self.values).take(self._codes)

    @property
    def size(self) -> int:
        """How many distinct values there are."""
        return len(self.values)

    def ranks(self) -> Any:
        """Return, for every row, the place of its value among the distinct ones: ascending, nulls last."""
        listed = pa.table({"value": self.values})
        order = np.asarray(pc.sort_indices(listed, sort_keys=[("value", "ascending", "at_end")]))
        places = np.empty(len(order), np.int64)
        places[order] = np.arange(len(order))
        return places[np.asarray(self._codes)]


def joint_ranks(columns: Iterable[Any]) -> Any:
    """Return one number a row that orders the rows by *columns*, the first counting most.

    Equal rows have equal numbers, others different ones.
    """
    joint, size = None, 1
    for column in columns:
        distinct = Distinct(column)
        ranks = distinct.ranks()
        if joint is None:
            joint, size = ranks, distinct.size
            continue
        if size * distinct.size >= _MOST:
            found, joint = np.unique(joint, return_inverse=True)
            size = len(found)
        joint, size = joint * distinct.size + ranks, size * distinct.size
    return joint
