"""The ledger's two engines, for its contract tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from p2d.jobs.ledger import Ledger
from p2d.testing.ledgers import Engine, PostgresEngine, SqliteEngine


@pytest.fixture(params=[SqliteEngine, pytest.param(PostgresEngine, marks=pytest.mark.system)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    made: Engine = (
        SqliteEngine(tmp_path / "state" / "ledger.sqlite")
        if request.param is SqliteEngine
        else PostgresEngine(request.getfixturevalue("postgres_server"))
    )
    yield made
    made.close()


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    return engine.ledger()
