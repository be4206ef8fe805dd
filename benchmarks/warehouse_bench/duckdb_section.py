"""What is measured on DuckDB: loading, every question by every way, loading again, disk."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import duckdb

from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.duckdb.opening import open_database
from warehouse_bench.answers import Answers
from warehouse_bench.asking import ByHand, ask_all
from warehouse_bench.baselines import DuckDbWay, make_eav
from warehouse_bench.dataset import Dataset
from warehouse_bench.eav import eav
from warehouse_bench.engine_under_test import Again, Compiled, Loaded, load, load_again
from warehouse_bench.measured import Measured
from warehouse_bench.questions import Question
from warehouse_bench.spelling import DUCKDB
from warehouse_bench.wide import wide

_QUERY_SECONDS: Final = 600.0
WAREHOUSE: Final = "warehouse.duckdb"
EAV: Final = "eav.duckdb"


def measure_duckdb(
    dataset: Dataset, folder: Path, questions: Sequence[Question], rounds: int, say: Callable[[str], None]
) -> Measured:
    """Load *dataset* into a new file below *folder*, unless one was kept, and ask *questions*."""
    path, eav_path = folder / WAREHOUSE, folder / EAV
    is_kept = path.exists() and eav_path.exists()
    loaded = None if is_kept else _loaded(dataset, path, say)
    size = path.stat().st_size
    if not is_kept:
        say(f"  EAV of {dataset.facts:,} facts")
        eav_path.unlink(missing_ok=True)
    filled = None if is_kept else make_eav(path, eav_path)
    answers, listed = Answers(), dataset.listed
    with (
        closing(DuckDbWarehouse(path, query_seconds=_QUERY_SECONDS)) as engine,
        closing(open_database(path)) as by_hand,
        closing(duckdb.connect(str(eav_path), read_only=True)) as eav_database,
    ):
        say("  asking")
        ways = {
            "hand": ByHand(DuckDbWay(by_hand), wide(DUCKDB, listed)),
            "eav": ByHand(DuckDbWay(eav_database), eav(DUCKDB, listed)),
        }
        ask_all(questions, ways, rounds, answers, compiled=Compiled(engine))
    again = None if is_kept else _loaded_again(dataset, path, say)
    return Measured("duckdb", dataset.facts, dataset.patients, loaded, again, size, answers, eav=filled)


def _loaded(dataset: Dataset, path: Path, say: Callable[[str], None]) -> Loaded:
    path.unlink(missing_ok=True)
    with closing(DuckDbWarehouse(path)) as engine:
        loaded = load(engine, dataset, say)
    with closing(open_database(path)) as database:
        database.execute("CHECKPOINT")
    return loaded


def _loaded_again(dataset: Dataset, path: Path, say: Callable[[str], None]) -> Again:
    """Load again into a copy: what was kept stays what was asked."""
    say("  loading again")
    copy = path.with_suffix(".copy")
    shutil.copyfile(path, copy)
    try:
        with closing(DuckDbWarehouse(copy)) as engine:
            return load_again(engine, dataset)
    finally:
        copy.unlink()
