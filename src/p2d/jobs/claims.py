"""Work that is done by one process at a time, by name: claimed, renewed, given back; what was done last."""

from p2d.jobs.store import Db, Row, Store
from p2d.jobs.workers import is_dead


class Claims:
    """The claim *name* in a store that all processes and machines share."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name

    def take(self, worker: str, seconds: float) -> bool:
        """Claim for *worker* (see ``p2d.jobs.workers``) and *seconds*; False while a living one has it."""
        now = self._store.now()

        def taken(db: Db) -> bool:
            holder, expires_at, _ = self._row(db)
            if holder not in {None, worker} and expires_at > now and not is_dead(str(holder)):
                return False
            self._set(db, worker, now + seconds)
            return True

        return self._store.write(taken)

    def renew(self, worker: str, seconds: float) -> bool:
        """Keep the claim for *seconds* from now; False when it is not *worker*'s any more."""
        now = self._store.now()

        def renewed(db: Db) -> bool:
            if self._row(db)[0] != worker:
                return False
            self._set(db, worker, now + seconds)
            return True

        return self._store.write(renewed)

    def give_back(self, worker: str) -> None:
        """End the claim, if it is *worker*'s."""

        def given_back(db: Db) -> None:
            if self._row(db)[0] == worker:
                self._set(db, None, None)

        self._store.write(given_back)

    def is_taken(self) -> bool:
        """Whether a living worker has it."""
        now = self._store.now()
        found = self._store.read(
            lambda db: db.rows(
                "SELECT worker FROM claim WHERE name = :name AND expires_at > :now", name=self._name, now=now
            )
        )
        return any(not is_dead(str(worker)) for (worker,) in found)

    def noted(self) -> str:
        """Return what was noted last, or an empty text."""
        found = self._store.read(
            lambda db: db.rows("SELECT noted FROM claim WHERE name = :name", name=self._name)
        )
        return str(found[0][0] or "") if found else ""

    def note(self, text: str) -> None:
        """Keep *text* as what was done last."""

        def noted(db: Db) -> None:
            self._row(db)
            db.rows("UPDATE claim SET noted = :text WHERE name = :name", text=text, name=self._name)

        self._store.write(noted)

    def _row(self, db: Db) -> Row:
        """Return worker, end and note of the claim, its row held until the transaction ends."""
        db.rows("INSERT INTO claim (name) VALUES (:name) ON CONFLICT (name) DO NOTHING", name=self._name)
        return db.rows(
            f"SELECT worker, expires_at, noted FROM claim WHERE name = :name{db.locked}",  # noqa: S608 - literals
            name=self._name,
        )[0]

    def _set(self, db: Db, worker: str | None, expires_at: float | None) -> None:
        db.rows(
            "UPDATE claim SET worker = :worker, expires_at = :expires WHERE name = :name",
            worker=worker,
            expires=expires_at,
            name=self._name,
        )
