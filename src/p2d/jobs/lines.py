"""Write the lines of one patient inside a transaction that the ledger opened."""

from collections.abc import Sequence

from p2d.jobs.counts import SeriesCounts
from p2d.jobs.store import Db
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


def write(db: Db, run_id: str, counts: Sequence[SeriesCounts]) -> None:
    """Write *counts* as lines of a patient that has none."""
    keys = [{"run": run_id, "patient": c.patient, "study": c.study, "series": c.series} for c in counts]
    db.many(
        "INSERT INTO line (run_id, patient, study, series, expected, received, released, duplicate, refused)"
        " VALUES (:run, :patient, :study, :series, :expected, :received, :released, :duplicate, :refused)",
        [
            {
                **key,
                "expected": c.expected,
                "received": c.received,
                "released": c.released,
                "duplicate": c.duplicate,
                "refused": c.refused,
            }
            for key, c in zip(keys, counts, strict=True)
        ],
    )
    db.many(
        "INSERT INTO withheld (run_id, patient, study, series, reason, images)"
        " VALUES (:run, :patient, :study, :series, :reason, :images)",
        [
            {**key, "reason": str(reason), "images": images}
            for key, c in zip(keys, counts, strict=True)
            for reason, images in c.withheld.items()
        ],
    )
