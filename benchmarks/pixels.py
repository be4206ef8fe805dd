"""Burned-in text: texts are drawn into real images; how many are masked, what is masked without need.

The images are those of the corpus of public DICOM files (P2D_CORPUS) that show no text of their own, one of
each look. Every drawn case is a new native object in one of ten forms (MONOCHROME1 and 2 with 8, 12 and 16
bits, RGB, YBR_FULL, YBR_FULL_422, PALETTE COLOR), with a text of 8 to 40 pixels in one of several languages,
faces, shades and places. A text counts as masked when at least 85 % of the rectangle around its ink is. The
clean images are screened as they are: every box in them is false. Times are those of one thread: decoding and
detection, without the child.
"""

import argparse
import io
import json
import os
import random
import statistics
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from pydicom import dcmread
from pydicom.pixels.utils import pixel_array

from measuring.drawn_text import FORMS, Case, Grey, drawn
from measuring.summary import Verdict
from p2d.pixels.box import Box
from p2d.pixels.detector import TextDetector
from p2d.pixels.masking import screen
from p2d.pixels.protocol import Task, Unscreenable

_CORPUS: Final = Path(os.environ.get("P2D_CORPUS", Path(__file__).resolve().parents[2] / "shared" / "corpus"))
_CLEAN: Final = ("CT", "MR", "CR", "DX", "MG", "PT", "NM")
_COVERED: Final = 0.85
_SMALLEST: Final = 64
_SHOWING_TEXT: Final = ("mlut_", "vlut_", "test16signed", "cplx_p", "ovly_p")
"""Files of those modalities, or of none, that show text of their own."""


@dataclass(frozen=True, slots=True)
class Clean:
    """One image without text: its file and its first frame in grey."""

    name: str
    modality: str
    content: bytes
    grey: Grey


@dataclass(frozen=True, slots=True)
class Seen:
    """One measured case."""

    case: Case
    is_masked: bool
    is_withheld: bool
    seconds: float


def clean_images() -> Iterator[Clean]:
    """Yield the corpus's images of radiography, each look once."""
    looks: set[bytes] = set()
    for entry in json.loads((_CORPUS / "manifest.json").read_text()):
        name = str(entry["file"])
        if (
            entry["modality"] not in _CLEAN
            or "pwnlabmx" in name
            or any(word in name for word in _SHOWING_TEXT)
        ):
            continue
        content = (_CORPUS / name).read_bytes()
        try:
            grey = _grey(content)
        except Exception:  # noqa: BLE001, S112 - malformed corpus files are not this benchmark's matter
            continue
        if min(grey.shape) >= _SMALLEST and grey.tobytes() not in looks:
            looks.add(grey.tobytes())
            yield Clean(name, str(entry["modality"]), content, grey)


def _grey(content: bytes) -> Grey:
    dataset = dcmread(io.BytesIO(content))
    frame = pixel_array(dataset, index=0).astype(np.float64)
    low, high = np.percentile(frame, (0.5, 99.5))
    shown = np.clip((frame - low) / max(high - low, 1e-9), 0, 1) * 254
    shown = 254 - shown if dataset.PhotometricInterpretation == "MONOCHROME1" else shown
    grey: Grey = shown.astype(np.uint8)
    return grey[: grey.shape[0] // 2 * 2, : grey.shape[1] // 2 * 2]


def measured(case: Case, detector: TextDetector, task: Task) -> Seen:
    """Screen one case."""
    began = time.perf_counter()
    try:
        boxes = screen(case.content, task, detector).boxes
    except Unscreenable:
        return Seen(case, is_masked=True, is_withheld=True, seconds=time.perf_counter() - began)
    seconds = time.perf_counter() - began
    return Seen(case, _share(case.ink, boxes) >= _COVERED, is_withheld=False, seconds=seconds)


def _share(ink: Box, boxes: Sequence[Box]) -> float:
    covered = np.zeros((ink.height, ink.width), bool)
    for box in boxes:
        inside = box.moved(-ink.left, -ink.top).clipped(ink.height, ink.width)
        covered[inside.top : inside.bottom, inside.left : inside.right] = True
    return float(covered.mean())


def cases(images: Sequence[Clean], count: int, dice: random.Random) -> Iterator[Case]:
    """Yield *count* cases, forms in turn."""
    made = 0
    while made < count:
        case = drawn(dice.choice(images).grey, FORMS[made % len(FORMS)], dice)
        if case is not None:
            made += 1
            yield case


def _rows(seen: Sequence[Seen], title: str, key: Callable[[Seen], str]) -> None:
    groups: dict[str, list[Seen]] = defaultdict(list)
    for each in seen:
        groups[key(each)].append(each)
    for name, group in sorted(groups.items()):
        masked = sum(each.is_masked for each in group)
        median = 1000 * statistics.median(each.seconds for each in group)
        print(f"{title:<10} {name:<16} {masked:>4} of {len(group):<4} masked  {median:>7.0f} ms")


def _false_boxes(images: Sequence[Clean], detector: TextDetector, task: Task) -> tuple[int, list[float]]:
    false, seconds = 0, []
    for image in images:
        began = time.perf_counter()
        try:
            boxes = screen(image.content, task, detector).boxes
        except Unscreenable as refusal:
            print(f"{'clean':<10} {image.modality:<16} not screened: {refusal.code}")
            continue
        seconds.append(time.perf_counter() - began)
        if boxes:
            false += 1
            print(f"{'clean':<10} {image.modality:<16} false boxes in {image.name}: {len(boxes)}")
    return false, seconds


def main() -> int:
    """Run, print the table and the verdict."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--texts", type=int, default=200, help="drawn texts")
    options.add_argument("--quick", action="store_true", help="as closely as a sample is looked at")
    options.add_argument("--verbose", action="store_true", help="name every text that was not masked")
    chosen = options.parse_args()
    warnings.simplefilter("ignore")
    images, detector = list(clean_images()), TextDetector()
    task = Task(effort="alarm" if chosen.quick else "rule")
    print(f"seed {chosen.seed}, {chosen.texts} texts, {len(images)} clean images")
    dice = random.Random(chosen.seed)  # noqa: S311 - a seeded benchmark
    seen = [measured(case, detector, task) for case in cases(images, chosen.texts, dice)]
    for title, key in (
        ("form", lambda each: each.case.form),
        ("pixels", lambda each: f"{each.case.size // 8 * 8:02}-{each.case.size // 8 * 8 + 7:02}"),
        ("language", lambda each: each.case.language),
        ("shade", lambda each: each.case.shade),
    ):
        _rows(seen, title, key)
    if chosen.verbose:
        for each in seen:
            if not each.is_masked:
                case = each.case
                print("missed", case.form, case.size, case.language, case.shade, case.ink)
    false, seconds = _false_boxes(images, detector, task)
    median = 1000 * statistics.median(seconds)
    print(f"clean      {len(images)} images, {false} with false boxes, {median:.0f} ms (median)")
    print(f"withheld   {sum(each.is_withheld for each in seen)} of {len(seen)} because text stayed")
    verdict = Verdict("pixels")
    verdict.add("masked", sum(each.is_masked for each in seen) / len(seen), 1.0)
    verdict.add("clean images left alone", 1 - false / len(images), 1.0)
    print(verdict.line())
    return 0 if verdict.passed else 1


if __name__ == "__main__":
    sys.exit(main())
