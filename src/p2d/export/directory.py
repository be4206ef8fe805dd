"""Released images as files in a directory, with a manifest; resumable, and never over a file of others.

Layout: ``<patient>/<study>/<series>/<instance>.dcm`` (or ``.jpg``), ``manifest.csv`` with one line a file and
``withheld.csv`` with one line an image that did not leave, both written at the end. Directories are 0700,
files 0600; below the root no symbolic link is followed.
"""

import hashlib
import os
import threading
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from zlib import crc32

from p2d.export.files import (
    ELSEWHERE,
    OPEN_ROOT,
    folder_below,
    is_equal,
    read_file,
    replace_file,
    trouble,
    write_new,
)
from p2d.export.jpeg import Jpeg, Renderer, to_jpeg
from p2d.export.manifest import MANIFEST, WITHHELD, Line, decode, encode, file_line, withheld_line
from p2d.export.names import file_name, is_file_name
from p2d.export.table import Cell, csv_chunks
from p2d.model.errors import InvalidRequest, ProtocolViolation
from p2d.model.level import Output
from p2d.model.released import ReleasedHeader, ReleasedInstance, Withheld

_MOST_BEHIND: Final = 16 << 20
_LANES: Final = 4
"""Files that are forced to the disk at a time: their waits overlap, and the disk takes several in one go."""

_LISTS: Final[Mapping[str, Sequence[str]]] = {"manifest.csv": MANIFEST, "withheld.csv": WITHHELD}


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export did: files written anew, files kept from an earlier attempt, images withheld in all."""

    written: int
    kept: int
    withheld: int


class ImageDirectory:
    """A directory that images go to; used as a context manager, which closes it.

    Threads may write different files at a time.
    """

    def __init__(self, root: Path) -> None:
        """Open *root*, made with mode 0700 where absent.

        Raises:
            InvalidRequest: no directory, or its manifest is not one of P2D.
            Unavailable: not writable.

        """
        with trouble():
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._root = os.open(root, OPEN_ROOT)
        self._written = 0
        self._kept = 0
        self._lock = threading.Lock()
        try:
            self._files = {str(line["file"]): line for line in _earlier(self._root, "manifest.csv")}
            self._withheld = {_image(line): line for line in _earlier(self._root, "withheld.csv")}
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
        self._put(file_line(header, name, content), content)
        return name

    def withhold(self, item: Withheld) -> None:
        """Note *item* for ``withheld.csv``."""
        line = withheld_line(item)
        with self._lock:
            self._withheld[_image(line)] = line

    def unpack(self, packed: Path) -> None:
        """Write the images of the ZIP *packed* whose lists are in it, each checked against its digest.

        Raises:
            ProtocolViolation: not a whole archive, a name that is not ours, or content of another digest.
            InvalidRequest, Unavailable: as ``write``.

        """
        try:
            with zipfile.ZipFile(packed) as archive:
                lines = decode(MANIFEST, archive.read("manifest.csv"))
                withheld = decode(WITHHELD, archive.read("withheld.csv"))
                for line in lines:
                    content = archive.read(_proper(str(line["file"])))
                    if hashlib.sha256(content).hexdigest() != line["sha256"]:
                        raise ProtocolViolation(
                            "images", "a file has another digest than listed", "try again"
                        )
                    self._put(line, content)
        except (zipfile.BadZipFile, KeyError, ValueError):
            raise ProtocolViolation("images", "the download is not whole", "try again") from None
        self._withheld.update({_image(line): line for line in withheld})

    def finish(self) -> Exported:
        """Write both lists, each at once or not at all, and return the counts of this attempt.

        Raises:
            Unavailable: the disk refuses.

        """
        with trouble():
            files = [self._files[key] for key in sorted(self._files)]
            withheld = [self._withheld[key] for key in sorted(self._withheld)]
            replace_file(self._root, "manifest.csv", encode(MANIFEST, files))
            replace_file(self._root, "withheld.csv", encode(WITHHELD, withheld))
            os.fsync(self._root)
        return Exported(self._written, self._kept, len(self._withheld))

    def _put(self, line: Line, content: bytes) -> None:
        name = str(line["file"])
        *folders, leaf = name.split("/")
        with trouble(), folder_below(self._root, folders) as folder:
            is_kept = is_equal(folder, leaf, content)
            if not is_kept:
                write_new(folder, leaf, content)
        with self._lock:
            self._kept += is_kept
            self._written += not is_kept
            self._files[name] = line
            self._withheld.pop(_image(line), None)


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
    with ImageDirectory(root) as directory, ExitStack() as stack:
        behind = _Behind(
            [stack.enter_context(ThreadPoolExecutor(1, f"write {lane}")) for lane in range(_LANES)]
        )
        for outcome in outcomes:
            drawn: ReleasedInstance | Jpeg | Withheld = outcome
            if isinstance(outcome, ReleasedInstance) and output is Output.JPEG:
                if renderer is None:
                    raise InvalidRequest("output", "JPEG needs a renderer", "use dicom")
                drawn = to_jpeg(outcome, renderer)
            if isinstance(drawn, Withheld):
                behind.put(drawn.instance, 0, partial(directory.withhold, drawn))
            else:
                header, content = drawn.header, drawn.content
                behind.put(header.instance, len(content), partial(directory.write, header, content, output))
        behind.wait()
        return directory.finish()


class _Behind:
    """Writes of threads of their own: the disk takes files while the next is released.

    What is of one image goes the same way, in order.
    """

    def __init__(self, lanes: Sequence[ThreadPoolExecutor]) -> None:
        self._lanes = lanes
        self._waiting: deque[tuple[int, Future[object]]] = deque()
        self._held = 0

    def put(self, image: str, size: int, write: Callable[[], object]) -> None:
        """Begin *write* of *image* (*size* bytes) once few enough wait; raise what an earlier one raised."""
        while self._waiting and self._held + size > _MOST_BEHIND:
            self._take()
        lane = self._lanes[crc32(image.encode()) % len(self._lanes)]
        self._waiting.append((size, lane.submit(write)))
        self._held += size

    def wait(self) -> None:
        """Wait until all is written."""
        while self._waiting:
            self._take()

    def _take(self) -> None:
        size, written = self._waiting.popleft()
        written.result()
        self._held -= size


def write_clinical(path: Path, columns: Sequence[str], table: Iterable[Mapping[str, Cell]]) -> None:
    """Write the clinical table beside the images as CSV at *path*, mode 0600, whole or not at all.

    Raises:
        InvalidRequest: *path* is a link or no regular file.
        Unavailable: the disk refuses.

    """
    with trouble():
        folder = os.open(path.parent, OPEN_ROOT)
        try:
            replace_file(folder, path.name, "".join(csv_chunks(columns, table)).encode())
        finally:
            os.close(folder)


def _earlier(root: int, leaf: str) -> list[Line]:
    """Return the lines of an earlier attempt's list; none where there is no such file."""
    try:
        return decode(_LISTS[leaf], read_file(root, leaf))
    except FileNotFoundError:
        return []
    except (OSError, ValueError):
        raise InvalidRequest("directory", f"holds a {leaf} that is not of P2D", ELSEWHERE) from None


def _image(line: Line) -> tuple[str, str, str]:
    return str(line["study"]), str(line["series"]), str(line["instance"])


def _proper(name: str) -> str:
    if not is_file_name(name):
        raise ProtocolViolation("images", "the download names a file that is no pseudonym")
    return name
