"""Pseudonyms and derived UIDs in bulk: random, well-formed, and as hard to compress as real ones."""

from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_ALPHABET: Final = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", np.uint8)
_CROCKFORD: Final = np.frombuffer(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ", np.uint8)
_DIGITS: Final = np.frombuffer(b"0123456789", np.uint8)
_UID_ROOT: Final = np.frombuffer(b"2.25.", np.uint8)
_UID_DIGITS: Final = 38

Random = np.random.Generator


def pseudonyms(random: Random, prefix: str, count: int, length: int) -> pa.Array:
    """Return *count* pseudonyms: *prefix*, *length* Crockford characters, check character (MOD 37,36)."""
    body = np.empty((count, length + 2), np.uint8)
    body[:, 0] = ord(prefix)
    body[:, 1:-1] = _CROCKFORD[random.integers(0, len(_CROCKFORD), (count, length), dtype=np.uint8)]
    value = np.zeros(256, np.int64)
    value[_ALPHABET] = np.arange(len(_ALPHABET))
    product = np.full(count, 36, np.int64)
    for column in range(length + 1):
        product = (product + value[body[:, column]]) % 36
        product[product == 0] = 36
        product = product * 2 % 37
    body[:, -1] = _ALPHABET[(37 - product) % 36]
    return _texts(body)


def uids(random: Random, count: int) -> pa.Array:
    """Return *count* UIDs of the form that P2D derives: ``2.25.`` and a number of 38 digits."""
    body = np.empty((count, len(_UID_ROOT) + _UID_DIGITS), np.uint8)
    body[:, : len(_UID_ROOT)] = _UID_ROOT
    digits = random.integers(0, 10, (count, _UID_DIGITS), dtype=np.uint8)
    digits[:, 0] = digits[:, 0] % 9 + 1
    body[:, len(_UID_ROOT) :] = _DIGITS[digits]
    return _texts(body)


def _texts(characters: NDArray[Any]) -> pa.Array:
    """Return the rows of an ASCII matrix as strings."""
    count, width = characters.shape
    ends = np.arange(count + 1, dtype=np.int32) * np.int32(width)
    data = np.ascontiguousarray(characters)
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(ends), pa.py_buffer(data)])
