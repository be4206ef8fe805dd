"""What the benchmark measures beside its rounds: each adds ratios to the verdict and returns a text."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from measuring.dcmtk import CommandLines, DcmtkArchive
from measuring.filling import fill
from measuring.lean import lean
from measuring.memory import peak_mib
from measuring.pictures import Copies, pictures_of, places_with_pictures
from measuring.relay import relay
from measuring.rounds import Rounds, say
from measuring.small import small_finds
from measuring.stock import StockArchive
from measuring.summary import Verdict, table
from measuring.works import WORKS, classes_of, to_rows
from p2d.model.level import Choice, Scope
from p2d.testing.faulty.script import Fault, Giant, Operation, once
from p2d.testing.faulty_archive import FaultyArchive
from p2d.testing.hospital import Hospital, generate
from p2d.testing.installation import ArchiveAddress, free_ports
from p2d.testing.servers import RunningArchive, orthanc
from p2d.testing.site import Site, running_site

_FEW, _MANY = 10, 6
_LATENCY: Final = 2.0
_FINDS: Final = 40
_PICTURES: Final = "800 images of 512 KiB"
_MOVED: Final = 60
_FLAT_MIB: Final = 20.0


def latency(
    site: Site, archive: RunningArchive, hospital: Hospital, classes: Sequence[str], verdict: Verdict
) -> str:
    """Extract headers of first images from an archive that takes two seconds for every retrieve."""
    say("latency of two seconds a retrieve")
    work = WORKS[2]
    by_size = sorted(range(len(hospital.patients)), key=lambda at: work.images([hospital.patients[at]]))
    few = [at for at in by_size if work.images([hospital.patients[at]]) >= min(_FEW, len(by_size))][
        :1
    ] or by_size[-1:]
    many = by_size[len(by_size) // 2 :][:_MANY]
    ways = (
        ("one request an image", few, {"list_length": 1, "associations": 1}, 1),
        ("lists", many, {"associations": 2}, 1),
        ("lists, 4 associations", many, {"associations": 5}, 4),
    )
    rows, seconds = [], []
    with relay(archive.host, archive.port, seconds=_LATENCY) as before:
        for name, places, options, at_once in ways:
            with lean(archive, classes, port=before.port, **options) as pacs:
                taken = to_rows(site, pacs, work, places, patients_at_once=at_once)
            seconds.append(taken.seconds / max(taken.images, 1))
            times = seconds[0] / seconds[-1]
            rows.append((name, str(len(places)), str(taken.images), f"{taken.seconds:.2f}", f"{times:.1f}"))
    verdict.add("latency_lists", seconds[0] / seconds[1], 2.0)
    verdict.add("latency_lists_and_associations", seconds[0] / seconds[2], 4.0)
    heading = ("extended/first", "patients", "images", "seconds", "x per image")
    return f"An archive that takes {_LATENCY:g} s for every retrieve\n\n{table(heading, rows, left=1)}"


def small(folder: Path, verdict: Verdict) -> str:
    """Ask an Orthanc as installed, with Nagle's delay, one small question again and again."""
    say("small C-FIND, Orthanc as installed")
    folder.mkdir()
    hospital = generate(1, 7, 4)
    with orthanc(folder / "orthanc", delays=True) as archive:
        fill(archive, hospital)
        with lean(archive, classes_of(hospital)) as pacs:
            ours, stock = small_finds(
                pacs, StockArchive(archive, "P2D"), hospital.patients[0].patient_id, _FINDS
            )
    verdict.add("small_find_vs_stock", stock / ours, 9.0)
    verdict.add("small_find_10_ms", 10 / ours, 1.0)
    return (
        f"One small C-FIND, Orthanc as installed, median of {_FINDS}: "
        f"P2D {ours:.1f} ms, pynetdicom {stock:.1f} ms, {stock / ours:.1f} times as long"
    )


