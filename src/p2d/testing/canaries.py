"""Search artefacts for planted identifiers: in every spelling, in names, and inside containers.

A finding says where, how and which; it never holds the value, so that a failing test does not print one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from p2d.model.errors import InvalidRequest
from p2d.testing.canary import Canary
from p2d.testing.containers import Unreadable, parts
from p2d.testing.needle_search import NeedleSearch
from p2d.testing.spellings import spellings

_DEEPEST: Final = 5  # containers within containers
_HIDDEN: Final = "(name withheld)"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A canary found: ``index`` is its place in the list searched for, ``kind`` what it is.

    ``file`` names the file, and after ``!`` the part of a container; a name that holds a canary itself is
    withheld. A container that could not be opened is a finding of kind ``unreadable`` and index -1. Encoding
    is one of raw, upper, lower, url, hex, base64, utf-16-le, utf-16-be, json, name order, unreadable.
    """

    file: str
    encoding: str
    kind: str
    index: int


class Searcher:
    """The canaries compiled once, to search many artefacts."""

    def __init__(self, canaries: Iterable[str]) -> None:
        self._kinds: list[str] = []
        self._meaning: dict[bytes, tuple[str, int]] = {}
        for index, canary in enumerate(canaries):
            self._kinds.append(canary.kind if isinstance(canary, Canary) else "text")
            for encoding, needle in spellings(str(canary)):
                self._meaning.setdefault(needle, (encoding, index))
        self._search = NeedleSearch(self._meaning)

    def scan(self, paths: Iterable[Path]) -> list[Finding]:
        """Return what is found in files and, recursively, folders: contents, containers and names.

        Raises:
            InvalidRequest: a path does not exist; a scan of nothing would prove nothing.

        """
        findings: set[Finding] = set()
        for root in paths:
            if not root.exists():
                raise InvalidRequest("paths", "names a file that does not exist", "scan what was written")
            for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
                shown = PurePosixPath(root.name, *path.relative_to(root).parts)
                label = "/".join(self._named(part) for part in shown.parts)
                for part in shown.parts:
                    findings.update(
                        self._in_bytes(part.encode("utf-8", "surrogateescape"), f"{label} (name)")
                    )
                if path.is_file() and not path.is_symlink():
                    findings.update(self._in_content(path.read_bytes(), label, 0))
        return sorted(findings)

    def scan_bytes(self, content: bytes, label: str = "bytes") -> list[Finding]:
        """Return what is found in *content*, containers opened, under the name *label*."""
        return sorted(set(self._in_content(content, label, 0)))

    def _in_content(self, content: bytes, label: str, depth: int) -> Iterator[Finding]:
        yield from self._in_bytes(content, label)
        if depth >= _DEEPEST:
            yield Finding(label, "unreadable", "unreadable", -1)
            return
        try:
            for name, inner in parts(content):
                inner_label = f"{label}!{self._named(name)}"
                yield from self._in_bytes(name.encode("utf-8", "surrogateescape"), f"{inner_label} (name)")
                yield from self._in_content(inner, inner_label, depth + 1)
        except Unreadable:
            yield Finding(label, "unreadable", "unreadable", -1)

    def _in_bytes(self, content: bytes, label: str) -> Iterator[Finding]:
        for needle in set(self._search.found_in(content)):
            encoding, index = self._meaning[needle]
            yield Finding(label, encoding, self._kinds[index], index)

    def _named(self, name: str) -> str:
        found = any(True for _ in self._search.found_in(name.encode("utf-8", "surrogateescape")))
        return _HIDDEN if found else name


def scan(paths: Iterable[Path], canaries: Iterable[str]) -> list[Finding]:
    """Search *paths* (files, and folders recursively) for *canaries*; an empty list means none was found.

    Looks into ZIP, gzip, Zstandard, Parquet, Arrow, SQLite, DuckDB and DICOM, nested up to five deep.
    """
    return Searcher(canaries).scan(paths)


def scan_bytes(content: bytes, canaries: Iterable[str], label: str = "bytes") -> list[Finding]:
    """Search *content* held in memory for *canaries*, as ``scan`` does a file."""
    return Searcher(canaries).scan_bytes(content, label)
