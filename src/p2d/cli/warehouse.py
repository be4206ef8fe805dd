"""``p2d warehouse``: look after the warehouse."""

import click

from p2d.cli import load, warehouse_export, warehouse_tables, warehouse_upkeep


@click.group()
def warehouse() -> None:
    """Load, check, promote attributes, erase patients, arrange, count, export, rebuild, make tables."""


for command in (
    *warehouse_upkeep.COMMANDS,
    *warehouse_tables.COMMANDS,
    warehouse_export.export,
    warehouse_export.rebuild,
    load.load,  # also p2d load
):
    warehouse.add_command(command)
