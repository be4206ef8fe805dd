"""``p2d demo`` as a newcomer runs it: from synthetic hospital to exported series, and its exit code."""

import re
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

pytestmark = pytest.mark.system


def _demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "p2d", "demo", "--once", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_the_demo_ends_with_a_ledger_that_adds_up_and_an_export(tmp_path: Path) -> None:
    ended = _demo("--patients", "20", "--max-images", "60", "--folder", str(tmp_path / "demo"))

    export = tmp_path / "demo" / "research" / "export"
    images = sorted((export / "dicom").rglob("*.dcm"))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.search(r"adds up\s+│ yes", ended.stdout)
    assert re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", ended.stdout)
    assert images
    assert len(sorted((export / "jpeg").rglob("*.jpg"))) == len(images)
    assert all(pydicom.dcmread(path).PatientIdentityRemoved == "YES" for path in images)
    assert (export / "clinical.csv").read_text(encoding="utf-8").startswith("patient,")


def test_the_demo_does_not_touch_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")

    ended = _demo("--patients", "1", "--folder", str(tmp_path))

    assert ended.returncode == 2
    assert "--folder" in ended.stdout + ended.stderr
    assert (tmp_path / "mine.txt").read_text() == "keep"
