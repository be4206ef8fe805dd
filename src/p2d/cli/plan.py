"""``p2d plan``: what a bulk run would cost, before it is begun."""

import json
from contextlib import closing
from pathlib import Path

import click

from p2d.access.caller import Caller
from p2d.access.roles import Role
from p2d.cli.lists import local_user, read_list
from p2d.cli.roots import Roots
from p2d.flows.gateway.plan.planner import EFFORTS, Planner, render
from p2d.model.request import Request, parse_modalities
from p2d.pacs.governor.port import WorkClass


@click.command()
@click.argument("list_file", metavar="LIST", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--settings", required=True, type=click.Path(path_type=Path, dir_okay=False), help="gateway.toml"
)
@click.option("--modality", "modalities", multiple=True, help="Only this modality; repeat for more.")
@click.option(
    "--patients", type=click.IntRange(min=1), help="Predict for this many, of whom LIST is a sample."
)
@click.option(
    "--within", "within_days", default=7.0, type=click.FloatRange(min=0), help="Days that a run may take."
)
@click.option(
    "--effort",
    default="normal",
    type=click.Choice([*EFFORTS]),
    help="How much the plan itself may ask of the archive.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.pass_obj
def plan(  # noqa: PLR0913 - one parameter an option
    roots: Roots,
    list_file: Path,
    settings: Path,
    modalities: tuple[str, ...],
    patients: int | None,
    within_days: float,
    *,
    effort: str,
    as_json: bool,
) -> None:
    """Predict images, volume and hours of a bulk run of the patients in LIST, for each approach.

    Some patients are counted by the archive's own numbers, a few are run through every approach and their
    headers thrown away; the warehouse is not touched. What the plan itself cost the archive is printed.
    Effort is up to 200, 1,000 or 5,000 patients counted, 6, 12 or 24 timed, 500, 3,000 or 20,000 images
    moved; counting ends sooner where the images are known within 25, 12 or 6 %.

    \b
      p2d plan patients.csv --settings gateway.toml
      p2d plan sample.csv --settings gateway.toml --patients 500000 --within 30
    """  # noqa: D301 - click's paragraph marker
    request = Request(targets=read_list(list_file), modalities=parse_modalities(modalities, "--modality"))
    with closing(roots.open_gateway(settings)) as gateway:
        made = Planner(gateway.for_work(WorkClass.BULK)).plan(
            request,
            Caller(user=local_user(), role=Role.OPERATOR, service="cli"),
            patients=patients,
            within_days=within_days,
            effort=EFFORTS[effort],
            watch=_show,
        )
    click.echo(json.dumps(made.as_json(), indent=2) if as_json else render(made))


def _show(what: str, done: int, total: int) -> None:
    click.echo(f"{what}: {done} of {total}", err=True)
