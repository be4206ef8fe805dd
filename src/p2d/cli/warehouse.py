"""``p2d warehouse``: look after the warehouse."""

import click

from p2d.cli import warehouse_export, warehouse_tables, warehouse_upkeep


@click.group()
def warehouse() -> None:
    """Make tables and indexes, check, promote attributes, erase patients, arrange, count, export, rebuild."""


for command in (
    *warehouse_upkeep.COMMANDS,
    *warehouse_tables.COMMANDS,
    warehouse_export.export,
    warehouse_export.rebuild,
):
    warehouse.add_command(command)
