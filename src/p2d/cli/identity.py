"""``p2d identity``: key file, import of existing pseudonyms, pseudonymisation of clinical data."""

from pathlib import Path

import click

from p2d.cli.roots import Roots
from p2d.flows.gateway.pseudonymise import INPUT, pseudonymise_clinical
from p2d.identity.csv_table import read_pairs
from p2d.identity.keys import create_key_file
from p2d.model.errors import InvalidRequest, Misconfigured
from p2d.settings.file import read_settings
from p2d.settings.gateway import GatewaySettings
from p2d.settings.identity import IdentitySettings

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def identity() -> None:
    """Keep the pseudonym table and its key; make clinical data fit for the warehouse.

    The identity process is a trusted third party: its own user, its own folder, its own secrets. Start it
    with `p2d serve identity --settings identity.toml`.
    """


@identity.command()
@click.option("--settings", required=True, type=_FILE, help="identity.toml")
def init(settings: Path) -> None:
    """Create the key file and the folder of the database that the settings name.

    A key file is never overwritten: pseudonyms, UIDs and date shifts hang on it. Run it once, on identity's
    own machine, as identity's own user.

    \b
      p2d identity init --settings /etc/p2d/identity.toml
    """  # noqa: D301 - click's paragraph marker
    service = read_settings(settings, IdentitySettings).identity
    for folder in (service.state_dir, service.database.parent, service.key_file.parent):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            problem = f"{folder} cannot be created: {error.strerror}"
            raise Misconfigured("identity", problem, "name a folder that this user may write") from None
    create_key_file(service.key_file)
    click.echo(f"Created the key file {service.key_file} (readable by its owner only).")
    click.echo("Next:")
    click.echo("  1. Back it up apart from the database, sealed: without it no pseudonym can be resolved.")
    click.echo("  2. Write one random secret for each client that the settings name:")
    click.echo("       (umask 077; openssl rand -base64 32 > FILE)")
    click.echo(f"  3. Start the service: p2d serve identity --settings {settings}")


@identity.command()
@click.argument("source", metavar="IN", type=_FOLDER)
@click.argument("target", metavar="OUT", type=_FOLDER)
@click.option("--settings", required=True, type=_FILE, help="gateway.toml")
@click.pass_obj
def pseudonymise(roots: Roots, source: Path, target: Path, settings: Path) -> None:
    """Read identified clinical CSV files from IN, write what the warehouse loads to OUT.

    Run it in the hospital zone; it asks the identity process that gateway.toml names. IN holds patient.csv,
    case.csv, document.csv and fact.csv (UTF-8, with header). Ids become pseudonyms, dates move with their
    patient, texts lose the patient's own values. Rows that cannot be pseudonymised are left out and counted.
    OUT gets all four files or none.

    \b
      p2d identity pseudonymise /data/export /data/for-dwh --settings gateway.toml
      p2d load /data/for-dwh …
    """  # noqa: D301 - click's paragraph marker
    calendar = read_settings(settings, GatewaySettings).gateway.calendar
    report = pseudonymise_clinical(source, target, roots.open_identity(settings), calendar=calendar)
    for name in INPUT:
        click.echo(f"{name:<14}{report.written[name]:>10} rows written")
        for reason, count in sorted(report.quarantined.get(name, {}).items()):
            click.echo(f"{'':<14}{count:>10} left out: {reason}")


@identity.command("import")
@click.argument("table", metavar="TABLE", type=_FILE)
@click.option("--settings", required=True, type=_FILE, help="identity.toml")
@click.option("--dry-run", is_flag=True, help="Check everything, import nothing.")
@click.pass_obj
def import_(roots: Roots, table: Path, settings: Path, *, dry_run: bool) -> None:
    """Import existing patient pseudonyms from TABLE into P2D's own table: all of them or none.

    TABLE is CSV in UTF-8 with the header original,pseudonym. A pair that contradicts the table or the file
    itself stops the import and names its line. Run it on identity's own machine.

    \b
      p2d identity import mapping.csv --settings identity.toml --dry-run
      p2d identity import mapping.csv --settings identity.toml
    """  # noqa: D301 - click's paragraph marker
    own = roots.open_identity_table(settings)
    try:
        pairs = list(read_pairs(table, InvalidRequest, "TABLE"))
        report = own.import_patients(pairs, dry_run=dry_run)
    finally:
        own.close()
    verb = "would be imported" if dry_run else "imported"
    click.echo(f"{report.added} {verb}, {report.present} were there already.")
