"""De-identification of a folder: files and MB a second beside pydicom, two tools and a plain copy.

The folder holds CT images of several patients with headers of about a hundred elements, nested and private
ones among them, and texts that name the patient. P2D's time is that of the whole command after its start:
listing, reading each header three times (whose it is, what it tells of the patient, its release), scrub, leak
check, writing, journal. The pydicom baseline reads, changes ten attributes and saves. Tools run in an
environment of their own; starting Python is counted for nobody, other than that of further processes where
P2D uses several. No pixels are searched (--screen rules; these images are not suspect).

All are measured in turn, round by round, each into a new folder. What a round wrote is emptied, not deleted:
ext4 passes over inodes deleted in the last minutes one by one, which would slow all that comes after.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from measuring.summary import table
from p2d.deid.profile.profile import RESEARCH
from p2d.deid.release import Releaser
from p2d.flows.gateway.folder.run import FolderJob, deidentify_folder
from p2d.flows.gateway.folder.workers import Equipment
from p2d.model.released import ReleasedHeader, ReleasedInstance
from p2d.testing.datasets import ct
from p2d.testing.releasing import answer_of, instance_of, keys_for
from phi.tools.peers import environment

_PEERS: Final = ("dicognito", "dicom-anonymizer")
_OWN: Final = "P2D, full profile"
_PATIENTS: Final = 4
_TARGETS: Final = {"vs_pydicom": 5.0, "vs_fastest_tool": 3.0}
_ROWS_A_SECOND: Final = 20_000


Work = Callable[[Path], float | None]
"""Fills a new folder; says how long it took where that is not for the caller to see."""


def image(patient: int, number: int, side: int, private: int = 24) -> Dataset:
    """Return one CT image of *side* by *side* pixels with a header as scanners write them."""
    dataset = ct(
        PatientName=f"Zwetschgenbaum{patient}^Gerlinde",
        PatientID=f"98765{patient:03d}",
        PatientBirthDate="19500201",
        PatientSex="F",
        PatientAge="070Y",
        PatientComments="besprochen mit Frau Zwetschgenbaum",
        InstitutionName="Klinikum am Probenmarkt",
        ReferringPhysicianName="Holunder^Kurt",
        OperatorsName="Schlehe^Ida",
        StationName="CT77",
        StudyInstanceUID=f"1.2.276.0.2.{patient}",
        SeriesInstanceUID=f"1.2.276.0.3.{patient}",
        SOPInstanceUID=f"1.2.276.0.4.{patient}.{number}",
        FrameOfReferenceUID=f"1.2.276.0.5.{patient}",
        StudyDescription=f"CT Thorax Zwetschgenbaum{patient} nativ",
        SeriesDescription="Thorax 1.0 B60f",
        ProtocolName="ThoraxRoutine",
        StudyDate="20200110",
        SeriesDate="20200110",
        AcquisitionDate="20200110",
        ContentDate="20200110",
        AcquisitionTime=f"1011{number % 60:02d}.5",
        ContentTime=f"1011{number % 60:02d}.7",
        InstanceNumber=number,
        SliceLocation=number * 1.5,
        ImagePositionPatient=[-150.5, -160.25, number * 1.5],
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        KVP=120,
        ExposureTime=500,
        XRayTubeCurrent=150 + number % 40,
        ConvolutionKernel="B60f",
        GantryDetectorTilt=0,
        TableHeight=150,
        RescaleIntercept=-1024,
        RescaleSlope=1,
        WindowCenter=[-600, 40],
        WindowWidth=[1200, 400],
        PerformedProcedureStepDescription="CT Thorax",
        RequestedProcedureDescription="Thorax nativ",
        Manufacturer="ACME",
        ManufacturerModelName="Spiral 64",
        DeviceSerialNumber="77123",
        SoftwareVersions="VA40A",
        Rows=side,
        Columns=side,
        PixelData=bytes(range(256)) * (side * side * 2 // 256),
    )
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = (
        "1.2.840.10008.3.1.2.3.3",
        "1.2.276.9.9",
    )
    dataset.ReferencedPerformedProcedureStepSequence = Items([reference])
    request = Dataset()
    request.RequestedProcedureID, request.ScheduledProcedureStepDescription = "R77", "Thorax nativ"
    dataset.RequestAttributesSequence = Items([request])
    block = dataset.private_block(0x0019, "ACME CT", create=True)
    for element in range(private):
        block.add_new(element, "LO", f"value {element}")
    return dataset


def folder_of(root: Path, count: int, side: int) -> Path:
    """Write *count* images of *side* by *side* pixels below *root*."""
    root.mkdir(parents=True)
    for index in range(count):
        name = root / f"{index % _PATIENTS}" / f"{index}.dcm"
        name.parent.mkdir(exist_ok=True)
        image(index % _PATIENTS, index + 1, side).save_as(name, enforce_file_format=True)
    return root


@dataclass(slots=True)
class Times:
    """Seconds of the rounds of one way: those that passed, and those of processors where they are known."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Seconds that pass in the round in the middle."""
        return statistics.median(self.wall)


