"""The demo's stage: folder, synthetic hospital, test archive and the three processes."""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from p2d.cli.roots import DemoOptions
from p2d.model.errors import InvalidRequest, P2DError, Unavailable
from p2d.settings.gateway import Archive
from p2d.testing.hospital import Hospital, generate
from p2d.testing.installation import ArchiveAddress, Installation, free_ports, install
from p2d.testing.processes import Process, Processes

_MARKER = ".p2d-demo"
_AE_TITLE = "DEMOPACS"


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything the demo's acts work with."""

    folder: Path
    hospital: Hospital = field(repr=False)
    installation: Installation
    processes: Processes = field(repr=False)

    @property
    def clinical_identified(self) -> Path:
        """Clinical input as the hospital has it (hospital zone)."""
        return self.folder / "hospital" / "clinical"

    @property
    def clinical(self) -> Path:
        """Clinical input as the warehouse gets it: pseudonyms and shifted dates."""
        return self.folder / "research" / "clinical"

    @property
    def exports(self) -> Path:
        """Where the demo's exports go."""
        return self.folder / "research" / "export"


@contextmanager
def staged(options: DemoOptions) -> Iterator[Stage]:
    """Prepare the folder, start the archive and the three processes, and stop them at the end.

    Raises:
        InvalidRequest: the folder holds something that is not an earlier demo.
        Unavailable: a process did not start; its log says why.

    """
    folder = options.folder.resolve()
    _clear(folder)
    hospital = generate(options.patients, options.seed, options.max_images, canary=options.canary)
    (port,) = free_ports(1)
    installation = install(folder / "installation", ArchiveAddress(port, _AE_TITLE))
    archive = Process("archive", _archive_command(options, port), folder / "hospital" / "archive.log")
    try:
        hospital.write_clinical(folder / "hospital" / "clinical")
        with Processes(installation) as processes:
            _wait_for_archive(archive, port)
            yield Stage(folder, hospital, installation, processes)
    finally:
        archive.stop()


def _clear(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        if not (folder / _MARKER).exists():
            raise InvalidRequest(
                "--folder", f"{folder} holds files that are not a demo's", "name a new or empty folder"
            )
        shutil.rmtree(folder)
    for part in ("hospital/clinical", "research/export"):
        (folder / part).mkdir(parents=True, mode=0o700)
    (folder / _MARKER).touch()


def _archive_command(options: DemoOptions, port: int) -> list[str]:
    command = [sys.executable, "-m", "p2d.testing.hospital_archive"]
    numbers = {
        "patients": options.patients,
        "seed": options.seed,
        "max-images": options.max_images,
        "port": port,
    }
    for name, number in numbers.items():
        command += [f"--{name}", str(number)]
    return [*command, "--ae-title", _AE_TITLE, *(["--canary"] if options.canary else [])]


def _wait_for_archive(archive: Process, port: int) -> None:
    from p2d.pacs.pynetdicom.connector import DimseArchive  # noqa: PLC0415 - slow to load, needed here only

    probe = DimseArchive(Archive(host="127.0.0.1", port=port, called_ae_title=_AE_TITLE, connect_seconds=1))
    deadline = time.monotonic() + 60
    while True:
        try:
            probe.echo()
        except P2DError:
            if time.monotonic() > deadline or not archive.is_alive:
                raise Unavailable("archive", "did not start", f"read {archive.log}") from None
            time.sleep(0.1)
        else:
            probe.close()
            return
