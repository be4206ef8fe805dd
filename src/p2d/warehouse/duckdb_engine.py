"""The warehouse in one DuckDB file, owned by one process; loads go one at a time, queries beside them.

No extension is loaded and nothing outside the file is opened: values come in as Arrow tables and parameters.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeVar

import duckdb

from p2d.model.errors import InvalidRequest, Misconfigured, Unavailable
from p2d.model.ids import Pseudonym
from p2d.warehouse.batch import Batch, Receipt
from p2d.warehouse.browse import StudyLine, read_studies
from p2d.warehouse.check import check
from p2d.warehouse.linking import draw_together
from p2d.warehouse.loading import merge_batch
from p2d.warehouse.query.attributes import Attribute, Catalogue, Source
from p2d.warehouse.query.nodes import Frame, Query
from p2d.warehouse.query.results import (
    Counts,
    ResultTable,
    choose,
    read_counts,
    read_patients,
    read_table,
)
from p2d.warehouse.wire import digest

SCHEMA_VERSION: Final = 3
_MIGRATIONS: Final = {
    1: """BEGIN; CREATE TABLE instance_archive (instance_key BIGINT NOT NULL, archive VARCHAR NOT NULL);
    UPDATE schema_version SET version = 2; COMMIT""",
    2: """BEGIN; CREATE TABLE archive_gone (study_key BIGINT NOT NULL, archive VARCHAR NOT NULL,
    noticed_at TIMESTAMP NOT NULL); UPDATE schema_version SET version = 3; COMMIT""",
}
"""What brings a database of a version to the next one."""

_INTERRUPT_SECONDS: Final = 0.02
_CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "enable_external_access": "false",
    "python_enable_replacements": "false",
    "allow_persistent_secrets": "false",
}
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
_T = TypeVar("_T")


class DuckDbWarehouse:
    """The port and the cohort engine over DuckDB; ``path`` None keeps everything in memory.

    ``patient_form`` is the regular expression of a foreign IDM's patient pseudonyms. A query is interrupted
    after ``query_seconds``.

    Raises:
        Misconfigured: the file is not a warehouse, of another version, or open in another process.

    """

    def __init__(
        self, path: Path | None, *, patient_form: str | None = None, query_seconds: float = 30.0
    ) -> None:
        self._patient_form = patient_form
        self._query_seconds = query_seconds
        self._lock = threading.Lock()
        self._database = _open(path)

    def load(self, batch: Batch) -> Receipt:
        """Commit *batch* and its receipt in one transaction; a batch known already gives its receipt.

        Raises:
            InvalidRequest: a value that may not enter, a missing parent, or another digest under a known id.
            Unavailable: the database did not commit.

        """
        check(batch, self._patient_form)
        content = digest(batch)
        with self._lock, self._cursor() as cursor:
            known = _receipt(cursor, batch.batch_id)
            if known is not None:
                if known.digest != content:
                    raise InvalidRequest(
                        "batch_id", "is known with another digest; nothing was loaded", "use a new batch id"
                    )
                return known
            return self._commit(cursor, batch, content)

    def receipt(self, batch_id: str) -> Receipt | None:
        """Return the receipt of a committed batch, or None."""
        with self._cursor() as cursor:
            return _receipt(cursor, batch_id)

    def catalogue(self) -> Catalogue:
        """Return what can be asked for."""
        with self._cursor() as cursor:
            rows = cursor.execute(
                "SELECT kind, name, list(unit), bool_or(has_number), bool_or(has_text) "
                "FROM attribute GROUP BY ALL"
            ).fetchall()
        documents = frozenset(name for kind, name, *_ in rows if kind == "document")
        return Catalogue(_attributes(rows, Source.FACT), _attributes(rows, Source.HEADER), documents)

    def count(self, query: Query) -> Counts:
        """Return the numbers of *query*.

        Raises:
            InvalidRequest: the warehouse cannot answer to a name, operator or operand of it.
            Unavailable: it took longer than the time limit.

        """
        return self._ask(query, lambda cursor, _: read_counts(cursor))

    def table(self, query: Query, limit: int) -> ResultTable:
        """Return the first *limit* rows of *query*, in order of pseudonyms; errors as ``count``."""
        return self._ask(query, lambda cursor, catalogue: read_table(cursor, query, catalogue, limit))

    def cohort(self, query: Query) -> tuple[Pseudonym, ...]:
        """Return the pseudonyms of all patients of *query*, in order; errors as ``count``."""
        return self._ask(query, lambda cursor, _: read_patients(cursor))

    def studies_of(self, patient: str) -> tuple[StudyLine, ...]:
        """Return the studies and series known of *patient*, oldest first; none for an unknown one."""
        with self._cursor() as cursor:
            return read_studies(cursor, patient)

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

    def close(self) -> None:
        """Write the file and let go of it."""
        with self._lock:
            self._database.close()

    def _commit(self, cursor: duckdb.DuckDBPyConnection, batch: Batch, content: str) -> Receipt:
        cursor.begin()
        try:
            rows = merge_batch(cursor, batch)
            draw_together(cursor, batch.batch_id, batch.source, batch.run_id)
            cursor.execute(
                "INSERT INTO receipt VALUES ($1, $2, $3, now()::TIMESTAMP)",
                [batch.batch_id, content, json.dumps(rows, sort_keys=True)],
            )
            cursor.commit()
        except BaseException:
            cursor.rollback()
            raise
        return Receipt(batch.batch_id, content, rows)

    def _ask(self, query: Query, read: Callable[[duckdb.DuckDBPyConnection, Catalogue], _T]) -> _T:
        catalogue = self.catalogue()
        with self._cursor() as cursor, _limited(cursor, self._query_seconds):
            try:
                cursor.begin()  # one snapshot, and temporary tables that vanish with it
                choose(cursor, query, catalogue)
                return read(cursor, catalogue)
            except duckdb.InterruptException:
                problem = f"took longer than {self._query_seconds:g} s"
                raise Unavailable("query", problem, "narrow it, or ask when fewer others do") from None
            except duckdb.InvalidInputException:
                problem = "holds a regular expression or operand the engine refuses"
                raise InvalidRequest("where", problem, "see the cohort language's page") from None

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


@contextmanager
def _limited(cursor: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """Interrupt *cursor* after *seconds*, and again until the block ends: one may fall between statements."""
    is_done = threading.Event()

    def watch() -> None:
        if not is_done.wait(seconds):
            while not is_done.wait(_INTERRUPT_SECONDS):
                cursor.interrupt()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_done.set()
        watcher.join()


def _open(path: Path | None) -> duckdb.DuckDBPyConnection:
    field = "warehouse.database"
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        database = duckdb.connect(":memory:" if path is None else str(path), config=_CONFIG)
        if path is not None:
            path.chmod(0o600)
        tables = {name for (name,) in database.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        if not tables:
            _create(database)
        elif "schema_version" not in tables:
            raise Misconfigured(field, "is a DuckDB file, but not a warehouse", "name another file")
        versions = _migrated(database)
    except (duckdb.Error, OSError) as error:
        remedy = "stop the other process, or correct path and permissions"
        raise Misconfigured(field, f"cannot be opened ({type(error).__name__})", remedy) from None
    if versions != [(SCHEMA_VERSION,)]:
        raise Misconfigured(
            field, "was written by another version", f"this one reads version {SCHEMA_VERSION}"
        )
    return database


def _migrated(database: duckdb.DuckDBPyConnection) -> list[tuple[int]]:
    """Return the version that the database has after all migrations that there are for it."""
    while True:
        versions = database.execute("SELECT version FROM schema_version").fetchall()
        step = _MIGRATIONS.get(versions[0][0]) if len(versions) == 1 else None
        if step is None:
            return versions
        database.execute(step)


def _create(database: duckdb.DuckDBPyConnection) -> None:
    database.begin()
    database.execute((resources.files("p2d.warehouse") / "schema.sql").read_text(encoding="utf-8"))
    database.commit()


def _receipt(cursor: duckdb.DuckDBPyConnection, batch_id: str) -> Receipt | None:
    rows = cursor.execute('SELECT digest, "rows" FROM receipt WHERE batch_id = $1', [batch_id]).fetchall()
    return Receipt(batch_id, rows[0][0], json.loads(rows[0][1])) if rows else None


def _attributes(rows: list[tuple[Any, ...]], source: Source) -> dict[str, Attribute]:
    """Return the catalogue's rows (kind, name, units, has_number, has_text) of *source* by name."""
    frame = Frame.SERIES if source is Source.HEADER else Frame.PATIENT
    return {
        name: Attribute(name, source, frame, units=frozenset(units), has_number=number, has_text=text)
        for kind, name, units, number, text in rows
        if kind == source
    }
