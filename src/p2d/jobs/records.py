"""What becomes of patients, written inside a transaction that the ledger opened; totals change with it.

Whoever holds a lease writes under it; without one only patients that nobody holds may be written.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from p2d.jobs import counters, lines, reading, register, totals
from p2d.jobs.counts import SeriesCounts
from p2d.jobs.lease import Lease, LeaseLost
from p2d.jobs.register import Finding
from p2d.jobs.report import FINISHED
from p2d.jobs.store import Db
from p2d.model.errors import InvalidRequest, NotFound

TO_DO: Final = ("pending", "extracted")
_ANSWERED: Final = "answered"
_OF_PATIENT: Final = ("line", "note", "counter", "inconsistency")
LONGEST_REASON: Final = 300
LONGEST_PAUSE: Final = 60.0
Wait = tuple[float, float]
"""The time now, and the seconds to wait after a first failed attempt, doubled with each further one."""


def enter(db: Db, run_id: str, patients: Sequence[str], targets: Mapping[str, str]) -> None:
    """Write the patients of a new run."""
    db.many(
        "INSERT INTO patient (run_id, patient, position, target, ready_at)"
        " VALUES (:run, :patient, :position, :target, 0)",
        (
            {"run": run_id, "patient": patient, "position": position, "target": targets.get(patient)}
            for position, patient in enumerate(map(str, patients))
        ),
    )
    totals.add(db, run_id, {totals.of_state("pending", None): len(patients)})


def targets_of(db: Db, run_id: str, patients: Sequence[str]) -> dict[str, str]:
    """Return what was asked of *patients* beyond their pseudonym."""
    found = {}
    for patient in patients:
        for (target,) in db.rows(
            "SELECT target FROM patient WHERE run_id = :run AND patient = :patient AND target IS NOT NULL",
            run=run_id,
            patient=patient,
        ):
            found[patient] = str(target)
    return found


def note(db: Db, run_id: str, text: str) -> None:
    """Add a remark to the run."""
    db.rows("INSERT INTO note (run_id, text) VALUES (:run, :text)", run=run_id, text=text)
    totals.add(db, run_id, {totals.NOTES: 1})


def require(db: Db, run_id: str, patient: str, states: tuple[str, ...], lease: Lease | None) -> str:
    """Return the patient's state, which is one of *states*, its row held by *lease* or by nobody.

    Raises:
        NotFound: the patient is not in the run.
        LeaseLost: it is not, or no longer, of *lease*.
        InvalidRequest: it is in another state, or a worker holds it and no lease is shown.

    """
    state, holder = reading.state_of(db, run_id, patient)
    if lease is not None and holder != lease.lease_id:
        raise LeaseLost
    if state not in states:
        what = "finished" if state in FINISHED else state
        raise InvalidRequest("patient", f"is already {what} in this run", "open another run")
    if lease is None and holder is not None:
        raise InvalidRequest("patient", "is held by a worker", "show its lease")
    return state


def held(db: Db, lease: Lease | None) -> None:
    """Let a lease pass that still counts.

    Raises:
        LeaseLost: it does not.

    """
    if lease is not None and not db.rows("SELECT 1 FROM lease WHERE lease_id = :lease", lease=lease.lease_id):
        raise LeaseLost


@dataclass(frozen=True, slots=True)
class Entry:
    """What the ledger keeps of a patient that was extracted: lines, notes, numbers by name, findings."""

    patient: str
    counts: Sequence[SeriesCounts]
    notes: Sequence[str] = ()
    counted: Mapping[str, int] = field(default_factory=dict)
    findings: Sequence[Finding] = ()


@dataclass(frozen=True, slots=True)
class Opening:
    """A run to be opened: its id, what kind it is, its request as JSON, who asked, and when."""

    run_id: str
    kind: str
    request: str
    user: str
    now: float


def open_run(db: Db, opening: Opening, patients: int, priority: int = 0) -> None:
    """Write the row of a new run over so many *patients*."""
    db.rows(
        'INSERT INTO run (run_id, kind, request, "user", state, priority, patients_total, started_at,'
        " updated_at) VALUES (:run, :kind, :request, :user, 'open', :priority, :total, :now, :now)",
        run=opening.run_id,
        kind=opening.kind,
        request=opening.request,
        user=opening.user,
        priority=priority,
        total=patients,
        now=opening.now,
    )


def book(db: Db, opening: Opening, entries: Sequence[Entry]) -> None:
    """Write a query that has been answered, with what became of each patient."""
    run_id = opening.run_id
    open_run(db, opening, len(entries))
    enter(db, run_id, [entry.patient for entry in entries], {})
    for entry in entries:
        if entry.counts:
            record(db, run_id, _ANSWERED, entry, None)
        else:
            finish(db, run_id, entry.patient, ("absent", None), None)
    if any(entry.counts for entry in entries):
        loaded(db, run_id, _ANSWERED, None)
    state = "completed" if reading.report(db, run_id).is_complete else "incomplete"
    db.rows("UPDATE run SET state = :state WHERE run_id = :run", state=state, run=run_id)


def record(db: Db, run_id: str, batch_id: str, entry: Entry, lease: Lease | None) -> None:
    """Replace the lines, notes and counters of a patient; it is extracted and waits for a receipt."""
    patient, counts, notes, counted = entry.patient, entry.counts, entry.notes, entry.counted
    state = require(db, run_id, patient, (*TO_DO, "parked"), lease)
    change = cleared(db, run_id, patient, state)
    lines.write(db, run_id, counts)
    counters.write(db, run_id, patient, counted)
    db.many(
        "INSERT INTO note (run_id, patient, text) VALUES (:run, :patient, :text)",
        [{"run": run_id, "patient": patient, "text": text} for text in notes],
    )
    register.write(db, run_id, entry.findings)
    change.update(totals.of_lines(counts))
    change.update(totals.of_findings(entry.findings))
    change[totals.NOTES] += len(notes)
    change[totals.of_state("extracted", None)] += 1
    db.rows(
        "UPDATE patient SET state = 'extracted', batch_id = :batch, reason = NULL, ready_at = NULL,"
        " expected = :expected, received = :received, released = :released"
        " WHERE run_id = :run AND patient = :patient",
        run=run_id,
        batch=batch_id,
        patient=patient,
        expected=sum(line.expected for line in counts),
        received=sum(line.received for line in counts),
        released=sum(line.released for line in counts),
    )
    totals.add(db, run_id, change)


def _mine(db: Db, run_id: str, batch_id: str, lease: Lease | None) -> list[dict[str, object]]:
    """Return the keys of the batch's unconfirmed patients that are of *lease* (None: of nobody).

    Raises:
        LeaseLost: the lease does not count any more.
        NotFound: the batch is unknown.

    """
    held(db, lease)
    known = db.rows(
        "SELECT 1 FROM patient WHERE run_id = :run AND batch_id = :batch LIMIT 1", run=run_id, batch=batch_id
    )
    if not known:
        raise NotFound("batch_id", "is not known in this run")
    found = db.rows(
        "SELECT patient, lease_id FROM patient"
        " WHERE run_id = :run AND state = 'extracted' AND batch_id = :batch ORDER BY position",
        run=run_id,
        batch=batch_id,
    )
    whose = lease.lease_id if lease else None
    return [{"run": run_id, "patient": patient} for patient, holder in found if holder == whose]


def loaded(db: Db, run_id: str, batch_id: str, lease: Lease | None) -> None:
    """Mark the batch's patients done: its receipt is there."""
    mine = _mine(db, run_id, batch_id, lease)
    counters.settle(db, run_id, [str(key["patient"]) for key in mine])
    db.many(
        "UPDATE patient SET state = 'done', lease_id = NULL, begun = 0, ready_at = NULL"
        " WHERE run_id = :run AND patient = :patient",
        mine,
    )
    totals.add(db, run_id, {"patients extracted": -len(mine), "patients done": len(mine)})


