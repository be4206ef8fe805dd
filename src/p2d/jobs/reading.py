"""Read the ledger's rows inside a transaction that the ledger opened."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Final

from p2d.jobs.counts import SeriesCounts
from p2d.jobs.report import Patients, Progress, RunReport
from p2d.model.errors import NotFound

Row = Mapping[str, str | int | float]
_RUN: Final = (
    "run_id", "kind", "request", "user", "state", "stopping", "patients_total", "patients_done",
    "patients_parked", "expected", "received", "released", "started_at", "updated_at",
)  # fmt: skip
_SUMS: Final = """
SELECT count(*), count(DISTINCT patient || ' ' || study), coalesce(sum(expected), 0),
    coalesce(sum(received), 0), coalesce(sum(max(expected - received, 0)), 0), coalesce(sum(released), 0),
    coalesce(sum(duplicate), 0), coalesce(sum(refused), 0)
FROM line WHERE run_id = ?
"""
_BAD_LINES: Final = """
SELECT count(*) FROM line WHERE run_id = ?1 AND (received > expected
    OR received <> released + duplicate + refused + coalesce((
        SELECT sum(images) FROM withheld WHERE withheld.run_id = line.run_id
        AND withheld.patient = line.patient AND withheld.study = line.study
        AND withheld.series = line.series), 0))
"""


def run_row(db: sqlite3.Connection, run_id: str) -> Row:
    """Return the run's row.

    Raises:
        NotFound: no such run.

    """
    found = db.execute(f"SELECT {', '.join(_RUN)} FROM run WHERE run_id = ?", (run_id,)).fetchone()  # noqa: S608 - the columns are literals
    if found is None:
        raise NotFound("run_id", "no such run", "list the runs")
    return dict(zip(_RUN, found, strict=True))


def state_of(db: sqlite3.Connection, run_id: str, patient: str) -> str:
    """Return the patient's state.

    Raises:
        NotFound: the patient is not in the run.

    """
    found = db.execute(
        "SELECT state FROM patient WHERE run_id = ? AND patient = ?", (run_id, patient)
    ).fetchone()
    if found is None:
        raise NotFound("patient", "is not in this run")
    return str(found[0])


def request(run: Row) -> dict[str, object]:
    """Return the request the run was opened with."""
    found: dict[str, object] = json.loads(str(run["request"]))
    return found


def patients(db: sqlite3.Connection, run_id: str) -> list[str]:
    """Return all patients in the order of the run."""
    found = db.execute("SELECT patient FROM patient WHERE run_id = ? ORDER BY position", (run_id,))
    return [row[0] for row in found]


def lines_of(db: sqlite3.Connection, run_id: str, patient: str) -> Iterator[SeriesCounts]:
    """Yield the patient's lines by study and series."""
    withheld: dict[tuple[str, str], dict[str, int]] = {}
    for study, series, reason, images in db.execute(
        "SELECT study, series, reason, images FROM withheld WHERE run_id = ? AND patient = ?",
        (run_id, patient),
    ):
        withheld.setdefault((study, series), {})[reason] = images
    for study, series, *numbers in db.execute(
        "SELECT study, series, expected, received, released, duplicate, refused FROM line"
        " WHERE run_id = ? AND patient = ? ORDER BY study, series",
        (run_id, patient),
    ):
        expected, received, released, duplicate, refused = numbers
        yield SeriesCounts(
            patient, study, series, expected, received, released, duplicate, refused,
            withheld.get((study, series), {}),
        )  # fmt: skip


def progress(run: Row) -> Progress:
    """Return where the run stands."""
    return Progress(
        patients_total=int(run["patients_total"]),
        patients_done=int(run["patients_done"]),
        parked=int(run["patients_parked"]),
        images_expected=int(run["expected"]),
        images_received=int(run["received"]),
        images_released=int(run["released"]),
        started_at=float(run["started_at"]),
        updated_at=float(run["updated_at"]),
    )


def report(db: sqlite3.Connection, run_id: str) -> RunReport:
    """Return the run's report; the totals kept beside it are compared with the sums of the lines.

    Raises:
        NotFound: no such run.

    """
    run = run_row(db, run_id)
    series, studies, expected, received, missing, released, duplicate, refused = db.execute(
        _SUMS, (run_id,)
    ).fetchone()
    kept = (run["expected"], run["received"], run["released"])
    bad_lines = db.execute(_BAD_LINES, (run_id,)).fetchone()[0]
    withheld = db.execute(
        "SELECT reason, sum(images) FROM withheld WHERE run_id = ? GROUP BY reason", (run_id,)
    )
    notes = db.execute(
        "SELECT text, count(*) FROM note WHERE run_id = ? GROUP BY text ORDER BY min(id)", (run_id,)
    )
    return RunReport(
        run_id=run_id,
        kind=str(run["kind"]),
        user=str(run["user"]),
        request=request(run),
        state=str(run["state"]),
        patients=_patients(db, run),
        expected=expected,
        received=received,
        missing=missing,
        released=released,
        withheld=dict(withheld.fetchall()),
        duplicate=duplicate,
        refused=refused,
        series=series,
        studies=studies,
        notes=tuple(f"{text} ({n} times)" if n > 1 else text for text, n in notes),
        lines_adding_up=not bad_lines and kept == (expected, received, released),
        started_at=float(run["started_at"]),
        updated_at=float(run["updated_at"]),
    )


def _patients(db: sqlite3.Connection, run: Row) -> Patients:
    states: dict[str, dict[str, int]] = {}
    for state, reason, number in db.execute(
        "SELECT state, coalesce(reason, ''), count(*) FROM patient WHERE run_id = ? GROUP BY 1, 2",
        (run["run_id"],),
    ):
        states.setdefault(state, {})[reason] = number
    return Patients(
        total=int(run["patients_total"]),
        done=sum(states.get("done", {}).values()),
        absent=sum(states.get("absent", {}).values()),
        unresolved=states.get("unresolved", {}),
        parked=states.get("parked", {}),
        pending=sum(n for state in ("pending", "extracted") for n in states.get(state, {}).values()),
    )
