"""The completeness ledger: what a run was asked, what each patient came to, and what is still to do.

State lives in committed rows alone, so a run killed at any point goes on from the last commit. It holds
pseudonyms only. A patient is *done* when the warehouse's receipt says so (``loaded``), never before.
"""

import fcntl
import json
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Final

from p2d.jobs import counters, lines, reading
from p2d.jobs.counts import SeriesCounts
from p2d.jobs.report import FINISHED, Progress, RunReport
from p2d.jobs.store import Store
from p2d.model.errors import InvalidRequest, NotFound, Unavailable

__all__ = ["Ledger", "Progress", "RunReport"]

_NOTHING: Final[Mapping[str, int]] = {}
_TO_DO: Final = ("pending", "extracted")
_LONGEST_REASON: Final = 300
_OF_PATIENT: Final = "patient = ?2"
_OF_BATCH: Final = (
    "patient IN (SELECT patient FROM patient WHERE run_id = ?1 AND batch_id = ?2 AND state = 'extracted')"
)


class Ledger:
    """The ledger in one SQLite file; safe to share between threads, and between processes by path."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        """Open or create the ledger at *path*; *clock* returns seconds since the epoch.

        Raises:
            Misconfigured: the file cannot be opened.

        """
        schema = files("p2d.jobs").joinpath("schema.sql").read_text(encoding="utf-8")
        self._store = Store(path, schema)
        self._locks = path.with_name(f"{path.name}.locks")
        self._clock = clock

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def open_run(self, kind: str, request: Mapping[str, object], patients: Sequence[str], user: str) -> str:
        """Record a new run over *patients* (pseudonyms, each once) and return its id, which sorts by time.

        Raises:
            InvalidRequest: no patient, or one twice.

        """
        if not patients:
            raise InvalidRequest("patients", "is empty", "name at least one patient")
        if len(set(patients)) != len(patients):
            raise InvalidRequest("patients", "holds a patient twice", "name each patient once")
        now = self._clock()
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-%H%M%S")
        run_id = f"R{stamp}-{secrets.token_hex(4)}"
        with self._store.writing() as db:
            db.execute(
                "INSERT INTO run (run_id, kind, request, user, state, started_at, updated_at)"
                " VALUES (?, ?, ?, ?, 'open', ?, ?)",
                (run_id, kind, json.dumps(dict(request), sort_keys=True), user, now, now),
            )
            db.executemany(
                "INSERT INTO patient (run_id, patient, position) VALUES (?, ?, ?)",
                ((run_id, str(patient), position) for position, patient in enumerate(patients)),
            )
        return run_id

    def request_of(self, run_id: str) -> dict[str, object]:
        """Return the request the run was opened with.

        Raises:
            NotFound: no such run.

        """
        with self._store.reading() as db:
            return reading.request(reading.run_row(db, run_id))

    def runs(self) -> list[str]:
        """Return the ids of all runs, oldest first."""
        with self._store.reading() as db:
            return [row[0] for row in db.execute("SELECT run_id FROM run ORDER BY started_at, run_id")]

    def pending(self, run_id: str) -> list[str]:
        """Return the patients still to do, in the order of the run; the unconfirmed are among them."""
        with self._store.reading() as db:
            reading.run_row(db, run_id)
            found = db.execute(
                "SELECT patient FROM patient WHERE run_id = ? AND state IN ('pending', 'extracted')"
                " ORDER BY position",
                (run_id,),
            )
            return [row[0] for row in found]

    def record(
        self,
        run_id: str,
        batch_id: str,
        patient: str,
        counts: Sequence[SeriesCounts],
        notes: Sequence[str] = (),
        counted: Mapping[str, int] = _NOTHING,
    ) -> None:
        """Replace the patient's lines, notes and counters and mark it extracted, waiting for a receipt.

        Raises:
            NotFound: no such run or patient.
            InvalidRequest: the patient is finished, or a line is another patient's, doubled or negative.

        """
        lines.check(patient, counts)
        with self._changing(run_id, patient) as db:
            _require(db, run_id, patient, ("pending", "extracted", "parked"))
            _clear(db, run_id, _OF_PATIENT, patient)
            lines.write(db, run_id, counts)
            counters.write(db, run_id, patient, counted)
            db.executemany(
                "INSERT INTO note (run_id, patient, text) VALUES (?, ?, ?)",
                ((run_id, patient, text) for text in notes),
            )
            db.execute(
                "UPDATE patient SET state = 'extracted', batch_id = ?, reason = NULL,"
                " expected = ?, received = ?, released = ? WHERE run_id = ? AND patient = ?",
                (
                    batch_id,
                    sum(line.expected for line in counts),
                    sum(line.received for line in counts),
                    sum(line.released for line in counts),
                    run_id,
                    patient,
                ),
            )

    def loaded(self, run_id: str, batch_id: str) -> None:
        """Mark the batch's patients done: its receipt is there. Asked twice, it changes nothing.

        Raises:
            NotFound: no patient of this run waits in, or was loaded by, that batch.

        """
        with self._changing(run_id) as db:
            _require_batch(db, run_id, batch_id)
            counters.settle(db, run_id, batch_id)
            db.execute(
                "UPDATE patient SET state = 'done' WHERE run_id = ? AND batch_id = ? AND state = 'extracted'",
                (run_id, batch_id),
            )

    def unconfirmed(self, run_id: str) -> list[str]:
        """Return the ids of batches that were recorded and have no receipt yet."""
        with self._store.reading() as db:
            reading.run_row(db, run_id)
            found = db.execute(
                "SELECT batch_id FROM patient WHERE run_id = ? AND state = 'extracted'"
                " GROUP BY batch_id ORDER BY min(position)",
                (run_id,),
            )
            return [row[0] for row in found]

    def forget(self, run_id: str, batch_id: str) -> None:
        """Put the batch's unconfirmed patients back to pending and remove their lines and notes.

        Raises:
            NotFound: no patient of this run waits in, or was loaded by, that batch.

        """
        with self._changing(run_id) as db:
            _require_batch(db, run_id, batch_id)
            _clear(db, run_id, _OF_BATCH, batch_id)
            db.execute(
                "UPDATE patient SET state = 'pending', batch_id = NULL,"
                " expected = 0, received = 0, released = 0"
                " WHERE run_id = ? AND batch_id = ? AND state = 'extracted'",
                (run_id, batch_id),
            )

    def fail(self, run_id: str, patient: str, reason: str, *, attempts_allowed: int) -> None:
        """Count a failed attempt; after *attempts_allowed* the patient is parked with *reason*.

        Raises:
            NotFound: no such run or patient.
            InvalidRequest: the patient is finished.

        """
        with self._changing(run_id, patient) as db:
            _require(db, run_id, patient, (*_TO_DO, "parked"))
            _clear(db, run_id, _OF_PATIENT, patient)
            db.execute(
                "UPDATE patient SET attempts = attempts + 1, batch_id = NULL, reason = ?,"
                " state = CASE WHEN attempts + 1 >= ? THEN 'parked' ELSE 'pending' END,"
                " expected = 0, received = 0, released = 0 WHERE run_id = ? AND patient = ?",
                (reason[:_LONGEST_REASON], attempts_allowed, run_id, patient),
            )

    def absent(self, run_id: str, patient: str) -> None:
        """Finish a patient of whom the archive has nothing; counted apart from the done.

        Raises:
            NotFound: no such run or patient.
            InvalidRequest: the patient is finished otherwise.

        """
        self._finish(run_id, patient, "absent", None)

    def unresolved(self, run_id: str, patient: str, reason: str) -> None:
        """Finish a patient whom identity management answers with *reason* (NotFound, Invalid, Ambiguous).

        Raises:
            NotFound: no such run or patient.
            InvalidRequest: the patient is finished otherwise.

        """
        self._finish(run_id, patient, "unresolved", reason[:_LONGEST_REASON])

    def note(self, run_id: str, text: str) -> None:
        """Add a remark to the run's report; it holds no identifier."""
        with self._changing(run_id) as db:
            db.execute("INSERT INTO note (run_id, text) VALUES (?, ?)", (run_id, text))

    def describe(self, run_id: str, name: str, text: str) -> None:
        """Keep *text*, which holds no identifier, under *name* beside the run."""
        with self._changing(run_id) as db:
            counters.describe(db, run_id, name, text)

    def counted(self, run_id: str) -> tuple[dict[str, int], dict[str, str]]:
        """Return the run's counters by name, and what was kept beside it by name.

        Raises:
            NotFound: no such run.

        """
        with self._store.reading() as db:
            reading.run_row(db, run_id)
            return counters.totals(db, run_id), counters.descriptions(db, run_id)

    def request_stop(self, run_id: str) -> None:
        """Ask whoever works the run to stop after the patient at hand."""
        with self._changing(run_id) as db:
            db.execute("UPDATE run SET stopping = 1 WHERE run_id = ?", (run_id,))

    def is_stopping(self, run_id: str) -> bool:
        """Whether a stop was asked for."""
        with self._store.reading() as db:
            return bool(reading.run_row(db, run_id)["stopping"])

    def close_run(self, run_id: str) -> None:
        """Set the run's state from its rows: completed, stopped (asked to, patients left) or incomplete."""
        with self._changing(run_id) as db:
            report = reading.report(db, run_id)
            stopping = bool(reading.run_row(db, run_id)["stopping"])
            left = "stopped" if stopping and report.patients.pending else "incomplete"
            state = "completed" if report.is_complete else left
            db.execute("UPDATE run SET state = ? WHERE run_id = ?", (state, run_id))

    def progress(self, run_id: str) -> Progress:
        """Return where the run stands, from one row.

        Raises:
            NotFound: no such run.

        """
        with self._store.reading() as db:
            return reading.progress(reading.run_row(db, run_id))

    def report(self, run_id: str) -> RunReport:
        """Return the run's report, counted anew from its lines.

        Raises:
            NotFound: no such run.

        """
        with self._store.reading() as db:
            return reading.report(db, run_id)

    def lines(self, run_id: str) -> Iterator[SeriesCounts]:
        """Yield the run's lines in the order of its patients, read a patient at a time."""
        with self._store.reading() as db:
            reading.run_row(db, run_id)
            patients = reading.patients(db, run_id)
        for patient in patients:
            with self._store.reading() as db:
                found = list(reading.lines_of(db, run_id, patient))
            yield from found

    @contextmanager
    def claim(self, run_id: str) -> Iterator[None]:
        """Hold the run for this worker alone; the kernel releases the lock of a killed one.

        The run becomes ``running``. A stop asked for during an earlier working of the run no longer counts;
        one asked for before its first does.

        Raises:
            NotFound: no such run.
            Unavailable: another worker holds it.

        """
        self.request_of(run_id)
        self._locks.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(self._locks / f"{run_id}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Unavailable(
                    "run", "is worked by another process", "wait for it, or ask it to stop"
                ) from None
            with self._changing(run_id) as db:
                db.execute(
                    "UPDATE run SET stopping = stopping AND state = 'open', state = 'running'"
                    " WHERE run_id = ?",
                    (run_id,),
                )
            yield
        finally:
            os.close(lock)

    @contextmanager
    def _changing(self, run_id: str, patient: str | None = None) -> Iterator[sqlite3.Connection]:
        with self._store.writing() as db:
            reading.run_row(db, run_id)
            if patient is not None:
                reading.state_of(db, run_id, patient)
            yield db
            db.execute("UPDATE run SET updated_at = ? WHERE run_id = ?", (self._clock(), run_id))

    def _finish(self, run_id: str, patient: str, state: str, reason: str | None) -> None:
        with self._changing(run_id, patient) as db:
            _require(db, run_id, patient, (*_TO_DO, "parked", state))
            _clear(db, run_id, _OF_PATIENT, patient)
            db.execute(
                "UPDATE patient SET state = ?, batch_id = NULL, reason = ?,"
                " expected = 0, received = 0, released = 0"
                " WHERE run_id = ? AND patient = ?",
                (state, reason, run_id, patient),
            )


def _require(db: sqlite3.Connection, run_id: str, patient: str, states: tuple[str, ...]) -> None:
    state = reading.state_of(db, run_id, patient)
    if state not in states:
        what = "finished" if state in FINISHED else state
        raise InvalidRequest("patient", f"is already {what} in this run", "open another run")


def _require_batch(db: sqlite3.Connection, run_id: str, batch_id: str) -> None:
    found = db.execute(
        "SELECT 1 FROM patient WHERE run_id = ? AND batch_id = ?", (run_id, batch_id)
    ).fetchone()
    if not found:
        raise NotFound("batch_id", "is not known in this run")


def _clear(db: sqlite3.Connection, run_id: str, condition: str, argument: str) -> None:
    for table in ("line", "note", "counter"):
        db.execute(f"DELETE FROM {table} WHERE run_id = ?1 AND {condition}", (run_id, argument))  # noqa: S608 - both parts are literals of this module
