"""`p2d deid` in several processes: files, counts and journal as in one; no process outlives the run."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from p2d.deid.profile.profile import RESEARCH
from p2d.flows.gateway.folder.journal import NAME as JOURNAL
from p2d.flows.gateway.folder.run import FolderJob, FolderResult, deidentify_folder
from p2d.flows.gateway.folder.workers import Equipment
from p2d.model.errors import InvalidRequest, Misconfigured, NotFound, P2DError, Unavailable
from p2d.testing.datasets import ct
from p2d.testing.waiting import until

PATIENTS, IMAGES = 4, 3


def hospital(folder: Path) -> Path:
    """Write images of several patients, a document, and a file of no patient, into *folder*."""
    folder.mkdir()
    for patient in range(PATIENTS):
        for number in range(IMAGES):
            ct(
                PatientID=f"9876543{patient}", PatientName=f"Zwetschgenbaum{patient}^Gerlinde",
                StudyInstanceUID=f"1.2.276.2.{patient}", SeriesInstanceUID=f"1.2.276.3.{patient}",
                SOPInstanceUID=f"1.2.276.4.{patient}.{number}", InstanceNumber=number,
                StudyDescription="CT Thorax Zwetschgenbaum1 nativ",
            ).save_as(folder / f"{patient}_{number}.dcm", enforce_file_format=True)  # fmt: skip
    document = ct(PatientID="98765431", SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1")
    document.save_as(folder / "document.dcm", enforce_file_format=True)
    (folder / "notes.txt").write_text("nobody")
    return folder


def run(
    tmp_path: Path, processes: int, out: str, show: Callable[[int, int, int], None] = lambda *_: None
) -> FolderResult:
    equipment = Equipment(tmp_path / "project.key")
    mapping = tmp_path / f"{out}.csv"
    job = FolderJob(
        tmp_path / "in", tmp_path / out, RESEARCH, equipment.project(), {}, mapping, processes, equipment,
        worth_a_process=1,
    )  # fmt: skip
    return deidentify_folder(job, None, show)


def written(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.dcm")}


def test_several_processes_write_what_one_does(tmp_path: Path) -> None:
    hospital(tmp_path / "in")

    one, several = run(tmp_path, 1, "one"), run(tmp_path, 3, "several")

    assert written(tmp_path / "several") == written(tmp_path / "one")
    assert len(written(tmp_path / "one")) == one.released == PATIENTS * IMAGES
    assert (several.files, several.patients) == (one.files, one.patients)
    assert several.tally.as_json() == one.tally.as_json()
    for name in ("{}.csv", "{}/" + JOURNAL):
        lines = [sorted((tmp_path / name.format(out)).read_text().splitlines()) for out in ("one", "several")]
        assert len(lines[0]) > PATIENTS
        if name == "{}.csv":
            assert lines[0] == lines[1]
    until(lambda: not multiprocessing.active_children())


def test_a_run_in_several_processes_goes_on_where_one_in_one_ended(tmp_path: Path) -> None:
    hospital(tmp_path / "in")
    before = run(tmp_path, 1, "out")
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.dcm")}

    after = run(tmp_path, 2, "out")

    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.dcm")} == stamps
    assert (after.files, after.tally.as_json()) == (before.files, before.tally.as_json())


def test_what_stops_one_process_stops_the_run_with_its_reason(tmp_path: Path) -> None:
    hospital(tmp_path / "in")
    run(tmp_path, 1, "out")
    (tmp_path / "out" / JOURNAL).write_text((tmp_path / "out" / JOURNAL).read_text().splitlines()[0] + "\n")
    output = next((tmp_path / "out").rglob("*.dcm"))
    output.unlink()
    output.mkdir()

    with pytest.raises(InvalidRequest, match="taken"):
        run(tmp_path, 2, "out")

    until(lambda: not multiprocessing.active_children())


def test_a_process_that_is_killed_ends_the_run_and_the_next_completes_it(tmp_path: Path) -> None:
    hospital(tmp_path / "in")

    def kill(done: int, _total: int, _files: int) -> None:
        if done == 1:
            for child in multiprocessing.active_children():
                os.kill(child.pid or 0, signal.SIGKILL)

    try:
        run(tmp_path, 2, "out", kill)
    except Unavailable as unavailable:
        assert unavailable.field == "--processes"  # noqa: PT017 - all may be done before they are killed

    result = run(tmp_path, 2, "out")
    assert result.released == PATIENTS * IMAGES
    assert len(written(tmp_path / "out")) == PATIENTS * IMAGES


def test_no_process_outlives_a_run_that_is_killed(tmp_path: Path) -> None:
    hospital(tmp_path / "in")
    program = (
        "import multiprocessing, sys, time\n"
        "from pathlib import Path\n"
        "from p2d.deid.profile.profile import RESEARCH\n"
        "from p2d.flows.gateway.folder.run import FolderJob, deidentify_folder\n"
        "from p2d.flows.gateway.folder.workers import Equipment\n"
        "def show(done, total, files):\n"
        "    if done:\n"
        "        print(*(child.pid for child in multiprocessing.active_children()), flush=True)\n"
        "        time.sleep(600)\n"
        "if __name__ == '__main__':\n"
        "    tools = Equipment(Path('project.key'))\n"
        "    job = FolderJob(Path('in'), Path('out'), RESEARCH, tools.project(),\n"
        "                    processes=2, equipment=tools, worth_a_process=1)\n"
        "    deidentify_folder(job, None, show)\n"
    )
    (tmp_path / "program.py").write_text(program)
    with subprocess.Popen(
        [sys.executable, "program.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        children = [int(pid) for pid in running.stdout.readline().split()]
        running.kill()

    assert len(children) == 2
    deadline = time.monotonic() + 60
    while any(map(is_running, children)):
        assert time.monotonic() < deadline, "a process is still there"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("kind", [InvalidRequest, Misconfigured, NotFound, Unavailable])
def test_an_error_passes_between_processes_whole(kind: type[P2DError]) -> None:
    error = kind("OUT", "is not empty", "name a new folder")

    passed = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes

    assert type(passed) is kind
    assert (passed.field, passed.problem, passed.remedy, str(passed)) == (
        error.field, error.problem, error.remedy, str(error),
    )  # fmt: skip
