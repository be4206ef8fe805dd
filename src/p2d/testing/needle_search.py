"""Find any of many byte strings in one pass: 8-byte windows hashed into a table, then compared."""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

_WINDOW: Final = 8  # bytes, one machine word
_CHUNK: Final = 1 << 23  # bytes searched at once
_BITS: Final = 22
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)

Shapes = dict[tuple[int, int], set[bytes]]


class NeedleSearch:
    """A compiled set of byte strings; ``found_in`` yields those that occur."""

    def __init__(self, needles: Iterable[bytes]) -> None:
        distinct = set(needles) - {b""}
        self._short = sorted(needle for needle in distinct if len(needle) < _WINDOW)
        self._longest = max(map(len, distinct), default=_WINDOW)
        # By window: where the needle begins before it and how long it is -> needles of that shape.
        self._by_window: dict[int, Shapes] = {}
        for needle in distinct:
            if len(needle) >= _WINDOW:
                lead = (len(needle) - _WINDOW) // 2  # ends are often shared between needles, middles seldom
                window = int.from_bytes(needle[lead : lead + _WINDOW], "little")
                shapes = self._by_window.setdefault(window, {})
                shapes.setdefault((lead, len(needle)), set()).add(needle)
        self._windows: npt.NDArray[np.uint64] = np.array(sorted(self._by_window), dtype=np.uint64)
        self._table: npt.NDArray[np.bool_] = np.zeros(1 << _BITS, dtype=np.bool_)
        self._table[_slots(self._windows)] = True

    def found_in(self, content: bytes) -> Iterator[bytes]:
        """Yield the needles that occur in *content*, each once for every place."""
        yield from (needle for needle in self._short if needle in content)
        if not self._windows.size:
            return
        step = _CHUNK
        for start in range(0, len(content), step):
            # A window that starts in this chunk may end in the next one.
            end = min(len(content), start + step + _WINDOW - 1)
            for position, window in self._candidates(content[start:end]):
                yield from self._compared(content, start + position, window)

    def _candidates(self, chunk: bytes) -> Iterator[tuple[int, int]]:
        for offset in range(min(_WINDOW, len(chunk) - _WINDOW + 1)):
            count = (len(chunk) - offset) // _WINDOW
            words = np.frombuffer(chunk, dtype="<u8", count=count, offset=offset)
            likely = np.flatnonzero(self._table[_slots(words)])
            if not likely.size:
                continue
            likely_words = words[likely]
            places = np.minimum(np.searchsorted(self._windows, likely_words), self._windows.size - 1)
            for index in likely[self._windows[places] == likely_words]:
                yield offset + int(index) * _WINDOW, int(words[index])

    def _compared(self, content: bytes, position: int, window: int) -> Iterator[bytes]:
        for (lead, length), needles in self._by_window[window].items():
            begin = position - lead
            if begin >= 0:
                there = content[begin : begin + length]
                if there in needles:
                    yield there


def _slots(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    return (words * _MIX) >> np.uint64(64 - _BITS)
