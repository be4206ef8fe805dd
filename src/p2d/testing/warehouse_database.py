"""A PostgreSQL warehouse for tests: a database of its own with tables, owner, loader and reader."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg.conninfo import make_conninfo

from p2d.testing.installation import Installation
from p2d.testing.postgres import Postgres
from p2d.warehouse.postgresql.engine import DEFAULT_LIMITS, Limits, Logins, PostgresWarehouse
from p2d.warehouse.postgresql.migration import migrate

LOADER: Final = "p2d_loader"
READER: Final = "p2d_reader"
_TEMPLATE: Final = "warehouse_template"
_SETTINGS: Final = """\
[postgresql]
loader_dsn = "loader.dsn"
reader_dsn = "reader.dsn"
owner_dsn = "owner.dsn"
"""


@dataclass(frozen=True, slots=True)
class WarehouseDatabase:
    """The connection strings of a warehouse's database, by who connects."""

    owner: str

    @property
    def logins(self) -> Logins:
        """Those of the serving process."""
        return Logins(make_conninfo(self.owner, user=LOADER), make_conninfo(self.owner, user=READER))

    def open(self, limits: Limits = DEFAULT_LIMITS) -> PostgresWarehouse:
        """Return the warehouse in it."""
        return PostgresWarehouse(self.logins, limits=limits)

    def empty(self) -> None:
        """Delete every row."""
        names = self.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'warehouse'")
        kept = {"alembic_version", "data_version"}
        self.rows(f"TRUNCATE {', '.join(str(name) for (name,) in names if name not in kept)}")

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
        """Connect as the owner."""
        with psycopg.connect(self.owner, autocommit=True) as connection:
            connection.execute("SET search_path = warehouse")
            yield connection

    def serve(self, installation: Installation) -> None:
        """Make *installation*'s warehouse serve this database instead of a file."""
        settings = installation.settings("warehouse")
        for name, dsn in (("owner", self.owner), *self.logins._asdict().items()):
            path = settings.parent / f"{name}.dsn"
            path.touch(mode=0o600)
            path.write_text(dsn, encoding="utf-8")
        text = settings.read_text(encoding="utf-8")
        text = text.replace('database = "warehouse.duckdb"', 'engine = "postgresql"')
        settings.write_text(f"{text}\n{_SETTINGS}", encoding="utf-8")

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        """Return what *statement* yields to the owner."""
        with self.connection() as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


def bare_database(server: Postgres) -> WarehouseDatabase:
    """Return a database of *server* without tables; loader and reader are there."""
    make_users(server)
    return WarehouseDatabase(server.database(f"warehouse_{os.urandom(6).hex()}"))


def warehouse_database(server: Postgres) -> WarehouseDatabase:
    """Return a new and empty warehouse on *server*; copied from one that is migrated once."""
    make_users(server)
    if not server.has_database(_TEMPLATE):
        migrate(server.database(_TEMPLATE), LOADER, READER)
    return WarehouseDatabase(server.database(f"warehouse_{os.urandom(6).hex()}", template=_TEMPLATE))


def make_users(server: Postgres) -> None:
    """Make the users that the serving process connects as, where they are missing."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        known = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles").fetchall()}
        for user in {LOADER, READER} - known:
            connection.execute(f"CREATE ROLE {user} LOGIN")
