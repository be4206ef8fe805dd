"""One governor for several machines: its book in a row of PostgreSQL, locked for each short transaction.

The database's clock is the only one that counts. Needs the extra p2d[postgresql].
"""

import contextlib
import json
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import psycopg

from p2d.model.errors import Unavailable
from p2d.pacs.governor.book import Book, new_book
from p2d.pacs.governor.killswitch import KillSwitch
from p2d.pacs.governor.local import ended
from p2d.pacs.governor.port import Ask, Lease, Load, Report, Wait, Why
from p2d.pacs.governor.state import held_of, plain, restore, state_of
from p2d.settings.governor import Governing

T = TypeVar("T")
LEASE_SECONDS: Final = 30.0
_STOPPED_POLL: Final = 1.0
_SECONDS: Final = 5
_SCHEMA_LOCK: Final = 7_033_150  # any number of our own
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS p2d_governor (
    archive text PRIMARY KEY, state json NOT NULL, stopped_by text, stopped_at timestamptz);
CREATE TABLE IF NOT EXISTS p2d_governor_lease (
    lease_id text PRIMARY KEY, archive text NOT NULL REFERENCES p2d_governor, lease json NOT NULL);
CREATE INDEX IF NOT EXISTS p2d_governor_lease_archive ON p2d_governor_lease (archive)
"""
_NOW: Final = "SELECT extract(epoch FROM clock_timestamp())::float8"
_STATE: Final = "SELECT state, stopped_by, stopped_at FROM p2d_governor WHERE archive = %s"
_LEASES: Final = "SELECT lease_id, lease FROM p2d_governor_lease WHERE archive = %s"
_STORE: Final = """
INSERT INTO p2d_governor_lease (lease_id, archive, lease) VALUES (%s, %s, %s)
ON CONFLICT (lease_id) DO UPDATE SET lease = EXCLUDED.lease
"""


class PostgresGovernor:
    """*archive*'s governor among all processes that reach the database at *dsn*; see ``Governor``.

    A lease ends 30 seconds after its holder was last heard of: ``load``, called now and then, is enough.
    Files of the kill switch are looked at too, on the machine where they are.
    """

    def __init__(self, archive: str, settings: Governing, switch: KillSwitch, dsn: str) -> None:
        self._archive, self._settings, self._switch, self._dsn = archive, settings, switch, dsn
        self._holder = os.urandom(8).hex()
        self._lock = threading.Lock()
        self._connection: psycopg.Connection | None = None
        self._is_closed = False
        self._renewed_at = 0.0

    def ask(self, ask: Ask) -> Lease | Wait:
        """Return a lease or how long to wait; see ``Governor``."""
        if self._switch.cause():
            return Wait(_STOPPED_POLL, Why.STOPPED)

        def asked(book: Book, now: float, stopped: str) -> Lease | Wait:
            if stopped:
                return Wait(_STOPPED_POLL, Why.STOPPED)
            return book.ask(ask, self._holder, now, _date(now))

        return self._changing(asked)

    def report(self, lease_id: str, report: Report) -> float:
        """Settle what was used; see ``Governor``."""

        def reported(book: Book, now: float, _: str) -> float:
            try:
                return book.report(lease_id, report, self._holder, now, _date(now))
            except LookupError:
                raise ended() from None

        return self._changing(reported)

    def load(self) -> Load:
        """Return the load now, and tell that this process lives; see ``Governor``."""

        def loaded(book: Book, now: float, stopped: str) -> Load:
            if now - self._renewed_at > LEASE_SECONDS / 4:
                for held in book.leases.values():
                    if held.holder == self._holder:
                        held.expires = now + LEASE_SECONDS
                self._renewed_at = now
            return book.load(now, _date(now), self._switch.cause() or stopped)

        return self._changing(loaded)

    def stop(self, by: str) -> None:
        """Set the kill switch for all machines; where the database is gone, for this one.

        Raises:
            Unavailable: only this machine was stopped.

        """
        try:
            self._switched(by)
        except Unavailable:
            self._switch.set(by)
            raise

    def resume(self) -> None:
        """Release the kill switch; see ``Governor``."""
        self._switched(None)
        self._switch.release()

    def close(self) -> None:
        """Give back what this process holds; safe to call twice."""
        if self._is_closed:
            return
        with contextlib.suppress(Unavailable):  # then its leases end by themselves
            self._changing(lambda book, now, _: book.drop(self._holder, now))
        with self._lock:
            self._is_closed = True
            self._hang_up()

    def _changing(self, work: Callable[[Book, float, str], T]) -> T:
        """Return what *work* makes of the book, the time and what stops the archive, in one transaction."""

        def changed(db: psycopg.Connection) -> T:
            with db.transaction():
                row = db.execute(_STATE + " FOR UPDATE", (self._archive,)).fetchone()
                (now,) = db.execute(_NOW).fetchone() or (0.0,)
                book = self._book(row, now)
                before: dict[str, Any] = dict(db.execute(_LEASES, (self._archive,)).fetchall())
                book.leases = {lease_id: held_of(lease) for lease_id, lease in before.items()}
                stopped = f"{row[1]} at {row[2]:%Y-%m-%dT%H:%M:%S%z}" if row and row[1] else ""
                result = work(book, now, stopped)
                self._kept(db, book, now, before)
            return result

        return self._connected(changed)

    def _book(self, row: tuple[Any, ...] | None, now: float) -> Book:
        book = new_book(self._archive, self._settings, now, lease_seconds=LEASE_SECONDS)
        if row is not None:
            restore(book, row[0])
        return book

    def _kept(self, db: psycopg.Connection, book: Book, now: float, before: dict[str, Any]) -> None:
        state = json.dumps(state_of(book, now))
        after = {lease_id: plain(held) for lease_id, held in book.leases.items()}
        changed = {one: lease for one, lease in after.items() if before.get(one) != lease}
        gone = [lease_id for lease_id in before if lease_id not in after]
        with db.pipeline():
            db.execute("UPDATE p2d_governor SET state = %s WHERE archive = %s", (state, self._archive))
            for lease_id, lease in changed.items():
                db.execute(_STORE, (lease_id, self._archive, json.dumps(lease)))
            if gone:
                db.execute("DELETE FROM p2d_governor_lease WHERE lease_id = ANY(%s)", (gone,))

    def _switched(self, by: str | None) -> None:
        def switched(db: psycopg.Connection) -> None:
            done = db.execute(
                "UPDATE p2d_governor SET stopped_by = %s, stopped_at = clock_timestamp() WHERE archive = %s",
                (by, self._archive),
            )
            if not done.rowcount:
                self._hang_up()  # the next connection writes the row anew
                raise Unavailable("governor", "has lost its row in the database", "try again")

        self._connected(switched)

    def _connected(self, work: Callable[[psycopg.Connection], T]) -> T:
        """Return what *work* does with the connection, made anew where it was lost.

        Raises:
            Unavailable: the database cannot be reached, or is too slow.

        """
        with self._lock:
            if self._is_closed:
                raise Unavailable("governor", "is closed", "connect again")
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = self._opened()
                return work(self._connection)
            except psycopg.Error as error:
                self._hang_up()
                raise Unavailable(
                    "governor",
                    f"its database cannot be reached ({type(error).__name__})",
                    "nothing is asked of the archive without it; check PostgreSQL",
                ) from None

    def _opened(self) -> psycopg.Connection:
        options = f"-c statement_timeout={_SECONDS}s -c idle_in_transaction_session_timeout={_SECONDS}s"
        db = psycopg.connect(
            self._dsn,
            autocommit=True,
            connect_timeout=_SECONDS,
            options=options,
            application_name="p2d governor",
        )
        try:
            with db.transaction():  # two members that come at once would both make the tables
                db.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
                db.execute(_SCHEMA)
                (now,) = db.execute(_NOW).fetchone() or (0.0,)
                state = json.dumps(state_of(new_book(self._archive, self._settings, now), now))
                db.execute(
                    "INSERT INTO p2d_governor (archive, state) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                    (self._archive, state),
                )
        except BaseException:
            db.close()
            raise
        return db

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _date(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC)
