"""``p2d load``: pseudonymised clinical data of any format into a running warehouse."""

from collections import Counter
from pathlib import Path
from typing import Final

import click

from p2d.cli.roots import Roots
from p2d.cli.warehouse_address import address, warehouse_options
from p2d.clinical.formats import FORMATS, NATIVE, open_source
from p2d.clinical.mapping import read_mapping
from p2d.model.errors import Incomplete
from p2d.warehouse.intake import Intake, by_reason

_SHOWN: Final = 20
_FILE: Final = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@warehouse_options
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default=NATIVE,
    show_default=True,
    help="Form of the files; p2d is what p2d identity pseudonymise writes.",
)
@click.option("--mapping", type=_FILE, help="Mapping file (TOML or YAML): columns, words, units, limits.")
@click.option("--patient-form", help="Regular expression of a foreign IDM's patient pseudonyms.")
@click.pass_obj
def load(  # noqa: PLR0913 - one parameter an option
    roots: Roots,
    folder: Path,
    *,
    settings: Path | None,
    url: str | None,
    secret: Path | None,
    form: str,
    mapping: Path | None,
    patient_form: str | None,
) -> None:
    """Load the clinical data in FOLDER into the warehouse.

    The files hold pseudonyms and shifted dates: p2d identity pseudonymise writes them. Rows that hold
    anything else are set aside and listed by file, row and field; the rest is loaded and the exit code is
    7. Row 1 is the first row of data. Loading a folder again changes nothing.

    \b
      p2d load pseudonymised/ --settings warehouse.toml
      p2d load pseudonymised/ --url http://127.0.0.1:8130 --secret loader
      p2d load cdm/ --format omop --settings warehouse.toml
      p2d load export/ --format csv --mapping mapping.toml --settings warehouse.toml
    """  # noqa: D301 - click's paragraph marker
    source = open_source(folder, form, read_mapping(mapping) if mapping else None)
    intake = Intake(source, patient_form)
    warehouse = roots.open_loader(*address(settings, url, secret, "loader"))
    rows: Counter[str] = Counter()
    for batch in intake.batches:
        rows.update(warehouse.load(batch).rows)
    _report(intake, rows)


def _report(intake: Intake, rows: Counter[str]) -> None:
    """Print what became of every row, and that it adds up."""
    for name, number in rows.items():
        click.echo(f"{number:>10,} {name} rows loaded")
    for tally in intake.source.tallies.values():
        for (file, reason), number in sorted(tally.skipped.items()):
            click.echo(f"{number:>10,} rows of {file} skipped: {reason}")
    account = intake.account()
    read, several = f"{account['read']:,} rows read", account["several"]
    more = f" and {several:,} more values of them" if several else ""
    aside, skipped = f"{account['set_aside']:,} set aside", f"{account['skipped']:,} skipped"
    click.echo(f"{read}{more} = {rows.total():,} loaded + {aside} + {skipped}")
    for entry in intake.set_aside[:_SHOWN]:
        place = f"{entry.file} row {entry.row} field {entry.field}"
        click.echo(f"set aside: {place}: {entry.problem}", err=True)
    if len(intake.set_aside) > _SHOWN:
        click.echo(f"… and {len(intake.set_aside) - _SHOWN:,} more; all of them by reason:", err=True)
        for (table, name, problem), number in by_reason(intake.set_aside).items():
            click.echo(f"{number:>10,} {table} rows: field {name} {problem}", err=True)
    if account["read"] + several != rows.total() + account["set_aside"] + account["skipped"]:
        raise Incomplete("load", "the rows do not add up", "report this; the account above shows where")
    if intake.set_aside:
        listed = f"{len(intake.set_aside):,} row(s) were set aside"
        raise Incomplete("load", listed, "correct them at their source and load the folder again")
