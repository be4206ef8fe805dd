"""The files below a folder: listed and opened without following links, read as they were listed."""

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from p2d.dicom.walk import Source
from p2d.dimse.spool import Spool, TooManyBytes
from p2d.model.errors import Unavailable

_CHUNK: Final = 1 << 20
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


class Changed(Exception):  # noqa: N818 - says what happened; no fault of the program
    """A file is no longer what it was when it was listed."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A regular file: its name below the folder, and what tells whether it has changed."""

    name: str = field(repr=False)
    size: int
    modified: int


def listed(folder: Path) -> tuple[list[Listed], int]:
    """Return the regular files below *folder* by name, and how many links were left out.

    Raises:
        Unavailable: the folder, or one in it, cannot be listed: the list would not be whole.

    """
    found: list[Listed] = []
    links = 0
    waiting = [""]
    while waiting:
        above = waiting.pop()
        try:
            with os.scandir(folder / above) as entries:
                for entry in entries:
                    name = f"{above}{entry.name}"
                    if entry.is_symlink():
                        links += 1
                    elif entry.is_dir(follow_symlinks=False):
                        waiting.append(f"{name}/")
                    elif entry.is_file(follow_symlinks=False):
                        status = entry.stat(follow_symlinks=False)
                        found.append(Listed(name, status.st_size, status.st_mtime_ns))
        except OSError as error:
            raise Unavailable(
                "pacs.folder", f"cannot be listed ({error.strerror})", "mount it, or let us read it"
            ) from None
    found.sort(key=lambda one: one.name)
    return found, links


@contextlib.contextmanager
def _opened(folder: Path, file: Listed) -> Iterator[int]:
    """Open *file*, no folder on its way being a link; it has to be as it was listed."""
    descriptor = -1
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        for part in file.name.split("/"):
            below = os.open(part, _FLAGS | os.O_NONBLOCK, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        _check(descriptor, file)
        yield descriptor
    except OSError:
        raise Changed from None
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _check(descriptor: int, file: Listed) -> None:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or (status.st_size, status.st_mtime_ns) != (file.size, file.modified):
        raise Changed


def head(folder: Path, file: Listed, length: int) -> bytes:
    """Return the first *length* bytes of *file*.

    Raises:
        Changed: it is gone, or not what was listed.

    """
    with _opened(folder, file) as descriptor:
        return os.read(descriptor, min(length, file.size))


def whole(folder: Path, file: Listed) -> Source:
    """Return the bytes of *file*; never mapped from the disk, where another program could cut it short.

    Raises:
        Changed: it is gone, not what was listed, written to meanwhile, or longer than any object may be.
        Unavailable: there is no room for it.

    """
    spool = Spool()
    try:
        with _opened(folder, file) as descriptor:
            while piece := os.read(descriptor, _CHUNK):
                spool.write(piece)
            _check(descriptor, file)
            if spool.length != file.size:
                raise Changed
            return spool.content()
    except TooManyBytes:
        raise Changed from None
    finally:
        spool.discard()
