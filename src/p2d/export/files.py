"""Files below a directory: whole or not at all, no link followed, nothing of others overwritten.

Functions take descriptors of open directories, so that a folder swapped for a link meanwhile leads nowhere.
"""

import contextlib
import mmap
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

from p2d.model.errors import InvalidRequest, Unavailable

OPEN_ROOT: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
ELSEWHERE: Final = "export to an empty directory, or to the one of the same export"
_OPEN_FOLDER: Final = OPEN_ROOT | os.O_NOFOLLOW
_PIECE: Final = 1 << 22
_FEW_PAGES: Final = 1 << 16
_MADV_POPULATE_READ: Final = 22  # linux/mman.h; Python names it later
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def trouble() -> Iterator[None]:
    """Say which of the two families a failure of the file system belongs to."""
    try:
        yield
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise InvalidRequest("directory", "a name of the export is taken", ELSEWHERE) from None
    except OSError as error:
        problem = f"cannot be written: {os.strerror(error.errno or 0)}"
        raise Unavailable("directory", problem, "check space and permissions, then run it again") from None


@contextmanager
def folder_below(root: int, names: Sequence[str]) -> Iterator[int]:
    """Open the folder *names* below *root*, making what is absent and following no link."""
    with contextlib.ExitStack() as opened:
        current = root
        for name in names:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=current)
            try:
                current = os.open(name, _OPEN_FOLDER, dir_fd=current)
            except OSError:
                raise NotADirectoryError from None  # a link, or a file of that name
            opened.callback(os.close, current)
        yield current


class LastFolder:
    """Opens folders below *root* as ``folder_below`` does and keeps the last one open."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._names: Sequence[str] | None = None
        self._opened = contextlib.ExitStack()
        self._folder = root

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def at(self, names: Sequence[str]) -> int:
        """Return the descriptor of the folder *names*; it is good until the next call."""
        if names != self._names:
            self._opened.close()
            self._names = None
            self._folder = self._opened.enter_context(folder_below(self._root, names))
            self._names = names
        return self._folder


def is_equal(folder: int, leaf: str, content: bytes) -> bool:
    """Whether *leaf* holds *content*; a link or a file with other content is not ours to touch."""
    try:
        found = os.stat(leaf, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(found.st_mode) or found.st_size != len(content):
        raise FileExistsError
    if read_file(folder, leaf) != content:
        raise FileExistsError
    return True


def read_file(folder: int, leaf: str) -> bytes:
    """Return what the regular file *leaf* holds."""
    with open(os.open(leaf, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder), "rb") as file:  # noqa: PTH123 - opens a descriptor
        return file.read()


def write_new(folder: int, leaf: str, content: bytes) -> None:
    """Write *leaf* whole or not at all: beside it first, then to the disk, then by rename."""
    part = f".{leaf}.part"  # one name, so that an attempt removes what a killed one left
    with contextlib.suppress(FileNotFoundError):
        os.unlink(part, dir_fd=folder)
    try:
        with open(os.open(part, _CREATE, 0o600, dir_fd=folder), "wb") as file:  # noqa: PTH123 - opens a descriptor
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(part, leaf, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part, dir_fd=folder)
        raise


def write_parts(folder: int, leaf: str, parts: Sequence[bytes | memoryview]) -> None:
    """Write *parts* one behind the other as *leaf*, over an earlier one if that is a regular file.

    The file is there whole or not at all. Views of mapped files are written piece by piece and let go of, so
    that a file larger than memory passes through. It is not forced to the disk: whoever records it as done
    does that for the folder.
    """
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(leaf, dir_fd=folder, follow_symlinks=False).st_mode):
            raise FileExistsError
    part = f".{leaf}.part"
    descriptor = _made(folder, part)
    try:
        try:
            _write_all(descriptor, parts)
        finally:
            os.close(descriptor)
        os.rename(part, leaf, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part, dir_fd=folder)
        raise


def _made(folder: int, leaf: str) -> int:
    """Return a descriptor of the new file *leaf*, in the place of what a killed attempt left."""
    try:
        return os.open(leaf, _CREATE, 0o600, dir_fd=folder)
    except FileExistsError:
        os.unlink(leaf, dir_fd=folder)
        return os.open(leaf, _CREATE, 0o600, dir_fd=folder)


def _write_all(descriptor: int, parts: Sequence[bytes | memoryview]) -> None:
    """Write *parts*, of which the operating system takes as much at a time as it likes."""
    size = sum(map(len, parts))
    if size <= _PIECE:
        _fetch(parts)
        if os.writev(descriptor, parts) == size:
            return
    os.lseek(descriptor, 0, os.SEEK_SET)
    for part in parts:
        view = memoryview(part)
        source = view.obj if isinstance(view.obj, mmap.mmap) and len(view) > _PIECE else None
        position = 0
        while position < len(view):
            position += os.write(descriptor, view[position : position + _PIECE])
            if source is not None:
                source.madvise(mmap.MADV_DONTNEED)


def _fetch(parts: Sequence[bytes | memoryview]) -> None:
    """Have all pages of small mapped *parts* there at once: cheaper than one fault for every few of them."""
    for part in parts:
        if (
            isinstance(part, memoryview)
            and isinstance(part.obj, mmap.mmap)
            and _FEW_PAGES < len(part) <= len(part.obj) <= 2 * _PIECE
        ):
            with contextlib.suppress(OSError):  # before Linux 5.14, and where the file became shorter
                part.obj.madvise(_MADV_POPULATE_READ)


def replace_file(folder: int, leaf: str, content: bytes) -> None:
    """Write *leaf* whole, over an earlier one if that is a regular file."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(leaf, dir_fd=folder, follow_symlinks=False).st_mode):
            raise FileExistsError
    write_new(folder, leaf, content)
