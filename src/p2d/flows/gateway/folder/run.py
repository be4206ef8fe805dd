"""De-identify a folder: every file is released or withheld with a reason, and the sums say so."""

import csv
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from p2d.deid.pixels.verdicts import Screen
from p2d.deid.profile.profile import Profile
from p2d.deid.report.tally import DeidTally
from p2d.flows.gateway.folder.journal import FileOutcome, Journal, PatientDone
from p2d.flows.gateway.folder.patient import FolderWork, PatientFiles, PatientRelease
from p2d.flows.gateway.folder.project import Project
from p2d.flows.gateway.folder.scan import by_patient, inputs_of
from p2d.model.errors import InvalidRequest, Unavailable
from p2d.model.identified import KnownValues, PatientKeys
from p2d.model.released import Reason

Progress = Callable[[int, int, int], None]
"""Called with patients done, patients in all and files done."""


@dataclass(frozen=True, slots=True)
class FolderJob:
    """What was asked for: a folder to de-identify and where to."""

    source: Path = field(repr=False)
    target: Path
    profile: Profile
    project: Project
    known: Mapping[str, KnownValues] = field(default_factory=dict, repr=False)
    mapping: Path | None = None
    jobs: int = 2


@dataclass(frozen=True, slots=True)
class FolderResult:
    """What became of all files: ``received = released + withheld``, the latter by reason."""

    files: Sequence[FileOutcome]
    tally: DeidTally
    patients: int
    started_at: float
    """Seconds since the epoch."""

    @property
    def released(self) -> int:
        """Files that were written."""
        return sum(not outcome.reason for outcome in self.files)

    @property
    def withheld(self) -> Counter[Reason]:
        """Files that were not written, by reason."""
        return Counter(outcome.reason for outcome in self.files if outcome.reason)

    @property
    def is_complete(self) -> bool:
        """Whether every file could be looked at."""
        return not self.withheld[Reason.UNREADABLE]


def deidentify_folder(job: FolderJob, screen: Screen | None, show: Progress) -> FolderResult:
    """De-identify all files of the source folder into the target folder.

    Patients that an earlier run finished are not done again. Output names are pseudonyms.

    Raises:
        InvalidRequest: a folder within the other, a target that is not empty or of another run.
        Unavailable: the target cannot be written.

    """
    started_at = time.time()
    _check_apart(job.source, job.target)
    groups, unusable = by_patient(inputs_of(job.source))
    head = {"key": job.project.keys.fingerprint, "profile": f"{job.profile.name} {job.profile.version}"}
    journal = Journal(job.target, head)
    patients = [PatientFiles(patient, files) for patient, files in sorted(groups.items())]
    tally, files = DeidTally(), [FileOutcome(item.number, reason=item.reason) for item in unusable]
    for item in unusable:
        tally.withheld(item.reason)
    with _folder(job.target) as root, _mapping(job.mapping) as note:
        work = FolderWork(job.project, job.profile, job.known, screen, root)
        show(0, len(patients), len(files))
        for count, done in enumerate(_all(work, patients, journal, note, job.jobs), 1):
            tally.merge(done.tally)
            files.extend(done.files)
            show(count, len(patients), len(files))
    return FolderResult(sorted(files, key=lambda outcome: outcome.number), tally, len(patients), started_at)


def _all(
    work: FolderWork,
    patients: Sequence[PatientFiles],
    journal: Journal,
    note: Callable[[PatientFiles, PatientKeys], None],
    jobs: int,
) -> Iterator[PatientDone]:
    with ThreadPoolExecutor(max(jobs, 1), thread_name_prefix="deid") as pool:
        running = [pool.submit(_one, work, patient, journal) for patient in patients]
        try:
            for future in as_completed(running):
                patient, keys, done, is_new = future.result()
                if is_new:
                    journal.finish(done)
                note(patient, keys)
                yield done
        except BaseException:
            for future in running:
                future.cancel()
            raise


def _one(
    work: FolderWork, patient: PatientFiles, journal: Journal
) -> tuple[PatientFiles, PatientKeys, PatientDone, bool]:
    release = PatientRelease(work, patient)
    keys = release.read()
    earlier = journal.done(str(keys.patient), patient.trace(work.project))
    if earlier is not None and _are_there(work.root, earlier.files):
        return patient, keys, earlier, False
    return patient, keys, release.done(list(release.outcomes())), True


def _are_there(root: int, files: Sequence[FileOutcome]) -> bool:
    try:
        return all(
            os.stat(f.output, dir_fd=root, follow_symlinks=False).st_size > 0 for f in files if f.output
        )
    except OSError:
        return False


def _check_apart(source: Path, target: Path) -> None:
    one, other = source.resolve(), target.resolve()
    if one == other or one in other.parents or other in one.parents:
        raise InvalidRequest("OUT", "lies within IN, or IN within it", "name a folder beside it")


@contextmanager
def _folder(path: Path) -> Iterator[int]:
    root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield root
    finally:
        os.close(root)


@contextmanager
def _mapping(path: Path | None) -> Iterator[Callable[[PatientFiles, PatientKeys], None]]:
    """Yield what writes the table of originals and pseudonyms, which stays in the hospital, for its owner."""
    if path is None:
        yield lambda _patient, _keys: None
        return
    try:
        descriptor = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        os.fchmod(descriptor, 0o600)
    except OSError as error:
        raise Unavailable("--mapping", f"cannot be written ({error.strerror})", "name another file") from None
    with open(descriptor, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123 - opens a descriptor
        writer = csv.writer(file)
        writer.writerow(("kind", "original", "pseudonym"))

        def note(patient: PatientFiles, keys: PatientKeys) -> None:
            writer.writerow(("patient", patient.patient, keys.patient))
            for kind, pairs in (("uid", keys.uids), ("accession", keys.accessions), ("case", keys.cases)):
                writer.writerows((kind, original, pseudonym) for original, pseudonym in sorted(pairs.items()))
            file.flush()

        yield note
