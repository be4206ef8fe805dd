"""The release review with all processes: asked, held over a restart, looked at, decided, fetched."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2d.testing.hospital import generate
from p2d.testing.site import Site, hospital_archive, running_site

pytestmark = pytest.mark.system


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    hospital = generate(patients=4, seed=5, max_images=6)
    with (
        hospital_archive(tmp_path / "archive", patients=4, seed=5, max_images=6) as address,
        running_site(tmp_path, hospital, address) as running,
    ):
        settings = running.installation.settings("gateway")
        (settings.parent / "looked-at.yaml").write_text("extends: research\nreview: true\n", encoding="utf-8")
        text = settings.read_text(encoding="utf-8") + '\n[deid]\nprofile = "looked-at.yaml"\n'
        settings.write_text(text, encoding="utf-8")
        running.processes["gateway"].stop()
        running.processes.restart("gateway")
        yield running


def test_images_leave_after_an_officer_said_so(site: Site, tmp_path: Path) -> None:
    settings = str(site.installation.settings("warehouse"))
    officer = str(site.installation.folder / "secrets" / "officer")

    def p2d(user: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        more = ("--officer", officer) if user == "otto" else ()
        return subprocess.run(
            [sys.executable, "-m", "p2d", *arguments, "--settings", settings, *more],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env={**os.environ, "LOGNAME": user},
        )

    asked = p2d("rita", "images", str(site.list_file), "--to", str(tmp_path / "out"))
    found = re.search(r"\bH[0-9a-f]{16}\b", asked.stderr)
    assert found is not None, asked.stdout + asked.stderr
    hold = found[0]
    site.processes["gateway"].stop()
    site.processes.restart("gateway")
    early = p2d("rita", "review", "fetch", hold, "--to", str(tmp_path / "early"))
    sheets = p2d("otto", "review", "sheet", hold, "--to", str(tmp_path / "look"))
    series = sorted(path.stem for path in (tmp_path / "look").glob("*.jpg"))
    rejected = p2d("otto", "review", "reject", hold, series[0], "--reason", "recognisable face")
    approved = p2d("otto", "review", "approve", hold, "--all")
    fetched = p2d("rita", "review", "fetch", hold, "--to", str(tmp_path / "out"))

    assert (asked.returncode, early.returncode) == (7, 7), asked.stdout + asked.stderr + early.stderr
    assert not list((tmp_path / "early").rglob("*.dcm"))
    assert (sheets.returncode, rejected.returncode, approved.returncode) == (0, 0, 0), sheets.stderr
    assert all((tmp_path / "look" / f"{one}.jpg").read_bytes().startswith(b"\xff\xd8") for one in series)
    assert fetched.returncode == 0, fetched.stdout + fetched.stderr
    left = {path.parent.name for path in (tmp_path / "out").rglob("*.dcm")}
    assert left == {*series[1:]}
    assert "rejected in the release review" in (tmp_path / "out" / "withheld.csv").read_text(encoding="utf-8")
