"""The check of finished files on real public files, before and after release, and on malformed ones."""

import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from p2d.deid.leak.folder import FolderCheck
from p2d.deid.release import Releaser
from p2d.model.identified import KnownValues
from p2d.model.released import ReleasedInstance
from p2d.testing.release_files import instance_of_file
from p2d.testing.releasing import PATIENT, keys_for

MALFORMED = "pwnlabmx"
MADE_UP = KnownValues(ids=frozenset({"P-1"}))  # what a file without a PatientID is given
GIB = 1 << 30
PROGRAM = """
import sys
from pathlib import Path
from p2d.deid.leak.folder import FolderCheck
from p2d.model.identified import KnownValues
check = FolderCheck([KnownValues(names=frozenset({"Xqlehmkuehler^Anna"}), ids=frozenset({"83746523"}))])
for name in sys.argv[1:]:
    print(len(check.check_file(Path(name).read_bytes(), "x").found))
"""


def files(corpus: Path, *, malformed: bool) -> list[Path]:
    return [
        path
        for path in sorted((corpus / "files").rglob("*"))
        if path.is_file() and path.relative_to(corpus / "files").parts[0].startswith(MALFORMED) == malformed
    ]


def test_values_are_found_in_originals_and_not_in_releases(corpus: Path) -> None:
    silent, leaking = [], []
    for path in files(corpus, malformed=False):
        instance = instance_of_file(path)
        keys = keys_for(instance)
        check = FolderCheck([keys.known], uids=keys.uids, own=[PATIENT])

        if (
            not check.check_file(path.read_bytes(), "x")
            and keys.uids
            and replace(keys.known, dates=frozenset()) != MADE_UP
        ):
            silent.append(path.name)
        image = Releaser(keys).image(instance)
        if isinstance(image, ReleasedInstance):
            method = map(
                str, image.header.elements["00120063"].values
            )  # P2D's words; somebody is called Table
            check = FolderCheck([keys.known], uids=keys.uids, own=[PATIENT, *method])
            if findings := check.check_file(image.content, "x"):
                leaking.append((path.name, findings))

    assert silent == []
    assert leaking == []


def test_malformed_files_are_searched_within_limits(corpus: Path) -> None:
    hostile = files(corpus, malformed=True)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (GIB, GIB))
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, hostile)],
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=limited,
        check=False,
    )

    assert (done.returncode, done.stdout.split()) == (0, ["0"] * len(hostile)), done.stderr[-400:]
