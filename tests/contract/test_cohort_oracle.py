"""Every engine gives the answers of the obvious evaluator, whatever the query and the warehouse."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Final

import pytest
from hypothesis import given, settings

from p2d.model.errors import InvalidRequest
from p2d.testing.cohort_contract import (
    LEVELS,
    LINKS,
    MIXED,
    check_cohort,
    check_header_of_a_study_that_comes_later,
    check_links_follow_accessions,
    check_mixed,
    check_some,
    check_some_facets,
    check_table,
    drawn,
    random_batches,
)
from p2d.testing.cohort_oracle import CohortOracle
from p2d.testing.cohort_questions import ALL_BRANCHES, EVERY, EVERYBODY, question, questions
from p2d.testing.cohort_rows import BRANCHES, random_rows
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.query.as_json import query_json
from p2d.warehouse.query.evaluation import Evaluation
from p2d.warehouse.query.nodes import Query
from p2d.warehouse.query.parse import parse

SEEDS: Final = range(8)


def branches(_: object) -> Mapping[str, frozenset[str]]:
    return BRANCHES


def in_duckdb() -> DuckDbWarehouse:
    return DuckDbWarehouse(None, query_seconds=120.0, branches=branches)


ENGINES: Final = {"duckdb": in_duckdb}
"""How an empty warehouse of each engine is made; another engine adds itself here."""


@cache
def warehouse(engine: str, seed: int) -> tuple[DuckDbWarehouse, CohortOracle]:
    rows = random_rows(seed)
    made = ENGINES[engine]()
    for part in random_batches(rows):
        made.load(part)
    return made, CohortOracle(rows, BRANCHES)


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    yield
    for engine in ENGINES:
        for seed in SEEDS:
            warehouse(engine, seed)[0].close()
    warehouse.cache_clear()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("engine", ENGINES)
def test_two_thousand_queries_are_answered_as_by_the_oracle(engine: str, seed: int) -> None:
    made, oracle = warehouse(engine, seed)

    check_some(made, oracle, seed * 10_000, 250)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("engine", ENGINES)
def test_columns_of_everybody_are_those_of_the_oracle(engine: str, seed: int) -> None:
    made, oracle = warehouse(engine, seed)

    for number in range(25):
        query = question(seed * 1000 + number, LEVELS, ALL_BRANCHES)
        check_table(made, oracle, replace(query, where=EVERYBODY))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("engine", ENGINES)
def test_facets_are_those_of_the_oracle(engine: str, seed: int) -> None:
    made, oracle = warehouse(engine, seed)

    check_some_facets(made, oracle, 500_000 + seed * 1000, 60)


@pytest.mark.parametrize("engine", ENGINES)
def test_facets_of_cohorts_too_large_to_narrow_a_search_are_the_same(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, oracle = warehouse(engine, 1)
    monkeypatch.setattr(Evaluation, "is_narrow", lambda *_: False)

    check_some_facets(made, oracle, 600_000, 120)


def test_values_that_are_numbers_and_texts_rank_as_numbers() -> None:
    rows = random_rows(1)
    made = DuckDbWarehouse(None, branches=lambda _: MIXED)
    for part in random_batches(rows):
        made.load(part)

    check_mixed(made, CohortOracle(rows, MIXED))

    made.close()


@pytest.mark.parametrize(
    ("name", "other", "problem"),
    [
        ("sex", "ICD10", "sex: holds text; equals does not apply to that"),
        ("StudyDate", "StudyDate", "StudyDate: is compared as a day, of which there is no mean"),
    ],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_texts_and_days_have_no_mean(engine: str, name: str, other: str, problem: str) -> None:
    made, _ = warehouse(engine, 1)
    where = {"attribute": name, "equals": {"attribute": other}, "reduce": "mean"}

    with pytest.raises(InvalidRequest, match=problem):
        made.cohort(parse({"version": 2, "where": where}))


ACQUIRED: Final = {
    "attribute": "AcquisitionDate",
    "equals": "2020-02-11",
    "from": "2020-01-30",
    "to": "2020-02-16",
}


@pytest.mark.parametrize("engine", ENGINES)
def test_parts_of_a_statement_that_differ_in_one_column_stay_two(engine: str) -> None:
    made, oracle = warehouse(engine, 1)
    where = {"any": [{"patients": ["P0000000000000007H"]}, {"same": "patient", "where": ACQUIRED}]}

    query = parse({"version": 2, "where": where, "level": "series"})

    assert oracle.table(query)
    check_table(made, oracle, query)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_header_of_a_study_that_comes_later_is_found(engine: str) -> None:
    made = ENGINES[engine]()

    check_header_of_a_study_that_comes_later(made)

    made.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_reports_find_their_study_by_accession_also_where_it_changes(engine: str) -> None:
    made = ENGINES[engine]()

    def links() -> list[tuple[object, ...]]:
        with made.looking() as session:
            return session.rows(LINKS)

    check_links_follow_accessions(made, links)

    made.close()


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("engine", ENGINES)
def test_ten_thousand_queries_are_answered_as_by_the_oracle(engine: str, seed: int) -> None:
    made, oracle = warehouse(engine, seed)

    for _, query in drawn(made, 1_000_000 + seed * 10_000, 1250):
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
