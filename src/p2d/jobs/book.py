"""One way to change a run: its row is held first, so that its writers take turns on either engine."""

from collections.abc import Callable
from typing import Final, TypeVar

from p2d.jobs import reading, totals
from p2d.jobs.store import Db, Store

T = TypeVar("T")
_PACE_SECONDS: Final = 60.0
"""After so long a mark of the pace is set anew; the one before it is kept."""


class Book:
    """The store with the order in which runs are changed."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def change(self, run_id: str, change: Callable[[Db], T]) -> T:
        """Run *change* in one transaction on the run, and note when it was.

        Raises:
            NotFound: no such run.
            Unavailable: as ``Store.write``.

        """
        now = self.store.now()

        def changed(db: Db) -> T:
            run = reading.run_row(db, run_id, locked=True)
            result = change(db)
            db.rows("UPDATE run SET updated_at = :now WHERE run_id = :run", now=now, run=run_id)
            if run["pace_at"] is None or now - float(run["pace_at"]) >= _PACE_SECONDS:
                db.rows(
                    "UPDATE run SET pace_before_at = pace_at, pace_before_done = pace_done, pace_at = :now,"
                    " pace_done = :done WHERE run_id = :run",
                    now=now,
                    done=totals.finished(totals.read(db, run_id)),
                    run=run_id,
                )
            return result

        return self.store.write(changed)
