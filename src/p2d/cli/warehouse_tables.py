"""``p2d warehouse migrate|indexes``: tables and indexes of a warehouse on a server."""

from pathlib import Path
from typing import Final

import click

from p2d.cli.roots import Roots

_SETTINGS = click.option(
    "--settings", required=True, type=click.Path(path_type=Path, dir_okay=False), help="warehouse.toml"
)


@click.command()
@_SETTINGS
@click.pass_obj
def migrate(roots: Roots, settings: Path) -> None:
    """Make the tables in [postgresql], or bring them to this version; let loader and reader in.

    Run it once, and after each update, while the warehouse is stopped. It connects with owner_dsn and may be
    repeated. With DuckDB there is nothing to do: its file is brought up to date when it is opened.

    \b
      p2d warehouse migrate --settings warehouse.toml
    """  # noqa: D301 - click's paragraph marker
    click.echo(roots.migrate_warehouse(settings))


@click.command()
@click.argument("step", type=click.Choice(["drop", "build"]))
@_SETTINGS
@click.pass_obj
def indexes(roots: Roots, step: str, settings: Path) -> None:
    """Drop the query language's indexes for a large first load, and build them afterwards.

    Queries are answered meanwhile, only slowly. Natural keys keep their indexes.

    \b
      p2d warehouse indexes drop --settings warehouse.toml
      p2d load pseudonymised/ --settings warehouse.toml
      p2d warehouse indexes build --settings warehouse.toml
    """  # noqa: D301 - click's paragraph marker
    names = roots.rebuild_indexes(settings, step == "drop")
    click.echo(f"{len(names)} indexes {'dropped' if step == 'drop' else 'built'}.")


COMMANDS: Final = (migrate, indexes)
