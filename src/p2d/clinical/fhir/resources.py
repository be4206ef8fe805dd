"""Resources out of files: Bundles and single resources (``.json``), one a line (``.ndjson``).

A line that is no resource is told and the next one read; a Bundle that is not whole JSON stops the reading.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from p2d.clinical.files import files_named
from p2d.model.errors import InvalidRequest

_LONGEST_LINE: Final = 64 * 1024 * 1024
_LARGEST_BUNDLE: Final = 512 * 1024 * 1024
_SUFFIXES: Final = (".json", ".ndjson")
_DESCRIBING: Final = frozenset({"manifest.json", "datapackage.json"})
"""Files that an export of P2D's own has beside its resources."""
NOT_JSON: Final = "is not JSON"
NO_RESOURCE: Final = "is no FHIR resource"
TOO_LONG: Final = "is longer than 64 MiB"


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource: the entry of a Bundle or the line of a file, counted from 1.

    ``content`` is None where it is none, and ``problem`` says why.
    """

    file: str
    row: int
    content: dict[str, Any] | None = field(repr=False)
    full_url: str = ""
    problem: str = ""

    @property
    def kind(self) -> str:
        """The resource's type, or an empty string."""
        return str(self.content["resourceType"]) if self.content is not None else ""


def fhir_files(folder: Path) -> list[Path]:
    """Return the JSON and NDJSON files of *folder*, in order of their names.

    Raises:
        InvalidRequest: there are none.

    """
    found = [path for path in files_named(folder, "*") if path.suffix.lower() in _SUFFIXES]
    found = [path for path in found if path.name not in _DESCRIBING or _may_be_resource(path)]
    if not found:
        raise InvalidRequest("folder", "holds no .json or .ndjson file", "name the folder of the FHIR files")
    return found


def _may_be_resource(path: Path) -> bool:
    """Whether the file says that it is a resource, or is too large or no JSON, which is told elsewhere."""
    try:
        if path.stat().st_size > _LARGEST_BUNDLE:
            return True
        content = parsed(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return True
    return not isinstance(content, dict) or "resourceType" in content


def entries(path: Path) -> Iterator[Entry]:
    """Yield the resources of the file at *path*.

    Raises:
        InvalidRequest: unreadable, not UTF-8, or a Bundle that is not whole JSON or too large.

    """
    try:
        yield from _lines(path) if path.suffix.lower() == ".ndjson" else _bundle(path)
    except OSError:
        raise InvalidRequest(path.name, "is not readable", "see whether the file may be read") from None


def _lines(path: Path) -> Iterator[Entry]:
    with path.open("rb") as stream:
        row = 0
        while line := stream.readline(_LONGEST_LINE):
            row += 1
            if len(line) >= _LONGEST_LINE and not line.endswith(b"\n"):
                while (rest := stream.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
                    pass
                yield Entry(path.name, row, None, problem=TOO_LONG)
            elif line.strip():
                yield _entry(path.name, row, line, "")


def _entry(file: str, row: int, line: bytes, full_url: str) -> Entry:
    try:
        content = parsed(line)
    except (ValueError, RecursionError):
        return Entry(file, row, None, problem=NOT_JSON)
    return _resource(file, row, content, full_url)


def _resource(file: str, row: int, content: Any, full_url: str) -> Entry:
    if not isinstance(content, dict) or not isinstance(content.get("resourceType"), str):
        return Entry(file, row, None, problem=NO_RESOURCE)
    return Entry(file, row, content, full_url)


def _bundle(path: Path) -> Iterator[Entry]:
    if path.stat().st_size > _LARGEST_BUNDLE:
        raise InvalidRequest(path.name, "is larger than 512 MiB", "write NDJSON, or smaller Bundles")
    try:
        content = parsed(path.read_bytes())
    except json.JSONDecodeError as error:
        problem = f"is not whole JSON: it ends or breaks at line {error.lineno}"
        raise InvalidRequest(path.name, problem, "export it again; one resource a line is .ndjson") from None
    except (ValueError, RecursionError):
        raise InvalidRequest(path.name, "is not JSON in UTF-8", "export it again") from None
    if not isinstance(content, dict) or content.get("resourceType") != "Bundle":
        yield _resource(path.name, 1, content, "")
        return
    listed = content.get("entry")
    for row, entry in enumerate(listed if isinstance(listed, list) else (), 1):
        inner = entry if isinstance(entry, dict) else {}
        full_url = inner.get("fullUrl")
        yield _resource(path.name, row, inner.get("resource"), full_url if isinstance(full_url, str) else "")


def parsed(content: bytes) -> Any:
    """Return the JSON in *content*; NaN and Infinity are none, nor are halves of surrogate pairs.

    Raises:
        ValueError: not JSON in UTF-8.

    """
    made = json.loads(content.decode("utf-8-sig"), parse_constant=_no_number)
    if b"\\ud" in content.lower():
        json.dumps(made, ensure_ascii=False).encode()
    return made


def _no_number(word: str) -> NoReturn:
    raise ValueError(word)
