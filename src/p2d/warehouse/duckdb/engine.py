"""The warehouse in one DuckDB file, owned by one process; loads go one at a time, queries beside them.

No extension is loaded and nothing outside the file is opened: values come in as Arrow tables and parameters.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from p2d.model.errors import Unavailable
from p2d.model.ids import Pseudonym
from p2d.warehouse.batch import Batch, Receipt
from p2d.warehouse.browse import StudyLine, read_studies
from p2d.warehouse.duckdb.arranging import ORDERS, arrange, is_arranged
from p2d.warehouse.duckdb.opening import open_database
from p2d.warehouse.duckdb.session import Vocabulary, question
from p2d.warehouse.duckdb.staging import DuckDbStaging
from p2d.warehouse.load.receipts import load_batch, receipt_of, row_counts
from p2d.warehouse.load.saved import CohortTables
from p2d.warehouse.quarantine import OnBadRows
from p2d.warehouse.query.answers import Answers
from p2d.warehouse.query.catalogue_reading import Branches, no_branches
from p2d.warehouse.query.session import Session


class DuckDbWarehouse(Answers):
    """The port and the cohort engine over DuckDB; ``path`` None keeps everything in memory.

    ``patient_form`` is the regular expression of a foreign IDM's patient pseudonyms. A query is interrupted
    after ``query_seconds``. ``branches`` tells the attributes below the nodes of the catalogue's tree.

    Raises:
        Misconfigured: the file is not a warehouse, of another version, or open in another process.

    """

    def __init__(
        self,
        path: Path | None,
        *,
        patient_form: str | None = None,
        query_seconds: float = 30.0,
        branches: Branches = no_branches,
    ) -> None:
        super().__init__(branches=branches)
        self._patient_form = patient_form
        self._query_seconds = query_seconds
        self._lock = threading.Lock()
        self._database = open_database(path)
        self._vocabulary = Vocabulary()
        self.saved = CohortTables(self.looking, self.tending)

    def load(self, batch: Batch, on_bad_rows: OnBadRows = "refuse") -> Receipt:
        """Commit *batch* and its receipt in one transaction; a batch known already gives its receipt.

        With ``quarantine`` the bad rows of a clinical batch are set aside with reasons and the rest goes in;
        the receipt counts them as ``<table> set aside``.

        Raises:
            InvalidRequest: a value that may not enter, a missing parent, or another digest under a known id.
            Unavailable: the database did not commit.

        """
        return load_batch(batch, self.receipt, self.tending, self._patient_form, on_bad_rows)

    def receipt(self, batch_id: str) -> Receipt | None:
        """Return the receipt of a committed batch, or None."""
        with self._cursor() as cursor:
            return receipt_of(DuckDbStaging(cursor), batch_id)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a snapshot for a question; see ``p2d.warehouse.query.session``."""
        with self._cursor() as cursor, question(cursor, self._vocabulary, self._query_seconds) as session:
            yield session

    def studies_of(self, patient: str) -> tuple[StudyLine, ...]:
        """Return the studies and series known of *patient*, oldest first; none for an unknown one."""
        with self._cursor() as cursor:
            return read_studies(DuckDbStaging(cursor), patient)

    def patients(self) -> tuple[Pseudonym, ...]:
        """Return all patients' pseudonyms, in order."""
        with self._cursor() as cursor:
            rows = cursor.execute("SELECT patient FROM patient ORDER BY ALL").fetchall()
        return tuple(Pseudonym(text) for (text,) in rows)

    def counts(self) -> dict[str, int]:
        """Return the number of rows of every table."""
        with self.looking() as session:
            return row_counts(session)

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection that reads; an error of the database leaves as ``Unavailable``."""
        with self._cursor() as cursor:
            yield cursor

    @contextmanager
    def writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection in the one transaction that writes now; it commits unless an error leaves."""
        with self._lock, self._cursor() as cursor:
            cursor.begin()
            try:
                yield cursor
                cursor.execute("UPDATE data_version SET version = version + 1")
                cursor.commit()
            except BaseException:
                cursor.rollback()
                raise

    def close(self) -> None:
        """Write the file and let go of it."""
        with self._lock:
            self._database.close()

    @property
    def keeps_words(self) -> bool:
        """True: there is the table ``term``."""
        return True

    @contextmanager
    def looking(self) -> Iterator[DuckDbStaging]:
        """Open what questions see; every statement sees the latest state."""
        with self.reading() as cursor:
            yield DuckDbStaging(cursor)

    @contextmanager
    def inspecting(self) -> Iterator[DuckDbStaging]:
        """Open one state of everything."""
        with self.reading() as cursor:
            cursor.begin()
            yield DuckDbStaging(cursor)

    @contextmanager
    def tending(self) -> Iterator[DuckDbStaging]:
        """Open the one transaction that writes now; it commits unless an error leaves."""
        with self.writing() as cursor:
            yield DuckDbStaging(cursor)

    def arrange(self) -> dict[str, bool]:
        """Bring every table in the order of queries, one transaction each; tell which were out of it."""
        rewritten = {}
        for table in ORDERS:
            with self.reading() as cursor:
                rewritten[table] = not is_arranged(cursor, table)
            if rewritten[table]:
                with self.writing() as cursor:
                    arrange(cursor, table)
        return rewritten

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection of its own; what the engine says of values stays inside."""
        try:
            cursor = self._database.cursor()
        except duckdb.Error:
            raise Unavailable("warehouse", "is closed", "start it again") from None
        try:
            yield cursor
        except duckdb.Error as error:
            problem = f"the database did not answer ({type(error).__name__})"
            raise Unavailable("warehouse", problem, "try again; see disk space and memory") from None
        finally:
            cursor.close()
