"""Other tools, in an environment of their own made by the benchmark, and Orthanc's anonymisation."""

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from p2d.testing.servers import orthanc
from phi.key import AnswerKey

_ENVIRONMENT: Final = Path(__file__).resolve().parents[3] / "build" / "bench-venv"
_PACKAGES: Final = ("dicognito==0.19.0", "dicom-anonymizer==2.1.0", "deid==0.4.13")
_SECONDS_EACH: Final = 30


@dataclass(frozen=True, slots=True)
class Peer:
    """A tool that ``peer_driver`` knows by *name*; a file it fails on counts as withheld."""

    name: str

    def run(self, planted: Path, key: AnswerKey, work: Path) -> Mapping[str, Path]:
        """Run the driver over the folder; every result has a folder with its planted name."""
        out = work / "out"
        driver = Path(__file__).with_name("peer_driver.py")
        ended = subprocess.run(
            [str(environment() / "bin" / "python"), str(driver), self.name, str(planted), str(out)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120 + _SECONDS_EACH * len(key.files),
            env={"PATH": os.environ.get("PATH", ""), "HOME": str(work), "MPLBACKEND": "Agg"},
        )
        (work / "messages.txt").write_text(ended.stdout + ended.stderr, encoding="utf-8")
        found = ((name, sorted((out / name).glob("*"))) for name in key.files)
        return {name: files[0] for name, files in found if files}


def environment() -> Path:
    """Return the virtual environment of the peers, made on first use."""
    made = _ENVIRONMENT / ".made"
    if not made.exists():
        subprocess.run([sys.executable, "-m", "venv", str(_ENVIRONMENT)], check=True)
        pip = [
            str(_ENVIRONMENT / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        subprocess.run([*pip, *_PACKAGES], check=True)
        made.touch()
    return _ENVIRONMENT


@dataclass(frozen=True, slots=True)
class Orthanc:
    """Debian's Orthanc: every file uploaded, every patient anonymised with the defaults of its REST call."""

    name: str = "Orthanc"

    def run(self, planted: Path, key: AnswerKey, work: Path) -> Mapping[str, Path]:
        """Match results by the metadata in which Orthanc remembers where an instance came from."""
        out = work / "out"
        out.mkdir()
        with warnings.catch_warnings(), orthanc(work / "server") as server:
            warnings.simplefilter("ignore")
            address = f"http://{server.host}:{server.http_port}"
            with httpx.Client(base_url=address, auth=(server.user, server.password), timeout=120) as client:
                return dict(_anonymised(client, planted, key, out))


def _anonymised(client: httpx.Client, planted: Path, key: AnswerKey, out: Path) -> Iterator[tuple[str, Path]]:
    names: dict[str, str] = {}
    patients: set[str] = set()
    for name in key.files:
        answer = client.post("/instances", content=(planted / name).read_bytes())
        if answer.is_success:
            told: dict[str, Any] = answer.json()
            names[told["ID"]] = name
            patients.add(told["ParentPatient"])
    for patient in sorted(patients):
        answer = client.post(f"/patients/{patient}/anonymize", json={"Force": True, "KeepSource": True})
        if not answer.is_success:
            continue
        for instance in client.get(f"/patients/{answer.json()['PatientID']}/instances").json():
            made_from = client.get(f"/instances/{instance['ID']}/metadata/AnonymizedFrom").text
            if made_from in names:
                path = out / f"{instance['ID']}.dcm"
                path.write_bytes(client.get(f"/instances/{instance['ID']}/file").content)
                yield names[made_from], path
