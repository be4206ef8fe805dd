"""Composition root of the warehouse's engine: the one that the settings name, its drivers imported then."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from p2d.model.errors import Misconfigured
from p2d.settings.file import read_foreign_secret, read_settings
from p2d.settings.warehouse import PostgreSql, Spark, Store, WarehouseSettings
from p2d.warehouse.catalogue.labels import read_labels
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.port import ResearchWarehouse
from p2d.warehouse.query.catalogue_reading import Branches

if TYPE_CHECKING:
    from p2d.warehouse.postgresql.engine import Logins

_OWNER: Final = "postgresql.owner_dsn"
_SAVED: Final = "saved-cohorts.duckdb"


def open_engine(settings: WarehouseSettings) -> ResearchWarehouse:
    """Return the warehouse of *settings*.

    Raises:
        Misconfigured: the file, the server's tables or its users, or Spark's copy are not as they must be.
        Unavailable: the server cannot be reached.

    """
    store = settings.warehouse
    branches = read_labels(store.labels).members
    if settings.spark is not None and store.engine == "spark":
        return _on_spark(settings.spark, store, branches)
    if settings.postgresql is None or store.engine == "duckdb":
        return DuckDbWarehouse(store.database, patient_form=store.patient_form, branches=branches)
    _need_drivers()
    from p2d.warehouse.postgresql.engine import Limits, PostgresWarehouse  # noqa: PLC0415 - drivers are an extra

    server = settings.postgresql
    limits = Limits(
        loader_connections=server.loader_connections,
        reader_connections=server.reader_connections,
        query_seconds=server.query_seconds,
        load_seconds=server.load_seconds,
    )
    return PostgresWarehouse(
        _logins(server), patient_form=store.patient_form, limits=limits, branches=branches
    )


def _on_spark(settings: Spark, store: Store, branches: Branches) -> ResearchWarehouse:
    try:
        from p2d.warehouse.spark.cluster import Application, started  # noqa: PLC0415 - Spark is an extra
        from p2d.warehouse.spark.engine import SparkWarehouse  # noqa: PLC0415 - as above
    except ImportError:
        raise Misconfigured(
            "warehouse.engine", "is 'spark', which is not installed", "pip install 'p2d[spark]'"
        ) from None
    application = Application(
        settings.master,
        settings.host,
        settings.driver_memory_mib,
        settings.executor_memory_mib,
        settings.partitions,
    )
    return SparkWarehouse(
        started(application),
        settings.directory,
        store.state_dir / _SAVED,
        query_seconds=settings.query_seconds,
        most=settings.questions,
        branches=branches,
    )


def migrate(settings_path: Path) -> str:
    """Bring the server's tables to this version, let the two users in; return what was done, as a sentence.

    Raises:
        Misconfigured, Unavailable: as ``open_engine``.

    """
    settings = read_settings(settings_path, WarehouseSettings)
    if settings.warehouse.engine == "spark":
        return "The engine is 'spark': its copy is written anew by p2d warehouse export --form parquet."
    if settings.warehouse.engine == "duckdb":
        return "The engine is 'duckdb': its file is brought to this version whenever it is opened."
    server, owner = _owned(settings)
    from p2d.warehouse.postgresql import migration  # noqa: PLC0415 - as above
    from p2d.warehouse.postgresql.connection import VERSION, user_of  # noqa: PLC0415 - as above

    logins = _logins(server)
    loader = user_of(logins.loader, "postgresql.loader_dsn")
    before = migration.migrate(owner, loader, user_of(logins.reader, "postgresql.reader_dsn"))
    return f"The tables are of version {VERSION} (before: {before or 'none'})."


def rebuild_indexes(settings_path: Path, drop: bool) -> tuple[str, ...]:  # noqa: FBT001 - the command's step
    """Drop or build the indexes of the query language; return their names.

    Raises:
        Misconfigured, Unavailable: as ``open_engine``.

    """
    settings = read_settings(settings_path, WarehouseSettings)
    engine = settings.warehouse.engine
    if engine != "postgresql":
        raise Misconfigured("warehouse.engine", f"is '{engine}', which has no indexes", "")
    _, owner = _owned(settings)
    from p2d.warehouse.postgresql import migration  # noqa: PLC0415 - as above

    return migration.rebuild(owner, drop=drop)


def _owned(settings: WarehouseSettings) -> tuple[PostgreSql, str]:
    _need_drivers()
    server = settings.postgresql
    if server is None or server.owner_dsn is None:
        raise Misconfigured(_OWNER, "is missing", "name a file with the connection string of the owner")
    return server, read_foreign_secret(server.owner_dsn, _OWNER).get_secret_value()


def _logins(server: PostgreSql) -> "Logins":
    from p2d.warehouse.postgresql.engine import Logins  # noqa: PLC0415 - as above

    return Logins(
        loader=read_foreign_secret(server.loader_dsn, "postgresql.loader_dsn").get_secret_value(),
        reader=read_foreign_secret(server.reader_dsn, "postgresql.reader_dsn").get_secret_value(),
    )


def _need_drivers() -> None:
    try:
        import alembic  # noqa: F401, PLC0415 - only whether it is there
        import psycopg_pool  # noqa: F401, PLC0415 - as above
    except ImportError:
        raise Misconfigured(
            "warehouse.engine",
            "is 'postgresql', whose drivers are not installed",
            "pip install 'p2d[postgresql]'",
        ) from None
