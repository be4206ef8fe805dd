"""SQL by hand on PostgreSQL and SQLite, and on EAV tables there, over the rows of a DuckDB file."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from p2d.warehouse.duckdb.opening import open_database
from warehouse_bench.answers import Answers
from warehouse_bench.asking import ByHand, ask_all
from warehouse_bench.baselines import WIDE, Filled, PostgresWay, SqliteWay, postgres_way
from warehouse_bench.duckdb_section import EAV, WAREHOUSE
from warehouse_bench.eav import eav
from warehouse_bench.questions import Question
from warehouse_bench.spelling import POSTGRESQL, SQLITE, Spelling
from warehouse_bench.wide import wide

_EAV_TABLE: Final = ("eav",)


@dataclass(frozen=True, slots=True)
class Baseline:
    """How an engine was filled; its answers are among those of the DuckDB file it was filled from."""

    engine: str
    wide: Filled
    eav: Filled


def measure_baselines(
    folder: Path,
    listed: Sequence[str],
    engines: Sequence[str],
    questions: Sequence[Question],
    rounds: int,
    answers: Answers,
    say: Callable[[str], None],
) -> list[Baseline]:
    """Fill the *engines* from the DuckDB files in *folder*, ask the questions, and add to *answers*."""
    measured = []
    if "sqlite" in engines:
        path = folder / "baseline.sqlite"
        path.unlink(missing_ok=True)
        with closing(SqliteWay(path)) as way:
            measured.append(_filled(way, SQLITE, folder, say))
            _ask(way, SQLITE, listed, questions, rounds, answers)
    if "postgresql" in engines:
        with postgres_way() as server:
            measured.append(_filled(server, POSTGRESQL, folder, say))
            _ask(server, POSTGRESQL, listed, questions, rounds, answers)
    return measured


def _filled(
    way: SqliteWay | PostgresWay, spelling: Spelling, folder: Path, say: Callable[[str], None]
) -> Baseline:
    say(f"  filling {spelling.name}")
    with closing(open_database(folder / WAREHOUSE)) as source:
        wide_tables = way.fill(source, WIDE)
    with closing(duckdb.connect(str(folder / EAV), read_only=True)) as source:
        eav_table = way.fill(source, _EAV_TABLE)
    say(f"  asking {spelling.name}")
    return Baseline(spelling.name, wide_tables, eav_table)


def _ask(
    way: SqliteWay | PostgresWay,
    spelling: Spelling,
    listed: Sequence[str],
    questions: Sequence[Question],
    rounds: int,
    answers: Answers,
) -> None:
    ways = {
        f"{spelling.name} hand": ByHand(way, wide(spelling, listed)),
        f"{spelling.name} eav": ByHand(way, eav(spelling, listed)),
    }
    ask_all(questions, ways, rounds, answers)
