"""The warehouse in one DuckDB file, owned by one process; loads go one at a time, queries beside them.

No extension is loaded and nothing outside the file is opened: values come in as Arrow tables and parameters.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb

from p2d.model.errors import InvalidRequest, Unavailable
from p2d.model.ids import Pseudonym
from p2d.warehouse.batch import SCHEMAS, Batch, Receipt
from p2d.warehouse.browse import StudyLine, read_studies
from p2d.warehouse.check import check, check_form
from p2d.warehouse.duckdb.opening import open_database
from p2d.warehouse.duckdb.session import Vocabulary, question
from p2d.warehouse.duckdb.staging import DuckDbStaging
from p2d.warehouse.load.linking import draw_together
from p2d.warehouse.load.merging import merge_batch
from p2d.warehouse.load.saved import CohortTables
from p2d.warehouse.quarantine import OnBadRows, Sifted, sift
from p2d.warehouse.query.answers import Answers
from p2d.warehouse.query.catalogue_reading import Branches, no_branches
from p2d.warehouse.query.session import Session
from p2d.warehouse.wire import digest

_COUNTED: Final = (
    "patient",
    "clinical_case",
    "document",
    "fact",
    "study",
    "series",
    "instance",
    "header",
    "issue",
    "receipt",
)


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
        self.saved = CohortTables(self._looking, self._staging)

    def load(self, batch: Batch, on_bad_rows: OnBadRows = "refuse") -> Receipt:
        """Commit *batch* and its receipt in one transaction; a batch known already gives its receipt.

        With ``quarantine`` the bad rows of a clinical batch are set aside with reasons and the rest goes in;
        the receipt counts them as ``<table> set aside``.

        Raises:
            InvalidRequest: a value that may not enter, a missing parent, or another digest under a known id.
            Unavailable: the database did not commit.

        """
        check_form(batch)
        content = digest(batch)
        known = _same(self.receipt(batch.batch_id), content)
        if known is not None:
            return known  # its content was checked when it came before
        sifted = None
        if on_bad_rows == "quarantine":
            sifted = sift(batch, self._patient_form)
        else:
            check(batch, self._patient_form)
        with self.writing() as cursor:
            known = _same(_receipt(cursor, batch.batch_id), content)  # another thread may have brought it
            return known if known is not None else self._commit(cursor, batch, content, sifted)

    def receipt(self, batch_id: str) -> Receipt | None:
        """Return the receipt of a committed batch, or None."""
        with self._cursor() as cursor:
            return _receipt(cursor, batch_id)

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
        parts = ", ".join(f"(SELECT count(*) FROM {table})" for table in _COUNTED)  # noqa: S608 - names of _COUNTED
        with self._cursor() as cursor:
            row = cursor.execute(f"SELECT {parts}").fetchall()[0]
        return dict(zip(_COUNTED, (int(number) for number in row), strict=True))

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

    def _commit(
        self, cursor: duckdb.DuckDBPyConnection, batch: Batch, content: str, sifted: Sifted | None
    ) -> Receipt:
        session = DuckDbStaging(cursor)
        rows = merge_batch(session, sifted.batch if sifted else batch, sifted)
        draw_together(session, batch, frozenset(rows) & SCHEMAS.keys())
        cursor.execute(
            "INSERT INTO receipt VALUES ($1, $2, $3, now()::TIMESTAMP)",
            [batch.batch_id, content, json.dumps(rows, sort_keys=True)],
        )
        return Receipt(batch.batch_id, content, rows)

    @contextmanager
    def _looking(self) -> Iterator[DuckDbStaging]:
        with self.reading() as cursor:
            yield DuckDbStaging(cursor)

    @contextmanager
    def _staging(self) -> Iterator[DuckDbStaging]:
        with self.writing() as cursor:
            yield DuckDbStaging(cursor)

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


def _same(known: Receipt | None, content: str) -> Receipt | None:
    """Return *known*, the receipt of a batch of this id, if there is one and its digest is *content*."""
    if known is not None and known.digest != content:
        raise InvalidRequest(
            "batch_id", "is known with another digest; nothing was loaded", "use a new batch id"
        )
    return known


def _receipt(cursor: duckdb.DuckDBPyConnection, batch_id: str) -> Receipt | None:
    rows = cursor.execute('SELECT digest, "rows" FROM receipt WHERE batch_id = $1', [batch_id]).fetchall()
    return Receipt(batch_id, rows[0][0], json.loads(rows[0][1])) if rows else None