def forget(db: Db, run_id: str, batch_id: str, lease: Lease | None) -> None:
    """Put the batch's unconfirmed patients back to pending, still of *lease*, without lines and notes."""
    mine = _mine(db, run_id, batch_id, lease)
    change: Counter[str] = Counter()
    for key in mine:
        change.update(cleared(db, run_id, str(key["patient"]), "extracted"))
    db.many(
        "UPDATE patient SET state = 'pending', batch_id = NULL,"
        " ready_at = CASE WHEN lease_id IS NULL THEN 0 ELSE NULL END,"
        " expected = 0, received = 0, released = 0 WHERE run_id = :run AND patient = :patient",
        mine,
    )
    change["patients pending"] += len(mine)
    totals.add(db, run_id, change)


def finish(db: Db, run_id: str, patient: str, end: tuple[str, str | None], lease: Lease | None) -> None:
    """End a patient that has no lines, in a state with its reason (*end*)."""
    state = require(db, run_id, patient, (*TO_DO, "parked", end[0]), lease)
    _leave(db, run_id, patient, cleared(db, run_id, patient, state), end, None)


def fail(
    db: Db, run_id: str, patient: str, reason: str, lease: Lease | None, *, allowed: int, wait: Wait
) -> None:
    """Count a failed attempt: after *allowed* of them the patient is parked, before it waits (*wait*)."""
    state = require(db, run_id, patient, (*TO_DO, "parked"), lease)
    missed(db, run_id, patient, state, reason, allowed=allowed, wait=wait)


