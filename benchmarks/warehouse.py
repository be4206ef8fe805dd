"""The warehouse at its full size: loading, and every question by every way, next to others' ways.

A hospital is generated (warehouse_bench/dataset.py): 200,000 patients, about 80 million facts. It is loaded
batch by batch through P2D's own loader into DuckDB, and asked the paper's question and 21 more:

- preview: ten rows with the paper's five columns, by the cohort language, criterion cache empty;
- compiled: the pseudonyms of all patients, by the cohort language, criterion cache empty;
- by hand: the same from SQL written by hand for the same tables in the same process;
- EAV: the same from one plain table of entity, attribute and value, ordered by attribute.

All ways have to name the same patients. At a tenth of the size the same SQL by hand runs on PostgreSQL and
SQLite, too, on tables and on EAV; and the tenth says how load, size and answers grow. A first round warms the
buffers; figures are medians of the rounds after it, ratios medians of the rounds' ratios.
"""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from measuring.rounds import say
from measuring.summary import Verdict
from p2d.main.process import collect_seldom
from warehouse_bench import report
from warehouse_bench.baseline_section import measure_baselines
from warehouse_bench.dataset import Dataset
from warehouse_bench.duckdb_section import measure_duckdb
from warehouse_bench.measured import Measured
from warehouse_bench.postgresql_section import measure_postgresql
from warehouse_bench.questions import PAPER, Question, further

_FULL: Final = 200_000
_TENTH: Final = 10
_BASELINES: Final = ("sqlite", "postgresql")


def main() -> int:
    asked = _arguments()
    collect_seldom()  # as every serving process does
    began = time.perf_counter()
    verdict, parts = Verdict("warehouse"), list[str]()
    small = max(1, asked.patients // _TENTH)
    sizes = (asked.patients,) if asked.short or asked.engine == "postgresql" else (small, asked.patients)
    measured = [_size(asked, patients, parts, with_baselines=patients == small) for patients in sizes]
    wrong = [f"{one.patients:,} patients: {text}" for one in measured for text in one.answers.wrong]
    is_full = asked.patients >= _FULL and not asked.only
    questions = _chosen(asked.only, [])
    verdict.add("answers_equal", float(not wrong), 1.0)
    report.judge(measured[-1], questions, verdict, is_full=is_full)
    if is_full and len(measured) > 1:
        report.judge_growth(measured[0], measured[1], questions, verdict)
    print(
        f"P2D's warehouse: seed {asked.seed}, {asked.rounds} rounds, {os.cpu_count()} processors, "
        f"load average {os.getloadavg()[1]:.1f}; {time.perf_counter() - began:.0f} s in all"
    )
    print("", *parts, *wrong, sep="\n\n", end="\n\n")
    print(verdict.line())
    return 0 if verdict.passed else 1


def _size(asked: argparse.Namespace, patients: int, parts: list[str], *, with_baselines: bool) -> Measured:
    """Measure at one size and add the tables to *parts*."""
    say(f"{patients:,} patients")
    dataset = Dataset.made(asked.build, asked.seed, patients, os.cpu_count() or 1)
    listed = dataset.listed
    questions = _chosen(asked.only, listed)
    folder: Path = asked.build / f"files-{patients}"
    folder.mkdir(parents=True, exist_ok=True)
    if asked.engine == "postgresql":
        measured = measure_postgresql(dataset, questions, asked.rounds, say)
    else:
        measured = measure_duckdb(dataset, folder, questions, asked.rounds, say)
    parts.append(f"{patients:,} patients, {dataset.facts:,} facts, {dataset.bytes / 1e6:,.0f} MB as Parquet")
    parts += [report.of_questions(questions, measured), report.of_loading(measured)]
    if with_baselines:
        answers = measured.answers
        filled = measure_baselines(folder, listed, _BASELINES, questions, asked.rounds, answers, say)
        parts += ["\n".join(map(report.of_baseline, filled)), report.of_others(questions, answers)]
    if not asked.keep:
        shutil.rmtree(folder)
    return measured


def _chosen(only: Sequence[str], listed: Sequence[str]) -> tuple[Question, ...]:
    questions = (PAPER, *further(listed))
    unknown = set(only) - {question.name for question in questions}
    if unknown:
        known = ", ".join(question.name for question in questions)
        sys.exit(f"no question is called {', '.join(sorted(unknown))}; there are {known}")
    return tuple(question for question in questions if not only or question.name in only)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, default=_FULL)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--engine", choices=("duckdb", "postgresql"), default="duckdb", help="whose warehouse is measured"
    )
    parser.add_argument("--only", action="append", default=[], help="the name of a question; several times")
    parser.add_argument("--short", action="store_true", help="without the tenth and the baselines on it")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="keep the databases below --build, and ask those kept before: loading is not measured then",
    )
    parser.add_argument("--build", type=Path, default=Path("build/warehouse"), help="where files go")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
