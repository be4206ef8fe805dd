"""Bulk extraction from a real archive (Orthanc): the paper's three approaches, and its way as the baseline.

A synthetic hospital is stored in Orthanc; a site of P2D (identity, gateway, warehouse) extracts each patient
by (a) basic/first, (b) basic/all, (c) extended/first. Printed per patient, in the form of the paper's tables:

- Images: received from the archive, by the ledger. They must equal the generator's truth.
- Seconds: from the receipt of the patient before to the receipt of this one, in batches of one patient:
  pseudonym, queries, UID derivation, de-identification, load, ledger. The median of the rounds, each with a
  new installation; the first patient of an approach also pays for proving relational queries.
- KiB: C-FIND identifiers and C-STORE data sets as received, without protocol; pixels included.

The days for 500,000 patients are given by the mean of these seconds, as in the paper, and by the seconds of
one more run with the batches of the settings, which spares the warehouse most of its commits.

The baseline is DCMTK's findscu (study by study, series by series) and, for (c), one movescu for each image: a
process and an association for each request, on some of the same patients. Its time is that of the processes
alone: it de-identifies and loads nothing. (a) and (b) are the same requests there, since the first image of a
series is only known from all answers.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from measuring.dcmtk import CommandLines, first_of
from measuring.extraction import APPROACHES, Approach, Cost, extract, extract_as_set_up
from measuring.filling import fill
from measuring.summary import Summary, Verdict, table
from p2d.model.level import Choice
from p2d.testing.comparison import picks
from p2d.testing.hospital import Hospital, Patient, generate
from p2d.testing.installation import ArchiveAddress, free_ports
from p2d.testing.servers import RunningArchive, orthanc
from p2d.testing.site import Site, running_site

_WHOLE_ARCHIVE: Final = 500_000
_DAY: Final = 86_400
_HEADING: Final = ("Per patient", "", *(approach.name for approach in APPROACHES))
_STATISTICS: Final = ("mean", "median (quartiles)", "minimum", "maximum")
_DAYS: Final = (f"{_WHOLE_ARCHIVE:,} patients", "days, by the mean seconds")
_DAYS_AS_SET_UP: Final = ("", "days, in batches as set up")
_PAPER: Final = (
    ("Images", "mean", "44.1", "1,434.3", "44.1"),
    ("", "median (quartiles)", "13 (5-67)", "100 (32-1,891)", "13 (5-67)"),
    ("", "minimum", "1", "1", "1"),
    ("", "maximum", "171", "7,943", "170"),
    ("Seconds", "mean", "10.78", "13.64", "110.88"),
    ("", "median (quartiles)", "2.16 (1.08-9.46)", "6.14 (0.78-29.76)", "32.33 (9.19-147.75)"),
    ("", "minimum", "<0.01", "0.02", "4.08"),
    ("", "maximum", "67.47", "46.47", "403.69"),
    ("KiB", "mean", "848.3", "848.3", "164,800.3"),
    ("", "median (quartiles)", "56.9 (13.9-1,240.6)", "56.9 (13.9-1,240.6)", "26,307.3 (4,921.7-139,309.6)"),
    ("", "minimum", "0.7", "0.7", "0.2"),
    ("", "maximum", "4,648.0", "4,648.0", "1,863,962.9"),
    (*_DAYS, "62.38", "78.94", "641.67"),
)
"""Table 2 of the paper: 20 test patients on its Orthanc."""

Costs = Mapping[str, Sequence[Cost]]
"""By approach, then in the order of the hospital's patients."""


