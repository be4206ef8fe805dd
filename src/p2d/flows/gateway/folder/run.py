"""De-identify a folder: every file is released or withheld with a reason, and the sums say so."""

import csv
import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from p2d.deid.pixels.verdicts import Screen
from p2d.deid.profile.profile import Profile
from p2d.deid.report.tally import DeidTally
from p2d.flows.gateway.folder.journal import FileOutcome, Journal, PatientDone
from p2d.flows.gateway.folder.patient import FolderWork, PatientFiles
from p2d.flows.gateway.folder.project import Project
from p2d.flows.gateway.folder.scan import by_patient, inputs_of
from p2d.flows.gateway.folder.workers import WORTH_A_PROCESS, Equipment, Submit, in_processes, in_threads
from p2d.model.errors import InvalidRequest, Unavailable
from p2d.model.identified import KnownValues, PatientKeys
from p2d.model.released import Reason

Note = Callable[[PatientFiles, PatientKeys], None]
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
    processes: int = 1
    """Patients at a time: in threads, or, with *equipment* and many files, in as many processes."""

    equipment: Equipment | None = None
    worth_a_process: int = WORTH_A_PROCESS


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
    patients = [PatientFiles(patient, files) for patient, files in sorted(groups.items())]
    tally, files = DeidTally(), [FileOutcome(item.number, reason=item.reason) for item in unusable]
    for item in unusable:
        tally.withheld(item.reason)
    with (
        closing(Journal(job.target, head)) as journal,
        _folder(job.target) as root,
        _mapping(job.mapping) as note,
    ):
        work = FolderWork(job.project, job.profile, job.known, screen, root)
        show(0, len(patients), len(files))
        with closing(_all(job, work, patients, journal, note)) as finished:
            for count, done in enumerate(finished, 1):
                tally.merge(done.tally)
                files.extend(done.files)
                show(count, len(patients), len(files))
    return FolderResult(sorted(files, key=lambda outcome: outcome.number), tally, len(patients), started_at)


def _all(
    job: FolderJob, work: FolderWork, patients: Sequence[PatientFiles], journal: Journal, note: Note
) -> Generator[PatientDone, None, None]:
    with _releasing(job, work, patients) as submit:
        running = [submit(patient, _earlier(work.project, patient, journal)) for patient in patients]
        try:
            for future in as_completed(running):
                patient, keys, done, is_new = future.result()
                if is_new:
                    journal.finish(done)
                note(patient, keys)
                yield done
        except BrokenProcessPool:
            raise Unavailable(
                "--processes",
                "a process ended before its time",
                "run it again, with fewer if memory is short",
            ) from None
        except BaseException:
            for future in running:
                future.cancel()
            raise


def _releasing(
    job: FolderJob, work: FolderWork, patients: Sequence[PatientFiles]
) -> AbstractContextManager[Submit]:
    """Return what releases patients: processes where there is enough for them, threads otherwise."""
    files = sum(len(patient.files) for patient in patients)
    count = min(job.processes, len(patients), files // job.worth_a_process)
    if job.equipment is None or count <= 1:
        return in_threads(work, job.processes)
    return in_processes(work, job.equipment, job.target, count)


def _earlier(project: Project, patient: PatientFiles, journal: Journal) -> PatientDone | None:
    return journal.done(str(project.pseudonym(patient.patient)), patient.trace(project))


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
def _mapping(path: Path | None) -> Iterator[Note]:
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
