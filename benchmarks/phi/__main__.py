"""Score de-identification tools on objects with invented patients planted in them.

Prints a table (percent of expected actions done right), with ``--failures`` each action done wrong, and one
line of JSON.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Final

from phi.judging.judge import Judge, Verdict
from phi.key import AnswerKey
from phi.planting.casting import plant
from phi.scoring import Score, failures, score, table
from phi.sources import sources
from phi.tools.controls import Reference, Untouched, Withholding
from phi.tools.gateway import Gateway
from phi.tools.peers import Orthanc, Peer
from phi.tools.tool import Tool

TOOLS: Final[Mapping[str, Callable[[], Tool]]] = {
    "p2d": Gateway,
    "dicognito": lambda: Peer("dicognito"),
    "dicom-anonymizer": lambda: Peer("dicom-anonymizer"),
    "deid": lambda: Peer("deid"),
    "deid+pixels": lambda: Peer("deid+pixels"),
    "orthanc": Orthanc,
    "untouched": Untouched,
    "withheld": Withholding,
    "reference": Reference,
}
TARGETS: Final = {
    "Privacy": 100.0,
    "- files with no leak": 100.0,
    "- burned-in hidden": 100.0,
    "Mixed text": 95.0,
    "Utility": 97.0,
    "Consistency": 98.0,
    "No new dciodvfy errors": 100.0,
    "All actions": 99.0,
    "- released files": 99.9,
}


def corpus_folder() -> Path | None:
    """Return the corpus of public files: P2D_CORPUS, else ../shared/corpus; None where it is not."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "corpus"
    folder = Path(os.environ.get("P2D_CORPUS", beside))
    return folder if (folder / "manifest.json").exists() else None


def run(tool: Tool, planted: Path, key: AnswerKey, work: Path) -> tuple[Score, list[Verdict]]:
    """Run one tool on the planted files and judge what it left."""
    work.mkdir(parents=True)
    began = time.perf_counter()
    outputs = tool.run(planted, key, work)
    seconds = time.perf_counter() - began
    verdicts = Judge(key, planted, outputs).verdicts()
    return score(tool.name, key, verdicts, seconds), verdicts


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant, run, judge, print; return 0 where the first tool reaches every target."""
    asked = _parser().parse_args(arguments)
    seed = asked.seed if asked.seed is not None else int.from_bytes(os.urandom(3))
    corpus = None if asked.no_corpus else corpus_folder()
    with tempfile.TemporaryDirectory(prefix="p2d-phi-") as temporary:
        folder = Path(asked.keep) if asked.keep else Path(temporary)
        planted = folder / "planted"
        planted.mkdir(parents=True, exist_ok=not asked.keep)
        key = plant(sources(corpus, asked.files, Random(seed)), seed, planted)  # noqa: S311 - to be run again
        key.save(folder / "key.json")
        print(
            f"seed {seed}: {len(key.files)} files, {len(key.rows):,} actions, corpus {corpus or 'not used'}"
        )
        scores = []
        for name in asked.tools.split(","):
            one, verdicts = run(TOOLS[name](), planted, key, folder / name)
            scores.append(one)
            if asked.failures:
                print(*failures(key, verdicts), sep="\n")
    print(*table(scores), sep="\n")
    first = scores[0]
    reached = {name: first.percents[name] for name in TARGETS}
    passed = all(value is None or value >= TARGETS[name] for name, value in reached.items())
    print(
        json.dumps(
            {
                "benchmark": "phi",
                "seed": seed,
                "tool": first.tool,
                "ratios": reached,
                "targets": TARGETS,
                "pass": passed,
            }
        )
    )
    return 0 if passed else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench-phi", description=__doc__)
    parser.add_argument("--seed", type=int, help="of people, places and files; a new one without it")
    parser.add_argument("--files", type=int, default=80, help="how many files are planted at the most")
    parser.add_argument("--tools", default="p2d", help=f"comma-separated, of: {', '.join(TOOLS)}")
    parser.add_argument("--failures", action="store_true", help="list each action that a released file fails")
    parser.add_argument(
        "--keep", help="a new folder for planted files, key and results, instead of a temporary one"
    )
    parser.add_argument("--no-corpus", action="store_true", help="plant in objects made here alone")
    return parser


if __name__ == "__main__":
    sys.exit(main())