@dataclass(frozen=True, slots=True)
class Extractions:
    """What P2D took: rounds of batches of one patient, then one run of each approach as set up (seconds)."""

    rounds: Sequence[Costs]
    as_set_up: Mapping[str, float]
    faults: Sequence[str]

    def seconds(self, approach: Approach, place: int) -> float:
        """Return the median of the rounds for one patient."""
        return statistics.median(one[approach.name][place].seconds for one in self.rounds)


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the command lines took for one approach on the patients at ``places``."""

    places: Sequence[int]
    images: int
    processes: int
    seconds: float


def main() -> int:
    asked = _arguments()
    began = time.perf_counter()
    if asked.fair:
        os.environ["TCP_NODELAY"] = "1"  # DCMTK's switch; Orthanc inherits it
    hospital = generate(asked.patients, asked.seed, asked.max_images, pixels=asked.pixels)
    (store_port,) = free_ports(1)
    with (
        tempfile.TemporaryDirectory(prefix="p2d-bench-") as name,
        orthanc(Path(name) / "orthanc", store_port=store_port) as archive,
    ):
        _say(f"storing {sum(1 for _ in hospital.images()):,} images")
        fill(archive, hospital)
        ours = _extractions(hospital, archive, Path(name), asked.rounds)
        lines = CommandLines(archive, "P2D", store_port, Path(name))
        theirs = _baseline(hospital, _spread(hospital, min(asked.baseline_patients, asked.patients)), lines)
    print(f"P2D on Orthanc: {_described(asked)}; {time.perf_counter() - began:.0f} s in all\n")
    _show(ours)
    _compare(ours, theirs)
    verdict = _judge(hospital, ours, theirs)
    print(verdict.line())
    return 0 if verdict.passed else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=_positive, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--max-images", type=_positive, default=150, help="of one patient")
    parser.add_argument("--pixels", type=_positive, default=64, help="edge of most images")
    parser.add_argument("--rounds", type=_positive, default=2)
    parser.add_argument(
        "--baseline-patients", type=_positive, default=4, help="small to large, evenly over the hospital"
    )
    parser.add_argument("--fair", action="store_true", help="let Orthanc send without Nagle's delay")
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _described(asked: argparse.Namespace) -> str:
    return (
        f"{asked.patients} patients (seed {asked.seed}, at most {asked.max_images} images each, "
        f"{asked.pixels} pixels edge), {asked.rounds} rounds, Orthanc "
        f"{'with TCP_NODELAY=1' if asked.fair else 'as installed'}, {os.cpu_count()} processors, "
        f"load average {os.getloadavg()[1]:.1f}"
    )


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _extractions(hospital: Hospital, archive: RunningArchive, folder: Path, count: int) -> Extractions:
    """Extract in *count* rounds, the order of the approaches rotating, then as set up; compare all rows."""
    address = ArchiveAddress(archive.port, archive.ae_title)
    rounds: list[Costs] = []
    as_set_up: dict[str, float] = {}
    faults: list[str] = []
    for number in range(count):
        place = number % len(APPROACHES)
        costs: dict[str, Sequence[Cost]] = {}
        with running_site(_new(folder / f"round{number}"), hospital, address) as site:
            for approach in (*APPROACHES[place:], *APPROACHES[:place]):
                _say(f"round {number + 1} of {count}: {approach.name}")
                costs[approach.name], is_complete = _one(site, approach)
                faults += [] if is_complete else [f"{approach.name}: the run is not complete"]
        rounds.append(costs)
    with running_site(_new(folder / "as-set-up"), hospital, address) as site:
        for approach in APPROACHES:
            _say(f"as set up: {approach.name}")
            received, as_set_up[approach.name], is_complete = extract_as_set_up(site, approach)
            expected = sum(_truth(approach, patient) for patient in hospital.patients)
            is_right = is_complete and received == expected
            faults += [] if is_right else [f"{approach.name}: {received} images of {expected}"]
        _say("comparing every row of the warehouse with the truth")
        faults += site.differences(picks(hospital, "all"), picks(hospital, "first"))
    return Extractions(rounds, as_set_up, faults)


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _one(site: Site, approach: Approach) -> tuple[list[Cost], bool]:
    costs, is_complete = extract(site, approach)
    names = [str(site.truth.patient(patient)) for patient in site.hospital.patients]
    return [costs.get(name, Cost(0, 0.0, 0.0)) for name in names], is_complete


def _truth(approach: Approach, patient: Patient) -> int:
    """Return how many images of *patient* the approach has to bring."""
    series = [one for study in patient.studies for one in study.series]
    return len(series) if approach.choice is Choice.FIRST else sum(len(one.instances) for one in series)


def _spread(hospital: Hospital, count: int) -> list[int]:
    """Return the places of *count* patients, evenly over the patients in order of their series."""
    first = APPROACHES[0]
    ordered = sorted(range(len(hospital.patients)), key=lambda at: _truth(first, hospital.patients[at]))
    return [ordered[(2 * number + 1) * len(ordered) // (2 * count)] for number in range(count)]


def _baseline(hospital: Hospital, places: Sequence[int], lines: CommandLines) -> dict[str, Baseline]:
    _say(f"DCMTK's command lines: {len(places)} patients")
    first = everything = moved = 0
    picked = []
    for place in places:
        patient = hospital.patients[place].patient_id
        series = lines.images(patient)
        first += len(series)
        everything += sum(len(one) for one in series)
        picked += [(patient, first_of(one)) for one in series]
    queries = (lines.processes, lines.seconds)
    with lines.receiving():
        for patient, image in picked:
            moved += lines.retrieve(patient, image)
    images = (first, everything, moved)
    spent = (queries, queries, (lines.processes, lines.seconds))
    return {
        approach.name: Baseline(places, found, *taken)
        for approach, found, taken in zip(APPROACHES, images, spent, strict=True)
    }


def _judge(hospital: Hospital, ours: Extractions, theirs: Mapping[str, Baseline]) -> Verdict:
    verdict = Verdict("pacs")
    right = [
        cost.images == _truth(approach, patient)
        for costs in ours.rounds
        for approach in APPROACHES
        for cost, patient in zip(costs[approach.name], hospital.patients, strict=True)
    ]
    verdict.add("patients_with_true_counts", statistics.fmean(right), 1.0)
    verdict.add("runs_complete_and_rows_true", float(not ours.faults), 1.0)
    for approach in APPROACHES:
        baseline = theirs[approach.name]
        expected = sum(_truth(approach, hospital.patients[place]) for place in baseline.places)
        name = approach.name.replace("/", "_")
        verdict.add(f"{name}_baseline_images", baseline.images / expected, 1.0)
        verdict.add(f"{name}_vs_dcmtk", _ratio(approach, ours, baseline), 1.0)
    return verdict


def _ratio(approach: Approach, ours: Extractions, baseline: Baseline) -> float:
    """Return how many times as fast P2D was; 0 where a patient is missing."""
    taken = [ours.seconds(approach, place) for place in baseline.places]
    return baseline.seconds / sum(taken) if all(taken) else 0.0


def _show(ours: Extractions) -> None:
    samples = [_samples(ours, approach) for approach in APPROACHES]
    rows: list[tuple[str, ...]] = []
    for label, digits in (("Images", 1), ("Seconds", 2), ("KiB", 1)):
        cells = zip(*(Summary.of(sample[label]).cells(digits) for sample in samples), strict=True)
        rows += [
            ("" if number else label, statistic, *row)
            for number, (statistic, row) in enumerate(zip(_STATISTICS, cells, strict=True))
        ]
    rows.append((*_DAYS, *(_days(statistics.fmean(sample["Seconds"])) for sample in samples)))
    patients = len(samples[0]["Seconds"])
    as_set_up = (_days(ours.as_set_up[approach.name] / patients) for approach in APPROACHES)
    rows.append((*_DAYS_AS_SET_UP, *as_set_up))
    print(table(_HEADING, rows, left=2))
    print(
        "\nFor orientation, the paper's Table 2: 20 other patients, its Orthanc and network, larger images\n"
    )
    print(table(_HEADING, _PAPER, left=2))


def _samples(ours: Extractions, approach: Approach) -> dict[str, list[float]]:
    costs = ours.rounds[-1][approach.name]
    return {
        "Images": [cost.images for cost in costs],
        "Seconds": [ours.seconds(approach, place) for place in range(len(costs))],
        "KiB": [cost.kib for cost in costs],
    }


def _days(seconds: float) -> str:
    return f"{seconds * _WHOLE_ARCHIVE / _DAY:,.2f}"


def _compare(ours: Extractions, theirs: Mapping[str, Baseline]) -> None:
    rows = [
        (
            approach.name,
            f"{baseline.images:,}",
            f"{baseline.processes:,}",
            f"{baseline.seconds:.2f}",
            f"{sum(ours.seconds(approach, place) for place in baseline.places):.2f}",
            f"{_ratio(approach, ours, baseline):.1f}",
        )
        for approach, baseline in ((one, theirs[one.name]) for one in APPROACHES)
    ]
    places = theirs[APPROACHES[0].name].places
    print(f"\nAgainst DCMTK's command lines, the same {len(places)} patients in batches of one\n")
    print(table(("Approach", "images", "processes", "DCMTK s", "P2D s", "times as fast"), rows, left=1))
    for fault in ours.faults[:20]:
        print(f"FAULT {fault}")
    print()


if __name__ == "__main__":
    sys.exit(main())