def measured(rounds: int, root: Path, works: Mapping[str, Work]) -> dict[str, Times]:
    """Return the times of *works*, taken in turn *rounds* times after one that warms up."""
    times = {what: Times() for what in works}
    for number in range(rounds + 1):
        for place, (what, work) in enumerate(works.items()):
            target = root / f"out{number}.{place}"
            began, spent = time.perf_counter(), time.process_time()
            told = work(target)
            passed = (time.perf_counter() - began, time.process_time() - spent)
            if number:
                times[what].wall.append(passed[0] if told is None else told)
                times[what].processor.append(passed[1])
            for path in target.rglob("*.dcm"):
                os.truncate(path, 0)
    for target in root.glob("out*"):
        shutil.rmtree(target)
    return times


def _copied(source: Path) -> Work:
    def work(target: Path) -> None:
        target.mkdir()
        for number, path in enumerate(sorted(source.rglob("*.dcm"))):
            shutil.copyfile(path, target / f"{number}.dcm")

    return work


def _with_pydicom(source: Path) -> Work:
    def work(target: Path) -> None:
        target.mkdir()
        for number, path in enumerate(sorted(source.rglob("*.dcm"))):
            modified(dcmread(path), number + 1).save_as(target / f"{number}.dcm")

    return work


def modified(dataset: Dataset, number: int) -> Dataset:
    """Change ten attributes of *dataset*."""
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "X", "X", ""
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = "20200101"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.4"
    dataset.SOPInstanceUID = f"1.2.5.{number}"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def _with_p2d(source: Path, key: Path, processes: int = 1) -> Work:
    equipment = Equipment(key)
    project = equipment.project()

    def work(target: Path) -> None:
        job = FolderJob(
            source, target, RESEARCH, project,
            processes=processes, equipment=equipment, worth_a_process=1,
        )  # fmt: skip
        result = deidentify_folder(job, None, lambda *_: None)
        assert result.released == len(result.files), result.withheld

    return work


def _with_peer(tool: str, source: Path) -> Work:
    script = Path(__file__).parent / "measuring" / "deid_peer.py"

    def work(target: Path) -> float:
        command = [str(environment() / "bin" / "python"), str(script), tool, str(source), str(target)]
        ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=1800)
        return float(json.loads(ended.stdout.splitlines()[-1]))

    return work


def headers_vs_pydicom(count: int, rounds: int, private: int) -> tuple[float, float]:
    """Return milliseconds a header in memory, pydicom's and P2D's; *private* elements more than usual."""
    files: list[bytes] = []
    for number in range(count):
        dataset, buffer = image(1, number + 1, 8, private), BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        files.append(buffer.getvalue())
    instances = [instance_of(image(1, number + 1, 8, private)) for number in range(count)]
    keys = keys_for(*instances)

    def with_pydicom() -> None:
        for number, content in enumerate(files):
            modified(dcmread(BytesIO(content)), number + 1).save_as(BytesIO())

    def with_p2d() -> None:
        releaser = Releaser(keys)
        opened = [releaser.open(instance) for instance in instances]
        releaser.learn(keys)
        assert all(isinstance(releaser.image(one), ReleasedInstance) for one in opened)

    times: dict[Callable[[], None], list[float]] = {with_pydicom: [], with_p2d: []}
    for _ in range(rounds + 1):
        for work, seconds in times.items():
            began = time.perf_counter()
            work()
            seconds.append((time.perf_counter() - began) * 1000 / count)
    one, other = (statistics.median(seconds[1:]) for seconds in times.values())
    return one, other


def rows_a_second(rows: int) -> float:
    """Return how many C-FIND answers of one patient are released in a second."""
    answers = [answer_of(image(1, number + 1, 8)) for number in range(rows)]
    keys = keys_for(*(instance_of(image(1, number + 1, 8)) for number in range(rows)))
    releaser = Releaser(keys)
    began = time.perf_counter()
    released = [releaser.header(answer) for answer in answers]
    seconds = time.perf_counter() - began
    assert all(isinstance(header, ReleasedHeader) for header in released)
    return rows / seconds


def peak_mib(folder: Path, out: Path) -> float:
    """Return the largest resident memory of ``p2d deid`` on *folder*, in MiB."""
    program = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = [sys.executable, "-m", "p2d", "deid", str(folder), str(out), "--screen", "rules"]
    command += ["--key", str(out.with_suffix(".key"))]
    ended = subprocess.run(
        [sys.executable, "-c", program, *command], capture_output=True, text=True, check=True, timeout=1800
    )
    return int(ended.stdout) / 1024


