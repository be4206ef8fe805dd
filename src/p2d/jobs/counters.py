"""Numbers by name that a run adds up beside its lines, without knowing what they count.

A patient's numbers are written with its lines and leave with them. When its batch has a receipt they move to
the run's own row (patient ``''``), so that a long run keeps one row a name.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from p2d.jobs.store import Db
from p2d.model.errors import InvalidRequest

_SETTLED: Final = ""


def write(db: Db, run_id: str, patient: str, counters: Mapping[str, int]) -> None:
    """Write *counters* of a patient that has none.

    Raises:
        InvalidRequest: a negative number.

    """
    if any(times < 0 for times in counters.values()):
        raise InvalidRequest("counters", "hold a negative number")
    db.many(
        "INSERT INTO counter (run_id, patient, name, times) VALUES (:run, :patient, :name, :times)",
        [
            {"run": run_id, "patient": patient, "name": name, "times": times}
            for name, times in counters.items()
        ],
    )


def settle(db: Db, run_id: str, patients: Sequence[str]) -> None:
    """Move the numbers of *patients* to the run's own, in the transaction that ends them."""
    sums: Counter[str] = Counter()
    for patient in patients:
        for name, times in db.rows(
            "SELECT name, times FROM counter WHERE run_id = :run AND patient = :patient",
            run=run_id,
            patient=patient,
        ):
            sums[str(name)] += int(times)
    db.many(
        "INSERT INTO counter (run_id, patient, name, times) VALUES (:run, :settled, :name, :times)"
        " ON CONFLICT (run_id, patient, name) DO UPDATE SET times = counter.times + excluded.times",
        [{"run": run_id, "settled": _SETTLED, "name": name, "times": times} for name, times in sums.items()],
    )
    db.many(
        "DELETE FROM counter WHERE run_id = :run AND patient = :patient",
        [{"run": run_id, "patient": patient} for patient in patients],
    )


def totals(db: Db, run_id: str) -> dict[str, int]:
    """Return the sums by name, those of patients without receipt included."""
    found = db.rows(
        "SELECT name, sum(times) FROM counter WHERE run_id = :run GROUP BY name ORDER BY name", run=run_id
    )
    return {str(name): int(times) for name, times in found}


def describe(db: Db, run_id: str, name: str, text: str) -> None:
    """Keep *text* under *name* beside the run; a later text of the same name replaces it."""
    db.rows(
        "INSERT INTO described (run_id, name, text) VALUES (:run, :name, :text)"
        " ON CONFLICT (run_id, name) DO UPDATE SET text = excluded.text",
        run=run_id,
        name=name,
        text=text,
    )


def descriptions(db: Db, run_id: str) -> dict[str, str]:
    """Return what was kept beside the run, by name."""
    found = db.rows("SELECT name, text FROM described WHERE run_id = :run ORDER BY name", run=run_id)
    return {str(name): str(text) for name, text in found}
