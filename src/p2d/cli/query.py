"""``p2d query``: ad hoc metadata of a list of pseudonyms, inside a session, as CSV or JSON."""

from pathlib import Path
from typing import BinaryIO

import click

from p2d.cli.lists import local_user, read_list
from p2d.cli.roots import Roots
from p2d.flows.research.gateway_client import session_for
from p2d.model.level import Choice, Level, Output, Scope
from p2d.model.request import Request, parse_modalities


@click.command()
@click.argument("list_file", metavar="LIST", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--settings", required=True, type=click.Path(path_type=Path, dir_okay=False), help="warehouse.toml"
)
@click.option(
    "--patients", type=click.Path(path_type=Path, dir_okay=False), help="List of the session's patients."
)
@click.option("--level", default="series", type=click.Choice([*map(str, Level)]))
@click.option(
    "--scope", default="basic", type=click.Choice([*map(str, Scope)]), help="C-FIND keys or whole headers."
)
@click.option(
    "--choice", default="first", type=click.Choice([*map(str, Choice)]), help="Images of each series."
)
@click.option("--modality", "modalities", multiple=True, help="Only this modality; repeat for more.")
@click.option("--attribute", "attributes", multiple=True, help="Only this DICOM keyword; repeat for more.")
@click.option("--output", default="csv", type=click.Choice(["csv", "json"]))
@click.option(
    "--to", "target", default="-", type=click.File("wb", lazy=True), help="File; default is stdout."
)
@click.pass_obj
def query(  # noqa: PLR0913, PLR0917 - one parameter an option
    roots: Roots,
    list_file: Path,
    settings: Path,
    patients: Path | None,
    level: str,
    scope: str,
    choice: str,
    modalities: tuple[str, ...],
    attributes: tuple[str, ...],
    output: str,
    target: BinaryIO,
) -> None:
    """Ask the archive for the headers of what LIST names, through the gateway, in pseudonyms.

    LIST is CSV in UTF-8: kind,pseudonym,study,start,end,calendar. A session is opened for its patients (or
    those of --patients where LIST names studies, cases or accession numbers) and closed at the end.

    \b
      p2d query patients.csv --settings warehouse.toml --level series --modality CT
      p2d query series.csv --patients patients.csv --scope extended --attribute SliceThickness \\
          --settings warehouse.toml --output json --to headers.json
    """  # noqa: D301 - click's paragraph marker
    request = Request(
        targets=read_list(list_file),
        modalities=parse_modalities(modalities, "--modality"),
        choice=Choice(choice),
        scope=Scope(scope),
        level=Level(level),
        output=Output(output),
        attributes=attributes,
    )
    client = roots.open_gateway_client(settings)
    others = read_list(patients) if patients else ()
    with session_for(client, local_user(), (*request.targets, *others), images=False) as session:
        answer = client.metadata(session, request)
    target.write(answer)  # the file is made now, not before there is an answer
