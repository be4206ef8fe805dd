"""What an operator orders of a run: pause, resume, cancel, priority, another try for those given up."""

from collections import Counter
from typing import Final

from p2d.jobs import reading, totals
from p2d.jobs.book import Book
from p2d.jobs.store import Db
from p2d.model.errors import InvalidRequest

PRIORITIES: Final = range(-100, 101)
"""The higher goes first; 0 unless ordered otherwise."""


class Orders:
    """The orders of one ledger; each raises NotFound (unknown run) or InvalidRequest (a cancelled one)."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def pause(self, run_id: str) -> None:
        """Keep workers from the run until it is resumed; the patients at hand are finished.

        Raises:
            InvalidRequest: the run is completed.

        """
        self._book.change(run_id, lambda db: _hold(db, run_id, "paused"))

    def cancel(self, run_id: str) -> None:
        """Keep workers from the run for good; what is loaded stays loaded.

        Raises:
            InvalidRequest: the run is completed.

        """
        self._book.change(run_id, lambda db: _hold(db, run_id, "cancelled"))

    def resume(self, run_id: str) -> None:
        """Let workers take the run again; a stop or pause that was asked for no longer counts."""
        now = self._book.store.now()
        self._book.change(run_id, lambda db: _resume(db, run_id, now))

    def prioritise(self, run_id: str, priority: int) -> None:
        """Give the run a priority from -100 to 100: workers take patients of the highest first.

        Raises:
            InvalidRequest: it is out of range.

        """
        checked(priority)
        self._book.change(
            run_id,
            lambda db: db.rows(
                "UPDATE run SET priority = :priority WHERE run_id = :run", priority=priority, run=run_id
            ),
        )

    def retry(self, run_id: str) -> int:
        """Put the patients that were given up back to pending, with all their attempts; return how many.

        Where there are any, a stop that was asked for no longer counts.
        """
        return self._book.change(run_id, lambda db: _retry(db, run_id))


def checked(priority: int) -> int:
    """Return *priority*.

    Raises:
        InvalidRequest: it is out of range.

    """
    if priority not in PRIORITIES:
        raise InvalidRequest("priority", f"is not between {PRIORITIES[0]} and {PRIORITIES[-1]}")
    return priority


def _run(db: Db, run_id: str) -> reading.Row:
    run = reading.run_row(db, run_id)
    if run["held"] == "cancelled":
        raise InvalidRequest("run_id", "is cancelled", "open another run")
    return run


def _hold(db: Db, run_id: str, how: str) -> None:
    if _run(db, run_id)["state"] == "completed":
        raise InvalidRequest("run_id", "is completed; there is nothing left to do")
    db.rows("UPDATE run SET held = :held WHERE run_id = :run", held=how, run=run_id)


def _resume(db: Db, run_id: str, now: float) -> None:
    state = str(_run(db, run_id)["state"])
    db.rows(
        "UPDATE run SET stopping = 0, held = NULL, state = :state, pace_at = :now, pace_done = :done,"
        " pace_before_at = NULL, pace_before_done = NULL WHERE run_id = :run",
        state=state if state in {"open", "running", "completed"} else "open",
        now=now,
        done=totals.finished(totals.read(db, run_id)),
        run=run_id,
    )


def _retry(db: Db, run_id: str) -> int:
    _run(db, run_id)
    parked = {name: n for name, n in totals.read(db, run_id).items() if name.startswith(totals.PARKED)}
    number = sum(parked.values())
    if not number:
        return 0
    db.rows(
        "UPDATE patient SET state = 'pending', attempts = 0, reason = NULL, ready_at = 0"
        " WHERE run_id = :run AND state = 'parked'",
        run=run_id,
    )
    totals.add(db, run_id, Counter({name: -n for name, n in parked.items()} | {"patients pending": number}))
    db.rows(
        "UPDATE run SET stopping = 0, state = CASE WHEN state = 'running' THEN state ELSE 'open' END"
        " WHERE run_id = :run",
        run=run_id,
    )
    return number
