"""A disk that can be filled, freed and made read-only: a tmpfs, or limits for an ordinary user."""

import errno
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_BALLAST: Final = "ballast"
_PIECE: Final = 4096


@dataclass(slots=True)
class SmallDisk:
    """A folder on a disk of its own; ``folder`` is its root."""

    folder: Path
    _is_mounted: bool

    def fill(self) -> None:
        """Leave no byte free."""
        if not self._is_mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            return
        with (self.folder / _BALLAST).open("ab", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(_PIECE))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free(self) -> None:
        """Take the filling away."""
        if self._is_mounted:
            (self.folder / _BALLAST).unlink(missing_ok=True)
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def protect(self) -> None:
        """Make it read-only."""
        if self._is_mounted:
            _run("mount", "-o", "remount,ro", str(self.folder))
        else:
            self.folder.chmod(0o500)

    def release(self) -> None:
        """Make it writable again."""
        if self._is_mounted:
            _run("mount", "-o", "remount,rw", str(self.folder))
        else:
            self.folder.chmod(0o700)


@contextmanager
def small_disk(folder: Path, mebibytes: int = 1) -> Iterator[SmallDisk]:
    """Yield a disk of *mebibytes* at *folder*, which is made."""
    folder.mkdir()
    is_mounted = os.geteuid() == 0
    if is_mounted:
        _run("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0700", "p2d-test", str(folder))
    disk = SmallDisk(folder, is_mounted)
    try:
        yield disk
    finally:
        disk.free()
        if is_mounted:
            _run("umount", "-l", str(folder))
        else:
            disk.release()


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
