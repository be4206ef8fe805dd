"""Draws for whole tables at once, and tables from columns."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from p2d.warehouse.batch import SCHEMAS
from warehouse_bench.names import Random

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
_FEW: Final = 1_000


class Weighted:
    """Draws numbers from 0 on, each as often as its weight says; a draw is one look into a long table."""

    def __init__(self, weights: Sequence[float] | Floats) -> None:
        shares = np.cumsum(np.asarray(weights, np.float64))
        self._size = 1 << (16 if len(shares) <= _FEW else 22)
        places = (np.arange(self._size) + 0.5) / self._size * shares[-1]
        self._slots = np.searchsorted(shares, places).astype(np.int32)

    def draw(self, random: Random, count: int) -> Ints:
        """Return *count* numbers."""
        places = random.integers(0, self._size, count, dtype=np.int32)
        return np.asarray(self._slots[places], np.int64)


def zipf(count: int, exponent: float = 1.0) -> Floats:
    """Return the weights of *count* words by rank, flattened at the top as in texts (Mandelbrot)."""
    return 1.0 / (np.arange(count, dtype=np.float64) + 2.7) ** exponent


def children(counts: Ints) -> tuple[Ints, Ints]:
    """Return, for each child, its parent's place and its own among its siblings."""
    parents = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    firsts = np.cumsum(counts) - counts
    return parents, np.arange(len(parents), dtype=np.int64) - firsts[parents]


def chance(random: Random, count: int, share: float | Floats) -> Bools:
    """Return *count* booleans, of which *share* are true."""
    return np.asarray(random.random(count) < share)


def picked(words: pa.Array | Sequence[str], places: Ints, *, where: Bools | None = None) -> pa.Array:
    """Return the words at *places*; null where *where* is false."""
    array = pa.array(words, pa.string()) if isinstance(words, Sequence) else words
    mask = None if where is None else ~where
    return array.take(pa.array(places, mask=mask))


def days(numbers: Ints, *, where: Bools | None = None) -> pa.Array:
    """Return days since 1970 as dates; null where *where* is false."""
    mask = None if where is None else ~where
    return pa.array(numbers.astype(np.int32), mask=mask).view(pa.date32())


def rows(name: str, count: int, **columns: Any) -> pa.Table:
    """Return *count* rows of the batch's table *name*; columns not given are null, single values repeat."""
    schema = SCHEMAS[name]
    assert not set(columns) - set(schema.names), set(columns) - set(schema.names)
    return pa.table([_column(columns.get(f.name), f.type, count) for f in schema], schema=schema)


def _column(values: Any, kind: pa.DataType, count: int) -> Any:
    if values is None:
        return pa.nulls(count, kind)
    if isinstance(values, str | int | float):
        return pa.repeat(pa.scalar(values, kind), count)
    return pa.array(values, kind) if isinstance(values, np.ndarray) else values.cast(kind)