def pictures(folder: Path, count: int, verdict: Verdict) -> str:
    """Bring images of 512 KiB to de-identified files on disk."""
    folder.mkdir()
    (folder / "site").mkdir()
    hospital = generate(8, 3, 300, pixels=512)
    places = places_with_pictures(hospital)
    patients = [hospital.patients[place] for place in places]
    images = sum(len(pictures_of(patient)) for patient in patients)
    few = min(places, key=lambda at: abs(len(pictures_of(hospital.patients[at])) - _MOVED))
    (store_port,) = free_ports(1)
    rounds = Rounds()
    with orthanc(folder / "orthanc", store_port=store_port) as archive:
        say(f"storing {sum(1 for _ in hospital.images()):,} images of 512 pixels")
        fill(archive, hospital)
        address = ArchiveAddress(archive.port, archive.ae_title)
        with running_site(folder / "site", hospital, address) as site:
            copies = Copies(site, folder / "files")
            lines = CommandLines(archive, "P2D", store_port, folder)
            stock, classes = StockArchive(archive, "P2D"), classes_of(hospital)
            for number in range(count):
                say(f"images to disk, round {number + 1} of {count}")
                with lean(archive, classes) as pacs:
                    rounds.add(_PICTURES, "ours", images, copies.released(pacs, places))
                rounds.add(_PICTURES, "stock", images, copies.released(stock, places))
                rounds.add(_PICTURES, "copy", images, copies.copied(archive, patients))
                with lines.receiving():
                    moved = copies.released(DcmtkArchive(lines), [few])
                rounds.add(_PICTURES, "dcmtk", len(pictures_of(hospital.patients[few])), moved)
    return _pictures_shown(rounds, verdict)


def _pictures_shown(rounds: Rounds, verdict: Verdict) -> str:
    verdict.add("pictures_counts_true", float(not rounds.wrong), 1.0)
    rows = []
    for way, target in (("dcmtk", 10.0), ("stock", 4.0), ("copy", 0.0)):
        ratio = rounds.ratio(_PICTURES, way, "ours") or 0.0
        if target:
            verdict.add(f"pictures_vs_{way}", ratio, target)
        rows.append((way, *_per_image(rounds, way), f"{ratio:.2f}"))
    verdict.add("pictures_of_copy", rounds.ratio(_PICTURES, "copy", "ours") or 0.0, 1 / 3)
    rows.insert(0, ("P2D", *_per_image(rounds, "ours"), "1"))
    heading = ("512 KiB images to files", "images", "ms an image", "x P2D")
    return "\n".join([table(heading, rows, left=1), *rounds.wrong])


def _per_image(rounds: Rounds, way: str) -> tuple[str, str]:
    images = rounds.taken[_PICTURES, way][0].images
    return str(images), f"{1000 * rounds.seconds(_PICTURES, way) / max(images, 1):.2f}"


def memory(folder: Path, many: int, verdict: Verdict) -> str:
    """Compare the gateway's highest resident memory over ten and over many patients."""
    folder.mkdir()
    (folder / "site").mkdir()
    hospital = generate(many, 11, 3)
    rows = []
    with orthanc(folder / "orthanc") as archive:
        say(f"storing {sum(1 for _ in hospital.images()):,} images of {many:,} patients")
        fill(archive, hospital)
        address = ArchiveAddress(archive.port, archive.ae_title)
        with running_site(folder / "site", hospital, address) as site:
            for work in (WORKS[1], WORKS[3]):
                say(f"memory: {work.name}")
                some = [peak_mib(site, range(n), work.choice, work.scope) for n in (min(10, many), many)]
                growth = some[1][1] - some[0][1]
                is_flat = all(done for done, _ in some) and growth <= _FLAT_MIB
                verdict.add(f"memory_flat_{work.name.replace('/', '_')}", float(is_flat), 1.0)
                rows.append((work.name, *(f"{mib:.0f}" for _, mib in some), f"{growth:+.0f}"))
    (folder / "giant").mkdir()
    sizes = _giant(folder / "giant", hospital)
    verdict.add("memory_flat_2_gib", float(sizes[1] - sizes[0] <= _FLAT_MIB), 1.0)
    heading = ("Highest resident MiB of the gateway", "10 patients", f"{many:,}", "growth")
    giant = f"One object of 2 GiB: {sizes[1]:.0f} MiB; the same object small: {sizes[0]:.0f} MiB"
    return f"{table(heading, rows, left=1)}\n{giant}"


def _giant(folder: Path, hospital: Hospital) -> list[float]:
    """Return the highest resident MiB over one patient's headers, the first object small and of 2 GiB."""
    one = replace(hospital, patients=hospital.patients[:1])
    sizes = []
    with FaultyArchive(one.held()) as archive:
        address = ArchiveAddress(archive.port, archive.ae_title)
        with running_site(folder, one, address) as site:
            for script in ((), (Fault(once(Operation.RETRIEVE), Giant(2 << 30)),)):
                say(f"memory: one patient, {'an' if script else 'no'} object of 2 GiB")
                archive.script = script
                done, mib = peak_mib(site, range(1), Choice.ALL, Scope.EXTENDED)
                sizes.append(mib if done else math.inf)
    return sizes
