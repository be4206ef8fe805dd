"""Read the ledger's rows inside a transaction that the ledger opened."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from p2d.jobs import totals
from p2d.jobs.counts import SeriesCounts
from p2d.jobs.report import Patients, Progress, RunReport
from p2d.jobs.store import Db, first
from p2d.model.errors import NotFound

Row = Mapping[str, str | int | float | None]
MOST_NOTES: Final = 1000
"""Notes that a report prints; the others are counted."""
_RUN: Final = (
    "run_id", "kind", "request", '"user"', "state", "held", "stopping", "priority", "patients_total",
    "started_at", "updated_at", "pace_at", "pace_done", "pace_before_at", "pace_before_done",
)  # fmt: skip


def run_row(db: Db, run_id: str, *, locked: bool = False) -> Row:
    """Return the run's row; *locked* keeps every other writer of this run out until the transaction ends.

    Raises:
        NotFound: no such run.

    """
    suffix = db.locked if locked else ""
    found = first(db.rows(f"SELECT {', '.join(_RUN)} FROM run WHERE run_id = :run{suffix}", run=run_id))  # noqa: S608 - literals
    if found is None:
        raise NotFound("run_id", "no such run", "list the runs")
    return dict(zip((name.strip('"') for name in _RUN), found, strict=True))


def state_of(db: Db, run_id: str, patient: str) -> tuple[str, int | None]:
    """Return the patient's state and the number of the lease that holds it.

    Raises:
        NotFound: the patient is not in the run.

    """
    found = first(
        db.rows(
            "SELECT state, lease_id FROM patient WHERE run_id = :run AND patient = :patient",
            run=run_id,
            patient=patient,
        )
    )
    if found is None:
        raise NotFound("patient", "is not in this run")
    return str(found[0]), found[1]


def request(run: Row) -> dict[str, object]:
    """Return the request the run was opened with."""
    found: dict[str, object] = json.loads(str(run["request"]))
    return found


def patients(db: Db, run_id: str) -> list[tuple[str, int]]:
    """Return all patients in the order of the run, each with its failed attempts."""
    found = db.rows("SELECT patient, attempts FROM patient WHERE run_id = :run ORDER BY position", run=run_id)
    return [(str(patient), int(attempts)) for patient, attempts in found]


def lines_of(db: Db, run_id: str, patient: str) -> Iterator[SeriesCounts]:
    """Yield the patient's lines by study and series."""
    key = {"run": run_id, "patient": patient}
    withheld: dict[tuple[str, str], dict[str, int]] = {}
    for study, series, reason, images in db.rows(
        "SELECT study, series, reason, images FROM withheld WHERE run_id = :run AND patient = :patient", **key
    ):
        withheld.setdefault((study, series), {})[reason] = images
    for study, series, *numbers in db.rows(
        "SELECT study, series, expected, received, released, duplicate, refused FROM line"
        " WHERE run_id = :run AND patient = :patient ORDER BY study, series",
        **key,
    ):
        expected, received, released, duplicate, refused = numbers
        yield SeriesCounts(
            patient, study, series, expected, received, released, duplicate, refused,
            withheld.get((study, series), {}),
        )  # fmt: skip


def state(run: Row) -> str:
    """Return the state that is shown: what an operator ordered goes before what was found."""
    return str(run["held"] or run["state"])


def progress(db: Db, run: Row, now: float) -> Progress:
    """Return where the run stands *now*, from its totals."""
    run_id, sums = str(run["run_id"]), totals.read(db, str(run["run_id"]))
    counted = _patients(run, sums)
    done = counted.total - counted.pending - sum(counted.parked.values())
    return Progress(
        patients_total=counted.total,
        patients_done=done,
        parked=sum(counted.parked.values()),
        images_expected=sums.get("expected", 0),
        images_received=sums.get("received", 0),
        images_released=sums.get("released", 0),
        started_at=float(run["started_at"] or 0),
        updated_at=float(run["updated_at"] or 0),
        state=state(run),
        patients_pending=counted.pending,
        patients_leased=_leased(db, run_id),
        priority=int(run["priority"] or 0),
        patients_per_minute=_pace(run, done, now),
    )


def _leased(db: Db, run_id: str) -> int:
    """Return how many patients workers hold; lease by lease, for no engine knows how few these are."""
    return sum(
        int(db.rows("SELECT count(*) FROM patient WHERE lease_id = :lease", lease=lease)[0][0])
        for (lease,) in db.rows("SELECT lease_id FROM lease WHERE run_id = :run", run=run_id)
    )


def _pace(run: Row, done: int, now: float) -> float:
    """Return patients finished a minute, over the last one or two of them."""
    marks = [(run["pace_before_at"], run["pace_before_done"]), (run["pace_at"], run["pace_done"])]
    for at, before in marks:
        if at is not None and before is not None and now > float(at):
            return max(done - int(before), 0) * 60 / (now - float(at))
    return 0.0


def report(db: Db, run_id: str, *, recount: bool = False) -> RunReport:
    """Return the run's report from its totals; *recount* compares these with the sums of all rows.

    Raises:
        NotFound: no such run.

    """
    run, sums = run_row(db, run_id), totals.read(db, run_id)
    adding_up = not sums.get(totals.OFF) and (not recount or sums == totals.recounted(db, run_id))
    return RunReport(
        run_id=run_id,
        kind=str(run["kind"]),
        user=str(run["user"]),
        request=request(run),
        state=state(run),
        patients=_patients(run, sums),
        expected=sums.get("expected", 0),
        received=sums.get("received", 0),
        missing=sums.get("missing", 0),
        released=sums.get("released", 0),
        withheld=_by_reason(sums, totals.WITHHELD),
        duplicate=sums.get("duplicate", 0),
        refused=sums.get("refused", 0),
        series=sums.get("series", 0),
        studies=sums.get("studies", 0),
        notes=_notes(db, run_id, sums.get(totals.NOTES, 0)),
        inconsistencies=_by_reason(sums, totals.FOUND),
        lines_adding_up=adding_up,
        started_at=float(run["started_at"] or 0),
        updated_at=float(run["updated_at"] or 0),
        priority=int(run["priority"] or 0),
    )


def _notes(db: Db, run_id: str, number: int) -> tuple[str, ...]:
    found = db.rows(
        "SELECT text FROM note WHERE run_id = :run ORDER BY id LIMIT :most", run=run_id, most=MOST_NOTES
    )
    texts = Counter(str(text) for (text,) in found)
    shown = [f"{text} ({n} times)" if n > 1 else text for text, n in texts.items()]
    return (*shown, *([f"… and {number - len(found)} more notes"] if number > len(found) else []))


def _by_reason(sums: totals.Totals, prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): n for name, n in sorted(sums.items()) if name.startswith(prefix)}


def _patients(run: Row, sums: totals.Totals) -> Patients:
    return Patients(
        total=int(run["patients_total"] or 0),
        done=sums.get("patients done", 0),
        absent=sums.get("patients absent", 0),
        unresolved=_by_reason(sums, totals.UNRESOLVED),
        parked=_by_reason(sums, totals.PARKED),
        pending=sums.get("patients pending", 0) + sums.get("patients extracted", 0),
    )
