"""De-identification against real public files of many makers, and against malformed ones."""

import json
import resource
import subprocess
import sys
from collections import Counter
from io import BytesIO
from pathlib import Path

from pydicom import DataElement, dcmread

from p2d.deid.data.generate import table as generated
from p2d.deid.release import Releaser
from p2d.deid.standard.private import is_safe
from p2d.model.released import Reason, ReleasedHeader, ReleasedInstance, Withheld
from p2d.testing.release_files import instance_of_file
from p2d.testing.releasing import PATIENT, keys_for

TABLE = Path(__file__).resolve().parents[2] / "src" / "p2d" / "deid" / "data" / "ps3_15_e1_1.tsv"
MALFORMED = "pwnlabmx"
GIB = 1 << 30


MISTAKEN = frozenset(
    {
        # somebody is called XR220, and so is the device
        *(f"DX-Im-GE_XR220-{number}.dcm" for number in (1, 2, 3)),
        # the institution is called like the manufacturer, who is written with dots
        "ExplVR_BigEnd.dcm",
    }
)
"""Files that the last look withholds although no person is in them."""


def _is_safe(element: DataElement) -> bool:
    return is_safe(element.tag.group, element.private_creator or "", element.tag.element & 0xFF)


def files(corpus: Path, *, malformed: bool) -> list[Path]:
    return [
        path
        for path in sorted((corpus / "files").rglob("*"))
        if path.is_file() and path.relative_to(corpus / "files").parts[0].startswith(MALFORMED) == malformed
    ]


def test_the_committed_table_is_what_the_generator_makes(corpus: Path) -> None:
    source = corpus / "tables" / "innolitics_confidentiality_profile_attributes.json"

    made = generated(json.loads(source.read_text(encoding="utf-8")))

    assert TABLE.read_text(encoding="utf-8") == made


def test_real_files_are_released_without_their_names_or_withheld(corpus: Path) -> None:
    headers, images, leaking, kept_back = Counter[str](), Counter[str](), list[str](), set[str]()
    for path in files(corpus, malformed=False):
        instance = instance_of_file(path)
        keys = keys_for(instance)
        releaser = Releaser(keys)

        header, image = releaser.extended(instance), releaser.image(instance)

        if isinstance(header, Withheld) and header.reason is Reason.LEAK:
            kept_back.add(path.name)
        headers[header.reason.name if isinstance(header, Withheld) else "released"] += 1
        images[image.reason.name if isinstance(image, Withheld) else "released"] += 1
        if isinstance(header, ReleasedHeader):
            shown = {e.text for e in header.elements.values()}
            leaking += [path.name for uid in keys.uids if "." in uid and uid in shown]
            leaking += [
                path.name for name in keys.known.names if len(name) > 4 and "^" in name and name in shown
            ]
        if isinstance(image, ReleasedInstance):
            read = dcmread(BytesIO(image.content))
            assert read.PatientID == PATIENT
            assert all(
                _is_safe(e) for e in read.iterall() if e.tag.is_private and not e.tag.is_private_creator
            )
            leaking += [path.name for uid in keys.uids if uid.encode() in image.content and len(uid) > 12]

    assert leaking == []
    assert headers["released"] > 300
    assert images["released"] > 100
    assert kept_back <= MISTAKEN


def test_malformed_files_end_in_an_outcome_within_limits(corpus: Path) -> None:
    hostile = files(corpus, malformed=True)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2 * GIB, 2 * GIB))
        resource.setrlimit(resource.RLIMIT_CPU, (120, 120))

    done = subprocess.run(
        [sys.executable, "-m", "p2d.testing.release_files", *map(str, hostile)],
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=limited,
        check=False,
    )

    lines = done.stdout.splitlines()
    assert (done.returncode, len(lines)) == (0, len(hostile)), done.stderr[-400:]
