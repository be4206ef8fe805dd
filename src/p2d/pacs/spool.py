"""The bytes of one object while it arrives: small ones in memory, others in an unnamed file in memory."""

import mmap
import os
from typing import Final, Self

from p2d.dicom.walk import Source

LONGEST_OBJECT: Final = 2 << 30
"""Bytes of one object at most; an archive that sends more is cut off."""

_IN_MEMORY: Final = 1 << 20


class TooLong(ValueError):  # noqa: N818 - says what is wrong, as p2d.model.errors do
    """More bytes than one object may have."""


class Spool:
    """Takes the pieces of one object; ``finish`` gives them together. Use it as a context manager.

    Nothing is written to a disk: beyond a MiB an anonymous memory file (memfd) takes over, where the system
    has one, so that the object can be handed on without a copy.
    """

    def __init__(self, longest: int = LONGEST_OBJECT) -> None:
        self._longest = longest
        self._content = bytearray()
        self._size = 0
        self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def write(self, piece: bytes) -> None:
        """Append *piece*.

        Raises:
            TooLong: beyond the cap; nothing more is kept.

        """
        self._size += len(piece)
        if self._size > self._longest:
            raise TooLong
        self._content += piece
        if len(self._content) > _IN_MEMORY and hasattr(os, "memfd_create"):
            if self._file < 0:
                self._file = os.memfd_create("object", os.MFD_CLOEXEC)
            self._flush()

    def _flush(self) -> None:
        with memoryview(self._content) as view:
            done = 0
            while done < len(view):
                done += os.write(self._file, view[done:])
        self._content.clear()

    def finish(self) -> Source:
        """Return what was written, and begin anew."""
        try:
            if self._file < 0:
                return bytes(self._content)
            self._flush()
            return mmap.mmap(self._file, self._size, access=mmap.ACCESS_READ)
        finally:
            self.clear()

    def clear(self) -> None:
        """Forget what was written."""
        self._content.clear()
        self._size = 0
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
