"""A question that its asker cancels ends at once, on every engine, and the next one is answered."""

import threading
from collections.abc import Iterator

import pytest
from sqlglot import exp, parse_one

from p2d.model.errors import InvalidRequest, P2DError, Unavailable
from p2d.testing.warehouse_database import warehouse_database
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.query.answers import Answers
from p2d.warehouse.query.stopping import Questions

SLOW = {
    "duckdb": "SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b",
    "postgresql": "SELECT 1 FROM pg_sleep(300)",
}


@pytest.fixture(params=["duckdb", pytest.param("postgresql", marks=pytest.mark.system)])
def engine(request: pytest.FixtureRequest) -> Iterator[tuple[Answers, exp.Expr]]:
    """Yield an empty warehouse and a statement that takes minutes on it."""
    if request.param == "duckdb":
        file = DuckDbWarehouse(None, query_seconds=300)
        yield file, parse_one(SLOW["duckdb"], dialect="duckdb")
        file.close()
        return
    server = warehouse_database(request.getfixturevalue("postgres_server")).open()
    yield server, parse_one(SLOW["postgresql"], dialect="postgres")
    server.close()


def test_a_running_statement_is_ended_and_the_next_question_answered(
    engine: tuple[Answers, exp.Expr],
) -> None:
    warehouse, slow = engine
    questions, errors = Questions(), list[P2DError]()
    is_asking = threading.Event()

    def ask() -> None:
        try:
            with questions.named("q1", "somebody"), warehouse.session() as session:
                is_asking.set()
                session.rows(slow.copy(), {})
        except P2DError as error:
            errors.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    assert is_asking.wait(10)
    assert not questions.cancel("q1", "somebody else")
    assert questions.cancel("q1", "somebody")
    asking.join(10)

    assert not asking.is_alive()
    (error,) = errors
    assert isinstance(error, Unavailable)
    assert error.problem == "was cancelled"
    assert not questions.cancel("q1", "somebody")
    with questions.named("q1", "somebody"), warehouse.session() as session:
        assert session.rows(parse_one("SELECT 1 AS one"), {}) == [(1,)]


def test_a_question_cancelled_between_two_statements_ends_at_the_next(
    engine: tuple[Answers, exp.Expr],
) -> None:
    warehouse, slow = engine
    questions = Questions()

    def ask() -> None:
        with questions.named("q1", "somebody"), warehouse.session() as session:
            assert session.rows(parse_one("SELECT 1 AS one"), {}) == [(1,)]
            assert questions.cancel("q1", "somebody")
            session.rows(slow, {})

    with pytest.raises(Unavailable, match="was cancelled"):
        ask()


def test_two_questions_of_one_name_and_asker_are_refused() -> None:
    questions = Questions()

    def ask() -> None:
        with questions.named("q1", "a"):
            raise AssertionError

    with questions.named("q1", "a"), questions.named("q1", "b"), pytest.raises(InvalidRequest, match="way"):
        ask()
    assert not questions.cancel("q1", "a")
