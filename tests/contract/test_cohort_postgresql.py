"""PostgreSQL gives the answers of the obvious evaluator: 500 random queries on four random warehouses.

A query that names a unit which a warehouse never has is no question to it; another one is drawn.
"""

from collections.abc import Iterator, Mapping
from random import Random

import pytest
from psycopg import RawCursor
from sqlglot import parse_one

from p2d.model.errors import Unavailable
from p2d.testing.cohort_contract import (
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
from p2d.testing.cohort_rows import BRANCHES, random_rows
from p2d.testing.postgres import Postgres
from p2d.testing.warehouse_database import warehouse_database
from p2d.testing.warehouse_rows import batch, patient_psn
from p2d.warehouse.postgresql.dialect import PostgresDialect
from p2d.warehouse.postgresql.engine import Limits, PostgresWarehouse
from p2d.warehouse.query.compile import Compiler
from p2d.warehouse.query.nodes import Frame
from p2d.warehouse.query.parse import parse

pytestmark = pytest.mark.system
QUERIES = 125  # of each seed


def branches(_: object) -> Mapping[str, tuple[str, ...]]:
    return {name: tuple(sorted(held)) for name, held in BRANCHES.items()}


def loaded(server: Postgres, seed: int) -> tuple[PostgresWarehouse, CohortOracle]:
    rows = random_rows(seed)
    database = warehouse_database(server)
    made = PostgresWarehouse(database.logins, limits=Limits(query_seconds=120.0), branches=branches)
    for part in random_batches(rows):
        made.load(part)
    return made, CohortOracle(rows, BRANCHES)


@pytest.fixture(scope="module")
def some(postgres_server: Postgres) -> Iterator[PostgresWarehouse]:
    made, _ = loaded(postgres_server, 1)
    yield made
    made.close()


@pytest.mark.parametrize("seed", range(4))
def test_random_queries_are_answered_as_by_the_oracle(postgres_server: Postgres, seed: int) -> None:
    made, oracle = loaded(postgres_server, seed)

    check_some(made, oracle, seed * 10_000, QUERIES)
    check_some_facets(made, oracle, 500_000 + seed * 1000, 20)
    made.close()


def test_a_header_of_a_study_that_comes_later_is_found(postgres_server: Postgres) -> None:
    made = PostgresWarehouse(warehouse_database(postgres_server).logins)

    check_header_of_a_study_that_comes_later(made)

    made.close()


def test_reports_find_their_study_by_accession_also_where_it_changes(postgres_server: Postgres) -> None:
    database = warehouse_database(postgres_server)
    made = PostgresWarehouse(database.logins)

    check_links_follow_accessions(made, lambda: database.rows(LINKS))

    made.close()


def test_values_that_are_numbers_and_texts_rank_as_numbers(postgres_server: Postgres) -> None:
    rows = random_rows(1)
    made = PostgresWarehouse(warehouse_database(postgres_server).logins, branches=lambda _: MIXED)
    for part in random_batches(rows):
        made.load(part)

    check_mixed(made, CohortOracle(rows, MIXED))

    made.close()


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_two_thousand_queries_are_answered_as_by_the_oracle(postgres_server: Postgres, seed: int) -> None:
    made, oracle = loaded(postgres_server, seed)

    for _, query in drawn(made, 1_000_000 + seed * 10_000, 500):
        check_cohort(made, oracle, query)
        check_table(made, oracle, query)
    made.close()


def test_one_question_sees_one_state_of_the_data(some: PostgresWarehouse) -> None:
    with some.session() as session:
        before = session.version
        some.load(batch({"patient": [{"patient": patient_psn(77)}]}, "more", "clinical"))
        keys = session.keys(parse_one("SELECT patient_key FROM patient"), {})
        assert session.version == before

    with some.session() as session:
        assert session.version == before + 1
        assert len(session.keys(parse_one("SELECT patient_key FROM patient"), {})) == len(keys) + 1


def test_a_question_beyond_its_time_is_ended(postgres_server: Postgres) -> None:
    database = warehouse_database(postgres_server)
    made = database.open(Limits(query_seconds=0.2))

    with pytest.raises(Unavailable, match="took longer"), made.session() as session:
        session.rows(parse_one("SELECT pg_sleep(60)"), {})

    made.close()


def test_a_range_of_codes_is_looked_up_in_an_index(postgres_server: Postgres) -> None:
    database = warehouse_database(postgres_server)
    made = database.open()
    facts = [{"patient": patient_psn(1), "attribute": "ICD10", "code": "I50.1"}]
    made.load(batch({"patient": [{"patient": patient_psn(1)}], "fact": facts}, "codes", "clinical"))
    query = parse({"version": 2, "where": {"attribute": "ICD10", "under": "I00-I99"}})
    dialect = PostgresDialect()
    compiler = Compiler(made.catalogue(), dialect)
    text, values = dialect.statement(compiler.keys(query.where, Frame.PATIENT), compiler.parameters)
    made.close()

    with database.connection() as connection:
        connection.execute("SET enable_seqscan = off")
        connection.execute("DROP INDEX fact_attribute")  # of one row it is as cheap
        plan = RawCursor(connection).execute(f"EXPLAIN {text}".encode(), values).fetchall()

    shown = "\n".join(str(line) for (line,) in plan)
    assert "fact_code" in shown
    assert "fact_text" in shown
    assert shown.count("Index Cond") == 2


def test_a_fact_of_any_length_is_loaded_and_found(postgres_server: Postgres) -> None:
    text = "Z" + "".join(chr(33 + byte % 90) for byte in Random(1).randbytes(20_000))  # noqa: S311 - not to be guessed, only not to be packed
    database = warehouse_database(postgres_server)
    made = database.open()
    facts = [{"patient": patient_psn(1), "attribute": "REMARK", "text": text}]
    made.load(batch({"patient": [{"patient": patient_psn(1)}], "fact": facts}, "long", "clinical"))

    found = made.cohort(parse({"version": 2, "where": {"attribute": "REMARK", "under": "Z"}}))

    assert found == (patient_psn(1),)
    made.close()
