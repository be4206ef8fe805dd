"""What criteria found, kept until the data change: sorted keys by node and data version, bounded in bytes."""

import threading
from collections import OrderedDict
from typing import Final

from p2d.warehouse.query.nodes import Node
from p2d.warehouse.query.session import Keys

_OVERHEAD: Final = 1024
"""Bytes reckoned for an entry beside its keys."""


class CriterionCache:
    """Patient keys by placed node and data version; safe to share between threads.

    A node is its own hash: two spellings that mean the same tree are one entry. What was not asked for
    longest goes first; entries of an older version go at once. ``most_bytes`` 0 keeps nothing.
    """

    def __init__(self, most_bytes: int = 256 * 1024 * 1024) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._found: OrderedDict[Node, Keys] = OrderedDict()
        self._bytes = 0
        self._version = -1

    def get(self, node: Node, version: int) -> Keys | None:
        """Return what *node* found in that version, or None."""
        with self._lock:
            if version != self._version or node not in self._found:
                return None
            self._found.move_to_end(node)
            return self._found[node]

    def put(self, node: Node, version: int, keys: Keys) -> None:
        """Keep what *node* found; a result of an older version than is kept is dropped."""
        keys.setflags(write=False)
        size = keys.nbytes + _OVERHEAD
        with self._lock:
            if version > self._version:
                self._found.clear()
                self._bytes, self._version = 0, version
            if version < self._version or size > self._most_bytes or node in self._found:
                return
            self._found[node] = keys
            self._bytes += size
            while self._bytes > self._most_bytes:
                _, oldest = self._found.popitem(last=False)
                self._bytes -= oldest.nbytes + _OVERHEAD

    @property
    def size(self) -> int:
        """Bytes reckoned for what is kept."""
        return self._bytes
