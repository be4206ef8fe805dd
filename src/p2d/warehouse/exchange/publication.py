"""An export as a folder that appears whole or not at all.

Files are written into a hidden folder, counted and hashed as they are written, listed in ``manifest.json``,
and shown by two renames: the folder's, then that of ``current.json``, which names it. A reader opens
``current.json`` first and never sees half of anything; an export that was killed leaves a hidden folder,
which the next one removes.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

from p2d.model.errors import InvalidRequest, Unavailable

MANIFEST: Final = "manifest.json"
CURRENT: Final = "current.json"
LAYOUT: Final = 1
"""Version of the folder's layout; readers refuse a later one."""

_PARTIAL: Final = ".partial-"
DEFAULT_VERSIONS: Final = 2
"""Exports that stay, the newest among them: a reader may still have the one before open."""

_CHUNK: Final = 1024 * 1024
_REMEDY: Final = "export again"


class HashedFile:
    """A binary file for writing that knows its length and SHA-256."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")
        self._digest = hashlib.sha256()
        self.bytes = 0
        self.rows = 0

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._file.closed

    @property
    def sha256(self) -> str:
        """The SHA-256 of what was written, hexadecimal."""
        return self._digest.hexdigest()

    def write(self, content: Any) -> int:
        """Append *content* (bytes-like) and return its length."""
        view = memoryview(content).cast("B")
        self._file.write(view)
        self._digest.update(view)
        self.bytes += len(view)
        return len(view)

    def tell(self) -> int:
        """Return how much was written."""
        return self.bytes

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """Write to the disk and close."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()


@dataclass(slots=True)
class Publication:
    """An export being written below ``folder``; use ``publication`` to make one.

    The newest ``versions`` stay.
    """

    folder: Path
    label: str
    form: str
    versions: int = DEFAULT_VERSIONS
    counts: dict[str, int] = field(default_factory=dict)
    _files: dict[str, HashedFile] = field(default_factory=dict)

    @property
    def partial(self) -> Path:
        """The hidden folder that is written into."""
        return self.folder / f"{_PARTIAL}{self.label}"

    def file(self, name: str) -> HashedFile:
        """Return the new file *name*; the caller adds to its ``rows``."""
        path = self.partial / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        made = self._files[name] = HashedFile(path)
        return made

    def count(self, name: str, number: int) -> None:
        """Add *number* to what the manifest says of *name*."""
        self.counts[name] = self.counts.get(name, 0) + number

    def publish(self, facts: Mapping[str, object]) -> Path:
        """Close the files, write the manifest with *facts*, show the folder and return it."""
        for one in self._files.values():
            one.close()
        manifest = {
            "layout": LAYOUT,
            "form": self.form,
            **facts,
            "counts": dict(sorted(self.counts.items())),
            "files": {
                name: {"rows": one.rows, "bytes": one.bytes, "sha256": one.sha256}
                for name, one in sorted(self._files.items())
            },
        }
        _write_json(self.partial / MANIFEST, manifest)
        for folder in {(self.partial / name).parent for name in self._files} | {self.partial}:
            _sync(folder)
        shown = self.folder / self.label
        self.partial.rename(shown)
        _write_json(self.folder / f".{CURRENT}", {"layout": LAYOUT, "version": self.label})
        (self.folder / f".{CURRENT}").replace(self.folder / CURRENT)
        _sync(self.folder)
        self._forget_old()
        return shown

    def discard(self) -> None:
        """Close the files and remove what was written."""
        for one in self._files.values():
            one.close()
        shutil.rmtree(self.partial, ignore_errors=True)

    def _forget_old(self) -> None:
        """Remove all but the newest versions."""
        written = {
            path.stat().st_mtime_ns: path.parent
            for path in self.folder.glob(f"*/{MANIFEST}")
            if path.parent.name not in {self.label, self.partial.name}
        }
        for time in sorted(written)[: max(0, len(written) - self.versions + 1)]:
            shutil.rmtree(written[time], ignore_errors=True)


@contextmanager
def publication(
    folder: Path, form: str, data_version: int, now: datetime, versions: int = DEFAULT_VERSIONS
) -> Iterator[Publication]:
    """Yield an export of *form* below *folder*; it is discarded unless it was published.

    Older ones go then, the newest *versions* stay.

    Raises:
        Unavailable: the folder cannot be written to, or the disk is full.

    """
    made = Publication(folder, f"v{data_version:012d}-{now:%Y%m%dT%H%M%S%f}", form, versions)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"{_PARTIAL}*"):
            shutil.rmtree(left)
        made.partial.mkdir(mode=0o700)
        try:
            yield made
        finally:
            made.discard()
    except OSError as error:
        problem = f"the export cannot be written ({type(error).__name__})"
        raise Unavailable(
            "export.to", problem, "see permissions and free space of the export folder"
        ) from None


@dataclass(frozen=True, slots=True)
class Published:
    """A whole export as it lies on disk; ``manifest`` is the content of its ``manifest.json``."""

    folder: Path
    manifest: Mapping[str, Any]

    @classmethod
    def current(cls, folder: Path) -> Self:
        """Return the newest whole export below *folder*, or that in *folder* itself.

        Raises:
            InvalidRequest: there is none, or a later version of P2D wrote it.

        """
        shown = folder
        if not (folder / MANIFEST).is_file():
            label = str(_read_json(folder / CURRENT).get("version", ""))
            if Path(label).name != label or not label:
                raise InvalidRequest("export", f"{CURRENT} names no version", _REMEDY)
            shown = folder / label
        manifest = _read_json(shown / MANIFEST)
        if manifest.get("layout") != LAYOUT:
            raise InvalidRequest("export", "has a layout of another version of P2D", "use that version")
        return cls(shown, manifest)

    def verify(self) -> None:
        """Return if every file has the length and SHA-256 that the manifest states.

        Raises:
            InvalidRequest: one is missing, shorter or changed.

        """
        for name, stated in self.manifest["files"].items():
            try:
                with (self.folder / name).open("rb") as stream:
                    digest = hashlib.sha256()
                    while part := stream.read(_CHUNK):
                        digest.update(part)
            except OSError:
                raise InvalidRequest(f"export.{name}", "is not readable", _REMEDY) from None
            if digest.hexdigest() != stated["sha256"]:
                raise InvalidRequest(f"export.{name}", "is not what the manifest states", _REMEDY)


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    with path.open("w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=1, ensure_ascii=False)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InvalidRequest(
            "export", f"has no readable {path.name}", "name the folder of an export"
        ) from None
    if not isinstance(content, dict):
        raise InvalidRequest("export", f"has no readable {path.name}", "name the folder of an export")
    return content


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
