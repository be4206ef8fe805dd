"""Transactions on PostgreSQL count once, whatever breaks: a deadlock, the connection, the server's answer."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from psycopg import errors

from p2d.jobs.ledger import Ledger
from p2d.jobs.migration import LATEST
from p2d.jobs.postgresql import PostgresStore, connect, migrate_postgresql
from p2d.jobs.queue import migrate_queue
from p2d.jobs.store import Db
from p2d.model.errors import Misconfigured, Unavailable
from p2d.testing.ledgers import PostgresEngine
from p2d.testing.postgres import Postgres

pytestmark = pytest.mark.system
_COMMIT = b"COMMIT"


@pytest.fixture
def engine(postgres_server: Postgres) -> Iterator[PostgresEngine]:
    made = PostgresEngine(postgres_server)
    yield made
    made.close()


@pytest.fixture
def store(engine: PostgresEngine) -> Iterator[PostgresStore]:
    made = PostgresStore(engine.dsn, patience_seconds=20)
    Ledger(made).open_run("bulk", {}, ["P1", "P2"], "olaf")
    yield made
    made.close()


def priority(db: Db) -> int:
    return int(db.rows("SELECT priority FROM run")[0][0])


def raised(db: Db) -> None:
    db.rows("UPDATE run SET priority = priority + 1")


@pytest.mark.parametrize(
    "failure",
    [errors.SerializationFailure, errors.DeadlockDetected, errors.AdminShutdown, errors.LockNotAvailable],
)
def test_a_transaction_that_the_server_gave_up_is_run_again(
    store: PostgresStore, failure: type[psycopg.Error]
) -> None:
    failures = [failure, failure]

    def change(db: Db) -> None:
        raised(db)
        if failures:
            raise failures.pop()

    store.write(change)

    assert (failures, store.read(priority)) == ([], 1)


def test_a_connection_that_breaks_amid_a_transaction_leaves_nothing_of_it(store: PostgresStore) -> None:
    breaks = [True]

    def change(db: Db) -> None:
        raised(db)
        if breaks:
            breaks.pop()
            with suppress(psycopg.Error):
                db.rows("SELECT pg_terminate_backend(pg_backend_pid())")
            db.rows("SELECT 1")

    store.write(change)

    assert store.read(priority) == 1


def test_a_real_deadlock_ends_with_both_changes(engine: PostgresEngine, store: PostgresStore) -> None:
    other = PostgresStore(engine.dsn, patience_seconds=20)
    both_hold_one = threading.Barrier(2, timeout=20)
    first_try = {"P1": True, "P2": True}

    def crosswise(own: PostgresStore, patients: tuple[str, str]) -> None:
        def change(db: Db) -> None:
            for number, patient in enumerate(patients):
                db.rows(
                    "UPDATE patient SET attempts = attempts + 1 WHERE patient = :patient", patient=patient
                )
                if number == 0 and first_try[patient]:
                    first_try[patient] = False
                    both_hold_one.wait()

        own.write(change)

    threads = [
        threading.Thread(target=crosswise, args=(store, ("P1", "P2"))),
        threading.Thread(target=crosswise, args=(other, ("P2", "P1"))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    attempts = store.read(lambda db: db.rows("SELECT attempts FROM patient ORDER BY patient"))
    other.close()
    assert attempts == [(2,), (2,)]


class LostAnswers:
    """A Unix socket before the server's, which drops the answer to the first COMMIT, or its question."""

    def __init__(self, server: Postgres, folder: Path, *, committed: bool) -> None:
        self._target = str(server.folder / ".s.PGSQL.5432")
        self._committed = committed
        self.lost = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, suppress(OSError):
            server.connect(self._target)
            threading.Thread(target=self._back, args=(server, client), daemon=True).start()
            while data := client.recv(65536):
                if _COMMIT in data and not self.lost:
                    self.lost += 1
                    client.shutdown(socket.SHUT_RDWR)
                    if self._committed:
                        server.sendall(data)
                        server.settimeout(1)
                        server.recv(65536)
                    server.shutdown(socket.SHUT_RDWR)
                    return
                server.sendall(data)

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)

    def close(self) -> None:
        self._listener.close()


@pytest.mark.parametrize("committed", [True, False])
def test_a_commit_whose_answer_is_lost_counts_once(
    postgres_server: Postgres, store: PostgresStore, committed: bool
) -> None:
    with TemporaryDirectory(prefix="p2d-", dir="/tmp") as folder:
        between = LostAnswers(postgres_server, Path(folder), committed=committed)
        dsn = postgres_server.dsn.replace(str(postgres_server.folder), folder)
        unlucky = PostgresStore(dsn, patience_seconds=20)

        unlucky.write(raised)

        unlucky.close()
        between.close()
    assert between.lost == 1
    assert store.read(priority) == 1


def test_a_change_waits_for_a_server_that_is_away_and_for_a_long_lock(
    postgres_server: Postgres, engine: PostgresEngine, store: PostgresStore
) -> None:
    postgres_server.stop(at_once=True)
    back = threading.Timer(1.0, postgres_server.start)
    back.start()

    store.write(raised)

    back.join()
    with connect(engine.dsn) as other:
        other.execute("BEGIN")
        other.execute("UPDATE run SET priority = priority + 10")
        threading.Timer(0.5, lambda: other.execute("COMMIT")).start()
        store.write(raised)
    assert store.read(priority) == 12


def test_a_server_that_stays_away_is_unavailable(postgres_server: Postgres, engine: PostgresEngine) -> None:
    store = PostgresStore(engine.dsn, patience_seconds=0.2)
    postgres_server.stop(at_once=True)
    try:
        with pytest.raises(Unavailable, match="ledger: its database"):
            store.write(raised)
        with pytest.raises(Unavailable, match="cannot be reached"):
            PostgresStore(engine.dsn)
    finally:
        postgres_server.start()
        store.close()


def test_a_database_without_tables_is_refused_and_can_be_made_ready(postgres_server: Postgres) -> None:
    dsn = postgres_server.database("empty")
    with pytest.raises(Misconfigured, match="--migrate"):
        PostgresStore(dsn)

    before = [migrate_postgresql(dsn) for _ in range(2)]
    migrate_queue(dsn)
    migrate_queue(dsn)

    assert before == [0, LATEST]
    store = PostgresStore(dsn)
    assert Ledger(store).runs() == []
    store.close()


def test_no_message_shows_where_the_database_is(postgres_server: Postgres) -> None:
    dsn = f"{postgres_server.dsn} password=Kanari-0815".replace("dbname=p2d", "dbname=nowhere")

    with pytest.raises(Unavailable) as caught:
        PostgresStore(dsn)

    assert "Kanari" not in str(caught.value)
    assert str(postgres_server.folder) not in str(caught.value)
