"""Leases of a ledger's patients, for workers that share its runs."""

from p2d.jobs import leasing, reading
from p2d.jobs.book import Book
from p2d.jobs.lease import Lease
from p2d.jobs.leasing import WHOLE, Span
from p2d.jobs.store import Db


class Leases:
    """Takes, renews and ends leases; each call is one short transaction."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def runs(self) -> list[str]:
        """Return the ids of runs that workers may work, the first to work first: by priority, then by age."""
        found = self._book.store.read(
            lambda db: db.rows(
                "SELECT run_id FROM run WHERE state IN ('open', 'running') AND held IS NULL AND stopping = 0"
                " ORDER BY priority DESC, started_at, run_id"
            )
        )
        return [str(row[0]) for row in found]

    def ready(self) -> list[str]:
        """Return those of ``runs`` that have a patient that nobody works and that may be worked now."""
        now = self._book.store.now()
        found = self._book.store.read(lambda db: db.rows(leasing.READY_RUNS, now=now))
        return [str(row[0]) for row in found]

    def spans(self, run_id: str, size: int, most: int) -> list[Span]:
        """Return up to *most* spans of *size* positions that hold a patient that may be worked now."""
        now = self._book.store.now()
        return self._book.store.read(lambda db: leasing.spans(db, run_id, size=size, most=most, now=now))

    def take(
        self, run_id: str, worker: str, *, most: int, seconds: float, span: Span = WHOLE
    ) -> Lease | None:
        """Lease up to *most* patients that are ready, for *seconds*; the run becomes ``running``.

        None when none is ready within *span* (positions in the run) or the run is held or being stopped. A
        patient with a failed attempt comes alone.

        Raises:
            NotFound: no such run.

        """
        now = self._book.store.now()

        def taken(db: Db) -> Lease | None:
            if not leasing.workable(reading.run_row(db, run_id)):
                return None
            return leasing.take(db, run_id, worker, most=most, seconds=seconds, now=now, span=span)

        return self._book.change(run_id, taken)

    def take_over(
        self, run_id: str, worker: str, *, seconds: float, attempts_allowed: int, dead: str = ""
    ) -> Lease | None:
        """End the leases of workers that are gone; return one over patients that wait for a receipt, if any.

        Gone is who let its lease run out, whose process on this machine has ended, and *dead*. The patients
        that it was amid count a failed attempt. What *worker* itself could not give back goes back as it was.

        Raises:
            NotFound: no such run.

        """
        now = self._book.store.now()
        if not self._book.store.read(lambda db: leasing.abandoned(db, run_id, now, {dead, worker})):
            return None
        return self._book.change(
            run_id,
            lambda db: leasing.take_over(
                db, run_id, worker, seconds=seconds, now=now, allowed=attempts_allowed, dead=dead
            ),
        )

    def abandoned(self, run_id: str, worker: str = "") -> bool:
        """Whether something waits to be taken over: of those that are gone, or left by *worker* itself."""
        now = self._book.store.now()
        return self._book.store.read(lambda db: leasing.abandoned(db, run_id, now, {worker}))

    def begin(self, lease: Lease, patient: str) -> bool:
        """Note that the holder is amid *patient*; return whether the run is to go on.

        Raises:
            LeaseLost: the lease ended.

        """

        def begun(db: Db) -> bool:
            leasing.mark(db, lease, patient, is_begun=True)
            return leasing.workable(reading.run_row(db, lease.run_id))

        return self._book.store.write(begun, durable=False)

    def leave(self, lease: Lease, patient: str) -> None:
        """Note that the holder is through with *patient*.

        Raises:
            LeaseLost: the lease ended.

        """
        self._book.store.write(lambda db: leasing.mark(db, lease, patient, is_begun=False), durable=False)

    def renew(self, lease: Lease) -> None:
        """Extend the lease by its seconds from now.

        Raises:
            LeaseLost: it ended.

        """
        expires_at = self._book.store.now() + lease.seconds
        self._book.store.write(lambda db: leasing.renew(db, lease, expires_at), durable=False)

    def end(self, lease: Lease) -> None:
        """End the lease: what of it is pending is ready for others at once; an ended one changes nothing."""
        self._book.change(lease.run_id, lambda db: leasing.end(db, lease))

    def pending(self, lease: Lease) -> list[str]:
        """Return the patients of the lease that are pending, in the order of the run."""
        found = self._book.store.read(
            lambda db: db.rows(
                "SELECT patient FROM patient WHERE lease_id = :lease AND state = 'pending' ORDER BY position",
                lease=lease.lease_id,
            )
        )
        return [str(row[0]) for row in found]

    def workers(self, run_id: str) -> list[str]:
        """Return the names of workers that hold patients of the run now."""
        found = self._book.store.read(
            lambda db: db.rows(
                "SELECT DISTINCT worker FROM lease WHERE run_id = :run ORDER BY worker", run=run_id
            )
        )
        return [str(row[0]) for row in found]

    def next_due(self, run_id: str) -> float | None:
        """Return in how many seconds there may be work again; None when every patient is finished."""
        now = self._book.store.now()
        return self._book.store.read(lambda db: leasing.next_due(db, run_id, now))
