"""Bring the tables of a PostgreSQL warehouse to this version (Alembic), and let the two roles in.

The owner's connection string is used here and nowhere else: the serving process has the loader's and the
reader's. Every revision is applied in one transaction.
"""

from importlib import resources
from typing import Final

import psycopg
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from psycopg import errors, sql
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from p2d.model.errors import Misconfigured
from p2d.warehouse.postgresql.connection import SCHEMA, connect, unreachable, user_of, version_of
from p2d.warehouse.postgresql.indexes import build
from p2d.warehouse.postgresql.indexes import drop as drop_indexes
from p2d.warehouse.postgresql.roles import grant
from p2d.warehouse.postgresql.staging import PostgresStatements
from p2d.warehouse.upkeep.counting import discover

FIELD: Final = "postgresql.owner_dsn"
_WITHOUT_COUNTS: Final = "4"
"""The version whose loads did not note what the catalogue has to count."""

_LOCK: Final = 0x50325748
"""Of a migration under way, as a PostgreSQL advisory lock."""


def migrate(owner_dsn: str, loader: str, reader: str) -> str | None:
    """Make or update tables, indexes and grants; return the version there was (None: no tables).

    *loader* and *reader* are the database's users that the serving process connects as.

    Raises:
        Unavailable: the database cannot be reached.
        Misconfigured: the tables are of a version unknown here, a user does not exist or is the owner, or
            the owner may not make tables.

    """
    owner = user_of(owner_dsn, FIELD)
    if len({owner, loader, reader}) != len((owner, loader, reader)):
        raise Misconfigured(
            "postgresql", "owner, loader and reader share a user", "make three: CREATE ROLE … LOGIN"
        )
    try:
        with connect(owner_dsn) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(SCHEMA)))
            before = version_of(connection)
            _upgrade(owner_dsn)
            build(connection)
            if before == _WITHOUT_COUNTS:
                with connection.transaction():
                    discover(PostgresStatements(connection))
            grant(connection, loader, reader)
    except psycopg.OperationalError as error:
        raise unreachable(error, FIELD) from None
    except errors.UndefinedObject:
        raise Misconfigured(
            "postgresql", "a user of loader_dsn or reader_dsn does not exist", "CREATE ROLE … LOGIN"
        ) from None
    except psycopg.Error as error:
        raise _refused(error) from None
    return before


def rebuild(owner_dsn: str, *, drop: bool) -> tuple[str, ...]:
    """Build the indexes of the query language, or *drop* them for a large load; return their names.

    Raises:
        Unavailable, Misconfigured: as ``migrate``.

    """
    try:
        with connect(owner_dsn) as connection:
            return drop_indexes(connection) if drop else build(connection)
    except psycopg.OperationalError as error:
        raise unreachable(error, FIELD) from None
    except psycopg.Error as error:
        raise _refused(error) from None


def _upgrade(owner_dsn: str) -> None:
    engine = create_engine("postgresql+psycopg://", creator=lambda: connect(owner_dsn), poolclass=NullPool)
    try:
        with engine.begin() as connection:
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError:
        raise Misconfigured(
            FIELD, "the tables are of a version that this program does not know", "update P2D"
        ) from None
    except DBAPIError as error:
        raise _refused(error.orig) from None
    finally:
        engine.dispose()


def _refused(error: BaseException | None) -> Misconfigured:
    problem = f"the tables cannot be made ({type(error).__name__})"
    return Misconfigured(FIELD, problem, "name a user who owns the database")


def _config() -> Config:
    config = Config()
    folder = resources.files("p2d.warehouse.postgresql") / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
