"""The warehouse on a PostgreSQL server: loads one at a time in the whole database, queries beside them.

Two pools: the loader's, and the reader's, whose user can only read and sees no receipts. A load that broke
off in a COMMIT is known by its receipt, so that its sender may just send again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple

import psycopg
from psycopg import errors

from p2d.model.errors import InvalidRequest, Misconfigured
from p2d.model.ids import Pseudonym
from p2d.warehouse.batch import Batch, Receipt
from p2d.warehouse.browse import StudyLine, read_studies
from p2d.warehouse.load.receipts import load_batch, receipt_of, row_counts
from p2d.warehouse.load.saved import CohortTables
from p2d.warehouse.postgresql.connection import VERSION, Pool, connected, version_of
from p2d.warehouse.postgresql.roles import confine
from p2d.warehouse.postgresql.session import asking
from p2d.warehouse.postgresql.staging import PostgresStaging, PostgresStatements
from p2d.warehouse.quarantine import OnBadRows
from p2d.warehouse.query.answers import Answers
from p2d.warehouse.query.catalogue_reading import Branches, no_branches
from p2d.warehouse.query.session import Session
from p2d.warehouse.statements import Row

_LOADING: Final = 0x50325749
"""Of a load under way, as a PostgreSQL advisory lock: surrogate keys and links are one writer's at a time."""


class Logins(NamedTuple):
    """The connection strings of the two users; neither is ever shown."""

    loader: str
    reader: str


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections each pool holds at most, and how long a statement of either may take."""

    loader_connections: int = 4
    reader_connections: int = 8
    query_seconds: float = 30.0
    load_seconds: float = 1800.0


DEFAULT_LIMITS: Final = Limits()


class PostgresWarehouse(Answers):
    """The port and the cohort engine over PostgreSQL; safe to share between threads and processes.

    ``patient_form`` is the regular expression of a foreign IDM's patient pseudonyms, ``branches`` tells the
    attributes below the nodes of the catalogue's tree.

    Raises:
        Misconfigured: the database holds no warehouse of this version, or a user may do more than its work.
        Unavailable: the server cannot be reached.

    """

    def __init__(
        self,
        logins: Logins,
        *,
        patient_form: str | None = None,
        limits: Limits = DEFAULT_LIMITS,
        branches: Branches = no_branches,
    ) -> None:
        super().__init__(branches=branches)
        self.saved = CohortTables(self.looking, self.tending)
        self._patient_form = patient_form
        self._limits = limits
        with (
            connected(logins.loader, "postgresql.loader_dsn") as loader,
            connected(logins.reader, "postgresql.reader_dsn") as reader,
        ):
            _need_version(loader, "postgresql.loader_dsn")
            _need_version(reader, "postgresql.reader_dsn")
            confine(loader, reader)
        self._loader = Pool(logins.loader, limits.loader_connections, statement_seconds=limits.load_seconds)
        self._reader = Pool(logins.reader, limits.reader_connections, statement_seconds=limits.query_seconds)

    def load(self, batch: Batch, on_bad_rows: OnBadRows = "refuse") -> Receipt:
        """Commit *batch* and its receipt in one transaction; a batch known already gives its receipt.

        With ``quarantine`` the bad rows of a clinical batch are set aside with reasons and the rest goes in;
        the receipt counts them as ``<table> set aside``.

        Raises:
            InvalidRequest: a value that may not enter, a missing parent, or another digest under a known id.
            Unavailable: the database did not commit.

        """
        try:
            return load_batch(batch, self.receipt, self.tending, self._patient_form, on_bad_rows)
        except _UnkeptError:
            raise InvalidRequest(
                "batch", "holds a text that PostgreSQL cannot keep", "remove U+0000 from texts"
            ) from None

    def receipt(self, batch_id: str) -> Receipt | None:
        """Return the receipt of a committed batch, or None."""
        with self._loader.connection() as connection:
            return receipt_of(PostgresStatements(connection), batch_id)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a snapshot for a question; see ``p2d.warehouse.query.session``."""
        with asking(self._reader, self._limits.query_seconds) as session:
            yield session

    def studies_of(self, patient: str) -> tuple[StudyLine, ...]:
        """Return the studies and series known of *patient*, oldest first; none for an unknown one."""
        with self.looking() as session:
            return read_studies(session, patient)

    def patients(self) -> tuple[Pseudonym, ...]:
        """Return all patients' pseudonyms, in order."""
        with self.looking() as session:
            return tuple(
                Pseudonym(text) for (text,) in session.rows("SELECT patient FROM patient ORDER BY 1")
            )

    def counts(self) -> dict[str, int]:
        """Return the number of rows of every table."""
        with self._loader.connection() as connection:
            return row_counts(PostgresStatements(connection))

    def close(self) -> None:
        """Close all connections."""
        self._loader.close()
        self._reader.close()

    def arrange(self) -> dict[str, bool]:
        """Return no table: questions find their rows by indexes, whatever the order they lie in."""
        return {}

    @property
    def keeps_words(self) -> bool:
        """False: words are found by a trigram index."""
        return False

    @contextmanager
    def inspecting(self) -> Iterator[PostgresStatements]:
        """Open one state of everything, receipts and what was set aside as well."""
        with self._loader.connection() as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield PostgresStatements(connection)

    @contextmanager
    def tending(self) -> Iterator[PostgresStaging]:
        """Open the one transaction that writes now; it commits unless an error leaves."""
        with self._loader.connection() as connection:
            try:
                with connection.transaction():
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOADING,))
                    yield PostgresStaging(connection)
                    connection.execute("UPDATE data_version SET version = version + 1")
            except errors.DataError:
                raise _UnkeptError from None

    @contextmanager
    def looking(self) -> Iterator[PostgresStatements]:
        """Open one state of what the reader may see."""
        with self._reader.connection() as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield PostgresStatements(connection)


class _UnkeptError(Exception):
    """The server refused a value as none of its type."""


def _need_version(connection: psycopg.Connection[Row], field: str) -> None:
    found = version_of(connection)
    if found != VERSION:
        held = "holds no warehouse that its user may enter" if found is None else f"is of version {found}"
        raise Misconfigured(
            field, f"the database {held}; this program needs version {VERSION}", "run: p2d warehouse migrate"
        )
