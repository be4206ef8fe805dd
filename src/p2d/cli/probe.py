"""``p2d probe``: find out what an archive really does, and keep it as its profile."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import click

from p2d.access.caller import Caller
from p2d.access.roles import Role
from p2d.cli.lists import local_user, read_list
from p2d.cli.roots import Roots
from p2d.pacs.probe.document import as_toml, write
from p2d.pacs.probe.probe import Effort


@click.command()
@click.argument("list_file", metavar="LIST", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--settings", required=True, type=click.Path(path_type=Path, dir_okay=False), help="gateway.toml"
)
@click.option("--archive", default="", help="Which of several archives.")
@click.option("--images", default=500, type=click.IntRange(1, 20_000), help="Images that may be moved.")
@click.option("--associations", default=4, type=click.IntRange(1, 8), help="Associations tried at a time.")
@click.option(
    "--write",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the profile there instead of printing it.",
)
@click.pass_obj
def probe(
    roots: Roots,
    list_file: Path,
    settings: Path,
    archive: str,
    images: int,
    associations: int,
    path: Path | None,
) -> None:
    """Ask the archive what it does, with the first suitable patient in LIST.

    LIST names a few patients (pseudonyms) with some images. Queries are compared with what is found level by
    level, retrieves with what was asked for. Name the file written as `profile` in the archive's settings.

    \b
      p2d probe patients.csv --settings gateway.toml --write main.profile.toml
    """  # noqa: D301 - click's paragraph marker
    targets = read_list(list_file)
    effort = Effort(images=images, associations=associations)
    prober = roots.open_prober(settings)
    with closing(prober.gateway):
        chosen = replace(prober.probe(archive), effort=effort)
        click.echo(f"Probing {chosen.name}: {effort.sentence()}", err=True)
        caller = Caller(user=local_user(), role=Role.OPERATOR, service="cli")
        probed = prober.run(chosen, targets, caller, lambda text: click.echo(f"- {text}", err=True))
    click.echo(f"It cost the archive {probed.bill.sentence()}.", err=True)
    if path is None:
        click.echo(as_toml(probed), nl=False)
    else:
        write(probed, path)
        click.echo(f"Profile written to {path}", err=True)
