"""A small file that is written often and survives the death of its writer at any moment.

Two places in one file are written in turn, each with its length, number and checksum, so that one of them is
whole. Nothing is synced to disk: after a power cut the file may hold an older state or none.
"""

import contextlib
import json
import os
import struct
import zlib
from pathlib import Path
from typing import Any, Final

_PLACE: Final = 256 * 1024
_HEAD: Final = struct.Struct(">8sIIQ")  # mark, length, checksum of number and content, number
_MARK: Final = b"P2DSTATE"


class StateFile:
    """The file at *path* (0600), held open by the one process that writes it."""

    def __init__(self, path: Path) -> None:
        """Open the file or make it.

        Raises:
            OSError: neither is possible.

        """
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._number = 0

    def read(self) -> dict[str, Any] | None:
        """Return what was written last and is whole, or None."""
        found: dict[str, Any] | None = None
        for place in (0, 1):
            head = os.pread(self._file, _HEAD.size, place * _PLACE)
            if len(head) < _HEAD.size:
                continue
            mark, length, checksum, number = _HEAD.unpack(head)
            content = os.pread(self._file, min(length, _PLACE), place * _PLACE + _HEAD.size)
            if mark != _MARK or zlib.crc32(content, number & 0xFFFFFFFF) != checksum:
                continue
            if number >= self._number:
                self._number, found = number, json.loads(content)
        return found

    def write(self, state: dict[str, Any]) -> None:
        """Keep *state*; on a full disk what was there before stays."""
        content = json.dumps(state, separators=(",", ":")).encode("ascii")
        if len(content) > _PLACE - _HEAD.size:
            return
        self._number += 1
        checksum = zlib.crc32(content, self._number & 0xFFFFFFFF)
        head = _HEAD.pack(_MARK, len(content), checksum, self._number)
        with contextlib.suppress(OSError):
            os.pwrite(self._file, head + content, self._number % 2 * _PLACE)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
