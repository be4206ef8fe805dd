"""Bulk extraction from a real archive (Orthanc), next to other ways to the same end and to the ceiling.

A synthetic hospital is stored in Orthanc, which sends without Nagle's delay (TCP_NODELAY=1). In every round
headers of the patients are brought to rows in an empty warehouse, by P2D and by others, the order rotating:

- DCMTK: findscu, study by study and series by series, and a movescu for each image: a process and an
  association for each request, the paper's way. storescp receives.
- pynetdicom as its examples use it: hierarchical send_c_find, send_c_get for each series or image.
- the bare client: P2D's requests over a blocking socket that checks nothing (measuring/bare.py). Once with
  the pipeline behind it, once without anything, where "extended/all" is a C-MOVE of all studies to
  "storescp --ignore" with TCP_NODELAY=1. Next to that stands P2D's connector with nothing behind it
  ("received"): it lists all images, retrieves them and reads their headers.

Behind each stands P2D's own pipeline: pseudonyms, keys, de-identification, rows, load, ledger. The first two
work a sample of the patients, others in each round. Only their seconds with the archive count, scaled from
the sample to all patients by the number of requests: the pipeline is a gift to them. What they list is
asked for once a round and counted for each row that needs it, for they do one thing after another. Ratios are
the medians of the rounds. Then: images to files on disk, one small C-FIND to an Orthanc as installed, an
archive that takes two seconds for every retrieve, memory, and the paper's tables.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from measuring import more, paper
from measuring.bare_archive import BareArchive
from measuring.dcmtk import CommandLines, DcmtkArchive
from measuring.filling import fill
from measuring.lean import lean
from measuring.peer import Remembering
from measuring.relay import relay
from measuring.rounds import Rounds, say
from measuring.stock import StockArchive
from measuring.summary import Verdict, table
from measuring.works import (
    WORKS,
    Taken,
    Work,
    classes_of,
    moved_alone,
    received_alone,
    requests_alone,
    requests_of,
    to_rows,
)
from p2d.model.level import Choice, Scope
from p2d.testing.comparison import picks
from p2d.testing.hospital import Hospital, Patient, generate
from p2d.testing.installation import ArchiveAddress, free_ports
from p2d.testing.servers import RunningArchive, orthanc
from p2d.testing.site import Site, running_site

_T = TypeVar("_T")
_TARGETS: Final = {
    ("basic/first", "dcmtk"): 15.0,
    ("basic/first", "stock"): 15.0,
    ("basic/all", "dcmtk"): 5.0,
    ("basic/all", "stock"): 5.0,
    ("extended/first", "dcmtk"): 15.0,
    ("extended/first", "stock"): 15.0,
    ("extended/all", "stock"): 6.0,
}
_PAPERS_PATIENTS: Final = 20
_CEILINGS: Final = {"basic/first": 2.0, "basic/all": 2.0, "extended/first": 2.0, "extended/all": 1.5}


@dataclass(frozen=True, slots=True)
class Bench:
    """What is measured on: the archive with the hospital in it, and a site of P2D."""

    hospital: Hospital
    archive: RunningArchive
    site: Site
    classes: Sequence[str]
    lines: CommandLines

    def patients(self, places: Sequence[int]) -> list[Patient]:
        """Return the patients at *places*."""
        return [self.hospital.patients[place] for place in places]


def main() -> int:
    asked = _arguments()
    if asked.images_only:
        return _images(asked.rounds)
    began = time.perf_counter()
    hospital = generate(asked.patients, asked.seed, asked.max_images, pixels=asked.pixels)
    rounds, verdict = Rounds(), Verdict("pacs")
    (store_port,) = free_ports(1)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="p2d-bench-")))
        archive = stack.enter_context(orthanc(folder / "orthanc", store_port=store_port))
        say(f"storing {sum(1 for _ in hospital.images()):,} images")
        fill(archive, hospital)
        address = ArchiveAddress(archive.port, archive.ae_title)
        (folder / "site").mkdir()
        site = stack.enter_context(running_site(folder / "site", hospital, address))
        lines = CommandLines(archive, "P2D", store_port, folder)
        bench = Bench(hospital, archive, site, classes_of(hospital), lines)
        _whole_truth(bench, rounds)
        for number in range(asked.rounds):
            say(f"round {number + 1} of {asked.rounds}")
            _round(bench, rounds, number, asked.sample)
            say(f"so far\n\n{_shown(rounds)}\n")
        _judged(rounds, verdict)
        tables = _paper(bench, rounds)
        others = [] if asked.short else _more(bench, folder, asked, verdict)
    print(f"P2D on Orthanc: {_described(asked, hospital)}; {time.perf_counter() - began:.0f} s in all\n")
    print(_shown(rounds), *others, tables, *rounds.wrong, sep="\n\n", end="\n\n")
    print(verdict.line())
    return 0 if verdict.passed else 1


def _images(count: int) -> int:
    verdict = Verdict("pacs-images")
    with tempfile.TemporaryDirectory(prefix="p2d-bench-") as name:
        print(more.pictures(Path(name) / "pictures", count, verdict), end="\n\n")
    print(verdict.line())
    return 0 if verdict.passed else 1


def _more(bench: Bench, folder: Path, asked: argparse.Namespace, verdict: Verdict) -> list[str]:
    return [
        more.latency(bench.site, bench.archive, bench.hospital, bench.classes, verdict),
        more.small(folder / "small", verdict),
        more.pictures(folder / "pictures", asked.rounds, verdict),
        more.memory(folder / "memory", asked.memory_patients, verdict),
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=_positive, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--max-images", type=_positive, default=300, help="of one patient")
    parser.add_argument("--pixels", type=_positive, default=64, help="edge of most images")
    parser.add_argument("--rounds", type=_positive, default=5)
    parser.add_argument("--sample", type=_positive, default=6, help="patients of DCMTK and stock in a round")
    parser.add_argument("--memory-patients", type=_positive, default=1000, help="against ten")
    parser.add_argument("--images-only", action="store_true", help="images to files on disk and nothing else")
    parser.add_argument("--short", action="store_true", help="the first table and the paper's only")
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _described(asked: argparse.Namespace, hospital: Hospital) -> str:
    return (
        f"{asked.patients} patients (seed {asked.seed}), {sum(1 for _ in hospital.images()):,} images, "
        f"{sum(1 for _ in hospital.series()):,} series, {asked.rounds} rounds, {os.cpu_count()} processors, "
        f"load average {os.getloadavg()[1]:.1f}"
    )


def _whole_truth(bench: Bench, rounds: Rounds) -> None:
    """Compare every row that each work leaves with the generator's truth."""
    everyone = range(len(bench.hospital.patients))
    for work in WORKS:
        say(f"every row: {work.name}")
        with lean(bench.archive, bench.classes) as pacs:
            to_rows(bench.site, pacs, work, everyone)
        chosen = picks(bench.hospital, work.choice)
        is_basic = work.scope is Scope.BASIC
        found = bench.site.differences(chosen if is_basic else {}, {} if is_basic else chosen)
        rounds.wrong += [f"{work.name}: {one}" for one in found[:5]]


