"""``p2d load``: pseudonymised clinical CSV files into a running warehouse."""

from collections import Counter
from pathlib import Path
from typing import Final

import click

from p2d.cli.roots import Roots
from p2d.cli.warehouse_address import address, warehouse_options
from p2d.model.errors import Incomplete
from p2d.warehouse.clinical import ClinicalFolder, read_clinical

_SHOWN: Final = 20


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@warehouse_options
@click.option("--patient-form", help="Regular expression of a foreign IDM's patient pseudonyms.")
@click.pass_obj
def load(
    roots: Roots,
    folder: Path,
    settings: Path | None,
    url: str | None,
    secret: Path | None,
    patient_form: str | None,
) -> None:
    """Load FOLDER (patient.csv, case.csv, document.csv, fact.csv) into the warehouse.

    The files hold pseudonyms and shifted dates: p2d identity pseudonymise writes them. Rows that hold
    anything else are set aside and listed by file, line and column; the rest is loaded and the exit code is
    7. Loading a folder again changes nothing.

    \b
      p2d load pseudonymised/ --settings warehouse.toml
      p2d load pseudonymised/ --url http://127.0.0.1:8130 --secret loader
    """  # noqa: D301 - click's paragraph marker
    clinical = read_clinical(folder, patient_form)
    warehouse = roots.open_loader(*address(settings, url, secret, "loader"))
    rows: Counter[str] = Counter()
    for batch in clinical.batches:
        rows.update(warehouse.load(batch).rows)
    for name, number in rows.items():
        click.echo(f"{number:>10,} {name} rows loaded")
    _report(clinical)


def _report(clinical: ClinicalFolder) -> None:
    aside = clinical.set_aside
    for entry in aside[:_SHOWN]:
        click.echo(
            f"set aside: {entry.file} line {entry.line} column {entry.column}: {entry.reason}", err=True
        )
    if aside:
        listed = f"{len(aside)} row(s) were set aside"
        raise Incomplete("load", listed, "correct them at their source and load the folder again")