def missed(db: Db, run_id: str, patient: str, state: str, reason: str, *, allowed: int, wait: Wait) -> None:
    """Count an attempt that came to nothing, whoever made it; see ``fail``."""
    change = cleared(db, run_id, patient, state)
    attempts = 1 + int(
        db.rows(
            "SELECT attempts FROM patient WHERE run_id = :run AND patient = :patient",
            run=run_id,
            patient=patient,
        )[0][0]
    )
    db.rows(
        "UPDATE patient SET attempts = :attempts WHERE run_id = :run AND patient = :patient",
        attempts=attempts,
        run=run_id,
        patient=patient,
    )
    end = "parked" if attempts >= allowed else "pending"
    now, pause = wait
    ready_at = now + min(pause * 2 ** min(attempts - 1, 16), LONGEST_PAUSE)
    _leave(db, run_id, patient, change, (end, reason[:LONGEST_REASON]), None if end == "parked" else ready_at)


def _leave(
    db: Db,
    run_id: str,
    patient: str,
    change: Counter[str],
    end: tuple[str, str | None],
    ready_at: float | None,
) -> None:
    state, reason = end
    db.rows(
        "UPDATE patient SET state = :state, batch_id = NULL, reason = :reason, lease_id = NULL, begun = 0,"
        " ready_at = :ready, expected = 0, received = 0, released = 0"
        " WHERE run_id = :run AND patient = :patient",
        state=state,
        reason=reason,
        ready=ready_at,
        run=run_id,
        patient=patient,
    )
    change[totals.of_state(state, reason)] += 1
    totals.add(db, run_id, change)


def cleared(db: Db, run_id: str, patient: str, state: str) -> Counter[str]:
    """Remove the patient's lines, notes, counters; return what that, and leaving *state*, adds to totals."""
    change: Counter[str] = Counter()
    (reason,) = db.rows(
        "SELECT reason FROM patient WHERE run_id = :run AND patient = :patient", run=run_id, patient=patient
    )[0]
    change[totals.of_state(state, reason)] -= 1
    if state != "pending":  # a pending patient has none
        change.subtract(totals.summed(db, run_id, totals.ONE, patient=patient))
        for table in _OF_PATIENT:
            db.rows(
                f"DELETE FROM {table} WHERE run_id = :run AND patient = :patient",  # noqa: S608 - literals
                run=run_id,
                patient=patient,
            )
    return change
