"""Benchmarks run to their end and keep their promise: a table, then one line of JSON."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from warehouse_bench.questions import CHANGED, PAPER, further

pytestmark = pytest.mark.system
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_archive_benchmark_counts_right_and_ends_with_its_verdict() -> None:
    options = ["--patients", "3", "--max-images", "6", "--rounds", "1", "--sample", "1", "--short"]

    ended = subprocess.run(
        [sys.executable, str(BENCHMARKS / "pacs.py"), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    verdict = json.loads(ended.stdout.splitlines()[-1])
    assert verdict.keys() == {"benchmark", "ratios", "targets", "pass"}
    assert verdict["benchmark"] == "pacs"
    assert verdict["targets"].keys() == verdict["ratios"].keys()
    assert verdict["ratios"]["counts_and_rows_true"] == 1.0, ended.stdout
    assert all(ratio > 0 for name, ratio in verdict["ratios"].items() if not name.startswith("counts"))
    assert all(word in ended.stdout for word in ("median (quartiles)", "KiB", "500,000 patients"))
    assert ended.returncode == (0 if verdict["pass"] else 1)


def test_all_ways_to_ask_the_warehouse_name_the_same_patients(tmp_path: Path) -> None:
    options = ["--patients", "1000", "--rounds", "1", "--build", str(tmp_path)]

    ended = subprocess.run(
        [sys.executable, str(BENCHMARKS / "warehouse.py"), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    verdict = json.loads(ended.stdout.splitlines()[-1])
    assert verdict["ratios"]["answers_equal"] == 1.0, ended.stdout
    assert verdict["benchmark"] == "warehouse"
    assert verdict["pass"]
    assert ended.returncode == 0
    assert all(question.title in ended.stdout for question in (PAPER, CHANGED, *further([])))
    assert all(word in ended.stdout for word in ("sqlite: tables", "postgresql: tables", "a million facts"))
