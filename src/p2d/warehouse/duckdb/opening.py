"""Open a warehouse's file: made where it is new, brought to this version where it is older.

A migration is one transaction; a process that dies in it leaves the file as it was.
"""

from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from p2d.model.errors import Misconfigured
from p2d.warehouse.duckdb import terms
from p2d.warehouse.duckdb.staging import DuckDbStaging
from p2d.warehouse.negation import negated_texts
from p2d.warehouse.upkeep import counting

SCHEMA_VERSION: Final = 4
_TEXTS: Final = 20_000  # documents whose negated passages are computed at a time
_WRONG_OPTIMIZERS: Final = frozenset({"common_subplan"})
"""``SELECT a FROM x WHERE ...`` and ``SELECT b FROM x WHERE ...`` in one statement may become one of them."""

_CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "enable_external_access": "false",
    "python_enable_replacements": "false",
    "allow_persistent_secrets": "false",
}


def open_database(path: Path | None) -> duckdb.DuckDBPyConnection:
    """Return the warehouse in the file *path*, or a new one in memory.

    Raises:
        Misconfigured: the file is not a warehouse, of a later version, or open in another process.

    """
    field = "warehouse.database"
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        database = duckdb.connect(":memory:" if path is None else str(path), config=_CONFIG)
        if path is not None:
            path.chmod(0o600)
        _without_wrong_plans(database)
        tables = {name for (name,) in database.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        if not tables:
            _transact(database, _create)
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


def _without_wrong_plans(database: duckdb.DuckDBPyConnection) -> None:
    """Switch off what makes DuckDB answer wrongly: 2.0.1 takes two parts of a plan for one that are not."""
    known = {name for (name,) in database.execute("SELECT name FROM duckdb_optimizers()").fetchall()}
    wrong = ",".join(sorted(known & _WRONG_OPTIMIZERS))
    database.execute(f"SET GLOBAL disabled_optimizers = '{wrong}'")


def _schema() -> str:
    return (resources.files("p2d.warehouse.duckdb") / "schema.sql").read_text(encoding="utf-8")


def _create(database: duckdb.DuckDBPyConnection) -> None:
    database.execute(_schema())


def _with_instance_archive(database: duckdb.DuckDBPyConnection) -> None:
    database.execute("CREATE TABLE instance_archive (instance_key BIGINT NOT NULL, archive VARCHAR NOT NULL)")


def _with_archive_gone(database: duckdb.DuckDBPyConnection) -> None:
    database.execute(
        "CREATE TABLE archive_gone (study_key BIGINT NOT NULL, archive VARCHAR NOT NULL, "
        "noticed_at TIMESTAMP NOT NULL)"
    )


_KEPT_IN_4: Final = {
    "document": '* EXCLUDE ("text"), "text", NULL::VARCHAR AS negated, NULL::VARCHAR AS source',
    "fact": '*, CASE WHEN "group" IS NULL THEN fact_key ELSE min(fact_key) OVER '
    '(PARTITION BY patient_key, document_key, "group") END AS group_key, '
    'NULL::VARCHAR AS "time", NULL::VARCHAR AS source',
}


def _with_groups_and_negation(database: duckdb.DuckDBPyConnection) -> None:
    """Make the tables that version 4 adds, out of its schema, and fill the columns that it adds."""
    statements = _schema().split(";\n")
    for table, kept in _KEPT_IN_4.items():
        database.execute(f"ALTER TABLE {table} RENAME TO {table}_3")
        database.execute(_creating(statements, table))
        database.execute(f"INSERT INTO {table} SELECT {kept} FROM {table}_3")  # noqa: S608 - names of _KEPT_IN_4
        database.execute(f"DROP TABLE {table}_3")
    for table in _NEW_IN_4:
        database.execute(_creating(statements, table))
    database.execute("INSERT INTO data_version VALUES (1)")
    _negate(database)
    terms.rebuild(database)
    counting.discover(DuckDbStaging(database))


_NEW_IN_4: Final = (
    "term",
    "promotion",
    "quarantine",
    "cohort",
    "cohort_member",
    "catalogue_attribute",
    "catalogue_number",
    "catalogue_value",
    "catalogue_path",
    "data_version",
)


def _creating(statements: list[str], table: str) -> str:
    return next(s for s in statements if f"CREATE TABLE {table} (" in s)


def _negate(database: duckdb.DuckDBPyConnection) -> None:
    last = -1
    while True:
        rows = database.execute(
            f'SELECT document_key, "text" FROM document WHERE "text" IS NOT NULL AND document_key > $1 '  # noqa: S608 - a constant
            f"ORDER BY document_key LIMIT {_TEXTS}",
            [last],
        ).fetchall()
        if not rows:
            return
        keys, texts = zip(*rows, strict=True)
        database.register("computed", pa.table({"key": keys, "negated": negated_texts(texts)}))
        database.execute(
            "UPDATE document SET negated = computed.negated FROM computed "
            "WHERE document_key = computed.key AND computed.negated IS NOT NULL"
        )
        database.unregister("computed")
        last = keys[-1]


_MIGRATIONS: Final[Mapping[int, Callable[[duckdb.DuckDBPyConnection], None]]] = {
    1: _with_instance_archive,
    2: _with_archive_gone,
    3: _with_groups_and_negation,
}
"""What brings a database of a version to the next one."""


def _migrated(database: duckdb.DuckDBPyConnection) -> list[tuple[int]]:
    """Return the version that the database has after all migrations that there are for it."""
    while True:
        versions = database.execute("SELECT version FROM schema_version").fetchall()
        step = _MIGRATIONS.get(versions[0][0]) if len(versions) == 1 else None
        if step is None:
            return versions

        def next_version(
            database: duckdb.DuckDBPyConnection, step: Callable[[duckdb.DuckDBPyConnection], None] = step
        ) -> None:
            step(database)
            database.execute("UPDATE schema_version SET version = version + 1")

        _transact(database, next_version)


def _transact(database: duckdb.DuckDBPyConnection, work: Callable[[duckdb.DuckDBPyConnection], None]) -> None:
    database.begin()
    try:
        work(database)
        database.commit()
    except BaseException:
        database.rollback()
        raise
