"""``p2d images``: ad hoc images of a list of pseudonyms, inside a session, as DICOM or JPEG."""

from pathlib import Path

import click

from p2d.cli.lists import local_user, read_list
from p2d.cli.roots import Roots
from p2d.flows.research.download import download
from p2d.flows.research.gateway_client import session_for
from p2d.model.level import Choice, Output
from p2d.model.request import Request, parse_modalities


@click.command()
@click.argument("list_file", metavar="LIST", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--settings", required=True, type=click.Path(path_type=Path, dir_okay=False), help="warehouse.toml"
)
@click.option(
    "--patients", type=click.Path(path_type=Path, dir_okay=False), help="List of the session's patients."
)
@click.option("--format", "output", default="dicom", type=click.Choice(["dicom", "jpeg"]))
@click.option(
    "--choice", default="all", type=click.Choice([*map(str, Choice)]), help="Images of each series."
)
@click.option("--modality", "modalities", multiple=True, help="Only this modality; repeat for more.")
@click.option(
    "--to", "folder", required=True, type=click.Path(path_type=Path, file_okay=False), help="New folder."
)
@click.option("--zip", "as_zip", is_flag=True, help="Keep the download as one ZIP in the folder.")
@click.pass_obj
def images(  # noqa: PLR0913, PLR0917 - one parameter an option
    roots: Roots,
    list_file: Path,
    settings: Path,
    patients: Path | None,
    output: str,
    choice: str,
    modalities: tuple[str, ...],
    folder: Path,
    *,
    as_zip: bool,
) -> None:
    """Fetch the images that LIST names into a folder, de-identified.

    The folder holds patient/study/series/instance files named by pseudonyms, manifest.csv, withheld.csv and
    ledger.json. What was withheld is counted with its reason, never silently left out.

    \b
      p2d images patients.csv --settings warehouse.toml --to ./study-1 --modality DX
      p2d images series.csv --patients patients.csv --settings warehouse.toml --format jpeg --to ./look

    Exit code 7 if images that the archive lists did not arrive, or if they wait for a release review: then
    nothing has left yet, and `p2d review fetch` gets what an officer approved.
    """  # noqa: D301 - click's paragraph marker
    request = Request(
        targets=read_list(list_file),
        modalities=parse_modalities(modalities, "--modality"),
        choice=Choice(choice),
        output=Output(output),
    )
    client = roots.open_gateway_client(settings)
    others = read_list(patients) if patients else ()
    with session_for(client, local_user(), (*request.targets, *others), images=True) as session:
        result = download(client, session, request, folder, keep_zip=as_zip)
    click.echo(f"{result.released} images in {folder}; {result.withheld} withheld, {result.missing} missing")
    result.require_complete()
