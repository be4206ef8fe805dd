"""P2D as its users run it: ``p2d deid`` on the folder, matched by the mapping it writes for the hospital."""

import csv
import os
import subprocess
import sys
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from phi.key import AnswerKey

_SECONDS_EACH: Final = 20


@dataclass(frozen=True, slots=True)
class Gateway:
    """``p2d deid IN OUT`` with *profile*; the table of patients is what a hospital would hand over."""

    profile: str = "research"
    name: str = "P2D"

    def run(self, planted: Path, key: AnswerKey, work: Path) -> Mapping[str, Path]:
        """Run the command once for all files.

        Raises:
            RuntimeError: the command cannot be used or wrote no mapping.

        """
        out, mapping, project_key = work / "out", work / "mapping.csv", work / "project.key"
        table = work / "patients.csv"
        write_patients(table, key)
        options = ["--profile", self.profile, "--patients", str(table), "--report", str(work / "report.json")]
        options += ["--key", str(project_key), "--mapping", str(mapping)]
        ended = subprocess.run(
            [sys.executable, "-m", "p2d", "deid", str(planted), str(out), *options],
            capture_output=True,
            text=True,
            check=False,
            timeout=60 + _SECONDS_EACH * len(key.files),
            env=dict(os.environ),
        )
        (work / "stderr.txt").write_text(ended.stdout + ended.stderr, encoding="utf-8")
        if not mapping.exists():
            raise RuntimeError(
                f"p2d deid ended with {ended.returncode} and no mapping: {ended.stderr[-2000:]}"
            )
        return matched(key, out, mapping)


def write_patients(path: Path, key: AnswerKey) -> None:
    """Write the table of patients: what the hospital knows, and no more."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(key.patients[0]))
        writer.writeheader()
        writer.writerows(key.patients)
    path.chmod(0o600)


def matched(key: AnswerKey, out: Path, mapping: Path) -> dict[str, Path]:
    """Return the released files by planted name: over the SOP Instance UID, else over the InstanceNumber."""
    with mapping.open(encoding="utf-8", newline="") as file:
        pseudonyms = {row["original"]: row["pseudonym"] for row in csv.DictReader(file)}
    by_uid, by_number = _released(path for path in sorted(out.rglob("*")) if path.is_file())
    outputs = {}
    for name, planted in key.files.items():
        path = by_uid.get(
            pseudonyms.get(planted.sop_instance_uid, ""), by_number.get(planted.instance_number)
        )
        if path is not None:
            outputs[name] = path
    return outputs


def _released(paths: Iterable[Path]) -> tuple[dict[str, Path], dict[int, Path]]:
    by_uid, by_number = {}, {}
    for path in paths:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dataset = dcmread(path, stop_before_pixels=True)
        except (InvalidDicomError, OSError, ValueError):
            continue
        by_uid[str(dataset.get("SOPInstanceUID"))] = path
        by_number[int(dataset.get("InstanceNumber") or 0)] = path
    return by_uid, by_number
