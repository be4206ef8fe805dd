"""Joins the exports to the warehouse, and rebuilds one from a dump."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fastapi import FastAPI

from p2d.audit.log import AuditLog
from p2d.flows.research.exporting import ExportDesk, Snapshot
from p2d.model.errors import InvalidRequest, Misconfigured
from p2d.settings.file import read_foreign_secret, read_settings
from p2d.settings.warehouse import WarehouseSettings
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.duckdb.opening import SCHEMA_VERSION
from p2d.warehouse.exchange.omop.form import read_concepts
from p2d.warehouse.exchange.rebuild import rebuild
from p2d.warehouse.exchange.source import Source, snapshot
from p2d.warehouse.port import ResearchWarehouse
from p2d.web.research.exports import exports_router


def add_exports(app: FastAPI, states: Snapshot, audit: AuditLog, settings: WarehouseSettings) -> None:
    """Add the exports of a warehouse to its application; without ``[exchange]`` an order is refused.

    *states* opens one state of the warehouse, whatever its engine.

    Raises:
        Misconfigured: as ``check_exports``.

    """
    check_exports(settings)
    desk = ExportDesk(states, audit, settings.exchange, settings.exchange_database, SCHEMA_VERSION)
    app.include_router(exports_router(desk))
    app.state.closing.append(desk.close)


def check_exports(settings: WarehouseSettings) -> None:
    """Return if what the exports' settings name is there; nothing is opened.

    Raises:
        Misconfigured: a concept map or a connection string's file is not readable, or a name occurs twice.

    """
    if settings.exchange and settings.exchange.concepts:
        read_concepts(settings.exchange.concepts)
    names = [database.name for database in settings.exchange_database]
    if len(set(names)) != len(names):
        raise Misconfigured("exchange_database", "two have one name", "give each its own")
    for database in settings.exchange_database:
        read_foreign_secret(database.dsn, f"exchange_database.{database.name}.dsn")


def states_of(warehouse: ResearchWarehouse, settings: WarehouseSettings) -> Snapshot:
    """Return what opens one state of *warehouse*, which *settings* describe, for an export."""

    @contextmanager
    def of_file() -> Iterator[Source]:
        assert isinstance(warehouse, DuckDbWarehouse)  # noqa: S101 - asked below
        with warehouse.reading() as connection, snapshot(connection) as source:
            yield source

    @contextmanager
    def of_server() -> Iterator[Source]:
        from p2d.warehouse.exchange.postgresql.source import postgresql_snapshot  # noqa: PLC0415 - an extra
        from p2d.warehouse.postgresql.connection import connected  # noqa: PLC0415 - as above

        assert settings.postgresql is not None  # noqa: S101 - the settings' own check
        field = "postgresql.loader_dsn"
        dsn = read_foreign_secret(settings.postgresql.loader_dsn, field).get_secret_value()
        with connected(dsn, field) as connection, postgresql_snapshot(connection) as source:
            yield source

    @contextmanager
    def of_copy() -> Iterator[Source]:
        raise InvalidRequest("form", "is not exported from a copy", "ask the warehouse that the copy is of")
        yield  # pragma: no cover - a generator

    if settings.warehouse.engine == "spark":
        return of_copy
    return of_file if isinstance(warehouse, DuckDbWarehouse) else of_server


def rebuild_warehouse(dump: Path, settings_path: Path, replace: bool) -> Mapping[str, int]:  # noqa: FBT001 - called by the command's factories
    """Make the file of the warehouse whose settings are at *settings_path* out of *dump*.

    Raises:
        InvalidRequest: *dump* is not a whole dump of this version, or the file exists and *replace* is False.
        Misconfigured: the settings are wrong, or the file cannot be written.

    """
    settings = read_settings(settings_path, WarehouseSettings)
    if settings.warehouse.database is None:
        raise Misconfigured("warehouse.engine", "is not 'duckdb'", "name settings with a DuckDB file")
    return rebuild(dump, settings.warehouse.database, replace=replace)