def large_file(path: Path) -> None:
    """Write a multi-frame image with 2 GB of pixels, sparse on the disk."""
    side, frames = 1024, 1023
    dataset = image(1, 1, 8)
    dataset.Rows = dataset.Columns = side
    dataset.NumberOfFrames = frames
    path.parent.mkdir(parents=True)
    dataset.PixelData = b"\0\0"
    dataset.save_as(path, enforce_file_format=True)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size - 6)
        file.write((side * side * 2 * frames).to_bytes(4, "little"))
        file.truncate(size - 2 + side * side * 2 * frames)


def rows_of(source: Path, side: int, times: Mapping[str, Times]) -> list[list[str]]:
    """Return the lines of the table for *times*; processor time is not known of other processes."""
    sizes = [path.stat().st_size for path in source.rglob("*.dcm")]
    files, megabytes, own = len(sizes), sum(sizes) / 1e6, times[_OWN].median
    return [
        [
            f"{files:,}",
            f"{side} x {side}",
            what,
            f"{files / seconds.median:,.0f}",
            f"{megabytes / seconds.median:,.0f}",
            f"{seconds.median / own:.2f}",
            "" if what in _PEERS or "core" in what
            else f"{statistics.median(seconds.processor) * 1000 / files:.3f}",
        ]
        for what, seconds in times.items()
    ]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table and one line of JSON; return 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--many", type=int, default=8000, help="files for several processes; 0 for none")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--root", type=Path, help="where to work; a file system in memory shows the rest")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--no-large", action="store_true")
    asked = parser.parse_args(arguments)
    ratios: dict[str, float] = {}
    lines: list[list[str]] = []
    with tempfile.TemporaryDirectory(dir=asked.root) as name:
        root = Path(name)
        for side in (512, 64):
            source = folder_of(root / f"in{side}", asked.files, side)
            works: dict[str, Work] = {
                "copy": _copied(source),
                "pydicom read, modify, save": _with_pydicom(source),
                _OWN: _with_p2d(source, root / "project.key"),
            }
            if not asked.no_peers:
                works |= {tool: _with_peer(tool, source) for tool in _PEERS}
            times = measured(asked.rounds, root, works)
            own = times[_OWN].median
            ratios[f"{side}_vs_pydicom"] = times["pydicom read, modify, save"].median / own
            if not asked.no_peers:
                ratios[f"{side}_vs_fastest_tool"] = min(times[tool].median for tool in _PEERS) / own
            lines += rows_of(source, side, times)
        if asked.many:
            source = folder_of(root / "many", asked.many, 64)
            works = {
                _OWN: _with_p2d(source, root / "project.key"),
                f"{_OWN}, a process a core": _with_p2d(source, root / "project.key", os.cpu_count() or 1),
            }
            times = measured(min(asked.rounds, 3), root, works)
            lines += rows_of(source, 64, times)
        for private in (24, 190):
            one, other = headers_vs_pydicom(asked.files, asked.rounds, private)
            elements = len(list(image(1, 1, 8, private))) - 1
            ratios[f"headers_{elements}_vs_pydicom"] = one / other
            fast = f"pydicom {one:.2f}, P2D {other:.3f}: {one / other:.1f} times as fast"
            print(f"{elements} elements in memory, ms: {fast}")
        ratios["rows_of_20000"] = rows_a_second(asked.rows) / _ROWS_A_SECOND
        if not asked.no_large:
            large_file(root / "large" / "large.dcm")
            folder_of(root / "small", 1, 64)
            ratios["large_extra_mib"] = peak_mib(root / "large", root / "o1") - peak_mib(
                root / "small", root / "o2"
            )
    heads = ["files", "image", "what", "files/s", "MB/s", "time / P2D", "processor ms a file"]
    print(table(heads, lines, left=3))
    print(f"C-FIND answers released: {ratios['rows_of_20000'] * _ROWS_A_SECOND:,.0f} rows/s a core")
    if "large_extra_mib" in ratios:
        print(
            f"2 GB multi-frame: {ratios['large_extra_mib']:+.1f} MiB of resident memory beside a small file"
        )
    targets = {
        name: next((t for suffix, t in _TARGETS.items() if name.endswith(suffix)), 1.0)
        for name in ratios
        if name != "large_extra_mib"
    }
    passed = all(ratios[name] >= target for name, target in targets.items())
    verdict = {"benchmark": "deid", "ratios": ratios, "targets": targets, "pass": passed}
    print(json.dumps(verdict))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