def _round(bench: Bench, rounds: Rounds, number: int, sample: int) -> None:
    """Measure every way once; the slow ones on a sample that moves on from round to round."""
    places = _sample(bench.hospital, sample, number)
    with bench.lines.receiving():
        slow = {
            "dcmtk": Remembering(DcmtkArchive(bench.lines)),
            "stock": Remembering(StockArchive(bench.archive, "P2D")),
        }
        for way, pacs in _rotated(slow, number):
            for work in WORKS:
                if (work.name, way) in _TARGETS:
                    say(f"  {way}: {work.name}")
                    _slow(bench, rounds, work, way, pacs, places)
    everyone = range(len(bench.hospital.patients))
    for work in WORKS:
        images = work.images(bench.hospital.patients)
        for way, measure in _rotated(_WHOLE, number):
            say(f"  {way}: {work.name}")
            rounds.add(work.name, way, images, measure(bench, work, everyone))
    say(f"  received: {WORKS[-1].name}")
    rounds.add(WORKS[-1].name, "received", images, _received(bench, everyone))


def _slow(
    bench: Bench, rounds: Rounds, work: Work, way: str, pacs: Remembering, places: Sequence[int]
) -> None:
    """Measure a slow way on the patients at *places* and scale it to all by its number of requests."""
    some, everybody = bench.patients(places), bench.hospital.patients
    taken = to_rows(bench.site, pacs, work, places, patients_at_once=1)
    rounds.add(work.name, way, work.images(some), taken)
    share = requests_of(work, way, some) / requests_of(work, way, everybody)
    rounds.scaled(work.name, way, taken, share, work.images(everybody))


def _ours(bench: Bench, work: Work, everyone: Sequence[int]) -> Taken:
    with lean(bench.archive, bench.classes) as pacs:
        return to_rows(bench.site, pacs, work, everyone)


