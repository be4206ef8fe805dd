"""Make ``ps3_15_e1_1.tsv`` from the JSON form of PS3.15 Table E.1-1.

The source is ``confidentiality_profile_attributes.json`` of github.com/innolitics/dicom-standard (MIT),
commit 7f4749d09ed3, state of the standard: edition 2024b. Run::

    python -m p2d.deid.data.generate SOURCE.json > src/p2d/deid/data/ps3_15_e1_1.tsv
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

OPTIONS: Final = {
    "rtnSafePrivOpt": "safe_private",
    "rtnUIDsOpt": "uids",
    "rtnDevIdOpt": "device",
    "rtnInstIdOpt": "institution",
    "rtnPatCharsOpt": "patient_characteristics",
    "rtnLongFullDatesOpt": "full_dates",
    "rtnLongModifDatesOpt": "modified_dates",
    "cleanDescOpt": "descriptors",
    "cleanStructContOpt": "structured_content",
    "cleanGraphOpt": "graphics",
}

_HEADER: Final = """\
# PS3.15 Table E.1-1, Application Level Confidentiality Profile Attributes, edition 2024b.
# Made by p2d.deid.data.generate from github.com/innolitics/dicom-standard (MIT), commit 7f4749d09ed3.
# tag: x stands for any digit (repeating groups); PRIVATE is every odd group. Actions as printed in PS3.15.
"""
_PRIVATE: Final = "ggggeeee"


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Return the TSV for *rows* of the JSON source, sorted by tag."""
    lines = ["\t".join(["tag", "name", "basic", *OPTIONS.values()])]
    for row in sorted(rows, key=lambda row: row["id"].lower()):
        tag = "PRIVATE" if row["id"].startswith(_PRIVATE) else row["id"].upper().replace("X", "x")
        lines.append(
            "\t".join(
                [tag, " ".join(row["name"].split()), row["basicProfile"], *(row.get(o, "") for o in OPTIONS)]
            )
        )
    return _HEADER + "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> None:
    """Write the table made from the JSON file named by the only argument to standard output."""
    (source,) = arguments
    sys.stdout.write(table(json.loads(Path(source).read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main(sys.argv[1:])
