"""Patients of a large folder in processes of their own, each with key and screen; none outlives the run.

A patient is one process's alone, so that what is decided on it, and in which order, is as in one process.
"""

import atexit
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

from p2d.deid.pixels.gate import PixelScreen
from p2d.deid.profile.profile import Profile
from p2d.flows.gateway.folder.journal import PatientDone
from p2d.flows.gateway.folder.patient import FolderWork, PatientFiles, Released, release_patient
from p2d.flows.gateway.folder.project import Project, project_keys
from p2d.model.identified import KnownValues
from p2d.pixels.screening import ScreeningSandbox

WORTH_A_PROCESS: Final = 2000
"""Files for each process below which starting it takes longer than it spares."""

Submit = Callable[[PatientFiles, PatientDone | None], "Future[Released]"]


@dataclass(frozen=True, slots=True)
class Equipment:
    """What a process needs besides its patients: where the key file is, how dates move, limits of screening.

    The key itself is read where it is used and handed to nobody. Without *seconds*, processor time that one
    image may cost, no pixels are looked at.
    """

    key: Path = field(repr=False)
    max_shift_days: int = 365
    unit_days: int = 1
    seconds: int = 0

    def project(self) -> Project:
        """Return the project's pseudonyms; the key file is made where it is absent.

        Raises:
            Misconfigured: as ``project_keys``.

        """
        return Project(project_keys(self.key)[0], self.max_shift_days, self.unit_days)

    @contextmanager
    def screen(self, children: int) -> Iterator[PixelScreen | None]:
        """Yield what looks at pixels, *children* images at a time."""
        if not self.seconds:
            yield None
            return
        sandbox = ScreeningSandbox(
            children=children, cpu_seconds=self.seconds, deadline_seconds=3 * self.seconds
        )
        with PixelScreen(sandbox=sandbox) as screen:
            yield screen


@contextmanager
def in_threads(work: FolderWork, count: int) -> Iterator[Submit]:
    """Yield what releases patients in this process, *count* at a time: worth it where images are screened."""
    with ThreadPoolExecutor(max(count, 1), thread_name_prefix="deid") as pool:
        yield lambda patient, earlier: pool.submit(release_patient, work, patient, earlier)


@contextmanager
def in_processes(work: FolderWork, equipment: Equipment, target: Path, count: int) -> Iterator[Submit]:
    """Yield what releases patients in *count* processes; where the run fails they are ended at once."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, context, _begin, (equipment, work.profile, target.absolute()))
    before = set(multiprocessing.active_children())

    def submit(patient: PatientFiles, earlier: PatientDone | None) -> "Future[Released]":
        known = work.known.get(patient.patient_id, KnownValues())
        return pool.submit(_release, patient, known, earlier)

    try:
        yield submit
    except BaseException:
        _end(pool, before)
        raise
    pool.shutdown()


def _end(pool: Executor, before: set[BaseProcess]) -> None:
    pool.shutdown(wait=False, cancel_futures=True)
    children = set(multiprocessing.active_children()) - before
    for child in children:
        child.kill()  # files are written whole or not at all, and the patient is done again
    for child in children:
        child.join()
    pool.shutdown()


@dataclass(slots=True)
class _Own:
    """What one of the processes works with."""

    equipment: Equipment
    profile: Profile
    project: Project
    screen: PixelScreen | None
    root: int


_own: _Own | None = None
_held = ExitStack()


def _begin(equipment: Equipment, profile: Profile, target: Path) -> None:
    """Make ready a process that was just started."""
    global _own  # noqa: PLW0603 - the one thing that a process of a pool can keep between its tasks
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process hears it as well and ends this one
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    root = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    screen = _held.enter_context(equipment.screen(1))
    atexit.register(_held.close)
    _own = _Own(equipment, profile, equipment.project(), screen, root)


def _end_with_parent() -> None:
    """End this process when the first one is gone, killed ones included: another run may begin."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _release(patient: PatientFiles, known: KnownValues, earlier: PatientDone | None) -> Released:
    if _own is None:
        raise RuntimeError("not a process of a pool")
    work = FolderWork(_own.project, _own.profile, {patient.patient_id: known}, _own.screen, _own.root)
    return release_patient(work, patient, earlier)
