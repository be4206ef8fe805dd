"""Whether an engine gives the answers of the obvious evaluator: the suite of every cohort engine.

An engine's test loads ``random_rows(seed)``, draws from ``cohort_questions.questions`` and calls these.
"""

from p2d.model.errors import InvalidRequest
from p2d.testing.cohort_oracle import CohortOracle
from p2d.warehouse.query.nodes import Frame, Query
from p2d.warehouse.query.results import CohortEngine

COUNTED = (Frame.PATIENT, Frame.CASE, Frame.STUDY, Frame.SERIES, Frame.INSTANCE)


def check_patients(engine: CohortEngine, oracle: CohortOracle, query: Query) -> None:
    """Return if the patients of *query* are those of *oracle*, or both refuse to say.

    Raises:
        AssertionError: they are not.

    """
    try:
        expected = oracle.patients(query)
    except ValueError:  # an event whose criteria do not agree on a frame
        try:
            engine.cohort(query)
        except InvalidRequest:
            return
        raise
    found = [str(pseudonym) for pseudonym in engine.cohort(query)]
    assert found == expected, query  # noqa: S101 - a suite for pytest


def check_cohort(engine: CohortEngine, oracle: CohortOracle, query: Query) -> None:
    """Return if the patients of *query* and the number of everything are those of *oracle*.

    Raises:
        AssertionError: they are not.

    """
    check_patients(engine, oracle, query)
    counts, expected = engine.count(query), oracle.counts(query)
    tallies = (counts.patients, counts.cases, counts.studies, counts.series, counts.instances)
    numbers = tuple(tally.number for tally in tallies)
    assert numbers == tuple(expected[frame] for frame in COUNTED), query  # noqa: S101 - as above


def check_table(engine: CohortEngine, oracle: CohortOracle, query: Query) -> None:
    """Return if the table of *query* is that of *oracle*.

    Raises:
        AssertionError: it is not.

    """
    table, expected = engine.table(query, 10_000), oracle.table(query)
    assert list(table.rows) == expected, query  # noqa: S101 - as above
    assert table.total == len(expected), query  # noqa: S101 - as above