def _bare(bench: Bench, work: Work, everyone: Sequence[int]) -> Taken:
    return to_rows(bench.site, BareArchive(bench.archive, "P2D", bench.classes), work, everyone)


def _alone(bench: Bench, work: Work, everyone: Sequence[int]) -> Taken:
    patients = bench.patients(everyone)
    if work.scope is Scope.EXTENDED and work.choice is Choice.ALL:
        with bench.lines.receiving(is_ignoring=True):
            return moved_alone(bench.archive, patients, "P2D")
    return requests_alone(bench.archive, work, patients, bench.classes)


def _received(bench: Bench, everyone: Sequence[int]) -> Taken:
    with lean(bench.archive, bench.classes) as pacs:
        return received_alone(pacs, bench.patients(everyone))


_WHOLE: Final = {"ours": _ours, "bare": _bare, "alone": _alone}


def _rotated(ways: Mapping[str, _T], number: int) -> list[tuple[str, _T]]:
    listed = list(ways.items())
    place = number % len(listed)
    return [*listed[place:], *listed[:place]]


def _sample(hospital: Hospital, count: int, number: int) -> list[int]:
    """Return the places of *count* patients, evenly from few to many series; each round takes others."""
    by_size = sorted(range(len(hospital.patients)), key=lambda at: WORKS[0].images([hospital.patients[at]]))
    step = max(1, len(by_size) // count)
    return [by_size[(at * step + number) % len(by_size)] for at in range(min(count, len(by_size)))]


def _judged(rounds: Rounds, verdict: Verdict) -> None:
    ours = [one for one in rounds.wrong if ", dcmtk" not in one and ", stock" not in one]
    verdict.add("counts_and_rows_true", float(not ours), 1.0)
    verdict.add("counts_of_the_others_true", float(len(ours) == len(rounds.wrong)), 0.0)
    for (row, way), target in _TARGETS.items():
        verdict.add(f"{_name(row)}_vs_{way}", rounds.ratio(row, f"{way}, all", "ours") or 0.0, target)
    for row, times in _CEILINGS.items():
        for way in ("bare", "alone"):
            verdict.add(f"{_name(row)}_of_{way}", rounds.ratio(row, way, "ours") or 0.0, 1 / times)
    row = WORKS[-1].name
    verdict.add(f"{_name(row)}_received_of_alone", rounds.ratio(row, "alone", "received") or 0.0, 1 / 1.5)


def _name(row: str) -> str:
    return row.replace("/", "_")


def _paper(bench: Bench, rounds: Rounds) -> str:
    costs = {}
    places = _sample(bench.hospital, _PAPERS_PATIENTS, 0)
    with relay(bench.archive.host, bench.archive.port) as before:
        for work in WORKS:
            say(f"patient by patient: {work.name}")
            with lean(bench.archive, bench.classes, port=before.port) as pacs:
                costs[work.name] = paper.by_patient(bench.site, pacs, before, work, places)
    as_set_up = {work.name: rounds.seconds(work.name, "ours") for work in WORKS}
    return paper.show(bench.hospital, costs, as_set_up)


def _shown(rounds: Rounds) -> str:
    slow = [
        (
            work.name,
            *(_cell(rounds.seconds(work.name, way)) for way in ("dcmtk", "stock")),
            *(_cell(rounds.seconds(work.name, way)) for way in ("dcmtk, all", "stock, all", "ours")),
            *(_times(rounds.ratio(work.name, way, "ours")) for way in ("dcmtk, all", "stock, all")),
        )
        for work in WORKS
    ]
    whole = [
        (
            work.name,
            *(_cell(rounds.seconds(work.name, way)) for way in ("ours", "bare", "alone")),
            *(_times(rounds.ratio(work.name, "ours", way)) for way in ("bare", "alone")),
            _cell(rounds.seconds(work.name, "received")),
            _times(rounds.ratio(work.name, "received", "alone")),
        )
        for work in WORKS
    ]
    heading = ("Work", "DCMTK", "stock", "DCMTK, all", "stock, all", "P2D, all", "x DCMTK", "x stock")
    return "\n\n".join(
        (
            "Seconds with the archive on a sample, scaled to all patients; P2D's for all, to their rows",
            table(heading, slow, left=1),
            "Seconds for all patients, and how many times as long P2D took as the ceiling",
            table(
                ("Work", "P2D", "bare client", "requests alone", "x bare", "x alone", "received", "x alone"),
                whole,
                left=1,
            ),
        )
    )


def _cell(seconds: float) -> str:
    return f"{seconds:.2f}" if seconds else "-"


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.1f}"


if __name__ == "__main__":
    sys.exit(main())
