"""Numbers by name that a run adds up beside its lines, without knowing what they count.

A patient's numbers are written with its lines and leave with them. When its batch has a receipt they move to
the run's own row (patient ``''``), so that a long run keeps one row a name.
"""

import sqlite3
from collections.abc import Mapping
from typing import Final

from p2d.model.errors import InvalidRequest

_SETTLED: Final = ""


def write(db: sqlite3.Connection, run_id: str, patient: str, counters: Mapping[str, int]) -> None:
    """Write *counters* of a patient that has none.

    Raises:
        InvalidRequest: a negative number.

    """
    if any(times < 0 for times in counters.values()):
        raise InvalidRequest("counters", "hold a negative number")
    db.executemany(
        "INSERT INTO counter VALUES (?, ?, ?, ?)",
        ((run_id, patient, name, times) for name, times in counters.items()),
    )


def settle(db: sqlite3.Connection, run_id: str, batch_id: str) -> None:
    """Move the numbers of a batch's patients to the run's own; called in the transaction that ends them."""
    condition = (
        "run_id = ?1 AND patient IN"
        " (SELECT patient FROM patient WHERE run_id = ?1 AND batch_id = ?2 AND state = 'extracted')"
    )
    db.execute(
        "INSERT INTO counter SELECT ?1, ?3, name, sum(times) FROM counter"  # noqa: S608 - the condition is a literal
        f" WHERE {condition} GROUP BY name"
        " ON CONFLICT DO UPDATE SET times = times + excluded.times",
        (run_id, batch_id, _SETTLED),
    )
    db.execute(f"DELETE FROM counter WHERE {condition}", (run_id, batch_id))  # noqa: S608 - as above


def totals(db: sqlite3.Connection, run_id: str) -> dict[str, int]:
    """Return the sums by name, those of patients without receipt included."""
    found = db.execute(
        "SELECT name, sum(times) FROM counter WHERE run_id = ? GROUP BY name ORDER BY name", (run_id,)
    )
    return dict(found.fetchall())


def describe(db: sqlite3.Connection, run_id: str, name: str, text: str) -> None:
    """Keep *text* under *name* beside the run; a later text of the same name replaces it."""
    db.execute("INSERT OR REPLACE INTO described VALUES (?, ?, ?)", (run_id, name, text))


def descriptions(db: sqlite3.Connection, run_id: str) -> dict[str, str]:
    """Return what was kept beside the run, by name."""
    found = db.execute("SELECT name, text FROM described WHERE run_id = ? ORDER BY name", (run_id,))
    return dict(found.fetchall())
