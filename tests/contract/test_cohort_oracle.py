"""Every engine gives the answers of the obvious evaluator, whatever the query and the warehouse."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Final

import pytest
from hypothesis import given, settings

from p2d.model.errors import InvalidRequest
from p2d.testing.cohort_contract import check_cohort, check_patients, check_table
from p2d.testing.cohort_oracle import CohortOracle
from p2d.testing.cohort_questions import ALL_BRANCHES, EVERY, EVERYBODY, question, questions
from p2d.testing.cohort_rows import BRANCHES, random_rows
from p2d.testing.warehouse_rows import Rows, batch
from p2d.warehouse.batch import Batch
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.query.as_json import query_json
from p2d.warehouse.query.attributes import resolve
from p2d.warehouse.query.nodes import Frame, Query
from p2d.warehouse.query.parse import parse

SEEDS: Final = range(8)
LEVELS: Final = tuple(frame for frame in Frame if frame not in {Frame.DOCUMENT, Frame.GROUP})


def branches(_: object) -> Mapping[str, frozenset[str]]:
    return BRANCHES


def in_duckdb() -> DuckDbWarehouse:
    return DuckDbWarehouse(None, query_seconds=120.0, branches=branches)


ENGINES: Final = {"duckdb": in_duckdb}
"""How an empty warehouse of each engine is made; another engine adds itself here."""


def batches(rows: Rows) -> Iterator[Batch]:
    clinical = {name: rows.get(name, []) for name in ("patient", "case", "document", "fact")}
    imaging = {name: rows.get(name, []) for name in ("study", "series", "instance", "header")}
    yield batch(clinical, "clinical", "clinical")
    yield batch(imaging, "extended", "extended")


@cache
def warehouse(engine: str, seed: int) -> tuple[DuckDbWarehouse, CohortOracle]:
    rows = random_rows(seed)
    made = ENGINES[engine]()
    for part in batches(rows):
        made.load(part)
    return made, CohortOracle(rows, BRANCHES)


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    yield
    for engine in ENGINES:
        for seed in SEEDS:
            warehouse(engine, seed)[0].close()
    warehouse.cache_clear()


def asked(engine: str, seed: int, first: int, count: int) -> Iterator[tuple[int, Query]]:
    """Draw *count* queries; one of a unit that this warehouse never has is no question to it."""
    made, _ = warehouse(engine, seed)
    catalogue = made.catalogue()
    found = 0
    for number in range(first, first + 4 * count):
        query = question(number, LEVELS, ALL_BRANCHES)
        try:
            resolve(query, catalogue)
        except InvalidRequest:
            continue
        yield found, query
        found += 1
        if found == count:
            return
    raise AssertionError(f"only {found} of {count} queries are questions to this warehouse")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("engine", ENGINES)
def test_two_thousand_queries_are_answered_as_by_the_oracle(engine: str, seed: int) -> None:
    made, oracle = warehouse(engine, seed)

    for number, query in asked(engine, seed, seed * 10_000, 250):
        check_patients(made, oracle, query)
        if number % 6 == 0:
            check_cohort(made, oracle, query)
        if number % 6 == 3:
            check_table(made, oracle, query)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("engine", ENGINES)
def test_columns_of_everybody_are_those_of_the_oracle(engine: str, seed: int) -> None:
    made, oracle = warehouse(engine, seed)

    for number in range(25):
        query = question(seed * 1000 + number, LEVELS, ALL_BRANCHES)
        check_table(made, oracle, replace(query, where=EVERYBODY))


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("engine", ENGINES)
def test_ten_thousand_queries_are_answered_as_by_the_oracle(engine: str, seed: int) -> None:
    made, oracle = warehouse(engine, seed)

    for _, query in asked(engine, seed, 1_000_000 + seed * 10_000, 1250):
        check_cohort(made, oracle, query)
        check_table(made, oracle, query)


@given(query=questions(LEVELS, ALL_BRANCHES))
@settings(max_examples=50, deadline=None)
def test_what_is_asked_can_be_written_as_json(query: Query) -> None:
    assert parse(query_json(query)) == query


@pytest.mark.parametrize("seed", SEEDS)
def test_the_random_warehouses_hold_every_attribute(seed: int) -> None:
    made, oracle = warehouse("duckdb", seed)

    assert set(EVERY) <= set(made.catalogue().names)
    assert made.catalogue().names == oracle.catalogue.names
