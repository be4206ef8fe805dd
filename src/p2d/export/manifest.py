"""The two lists beside exported images: one line a file, and one line an image that did not leave."""

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from p2d.export.table import Cell, csv_chunks
from p2d.model.header import text_of
from p2d.model.released import ReleasedHeader, Withheld

MANIFEST: Final = ("patient", "study", "series", "instance", "file", "Modality", "sha256")
WITHHELD: Final = ("patient", "study", "series", "instance", "reason")
_MODALITY: Final = "00080060"

Line = dict[str, Cell]


def file_line(header: ReleasedHeader, file: str, content: bytes) -> Line:
    """Return the manifest's line for *content*, exported under the name *file*."""
    return {
        **_ids(header),
        "file": file,
        "Modality": text_of(header.elements, _MODALITY),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def withheld_line(item: Withheld) -> Line:
    """Return the line of ``withheld.csv`` for *item*."""
    return {**_ids(item), "reason": str(item.reason)}


def encode(columns: Sequence[str], lines: Iterable[Mapping[str, Cell]]) -> bytes:
    """Return *lines* as CSV in UTF-8."""
    return "".join(csv_chunks(columns, lines)).encode()


def decode(columns: Sequence[str], content: bytes) -> list[Line]:
    """Return the lines of a list that ``encode`` wrote.

    Raises:
        ValueError: *content* is no such list.

    """
    reader = csv.DictReader(io.StringIO(content.decode(), newline=""))
    if tuple(reader.fieldnames or ()) != tuple(columns):
        raise ValueError("other columns")
    return [{name: line[name] for name in columns} for line in reader]


def _ids(item: ReleasedHeader | Withheld) -> Line:
    return {
        "patient": str(item.patient),
        "study": item.study,
        "series": item.series,
        "instance": item.instance,
    }
