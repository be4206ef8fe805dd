"""``p2d identity``: key file, import of existing pseudonyms, pseudonymisation of clinical data."""

from pathlib import Path

import click

from p2d.cli.roots import Roots
from p2d.clinical.formats import FORMATS, NATIVE, open_source
from p2d.clinical.mapping import read_mapping
from p2d.flows.gateway.clinical_rows import read_persons
from p2d.flows.gateway.pseudonymise import (
    INPUT,
    ClinicalReport,
    check_apart,
    pseudonymise_clinical,
    pseudonymise_source,
)
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
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default=NATIVE,
    show_default=True,
    help="Form of the files.",
)
@click.option("--mapping", type=_FILE, help="Mapping file (TOML or YAML): columns, words, units, limits.")
@click.option(
    "--persons", type=_FILE, help="Names and addresses by patient_id, to clean texts of OMOP and i2b2 with."
)
@click.pass_obj
def pseudonymise(
    roots: Roots,
    source: Path,
    target: Path,
    *,
    settings: Path,
    form: str,
    mapping: Path | None,
    persons: Path | None,
) -> None:
    """Read identified clinical data from IN, write what the warehouse loads to OUT.

    Run it in the hospital zone; it asks the identity process that gateway.toml names. IN holds patient.csv,
    case.csv, document.csv and fact.csv (UTF-8, with header), or another --format; OUT gets these four files
    in their pseudonymised form, or none of them. Ids become pseudonyms, dates move with their patient, texts
    lose the patient's own values; what has no column in OUT is not written. Rows that cannot be
    pseudonymised are left out, texts of patients without a known name removed; both are counted.

    \b
      p2d identity pseudonymise /data/export /data/for-dwh --settings gateway.toml
      p2d identity pseudonymise /data/cdm /data/for-dwh --settings gateway.toml \\
        --format omop --persons /data/persons.csv
      p2d load /data/for-dwh …
    """  # noqa: D301 - click's paragraph marker
    calendar = read_settings(settings, GatewaySettings).gateway.calendar
    if form == NATIVE:
        for option, given in (("--mapping", mapping), ("--persons", persons)):
            if given is not None:
                raise InvalidRequest(
                    option, "is for other formats than p2d", "leave it out, or name --format"
                )
        report = pseudonymise_clinical(source, target, roots.open_identity(settings), calendar=calendar)
        _show(report)
        return
    check_apart(source, target)
    clinical = open_source(source, form, read_mapping(mapping) if mapping else None)
    known = read_persons(persons) if persons else {}
    asked = roots.open_identity(settings)
    report = pseudonymise_source(clinical, target, asked, persons=known, calendar=calendar)
    _show(report)
    for tally in clinical.tallies.values():
        for (file, reason), count in sorted(tally.skipped.items()):
            click.echo(f"{file:<14}{count:>10} rows skipped: {reason}")
        for file, count in sorted(tally.unread.items()):
            if count:
                click.echo(f"{file:<14}{count:>10} columns not taken")


def _show(report: ClinicalReport) -> None:
    for name in INPUT:
        click.echo(f"{name:<14}{report.written[name]:>10} rows written")
        for reason, count in sorted(report.quarantined.get(name, {}).items()):
            click.echo(f"{'':<14}{count:>10} left out: {reason}")
        for reason, count in sorted(report.removed.get(name, {}).items()):
            click.echo(f"{'':<14}{count:>10} {reason}")


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
