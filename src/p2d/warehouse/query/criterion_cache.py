"""What criteria found, kept until the data change: sorted keys by node and data version, bounded in bytes."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from p2d.warehouse.query.nodes import Node
from p2d.warehouse.query.session import Keys

_OVERHEAD: Final = 1024
"""Bytes reckoned for an entry beside its keys."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a node found: of everybody, or of those who were ``asked`` about."""

    found: Keys
    asked: Keys | None = None

    @property
    def size(self) -> int:
        """Bytes reckoned for it."""
        return _OVERHEAD + self.found.nbytes + (0 if self.asked is None else self.asked.nbytes)


class CriterionCache:
    """Patient keys by placed node and data version; safe to share between threads.

    A node is its own hash: two spellings that mean the same tree are one entry. What was not asked for
    longest goes first; entries of an older version go at once. ``most_bytes`` 0 keeps nothing.
    """

    def __init__(self, most_bytes: int = 256 * 1024 * 1024) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._found: OrderedDict[Node, _Entry] = OrderedDict()
        self._bytes = 0
        self._version = -1

    def get(self, node: Node, version: int) -> Keys | None:
        """Return what *node* found in that version, or None."""
        entry = self._entry(node, version)
        return None if entry is None or entry.asked is not None else entry.found

    def get_some(self, node: Node, version: int) -> tuple[Keys, Keys] | None:
        """Return who was asked about in that version, and whom of them *node* found; or None."""
        entry = self._entry(node, version)
        return None if entry is None or entry.asked is None else (entry.asked, entry.found)

    def put(self, node: Node, version: int, keys: Keys) -> None:
        """Keep what *node* found; a result of an older version than is kept is dropped."""
        self._put(node, version, _Entry(keys))

    def put_some(self, node: Node, version: int, asked: Keys, found: Keys) -> None:
        """Keep whom of *asked* the *node* found, unless it is known for everybody."""
        self._put(node, version, _Entry(found, asked))

    def _entry(self, node: Node, version: int) -> _Entry | None:
        with self._lock:
            if version != self._version or node not in self._found:
                return None
            self._found.move_to_end(node)
            return self._found[node]

    def _put(self, node: Node, version: int, entry: _Entry) -> None:
        for keys in (entry.found, entry.asked):
            if keys is not None:
                keys.setflags(write=False)
        with self._lock:
            if version > self._version:
                self._found.clear()
                self._bytes, self._version = 0, version
            known = self._found.get(node)
            is_kept = known is not None and known.asked is None
            if version < self._version or entry.size > self._most_bytes or is_kept:
                return
            if known is not None:
                self._bytes -= known.size
            self._found[node] = entry
            self._found.move_to_end(node)
            self._bytes += entry.size
            while self._bytes > self._most_bytes:
                _, oldest = self._found.popitem(last=False)
                self._bytes -= oldest.size

    @property
    def size(self) -> int:
        """Bytes reckoned for what is kept."""
        return self._bytes
