"""`p2d deid`: a folder in, a folder out; every file accounted for, nothing of the patient left, resumable."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from p2d.flows.gateway.folder.journal import NAME as JOURNAL
from p2d.flows.gateway.folder.journal import Journal
from p2d.model.errors import InvalidRequest, Unavailable
from p2d.testing.datasets import ct

CANARIES = ("zwetschgenbaum", "gerlinde", "98765432", "holunderweg")


def write(folder: Path, name: str, **keywords: object) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = ct(**keywords)
    dataset.save_as(path, enforce_file_format=True)
    return path


def patient(folder: Path, count: int, patient_id: str = "98765432", **keywords: object) -> None:
    for number in range(count):
        write(
            folder,
            f"Zwetschgenbaum_Gerlinde/{patient_id}_{number}.dcm",
            PatientID=patient_id,
            PatientName="Zwetschgenbaum^Gerlinde",
            SOPInstanceUID=f"1.2.276.4.{patient_id}.{number + 1}",
            StudyInstanceUID=f"1.2.276.2.{patient_id}",
            SeriesInstanceUID=f"1.2.276.3.{patient_id}",
            InstanceNumber=number + 1,
            StudyDescription="CT Thorax Zwetschgenbaum nativ",
            **keywords,
        )


def p2d(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "p2d", "deid", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, timeout=120)


def outputs(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.dcm"))


def leaks(paths: Iterable[Path]) -> list[str]:
    return [
        canary for path in paths for canary in CANARIES
        if canary in str(path).lower() or canary.encode() in path.read_bytes().lower()
    ]  # fmt: skip


def read(path: Path) -> Dataset:
    return dcmread(path)


def test_every_file_is_released_or_withheld_and_the_report_adds_up(tmp_path: Path) -> None:
    patient(tmp_path / "in", 3)
    write(tmp_path / "in", "capture.dcm", PatientID="98765432", SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1")
    (tmp_path / "in" / "notes.txt").write_text("Zwetschgenbaum")

    ended = p2d("in", "out", "--report", "report.json", "--screen", "rules", cwd=tmp_path)

    report = json.loads((tmp_path / "report.json").read_text())
    assert ended.returncode == 0, ended.stderr
    assert report["received"] == report["released"] + report["withheld"]["total"] == 5
    assert report["withheld"]["reasons"] == {"encapsulated document": 1, "not a DICOM file": 1}
    assert len(outputs(tmp_path / "out")) == report["released"] == 3
    assert sorted(entry["number"] for entry in report["files"]) == [1, 2, 3, 4, 5]
    assert leaks([*outputs(tmp_path / "out"), tmp_path / "report.json"]) == []
    assert "zwetschgenbaum" not in (ended.stdout + ended.stderr).lower()


def test_the_texts_keep_their_other_words_and_dates_their_distance(tmp_path: Path) -> None:
    patient(tmp_path / "in", 1, StudyDate="20200110", ContentDate="20200112")

    p2d("in", "out", "--screen", "rules", cwd=tmp_path)

    (path,) = outputs(tmp_path / "out")
    released = read(path)
    assert released.StudyDescription == "CT Thorax nativ"
    study, content = map(date.fromisoformat, (released.StudyDate, released.ContentDate))
    assert content - study == timedelta(days=2)
    assert released.StudyDate != "20200110"


def test_the_same_key_gives_the_same_pseudonyms_in_any_order(tmp_path: Path) -> None:
    patient(tmp_path / "in", 2)
    patient(tmp_path / "other", 2)
    (tmp_path / "other" / "Zwetschgenbaum_Gerlinde" / "98765432_0.dcm").rename(tmp_path / "other" / "z.dcm")

    p2d("in", "one", "--screen", "rules", cwd=tmp_path)
    p2d("other", "two", "--screen", "rules", cwd=tmp_path)

    one, two = (
        {p.relative_to(tmp_path / f): p.read_bytes() for p in outputs(tmp_path / f)} for f in ("one", "two")
    )
    assert one == two
    assert len(one) == 2


def test_what_the_table_of_patients_tells_is_removed_too(tmp_path: Path) -> None:
    patient(tmp_path / "in", 1, ImageComments="Besuch im Holunderweg 12, Tel 0931 555123")
    (tmp_path / "p.csv").write_text(
        "PatientID,PatientName,PatientAddress\n98765432,Zwetschgenbaum^Gerlinde,Holunderweg 12\n"
    )

    ended = p2d("in", "out", "--patients", "p.csv", "--screen", "rules", cwd=tmp_path)

    assert ended.returncode == 0, ended.stderr
    assert leaks(outputs(tmp_path / "out")) == []
    assert "1 files: 1 released" in ended.stdout


def test_the_mapping_is_for_its_owner_and_resolves_every_output(tmp_path: Path) -> None:
    patient(tmp_path / "in", 2)

    p2d("in", "out", "--mapping", "m.csv", "--screen", "rules", cwd=tmp_path)

    with (tmp_path / "m.csv").open(newline="") as file:
        mapping = {row["pseudonym"]: row["original"] for row in csv.DictReader(file)}
    assert (tmp_path / "m.csv").stat().st_mode & 0o777 == 0o600
    assert {mapping[path.stem] for path in outputs(tmp_path / "out")} == {
        "1.2.276.4.98765432.1",
        "1.2.276.4.98765432.2",
    }
    assert mapping[outputs(tmp_path / "out")[0].relative_to(tmp_path / "out").parts[0]] == "98765432"


def test_a_killed_run_goes_on_and_ends_as_if_unbroken(tmp_path: Path) -> None:
    for number in range(12):
        patient(tmp_path / "in", 6, patient_id=f"5550{number:04d}")
    p2d("in", "whole", "--screen", "rules", cwd=tmp_path)
    command = [sys.executable, "-m", "p2d", "deid", "in", "broken", "--screen", "rules"]
    running = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(outputs(tmp_path / "broken")) < 5 and time.monotonic() < deadline and running.poll() is None:
        os.sched_yield()
    running.send_signal(signal.SIGKILL)
    running.wait()

    again = p2d("in", "broken", "--report", "r.json", "--screen", "rules", cwd=tmp_path)

    whole = {p.relative_to(tmp_path / "whole"): p.read_bytes() for p in outputs(tmp_path / "whole")}
    broken = {p.relative_to(tmp_path / "broken"): p.read_bytes() for p in outputs(tmp_path / "broken")}
    assert again.returncode == 0, again.stderr
    assert broken == whole
    assert json.loads((tmp_path / "r.json").read_text())["released"] == 72
    assert not list((tmp_path / "broken").rglob("*.part"))


def test_a_second_run_without_change_does_nothing_again(tmp_path: Path) -> None:
    patient(tmp_path / "in", 2)
    p2d("in", "out", "--screen", "rules", cwd=tmp_path)
    before = [path.stat().st_ino for path in outputs(tmp_path / "out")]

    p2d("in", "out", "--report", "r.json", "--screen", "rules", cwd=tmp_path)

    assert [path.stat().st_ino for path in outputs(tmp_path / "out")] == before
    assert json.loads((tmp_path / "r.json").read_text())["released"] == 2


def test_the_check_finds_what_another_tool_left(tmp_path: Path) -> None:
    patient(tmp_path / "left", 1)
    (tmp_path / "p.csv").write_text("PatientID,PatientName\n98765432,Zwetschgenbaum^Gerlinde\n")

    dirty = p2d("--check", "left", "--patients", "p.csv", cwd=tmp_path)
    p2d("left", "clean", "--screen", "rules", cwd=tmp_path)
    clean = p2d("--check", "clean", "--patients", "p.csv", cwd=tmp_path)

    assert dirty.returncode == 4
    assert "PatientName" in dirty.stdout
    assert "zwetschgenbaum" not in (dirty.stdout + dirty.stderr).lower()
    assert (clean.returncode, clean.stdout.splitlines()[-1]) == (0, "2 files searched, 0 with findings")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("nowhere", "out"), 2, "IN"),
        (("in", "in/out"), 2, "OUT"),
        (("in", "full"), 2, "OUT"),
        (("in",), 2, "OUT"),
        (("in", "out", "--profile", "liberal"), 3, "liberal"),
        (("in", "out", "--patients", "bad.csv"), 2, "--patients"),
        (("in", "out", "--key", "open.key"), 3, "--key"),
        (("--check", "in"), 2, "--patients"),
    ],
)
def test_bad_input_is_told_and_nothing_is_written(
    tmp_path: Path, arguments: tuple[str, ...], code: int, told: str
) -> None:
    patient(tmp_path / "in", 1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "bad.csv").write_text("name\nZwetschgenbaum\n")
    (tmp_path / "open.key").write_text("{}")

    ended = p2d(*arguments, cwd=tmp_path)

    assert ended.returncode == code, ended.stderr
    assert told in ended.stderr
    assert "Way out" in ended.stderr
    assert outputs(tmp_path / "out") == []
    assert "zwetschgenbaum" not in ended.stderr.lower()


def test_a_copy_is_the_same_output_and_another_object_of_the_same_uid_has_its_own(tmp_path: Path) -> None:
    first = write(tmp_path / "in", "a.dcm", PatientID="98765432")
    (tmp_path / "in" / "b.dcm").write_bytes(first.read_bytes())
    write(tmp_path / "in", "c.dcm", PatientID="98765432", SeriesDescription="other")

    ended = p2d("in", "out", "--report", "report.json", "--screen", "rules", cwd=tmp_path)

    report = json.loads((tmp_path / "report.json").read_text())
    assert ended.returncode == 0, ended.stderr
    one, copy, other = (entry["output"] for entry in report["files"])
    assert one == copy != other
    assert other == one.removesuffix(".dcm") + "-2.dcm"
    assert [read(tmp_path / "out" / name).SeriesDescription for name in (one, other)] == [
        "Axial 5 mm",
        "other",
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"patient": [], "trace": "x", "files": [], "tally": {}}',
        b'{"patient": "P", "trace": "x", "files": [], "tally": []}',
        b'{"patient": "P", "trace": "x", "files": [[1, "a\\u0000b", ""]], "tally": {}}',
        b'{"patient": "P", "trace": "x", "files": [[1, 5, ""]], "tally": {}}',
    ],
    ids=["no UTF-8", "nested too deep", "no patient", "no tally", "no name", "a number for a name"],
)
def test_a_damaged_journal_is_told_or_taken_for_torn(tmp_path: Path, line: bytes) -> None:
    head = {"key": "k"}
    Journal(tmp_path, head)
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(line + b"\n")

    try:
        found = Journal(tmp_path, head).done("P", "x")
    except InvalidRequest as refused:
        found = None
        problem = refused.problem
    else:
        problem = "damaged journal"

    assert found is None
    assert "damaged journal" in problem


def test_two_runs_do_not_write_into_one_folder_at_a_time(tmp_path: Path) -> None:
    first = Journal(tmp_path, {})

    with pytest.raises(Unavailable, match="another run"):
        Journal(tmp_path, {})

    del first
    Journal(tmp_path, {})


def test_a_deflated_file_has_a_patient_too(tmp_path: Path) -> None:
    path = write(tmp_path / "in", "a.dcm", PatientID="98765432", PatientName="Zwetschgenbaum^Gerlinde")
    dataset = read(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)

    ended = p2d("in", "out", "--screen", "rules", cwd=tmp_path)

    assert ended.returncode == 0, ended.stderr
    assert len(outputs(tmp_path / "out")) == 1
    assert leaks(outputs(tmp_path / "out")) == []


def test_a_patient_id_beyond_ascii_is_the_same_everywhere(tmp_path: Path) -> None:
    write(tmp_path / "in", "a.dcm", PatientID="Zürich-77123", SpecificCharacterSet="ISO_IR 100")
    (tmp_path / "p.csv").write_text(
        "PatientID,PatientName\nZürich-77123,Zwetschgenbaum^Gerlinde\n", encoding="utf-8"
    )

    ended = p2d("in", "out", "--patients", "p.csv", "--screen", "rules", cwd=tmp_path)

    assert "1 files: 1 released" in ended.stdout, ended.stdout
