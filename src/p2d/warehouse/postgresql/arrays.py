"""Surrogate keys as PostgreSQL's binary arrays and rows: 12 to 14 bytes a key and no Python object each."""

from typing import Final

import numpy as np
from psycopg.pq.abc import PGresult

from p2d.warehouse.load.staging import Keys

_ARRAY_HEADER: Final = 20
"""Bytes before the elements of an array of one dimension: dimensions, flags, type, size, lower bound."""

_ELEMENT: Final = np.dtype([("length", ">i4"), ("key", ">i8")])
_ROW: Final = np.dtype([("columns", ">i2"), ("length", ">i4"), ("key", ">i8")])
_COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_END: Final = b"\xff\xff"


def keys_of(result: PGresult | None) -> Keys:
    """Return the keys in *result*, one array of BIGINT in binary form; none for NULL."""
    found = result.get_value(0, 0) if result else None
    if found is None:
        return np.empty(0, np.int64)
    return np.frombuffer(found, _ELEMENT, offset=_ARRAY_HEADER)["key"].astype(np.int64)


def copied(keys: Keys) -> bytes:
    """Return *keys* as rows of one BIGINT for COPY in binary form."""
    rows = np.empty(len(keys), _ROW)
    rows["columns"], rows["length"], rows["key"] = 1, 8, keys
    return _COPY_HEADER + rows.tobytes() + _COPY_END
