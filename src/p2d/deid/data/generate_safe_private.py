"""Make ``ps3_15_e3_10_1.tsv`` from the docbook form of PS3.15 (``part15.xml``), for the next edition.

The committed file is edition 2026d. Its facts (tags, creators, VRs, names) were typed from the standard's
table as ``_standard/e3_10_1.json`` of github.com/pymedphys/pymedphys shows it, because no package holds it;
the table is NEMA's, not under that project's licence. ``digest`` of the typed rows is the one that file
states for its own (SHA-256 of the rows as canonical JSON), which a test repeats; twelve rows of 2023b's
docbook agree. Run::

    python -m p2d.deid.data.generate_safe_private part15.xml EDITION > src/p2d/deid/data/ps3_15_e3_10_1.tsv
"""

import hashlib
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

_COLUMNS: Final = ("group", "creator", "element", "vr", "vm", "meaning")
_TABLE: Final = "table_E.3.10-1"
_ID: Final = "{http://www.w3.org/XML/1998/namespace}id"
_TAG: Final = re.compile(r"\(([0-9A-F]{4}),(xx[0-9A-Fa-f]{2})\)")
_INVISIBLE: Final = dict.fromkeys((0x200B, 0x2028, 0x00AD))
_HEADER: Final = """\
# PS3.15 Table E.3.10-1, Safe Private Attributes, edition {edition}. Facts of the DICOM standard (NEMA).
# Where from and how checked: p2d.deid.data.generate_safe_private. xx: the block the creator reserved.
"""


def table(rows: Sequence[Sequence[str]], edition: str) -> str:
    """Return the TSV for *rows* in the order of the standard."""
    lines = ["\t".join(_COLUMNS), *("\t".join(row) for row in rows)]
    return _HEADER.format(edition=edition) + "\n".join(lines) + "\n"


def digest(rows: Sequence[Sequence[str]]) -> str:
    """Return the SHA-256 of *rows* as JSON objects with sorted keys, without spaces, in the order given."""
    objects = [
        {"tag": f"({group},{element})", "private_creator": creator, "vr": vr, "vm": vm, "meaning": meaning}
        for group, creator, element, vr, vm, meaning in rows
    ]
    return hashlib.sha256(json.dumps(objects, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def rows_in(document: ET.Element) -> Iterator[list[str]]:
    """Yield the rows of Table E.3.10-1 in the docbook *document*.

    Raises:
        ValueError: there is no such table, or a row has no private tag in its first cell.

    """
    found = next((element for element in document.iter() if element.get(_ID) == _TABLE), None)
    if found is None:
        raise ValueError(f"no {_TABLE} in this document")
    for line in found.iter():
        cells = [_text(cell) for cell in line if _name(cell) == "td"]
        if _name(line) != "tr" or not cells:
            continue
        tag = _TAG.fullmatch(cells[0])
        if tag is None:
            raise ValueError(f"row without a private tag: {cells[0]}")
        yield [tag[1], cells[1], tag[2], *cells[2:]]


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(cell: ET.Element) -> str:
    return " ".join("".join(cell.itertext()).translate(_INVISIBLE).split())


def main(arguments: Sequence[str]) -> None:
    """Write the table of the docbook file named first, of the edition named second, to standard output."""
    file, edition = arguments
    document = ET.parse(Path(file)).getroot()  # noqa: S314  # the standard's own file, read by a maintainer
    sys.stdout.write(table(list(rows_in(document)), edition))


if __name__ == "__main__":
    main(sys.argv[1:])
