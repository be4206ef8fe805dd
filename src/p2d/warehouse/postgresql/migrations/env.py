"""Runs Alembic's revisions on the connection that ``p2d.warehouse.postgresql.migration`` hands over."""

from alembic import context

from p2d.warehouse.postgresql.connection import SCHEMA

context.configure(connection=context.config.attributes["connection"], version_table_schema=SCHEMA)
context.run_migrations()
