"""Write the lines of one patient inside a transaction that the ledger opened."""

import sqlite3
from collections.abc import Sequence

from p2d.jobs.counts import SeriesCounts
from p2d.model.errors import InvalidRequest


def check(patient: str, counts: Sequence[SeriesCounts]) -> None:
    """Let *counts* of *patient* pass.

    Raises:
        InvalidRequest: a line is another patient's, doubled or negative.

    """
    if any(line.patient != patient for line in counts):
        raise InvalidRequest("counts", "hold a line of another patient")
    if len({(line.study, line.series) for line in counts}) != len(counts):
        raise InvalidRequest("counts", "hold a series twice")
    numbers = (
        number
        for line in counts
        for number in (
            line.expected,
            line.received,
            line.released,
            line.duplicate,
            line.refused,
            *line.withheld.values(),
        )
    )
    if any(number < 0 for number in numbers):
        raise InvalidRequest("counts", "hold a negative number")


def write(db: sqlite3.Connection, run_id: str, counts: Sequence[SeriesCounts]) -> None:
    """Write *counts* as lines of a patient that has none."""
    db.executemany(
        "INSERT INTO line VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (run_id, c.patient, c.study, c.series, c.expected, c.received, c.released, c.duplicate, c.refused)
            for c in counts
        ),
    )
    db.executemany(
        "INSERT INTO withheld VALUES (?, ?, ?, ?, ?, ?)",
        (
            (run_id, c.patient, c.study, c.series, str(reason), images)
            for c in counts
            for reason, images in c.withheld.items()
        ),
    )
