"""Share a run's patients among workers, inside transactions that the ledger opened.

A lease is short and renewed by its living holder. What a dead one held is taken over: the patients it was
amid count an attempt, for one may be what killed the holder; the others go back untouched. A patient with a
failed attempt is leased alone, so that one that kills its workers takes no other with it.
"""

from collections.abc import Collection
from typing import Final

from p2d.jobs import reading, records
from p2d.jobs.lease import Lease, LeaseLost
from p2d.jobs.store import Db, Row
from p2d.jobs.workers import is_dead

Span = tuple[int, int]
"""Positions of patients in their run: from the first, up to but not including the second."""
WHOLE: Final[Span] = (0, 2**53)
_DIED: Final = "its worker died while at it"
_WAITING: Final = (
    "FROM patient WHERE run_id = :run AND state = 'extracted' AND lease_id IS NULL ORDER BY position"
)
"""Ordered so that SQLite finds them by their state: it has no idea how few they are."""
_READY: Final = """
SELECT patient, attempts FROM patient
WHERE run_id = :run AND {due} AND position >= :first AND position < :last
ORDER BY ready_at, position LIMIT :most
"""


READY_RUNS: Final = """
SELECT run_id FROM run WHERE state IN ('open', 'running') AND held IS NULL AND stopping = 0
AND EXISTS (SELECT 1 FROM patient WHERE patient.run_id = run.run_id AND ready_at <= :now)
ORDER BY priority DESC, started_at, run_id
"""


def workable(run: reading.Row) -> bool:
    """Whether workers may take patients of the run."""
    return run["held"] is None and not run["stopping"]


def take(
    db: Db, run_id: str, worker: str, *, most: int, seconds: float, now: float, span: Span
) -> Lease | None:
    """Lease up to *most* patients that are ready, the untried first; None when there is none."""
    where = {"run": run_id, "first": span[0], "last": span[1], "most": most}
    found = db.rows(_READY.format(due="ready_at = 0"), **where)
    if not found:
        found = db.rows(_READY.format(due="ready_at > 0 AND ready_at <= :now"), now=now, **where)
    if not found:
        return None
    is_retry = bool(found[0][1])
    untried = (str(patient) for patient, attempts in found if not attempts)
    some = (str(found[0][0]),) if is_retry else tuple(untried)
    db.rows("UPDATE run SET state = 'running' WHERE run_id = :run AND state <> 'running'", run=run_id)
    lease_id = _grant(db, run_id, worker, now + seconds)
    db.many(
        "UPDATE patient SET lease_id = :lease, ready_at = NULL WHERE run_id = :run AND patient = :patient",
        [{"lease": lease_id, "run": run_id, "patient": patient} for patient in some],
    )
    return Lease(lease_id, run_id, worker, some, seconds, is_retry)


def spans(db: Db, run_id: str, *, size: int, most: int, now: float) -> list[Span]:
    """Return up to *most* spans of *size* positions with a patient that is ready, the untried first."""
    found: dict[int, Span] = {}
    start = 0
    while len(found) < most:
        rows = db.rows(
            "SELECT position FROM patient WHERE run_id = :run AND ready_at = 0 AND position >= :start"
            " ORDER BY position LIMIT 1",
            run=run_id,
            start=start,
        )
        if not rows:
            break
        number = int(rows[0][0]) // size
        start = (number + 1) * size
        found[number] = (number * size, start)
    for (position,) in db.rows(
        "SELECT position FROM patient WHERE run_id = :run AND ready_at > 0 AND ready_at <= :now"
        " ORDER BY ready_at LIMIT :most",
        run=run_id,
        now=now,
        most=most - len(found),
    ):
        number = int(position) // size
        found.setdefault(number, (number * size, (number + 1) * size))
    return list(found.values())


def _grant(db: Db, run_id: str, worker: str, expires_at: float) -> int:
    found = db.rows(
        "INSERT INTO lease (run_id, worker, expires_at) VALUES (:run, :worker, :expires) RETURNING lease_id",
        run=run_id,
        worker=worker,
        expires=expires_at,
    )
    return int(found[0][0])


