"""What is measured on PostgreSQL: loading without indexes, then these, every question, loading again."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final

import psycopg

from p2d.testing.warehouse_database import warehouse_database
from p2d.warehouse.postgresql.engine import Limits
from p2d.warehouse.postgresql.migration import rebuild
from warehouse_bench.answers import Answers
from warehouse_bench.asking import ByHand, ask_all
from warehouse_bench.baselines import PostgresWay, tuned_server
from warehouse_bench.dataset import Dataset
from warehouse_bench.engine_under_test import Compiled, load, load_again
from warehouse_bench.measured import Measured
from warehouse_bench.questions import Question
from warehouse_bench.spelling import POSTGRESQL
from warehouse_bench.wide import wide

_LIMITS: Final = Limits(query_seconds=600.0, load_seconds=7200.0)


def measure_postgresql(
    dataset: Dataset, questions: Sequence[Question], rounds: int, say: Callable[[str], None]
) -> Measured:
    """Load *dataset* into a server of its own and ask *questions*."""
    answers = Answers()
    with tuned_server() as server:
        database = warehouse_database(server)
        rebuild(database.owner, drop=True)
        with closing(database.open(_LIMITS)) as engine:
            loaded = load(engine, dataset, say)
            say("  indexes")
            began = time.perf_counter()
            rebuild(database.owner, drop=False)
            with psycopg.connect(database.owner, autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE")
                index_seconds = time.perf_counter() - began
                connection.execute("SET search_path = warehouse, public")
                way = PostgresWay(connection)
                size = int(str(way.ask("SELECT pg_database_size(current_database())")[0][0]))
                say("  asking")
                ways = {"hand": ByHand(way, wide(POSTGRESQL, dataset.listed))}
                ask_all(questions, ways, rounds, answers, compiled=Compiled(engine))
            say("  loading again")
            again = load_again(engine, dataset)
    return Measured(
        "postgresql",
        dataset.facts,
        dataset.patients,
        loaded,
        again,
        size,
        answers,
        index_seconds=index_seconds,
    )
