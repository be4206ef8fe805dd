"""Who may do what in the database: the loader writes rows, the reader reads what a query may see.

Neither owns a table or makes one that lasts; two functions of the owner's add and drop promoted columns for
the loader. The reader sees no receipt, no issue and no quarantined row, and cannot
write; the process refuses to start where the database lets it do more.
"""

from typing import Final

import psycopg
from psycopg import sql

from p2d.model.errors import Misconfigured
from p2d.warehouse.postgresql.connection import SCHEMA
from p2d.warehouse.statements import Row

WITHHELD: Final = ("receipt", "quarantine", "issue")
"""Tables that the reader may not see: who loaded what, and what was wrong with it."""

_LOADERS: Final = ("promote_column(VARCHAR, VARCHAR, VARCHAR)", "demote_column(VARCHAR, VARCHAR)")
"""Functions that run as the owner, for the loader alone: they add and drop promoted columns, nothing else."""

_VERSION_TABLE: Final = "alembic_version"
_TABLES: Final = (
    "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = %s AND c.relkind = 'r' ORDER BY c.relname"
)
_TOO_MUCH: Final = """
SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) OR bool_or(
  has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
  OR c.relname = ANY(%(withheld)s) AND has_table_privilege(c.oid, 'SELECT'))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %(schema)s AND c.relkind = 'r'
"""
_LOADER_TOO_MUCH: Final = """
SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
  OR bool_or(pg_has_role(c.relowner, 'USAGE'))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %(schema)s AND c.relkind = 'r'
"""


def grant(connection: psycopg.Connection[Row], loader: str, reader: str) -> None:
    """Let the users *loader* and *reader* in; what they may not do any more is taken from them."""
    schema = sql.Identifier(SCHEMA)
    tables = [str(name) for (name,) in connection.execute(_TABLES, (SCHEMA,)).fetchall()]
    written = [name for name in tables if name != _VERSION_TABLE]
    shown = [name for name in tables if name not in WITHHELD]
    with connection.transaction():
        for user in (sql.Identifier(loader), sql.Identifier(reader)):
            for kind in ("TABLES", "SEQUENCES"):
                revoke = sql.SQL("REVOKE ALL ON ALL {} IN SCHEMA {} FROM {}")
                connection.execute(revoke.format(sql.SQL(kind), schema, user))
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, user))
            database = sql.Identifier(connection.info.dbname)
            connection.execute(
                sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(database, user)
            )
        for name, rights, listed in (
            (loader, "SELECT, INSERT, UPDATE, DELETE", written),
            (loader, "SELECT", [_VERSION_TABLE]),
            (reader, "SELECT", shown),
        ):
            theirs = sql.SQL(", ").join(sql.Identifier(SCHEMA, table) for table in listed)
            statement = sql.SQL("GRANT {} ON {} TO {}")
            connection.execute(statement.format(sql.SQL(rights), theirs, sql.Identifier(name)))
        for function in _LOADERS:
            call = sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}")
            connection.execute(
                call.format(sql.SQL(f"{SCHEMA}.{function}"), sql.Identifier(loader))  # one of ours
            )
        sequences = sql.SQL("GRANT USAGE ON ALL SEQUENCES IN SCHEMA {} TO {}")
        connection.execute(sequences.format(schema, sql.Identifier(loader)))


def confine(loader: psycopg.Connection[Row], reader: psycopg.Connection[Row]) -> None:
    """Return if neither connection's user may do more than its work needs.

    Raises:
        Misconfigured: the reader can write or see what is withheld, or a user owns tables or is a superuser.

    """
    values = {"schema": SCHEMA, "withheld": list(WITHHELD)}
    for connection, statement, name in (
        (reader, _TOO_MUCH, "reader"),
        (loader, _LOADER_TOO_MUCH, "loader"),
    ):
        found = connection.execute(statement, values).fetchone()
        if found is None or found[0]:
            raise Misconfigured(
                f"postgresql.{name}_dsn",
                f"names a user who may do more than a {name}",
                "make a user for it alone (CREATE ROLE … LOGIN), then: p2d warehouse migrate",
            )
