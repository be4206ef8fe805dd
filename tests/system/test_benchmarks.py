"""Benchmarks run to their end and keep their promise: a table, then one line of JSON."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_archive_benchmark_counts_right_and_ends_with_its_verdict() -> None:
    options = ["--patients", "2", "--max-images", "6", "--rounds", "1", "--baseline-patients", "1"]

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
    counted = {name: ratio for name, ratio in verdict["ratios"].items() if not name.endswith("_vs_dcmtk")}
    assert set(counted.values()) == {1.0}, ended.stdout
    assert all(word in ended.stdout for word in ("median (quartiles)", "KiB", "500,000 patients"))
    assert ended.returncode == (0 if verdict["pass"] else 1)
