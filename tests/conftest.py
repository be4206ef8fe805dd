"""Profiles of property tests: ``quick`` for the gate, ``full`` for everything else; none has a deadline.

Deadlines measure the machine's load, not the code.
"""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from p2d.testing.postgres import Postgres, postgres

settings.register_profile("quick", max_examples=15, deadline=None)
settings.register_profile("full", deadline=None)
settings.load_profile("full")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """Yield a PostgreSQL that tests share, each in a database of its own (``server.database(name)``)."""
    with postgres() as server:
        yield server
