"""The demo's stage: folder, synthetic hospital, test archive and the three processes."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from p2d.cli.roots import DemoOptions
from p2d.model.errors import InvalidRequest
from p2d.testing.hospital import Hospital, generate
from p2d.testing.installation import Installation, install
from p2d.testing.processes import Processes
from p2d.testing.site import hospital_archive

_MARKER = ".p2d-demo"


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
    with ExitStack() as stack:
        address = stack.enter_context(
            hospital_archive(
                folder / "hospital",
                patients=options.patients,
                seed=options.seed,
                max_images=options.max_images,
                canary=options.canary,
            )
        )
        installation = install(folder / "installation", address)
        hospital.write_clinical(folder / "hospital" / "clinical")
        yield Stage(folder, hospital, installation, stack.enter_context(Processes(installation)))


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
