"""``p2d warehouse export`` and ``rebuild``: the warehouse's content out, and back from a dump."""

from pathlib import Path
from typing import Final

import click

from p2d.cli.roots import Roots
from p2d.cli.warehouse_address import address, warehouse_options

_FORMS: Final = ("eav", "omop", "i2b2", "fhir", "parquet", "csv")


@click.command()
@click.option("--form", required=True, type=click.Choice(_FORMS), help="What other systems read.")
@click.option("--to", default="", help="Name of the folder below the export directory.")
@click.option("--database", default="", help="Name of an [[exchange_database]] of warehouse.toml instead.")
@click.option("--files", default="csv", type=click.Choice(["csv", "parquet"]), help="For eav, omop and i2b2.")
@click.option("--instances", is_flag=True, help="List every image in FHIR's ImagingStudy.")
@click.option(
    "--parts",
    default=1,
    type=click.IntRange(1, 1024),
    help="Divide --form parquet by patients, for engines of many workers.",
)
@click.option("--no-wait", is_flag=True, help="Order it and leave; the export's id is printed.")
@warehouse_options
@click.pass_obj
def export(  # noqa: PLR0913 - one parameter an option
    roots: Roots,
    *,
    form: str,
    to: str,
    database: str,
    files: str,
    instances: bool,
    parts: int,
    no_wait: bool,
    settings: Path | None,
    url: str | None,
    secret: Path | None,
) -> None:
    """Export the warehouse as EAV, OMOP, i2b2, FHIR, or as it is (parquet, csv).

    The warehouse's process writes: below the directory of [exchange], a folder that appears whole or not at
    all, or straight into a database that its settings name. Patients are pseudonyms in every form.

    \b
      p2d warehouse export --form omop --to omop --settings warehouse.toml
      p2d warehouse export --form eav --database dwh --settings warehouse.toml
      p2d warehouse export --form parquet --to backup --url http://127.0.0.1:8130 --secret operator
      p2d warehouse export --form parquet --to spark --parts 64 --settings warehouse.toml
    """  # noqa: D301 - click's paragraph marker
    exports = roots.open_exports(*address(settings, url, secret, "operator"))
    wanted = {
        "form": form,
        "to": to,
        "database": database,
        "files": files,
        "instances": instances,
        "parts": parts,
    }
    ordered = exports.order(wanted)
    if no_wait:
        click.echo(ordered)
        return
    found = exports.wait(ordered)
    for table, rows in found["tables"].items():
        click.echo(f"{rows:>12,} {table}")
    click.echo(f"{form} is in {database or f'{to}/' + found['shown']}")


@click.command()
@click.argument("dump", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option(
    "--settings", required=True, type=click.Path(path_type=Path, dir_okay=False), help="warehouse.toml"
)
@click.option("--replace", is_flag=True, help="Put it in the place of the warehouse that is there.")
@click.pass_obj
def rebuild(roots: Roots, dump: Path, *, settings: Path, replace: bool) -> None:
    """Make the warehouse's DuckDB file out of DUMP, a folder of p2d warehouse export --form parquet (or csv).

    The warehouse's process must not run. The file takes its place when every row is in it; before, every
    file of the dump is checked against the SHA-256 that it was written with.

    \b
      p2d warehouse rebuild exports/backup --settings warehouse.toml
    """  # noqa: D301 - click's paragraph marker
    for table, rows in roots.rebuild_warehouse(dump, settings, replace).items():
        if rows:
            click.echo(f"{rows:>12,} {table}")
