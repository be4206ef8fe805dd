"""The completeness ledger: what a run was asked, what each patient came to, and what is still to do.

State lives in committed rows alone, so a run killed at any point goes on from the last commit. It holds
pseudonyms only. A patient is *done* when the warehouse's receipt says so (``loaded``), never before. Workers
take patients by ``leases``, an operator acts by ``orders``.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from p2d.jobs import counters, lines, orders, reading, records, register
from p2d.jobs.book import Book
from p2d.jobs.claims import Claims
from p2d.jobs.counts import SeriesCounts
from p2d.jobs.lease import Lease
from p2d.jobs.leases import Leases
from p2d.jobs.leasing import workable
from p2d.jobs.orders import Orders
from p2d.jobs.records import Entry, Opening
from p2d.jobs.register import Finding
from p2d.jobs.report import Progress, RunReport
from p2d.jobs.seen import SeenStudies
from p2d.jobs.sqlite import SqliteStore
from p2d.jobs.store import Beside, Db, Store, nothing_beside
from p2d.model.errors import InvalidRequest

__all__ = ["Entry", "Ledger", "Progress", "RunReport"]

T = TypeVar("T")
_NOTHING: Final[Mapping[str, int]] = {}
_NO_TARGETS: Final[Mapping[str, str]] = {}


class Ledger:
    """The ledger on one store; safe to share between threads, and by the store between processes."""

    def __init__(self, store: Store | Path, clock: Callable[[], float] = time.time) -> None:
        """Keep the ledger in *store*; a path is that of an SQLite file, opened or created.

        *clock* returns seconds since the epoch and is used with a path only.

        Raises:
            Misconfigured: the file cannot be opened.

        """
        self._store = SqliteStore(store, clock) if isinstance(store, Path) else store
        self._book = Book(self._store)
        self.leases = Leases(self._book)
        self.orders = Orders(self._book)
        self.seen = SeenStudies(self._book)

    def close(self) -> None:
        """Release the store."""
        self._store.close()

    def claims(self, name: str) -> Claims:
        """Return the claim *name* on work that one process does at a time."""
        return Claims(self._store, name)

    def open_run(
        self,
        kind: str,
        request: Mapping[str, object],
        patients: Sequence[str],
        user: str,
        *,
        targets: Mapping[str, str] = _NO_TARGETS,
        priority: int = 0,
        beside: Beside = nothing_beside,
    ) -> str:
        """Record a new run over *patients* (pseudonyms, each once) and return its id, which sorts by time.

        *targets* says of a patient what is asked beyond its pseudonym, as JSON. *beside* writes what else is
        kept of the run, in the same transaction.

        Raises:
            InvalidRequest: no patient, or one twice, or a priority out of range.

        """
        if not patients:
            raise InvalidRequest("patients", "is empty", "name at least one patient")
        if len(set(patients)) != len(patients):
            raise InvalidRequest("patients", "holds a patient twice", "name each patient once")
        orders.checked(priority)
        opening = self._opening("R", kind, request, user)

        def opened(db: Db) -> None:
            records.open_run(db, opening, len(patients), priority)
            records.enter(db, opening.run_id, patients, targets)
            beside(db, opening.run_id)

        self._store.write(opened)
        return opening.run_id

    def book(self, kind: str, request: Mapping[str, object], entries: Sequence[Entry], user: str) -> str:
        """Record a query that has been answered, one entry a patient; return its id, which sorts by time.

        It is in no list of runs, and no worker ever sees it; report, lines and findings are as a run's.
        """
        opening = self._opening("Q", kind, request, user)
        self._store.write(lambda db: records.book(db, opening, entries))
        return opening.run_id

    def _opening(self, letter: str, kind: str, request: Mapping[str, object], user: str) -> Opening:
        now = self._store.now()
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-%H%M%S")
        run_id = f"{letter}{stamp}-{secrets.token_hex(4)}"
        return Opening(run_id, kind, json.dumps(dict(request), sort_keys=True), user, now)

    def request_of(self, run_id: str) -> dict[str, object]:
        """Return the request the run was opened with.

        Raises:
            NotFound: no such run.

        """
        return self._store.read(lambda db: reading.request(reading.run_row(db, run_id)))

    def user_of(self, run_id: str) -> str:
        """Return who opened the run.

        Raises:
            NotFound: no such run.

        """
        return self._store.read(lambda db: str(reading.run_row(db, run_id)["user"]))

    def targets_of(self, run_id: str, patients: Sequence[str]) -> dict[str, str]:
        """Return what was asked of *patients* beyond their pseudonym, as JSON; of others nothing is kept."""
        return self._store.read(lambda db: records.targets_of(db, run_id, patients))

    def runs(self) -> list[str]:
        """Return the ids of all runs, oldest first; answered queries are none."""
        found = self._store.read(
            lambda db: db.rows(
                "SELECT run_id FROM run WHERE run_id < 'S' AND run_id >= 'R' ORDER BY started_at, run_id"
            )
        )
        return [str(row[0]) for row in found]

    def state(self, run_id: str) -> str:
        """Return the run's state in one word, from one row.

        Raises:
            NotFound: no such run.

        """
        return self._store.read(lambda db: reading.state(reading.run_row(db, run_id)))

    def pending(self, run_id: str) -> list[str]:
        """Return the patients still to do, in the order of the run; the unconfirmed are among them."""

        def look(db: Db) -> list[str]:
            reading.run_row(db, run_id)
            found = db.rows(
                "SELECT patient FROM patient WHERE run_id = :run AND state IN ('pending', 'extracted')"
                " ORDER BY position",
                run=run_id,
            )
            return [str(row[0]) for row in found]

        return self._store.read(look)

    def record(
        self,
        run_id: str,
        batch_id: str,
        patient: str,
        counts: Sequence[SeriesCounts],
        notes: Sequence[str] = (),
        counted: Mapping[str, int] = _NOTHING,
        *,
        lease: Lease | None = None,
    ) -> None:
        """Replace the patient's lines, notes and counters and mark it extracted, waiting for a receipt.

        Raises:
            NotFound: no such run or patient.
            InvalidRequest: the patient is finished, or a line is another patient's, doubled or negative.
            LeaseLost: the patient is not, or no longer, of *lease*; so with the other calls that take one.

        """
        self.record_all(run_id, batch_id, [Entry(patient, counts, notes, counted)], lease=lease)

    def record_all(
        self, run_id: str, batch_id: str, entries: Sequence[Entry], *, lease: Lease | None = None
    ) -> None:
        """Do as ``record`` does with the patients of *entries*, all or none.

        Raises:
            NotFound, InvalidRequest, LeaseLost: as ``record``.

        """
        for entry in entries:
            lines.check(entry.patient, entry.counts)

        def recorded(db: Db) -> None:
            for entry in entries:
                records.record(db, run_id, batch_id, entry, lease)

        self._book.change(run_id, recorded)

    def loaded(self, run_id: str, batch_id: str, *, lease: Lease | None = None) -> None:
        """Mark the batch's patients done: its receipt is there. Asked twice, it changes nothing.

        Raises:
            NotFound: no patient of this run waits in, or was loaded by, that batch.

        """
        self._book.change(run_id, lambda db: records.loaded(db, run_id, batch_id, lease))

    def unconfirmed(self, run_id: str, *, lease: Lease | None = None) -> list[str]:
        """Return the ids of batches that were recorded and have no receipt yet; of *lease* only, if given."""

        def look(db: Db) -> list[str]:
            reading.run_row(db, run_id)
            found = db.rows(
                "SELECT batch_id, lease_id FROM patient"
                " WHERE run_id = :run AND state = 'extracted' ORDER BY position",
                run=run_id,
            )
            mine = [str(batch) for batch, holder in found if lease is None or holder == lease.lease_id]
            return list(dict.fromkeys(mine))

        return self._store.read(look)

    def forget(self, run_id: str, batch_id: str, *, lease: Lease | None = None) -> None:
        """Put the batch's unconfirmed patients back to pending and remove their lines and notes.

        Raises:
            NotFound: no patient of this run waits in, or was loaded by, that batch.

        """
        self._book.change(run_id, lambda db: records.forget(db, run_id, batch_id, lease))

    def fail(
        self,
        run_id: str,
        patient: str,
        reason: str,
        *,
        attempts_allowed: int,
        pause_seconds: float = 0.0,
        lease: Lease | None = None,
    ) -> None:
        """Count a failed attempt; after *attempts_allowed* the patient is parked with *reason*.

        Before that it is not to be worked again for *pause_seconds*, doubled with each attempt.

        Raises:
            NotFound: no such run or patient.
            InvalidRequest: the patient is finished.

        """
        wait = (self._store.now(), pause_seconds)
        self._book.change(
            run_id,
            lambda db: records.fail(db, run_id, patient, reason, lease, allowed=attempts_allowed, wait=wait),
        )

    def absent(self, run_id: str, patient: str, *, lease: Lease | None = None) -> None:
        """Finish a patient of whom the archive has nothing; counted apart from the done.

        Raises:
            NotFound: no such run or patient.
            InvalidRequest: the patient is finished otherwise.

        """
        self._book.change(run_id, lambda db: records.finish(db, run_id, patient, ("absent", None), lease))

    def unresolved(self, run_id: str, patient: str, reason: str, *, lease: Lease | None = None) -> None:
        """Finish a patient whom identity management answers with *reason* (NotFound, Invalid, Ambiguous).

        Raises:
            NotFound: no such run or patient.
            InvalidRequest: the patient is finished otherwise.

        """
        why = reason[: records.LONGEST_REASON]
        self._book.change(run_id, lambda db: records.finish(db, run_id, patient, ("unresolved", why), lease))

    def note(self, run_id: str, text: str) -> None:
        """Add a remark to the run's report; it holds no identifier."""
        self._book.change(run_id, lambda db: records.note(db, run_id, text))

    def describe(self, run_id: str, name: str, text: str) -> None:
        """Keep *text*, which holds no identifier, under *name* beside the run."""
        self._book.change(run_id, lambda db: counters.describe(db, run_id, name, text))

    def counted(self, run_id: str) -> tuple[dict[str, int], dict[str, str]]:
        """Return the run's counters by name, and what was kept beside it by name.

        Raises:
            NotFound: no such run.

        """

        def look(db: Db) -> tuple[dict[str, int], dict[str, str]]:
            reading.run_row(db, run_id)
            return counters.totals(db, run_id), counters.descriptions(db, run_id)

        return self._store.read(look)

    def start(self, run_id: str) -> None:
        """Begin to work the run by a person's will: it becomes ``running``.

        A stop or pause of an earlier working no longer counts; a stop asked for before its first does.

        Raises:
            NotFound: no such run.
            InvalidRequest: it is cancelled.

        """
        if self.state(run_id) != "open":
            self.orders.resume(run_id)
        self._book.change(
            run_id, lambda db: db.rows("UPDATE run SET state = 'running' WHERE run_id = :run", run=run_id)
        )

    def request_stop(self, run_id: str) -> None:
        """Ask whoever works the run to stop after the patient at hand."""
        self._book.change(
            run_id, lambda db: db.rows("UPDATE run SET stopping = 1 WHERE run_id = :run", run=run_id)
        )

    def is_stopping(self, run_id: str) -> bool:
        """Whether a stop was asked for, or the run is held."""
        return not self._store.read(lambda db: workable(reading.run_row(db, run_id)))

    def close_run(self, run_id: str, *, goes_on: bool = False) -> bool:
        """Set the run's state from its rows: completed, stopped (asked to, patients left) or incomplete.

        The rows are counted anew here, once, and compared with the totals; a difference is incomplete. A run
        that others still work, and that nobody asked to stop, goes on; with *goes_on* one that has patients
        left, by a retry that came meanwhile, goes on also while nobody works it, unless it is held. Return
        whether it is closed.
        """

        def closed(db: Db) -> bool:
            report = reading.report(db, run_id, recount=True)
            run = reading.run_row(db, run_id)
            stopping = bool(run["stopping"])
            leased = db.rows("SELECT 1 FROM lease WHERE run_id = :run LIMIT 1", run=run_id)
            if report.patients.pending and not stopping and (leased or (goes_on and workable(run))):
                return False
            left = "stopped" if stopping and report.patients.pending else "incomplete"
            state = "completed" if report.is_complete else left
            db.rows("UPDATE run SET state = :state WHERE run_id = :run", state=state, run=run_id)
            return True

        return self._book.change(run_id, closed)

    def progress(self, run_id: str) -> Progress:
        """Return where the run stands, from a few rows.

        Raises:
            NotFound: no such run.

        """
        now = self._store.now()
        return self._store.read(lambda db: reading.progress(db, reading.run_row(db, run_id), now))

    def report(self, run_id: str, *, recount: bool = False) -> RunReport:
        """Return the run's report from its totals; *recount* proves these by counting all of its rows anew.

        Raises:
            NotFound: no such run.

        """
        return self._store.read(lambda db: reading.report(db, run_id, recount=recount))

    def lines(self, run_id: str) -> Iterator[SeriesCounts]:
        """Yield the run's lines in the order of its patients, read a patient at a time."""
        return (line for line, _ in self.lines_and_retries(run_id))

    def lines_and_retries(self, run_id: str) -> Iterator[tuple[SeriesCounts, int]]:
        """Yield each of ``lines`` with the failed attempts that its patient took."""

        def listed(db: Db) -> list[tuple[str, int]]:
            reading.run_row(db, run_id)
            return reading.patients(db, run_id)

        for patient, retries in self._store.read(listed):
            some = self._store.read(lambda db, one=patient: list(reading.lines_of(db, run_id, one)))  # type: ignore[misc]  # the default binds the loop's patient
            yield from ((line, retries) for line in some)

    def findings(self, run_id: str, kind: str = "", patient: str = "") -> Iterator[Finding]:
        """Yield what of the run does not fit together, of one *kind* or *patient* where stated.

        Raises:
            NotFound: no such run.

        """
        self.state(run_id)
        return register.pages(self._store.read, run_id, kind, patient)
