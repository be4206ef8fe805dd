"""Released images as files in a directory, with a manifest; resumable, and never over a file of others.

Layout: ``<patient>/<study>/<series>/<instance>.dcm`` (or ``.jpg``), ``manifest.csv`` with one line a file and
``withheld.csv`` with one line an image that did not leave, both written at the end. Directories are 0700,
files 0600; below the root no symbolic link is followed.
"""

import contextlib
import csv
import hashlib
import io
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from p2d.export.jpeg import Jpeg, Renderer, to_jpeg
from p2d.export.names import file_name
from p2d.export.table import Cell, csv_chunks
from p2d.model.errors import InvalidRequest, Unavailable
from p2d.model.header import text_of
from p2d.model.level import Output
from p2d.model.released import ReleasedHeader, ReleasedInstance, Withheld

_MANIFEST: Final = ("patient", "study", "series", "instance", "file", "modality", "sha256")
_WITHHELD: Final = ("patient", "study", "series", "instance", "reason")
_OPEN_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODALITY: Final = "00080060"
_ELSEWHERE: Final = "export to an empty directory, or to the one of the same export"


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export did: files written anew, files kept from an earlier attempt, images withheld."""

    written: int
    kept: int
    withheld: int


class ImageDirectory:
    """A directory that images go to; used as a context manager, which closes it."""

    def __init__(self, root: Path) -> None:
        """Open *root*, made with mode 0700 where absent.

        Raises:
            InvalidRequest: no directory, or its manifest is not one of P2D.
            Unavailable: not writable.

        """
        with _trouble():
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._written = 0
        self._kept = 0
        try:
            self._files = _read_list(self._root, "manifest.csv", _MANIFEST, key="file")
            self._withheld = _read_list(self._root, "withheld.csv", _WITHHELD, key="instance")
        except BaseException:
            os.close(self._root)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._root)

    def write(self, header: ReleasedHeader, content: bytes, output: Output) -> str:
        """Write *content* as the file of *header* and return its name; an equal file is kept as it is.

        Raises:
            InvalidRequest: the name is taken by another file, or *header* holds what is no pseudonym.
            Unavailable: the disk refuses.

        """
        name = file_name(header, output)
        *folders, leaf = name.split("/")
        with _trouble(), _folder(self._root, folders) as folder:
            if _is_equal(folder, leaf, content):
                self._kept += 1
            else:
                _write_new(folder, leaf, content)
                self._written += 1
        self._files[name] = {
            "patient": str(header.patient),
            "study": header.study,
            "series": header.series,
            "instance": header.instance,
            "file": name,
            "modality": text_of(header.elements, _MODALITY),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        self._withheld.pop(header.instance, None)
        return name

    def withhold(self, item: Withheld) -> None:
        """Note *item* for ``withheld.csv``."""
        self._withheld[item.instance] = {
            "patient": str(item.patient),
            "study": item.study,
            "series": item.series,
            "instance": item.instance,
            "reason": str(item.reason),
        }

    def finish(self) -> Exported:
        """Write both lists, each at once or not at all, and return the counts of this attempt.

        Raises:
            Unavailable: the disk refuses.

        """
        with _trouble():
            _replace(self._root, "manifest.csv", _as_csv(_MANIFEST, self._files))
            _replace(self._root, "withheld.csv", _as_csv(_WITHHELD, self._withheld))
            os.fsync(self._root)
        return Exported(self._written, self._kept, len(self._withheld))


def write_images(
    root: Path,
    outcomes: Iterable[ReleasedInstance | Withheld],
    output: Output,
    renderer: Renderer | None = None,
) -> Exported:
    """Write *outcomes* to *root* as they come and the lists at the end; JPEG needs a *renderer*.

    Raises:
        InvalidRequest, Unavailable: as ``ImageDirectory``; files written so far stay and are kept next time.

    """
    with ImageDirectory(root) as directory:
        for outcome in outcomes:
            drawn: ReleasedInstance | Jpeg | Withheld = outcome
            if isinstance(outcome, ReleasedInstance) and output is Output.JPEG:
                if renderer is None:
                    raise InvalidRequest("output", "JPEG needs a renderer", "use dicom")
                drawn = to_jpeg(outcome, renderer)
            if isinstance(drawn, Withheld):
                directory.withhold(drawn)
            else:
                directory.write(drawn.header, drawn.content, output)
        return directory.finish()


def write_clinical(path: Path, columns: Sequence[str], table: Iterable[Mapping[str, Cell]]) -> None:
    """Write the clinical table beside the images as CSV at *path*, mode 0600, whole or not at all.

    Raises:
        InvalidRequest: *path* is a link or no regular file.
        Unavailable: the disk refuses.

    """
    with _trouble():
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _replace(folder, path.name, "".join(csv_chunks(columns, table)).encode())
        finally:
            os.close(folder)


@contextmanager
def _trouble() -> Iterator[None]:
    """Say which of the two families a failure of the file system belongs to."""
    try:
        yield
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise InvalidRequest("directory", "a name of the export is taken", _ELSEWHERE) from None
    except OSError as error:
        problem = f"cannot be written: {os.strerror(error.errno or 0)}"
        raise Unavailable("directory", problem, "check space and permissions, then run it again") from None


@contextmanager
def _folder(root: int, names: Sequence[str]) -> Iterator[int]:
    """Open the folder *names* below *root*, making what is absent and following no link."""
    with contextlib.ExitStack() as opened:
        current = root
        for name in names:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=current)
            try:
                current = os.open(name, _OPEN_DIRECTORY, dir_fd=current)
            except OSError:
                raise NotADirectoryError from None  # a link, or a file of that name
            opened.callback(os.close, current)
        yield current


def _is_equal(folder: int, leaf: str, content: bytes) -> bool:
    """Whether *leaf* holds *content*; a link or a file with other content is not ours to touch."""
    try:
        found = os.stat(leaf, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(found.st_mode) or found.st_size != len(content):
        raise FileExistsError
    if _read(folder, leaf) != content:
        raise FileExistsError
    return True


def _read(folder: int, leaf: str) -> bytes:
    with open(os.open(leaf, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder), "rb") as file:  # noqa: PTH123 - opens a descriptor
        return file.read()


def _write_new(folder: int, leaf: str, content: bytes) -> None:
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


def _replace(folder: int, leaf: str, content: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(leaf, dir_fd=folder, follow_symlinks=False).st_mode):
            raise FileExistsError
    _write_new(folder, leaf, content)


def _as_csv(columns: Sequence[str], lines: Mapping[str, Mapping[str, Cell]]) -> bytes:
    return "".join(csv_chunks(columns, (lines[key] for key in sorted(lines)))).encode()


def _read_list(root: int, leaf: str, columns: Sequence[str], *, key: str) -> dict[str, dict[str, Cell]]:
    """Return the lines of an earlier attempt's list by *key*; empty where there is none."""
    try:
        text = _read(root, leaf).decode()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError):
        raise InvalidRequest("directory", f"holds a {leaf} that is not of P2D", _ELSEWHERE) from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if tuple(reader.fieldnames or ()) != tuple(columns):
        raise InvalidRequest("directory", f"holds a {leaf} that is not of P2D", _ELSEWHERE)
    return {line[key]: {name: line[name] for name in columns} for line in reader}
