"""A ZIP archive as a stream of bytes: one member at a time in memory, never the archive.

Images are stored, not deflated: their pixel data is compressed already or not worth the time. When the
members fail half way, the central directory is never written, so that no reader takes a part for the whole.
"""

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from p2d.model.errors import InvalidRequest

_PART: Final = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_NAME: Final = re.compile(rf"{_PART}(/{_PART})*")
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_CHUNK: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the archive: its pseudonymous name with ``/`` and its bytes."""

    name: str
    content: bytes = field(repr=False)


class _Outlet(io.RawIOBase):
    """An unseekable file that hands on what was written since the last ``take``."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, part: object) -> int:
        taken = bytes(part)  # type: ignore[call-overload]  # RawIOBase passes any buffer
        self._parts.append(taken)
        return len(taken)

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


def stream_zip(members: Iterable[Member]) -> Iterator[bytes]:
    """Yield a ZIP archive of *members* in chunks of at most 256 KiB.

    Raises:
        InvalidRequest: a name that occurs twice or is not made of pseudonym characters.
        Whatever *members* raises; the bytes yielded so far are then no valid archive.

    """
    outlet = _Outlet()
    archive = zipfile.ZipFile(outlet, "w", zipfile.ZIP_STORED)
    seen: set[str] = set()
    for member in members:
        if not _NAME.fullmatch(member.name):
            raise InvalidRequest("name", "is not made of pseudonym characters", "name members by pseudonyms")
        if member.name in seen:
            raise InvalidRequest("name", "occurs twice in the archive", "export each image once")
        seen.add(member.name)
        entry = zipfile.ZipInfo(member.name, _EPOCH)
        entry.external_attr = 0o600 << 16
        archive.writestr(entry, member.content)
        yield from _chunks(outlet.take())
    archive.close()
    yield from _chunks(outlet.take())


def _chunks(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), _CHUNK):
        yield content[start : start + _CHUNK]
