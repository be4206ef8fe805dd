"""Collect an object as it arrives: in memory while it is small, else in a file that has no name.

The file is a memfd, or an unnamed file in a folder on tmpfs: identified bytes never reach a disk, and nothing
is left of them when the process ends, however it ends. Every byte is counted before it is taken, for the
object and for the retrieve it belongs to.
"""

import errno
import mmap
import os
import threading
from pathlib import Path
from typing import Final

from p2d.model.errors import Misconfigured, ProtocolViolation, Unavailable

IN_MEMORY_BYTES: Final = 4 << 20
OBJECT_BYTES: Final = 4 << 30
RETRIEVE_BYTES: Final = 64 << 30

_MOUNTS: Final = Path("/proc/self/mounts")
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EFBIG, errno.EMFILE, errno.ENFILE})


class TooManyBytes(ProtocolViolation):
    """An object or a retrieve is longer than its limit."""


class OutOfSpace(Unavailable):
    """There is no room left for an object; nothing of it is kept."""


class Allowance:
    """How many bytes may still come for one retrieve; shared by its objects and their threads."""

    def __init__(self, limit: int = RETRIEVE_BYTES) -> None:
        self._left = limit
        self._lock = threading.Lock()

    @property
    def left(self) -> int:
        """Bytes that may still come; it shrinks as long as anything arrives."""
        return self._left

    def take(self, count: int) -> None:
        """Take *count* bytes off what is left.

        Raises:
            TooManyBytes: that many are not left.

        """
        with self._lock:
            if count > self._left:
                self._left = 0
                raise TooManyBytes(
                    "pacs", "a retrieve brought more bytes than allowed", "ask for less at once"
                )
            self._left -= count


def memory_folder(folder: Path) -> Path:
    """Return *folder* when what is written to it stays in memory.

    Raises:
        Misconfigured: it is absent, not writable or on a disk.

    """
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise Misconfigured("spool folder", "is absent or not writable", "make it, on tmpfs")
    whole = folder.resolve()
    kinds: dict[Path, str] = {}
    for line in _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines():
        _, place, kind, *_ = line.split()
        kinds[Path(place.replace("\\040", " "))] = kind  # a later mount hides an earlier one
    kind = next(kinds[place] for place in (whole, *whole.parents) if place in kinds)
    if kind not in _IN_MEMORY:
        raise Misconfigured(
            "spool folder", f"is on {kind}, where identified bytes would reach a disk", "mount tmpfs there"
        )
    return folder


class Spool:
    """The bytes of one object; owned by one thread.

    More than *in_memory* bytes go to a file without a name: in *folder* on tmpfs, or else a memfd.
    *limit* bounds the object, *allowance* all objects of its retrieve.
    """

    __slots__ = ("_allowance", "_file", "_folder", "_in_memory", "_limit", "_memory", "length")

    def __init__(
        self,
        *,
        limit: int = OBJECT_BYTES,
        in_memory: int = IN_MEMORY_BYTES,
        allowance: Allowance | None = None,
        folder: Path | None = None,
    ) -> None:
        self.length = 0
        self._limit = limit
        self._in_memory = in_memory
        self._allowance = allowance
        self._folder = folder
        self._memory = bytearray()
        self._file: int | None = None

    def write(self, fragment: bytes | memoryview) -> None:
        """Take the next *fragment*; on any error nothing of the object is kept.

        Raises:
            TooManyBytes: for the object or its retrieve.
            OutOfSpace: the tmpfs or memory is full.

        """
        try:
            self._take(fragment)
        except OSError as error:
            self.discard()
            if error.errno in _FULL:
                raise OutOfSpace(
                    "pacs", "no space is left for an object", "give the spool more room"
                ) from None
            raise OutOfSpace(
                "pacs", f"an object cannot be kept: {type(error).__name__}", "see the spool"
            ) from None
        except TooManyBytes:
            self.discard()
            raise

    def count(self, count: int) -> None:
        """Count *count* bytes that belong to the object, whether they are kept here or not.

        Raises:
            TooManyBytes: for the object or its retrieve.

        """
        if self.length + count > self._limit:
            raise TooManyBytes("pacs", "an object is longer than allowed", "raise the limit, or leave it out")
        if self._allowance is not None:
            self._allowance.take(count)
        self.length += count

    def content(self) -> bytes | mmap.mmap:
        """Return the whole object and let go of it: bytes, or its file mapped into memory.

        Raises:
            OutOfSpace: it cannot be mapped.

        """
        if self._file is None:
            whole = bytes(self._memory)
            self._memory = bytearray()
            return whole
        try:
            return mmap.mmap(self._file, self.length, access=mmap.ACCESS_READ)
        except (OSError, ValueError):
            raise OutOfSpace(
                "pacs", "an object cannot be mapped into memory", "give the spool more room"
            ) from None
        finally:
            self.discard()

    def discard(self) -> None:
        """Forget the object; its memory or file is free at once."""
        self._memory = bytearray()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _take(self, fragment: bytes | memoryview) -> None:
        self.count(len(fragment))
        if self._file is None and (self.length <= self._in_memory or not _HAS_FILES):
            self._memory += fragment  # one buffer: hostile fragments of a byte cost a byte
            return
        if self._file is None:
            self._file = _unnamed(self._folder)
            _write_all(self._file, self._memory)
            self._memory = bytearray()
        _write_all(self._file, fragment)


_HAS_FILES: Final = hasattr(os, "memfd_create")  # Linux; elsewhere an object stays in memory


def _unnamed(folder: Path | None) -> int:
    if folder is None:
        return os.memfd_create("object", os.MFD_CLOEXEC)
    return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)


def _write_all(file: int, part: bytes | bytearray | memoryview) -> None:
    view = memoryview(part)
    while view:
        view = view[os.write(file, view) :]
