"""Spark as the distributed engine: one question on one worker of one core, and on two such workers.

A hospital is generated (warehouse_bench/dataset.py) and loaded into DuckDB; its Parquet copy is divided by
patients. A standalone cluster is started twice, with one worker and with two, each a process of one core, and
the question is asked of both: letters in which at least three of several patterns are found, so that every
letter is read once a pattern. The first round warms up; nothing is cached between rounds. DuckDB's own answer
is the truth. To hold: the same patients, and 1.3 times as fast on two workers, with a question of at least
20 s on one. The driver and the cluster share the machine's cores.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from measuring.rounds import say
from measuring.summary import Verdict, table
from p2d.testing.exchanging import copied
from p2d.testing.spark import cluster
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.query.parse import parse
from warehouse_bench.dataset import Dataset
from warehouse_bench.engine_under_test import load
from warehouse_bench.questions import DIAMETER, NYHA

_PATTERNS: Final = (
    NYHA,
    DIAMETER,
    r"\b[A-Z][a-z]+ose\b",
    r"(links|rechts)[a-z]* [A-Z][a-z]+",
    r"\b[0-9]{2,3} ?mmHg\b",
    r"[Kk]ein[a-z]* [A-Z][a-z]+[.,]",
)
_GAIN: Final = 1.3
_ASKING: Final = """
import json, sys, time
from pathlib import Path
from p2d.warehouse.spark.cluster import Application, started
from p2d.warehouse.spark.engine import SparkWarehouse
from warehouse_bench.engine_under_test import Compiled
from warehouse_bench.questions import Question
master, folder, query, rounds, partitions = sys.argv[1:]
spark = started(Application(master, driver_memory=2048, executor_memory=2048, partitions=int(partitions)))
warehouse = SparkWarehouse(spark, Path(folder), None, query_seconds=3600.0)
asked, question = Compiled(warehouse), Question("patterns", "patterns in letters", json.loads(query))
seconds = []
for _ in range(int(rounds) + 1):
    began = time.perf_counter()
    found = [patient for (patient,) in asked.rows(question)]
    seconds.append(time.perf_counter() - began)
print(json.dumps({"seconds": seconds[1:], "found": found}))
warehouse.close()
spark.stop()
"""


def main() -> int:
    asked = _arguments()
    kinds = ("discharge_letter", "radiology_report")
    wanted = [{"document": kind, "regex": pattern} for pattern in _PATTERNS for kind in kinds]
    query = {"version": 2, "level": "patient", "where": {"n_of": wanted, "least": 3}}
    dataset = Dataset.made(asked.build, asked.seed, asked.patients, 2)
    with tempfile.TemporaryDirectory(prefix="p2d-bench-") as name:
        folder = Path(name)
        with closing(DuckDbWarehouse(folder / "w.duckdb", query_seconds=3600.0)) as origin:
            load(origin, dataset, say)
            say("writing the copy")
            copied(origin, folder / "copy", parts=asked.parts)
            began = time.perf_counter()
            truth = [str(patient) for patient in origin.cohort(parse(query))]
            alone = time.perf_counter() - began
        measured = {workers: _asked(folder, workers, query, asked) for workers in (1, 2)}
    verdict = Verdict("spark")
    one, two = (statistics.median(measured[workers]["seconds"]) for workers in (1, 2))
    is_equal = all(found["found"] == truth for found in measured.values())
    verdict.add("answers_equal", float(is_equal), 1.0)
    verdict.add("two_workers", one / two, asked.least_gain)
    verdict.add("seconds_on_one", one, asked.least_seconds)
    rows = [
        ("1 worker", f"{one:.1f}"),
        ("2 workers", f"{two:.1f}"),
        ("DuckDB, in this process", f"{alone:.1f}"),
    ]
    print(f"{asked.patients:,} patients, {dataset.facts:,} facts, {len(truth):,} of them found\n")
    print(table(("Spark", "seconds"), rows, left=1), end="\n\n")
    print(verdict.line())
    return 0 if verdict.passed else 1


def _asked(folder: Path, workers: int, query: dict[str, object], asked: argparse.Namespace) -> dict[str, Any]:
    say(f"{workers} workers")
    own = folder / f"cluster-{workers}"
    own.mkdir()
    with cluster(own, workers, memory=2560) as running:
        arguments = (
            running.master,
            str(folder / "copy"),
            json.dumps(query["where"]),
            str(asked.rounds),
            str(asked.parts),
        )
        command = [sys.executable, "-W", "ignore", "-c", _ASKING, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    shutil.rmtree(own)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", type=int, default=8, help="of the copy, and of rows on their way")
    parser.add_argument("--least-seconds", type=float, default=20.0, help="that one worker has to take")
    parser.add_argument("--least-gain", type=float, default=_GAIN)
    parser.add_argument("--build", type=Path, default=Path("build/warehouse"), help="where data go")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