def renew(db: Db, lease: Lease, expires_at: float) -> None:
    """Extend the lease.

    Raises:
        LeaseLost: it ended.

    """
    found = db.rows(
        "UPDATE lease SET expires_at = :expires WHERE lease_id = :lease RETURNING lease_id",
        expires=expires_at,
        lease=lease.lease_id,
    )
    if not found:
        raise LeaseLost


def mark(db: Db, lease: Lease, patient: str, *, is_begun: bool) -> None:
    """Note whether the holder is amid *patient*.

    Raises:
        LeaseLost: the lease ended.

    """
    found = db.rows(
        "UPDATE patient SET begun = :begun"
        " WHERE run_id = :run AND patient = :patient AND lease_id = :lease RETURNING lease_id",
        begun=int(is_begun),
        run=lease.run_id,
        patient=patient,
        lease=lease.lease_id,
    )
    if not found:
        raise LeaseLost


def end(db: Db, lease: Lease) -> None:
    """End the lease: what of it is pending is ready for others at once; an ended one changes nothing."""
    _release(db, lease.lease_id)
    db.rows("DELETE FROM lease WHERE lease_id = :lease", lease=lease.lease_id)


def _release(db: Db, lease_id: int) -> None:
    db.rows(
        "UPDATE patient SET lease_id = NULL, begun = 0,"
        " ready_at = CASE WHEN state = 'pending' THEN 0 ELSE NULL END WHERE lease_id = :lease",
        lease=lease_id,
    )


def abandoned(db: Db, run_id: str, now: float, dead: Collection[str]) -> bool:
    """Whether a lease of a worker that is gone, or a batch that nobody holds, waits to be taken over."""
    return bool(_gone(db, run_id, now, dead)) or bool(db.rows(f"SELECT 1 {_WAITING} LIMIT 1", run=run_id))


def _gone(db: Db, run_id: str, now: float, dead: Collection[str]) -> list[Row]:
    found = db.rows(
        "SELECT lease_id, expires_at, worker FROM lease WHERE run_id = :run ORDER BY lease_id",
        run=run_id,
    )
    return [row for row in found if row[2] in dead or float(row[1]) <= now or is_dead(str(row[2]))]


def take_over(
    db: Db, run_id: str, worker: str, *, seconds: float, now: float, allowed: int, dead: str
) -> Lease | None:
    """End the leases of workers that are gone, and lease what waits for a receipt; None when nothing does."""
    for lease_id, _, holder in _gone(db, run_id, now, {dead, worker}):
        if holder != worker:
            _blame(db, run_id, int(lease_id), now=now, allowed=allowed)
        _release(db, int(lease_id))
        db.rows("DELETE FROM lease WHERE lease_id = :lease", lease=lease_id)
    waiting = db.rows(f"SELECT patient {_WAITING}", run=run_id)
    if not waiting:
        return None
    lease = _grant(db, run_id, worker, now + seconds)
    db.many(
        "UPDATE patient SET lease_id = :lease WHERE run_id = :run AND patient = :patient",
        [{"lease": lease, "run": run_id, "patient": patient} for (patient,) in waiting],
    )
    return Lease(lease, run_id, worker, tuple(str(patient) for (patient,) in waiting), seconds)


def _blame(db: Db, run_id: str, lease_id: int, *, now: float, allowed: int) -> None:
    found = db.rows(
        "SELECT patient FROM patient WHERE lease_id = :lease AND begun = 1 AND state = 'pending'",
        lease=lease_id,
    )
    for (patient,) in found:
        records.missed(db, run_id, str(patient), "pending", _DIED, allowed=allowed, wait=(now, 0.0))


def next_due(db: Db, run_id: str, now: float) -> float | None:
    """Return in how many seconds a patient is ready or a lease may have ended; None when all is finished."""
    ready = db.rows(
        "SELECT ready_at FROM patient WHERE run_id = :run AND ready_at IS NOT NULL ORDER BY ready_at LIMIT 1",
        run=run_id,
    )
    ends = db.rows("SELECT min(expires_at) FROM lease WHERE run_id = :run", run=run_id)
    waiting = db.rows(f"SELECT 0.0 {_WAITING} LIMIT 1", run=run_id)
    times = [float(row[0]) for row in (*ready, *ends, *waiting) if row[0] is not None]
    return max(min(times) - now, 0.0) if times else None
