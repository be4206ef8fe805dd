"""``p2d check`` tells whether a settings file is right and every peer it names answers."""

from pathlib import Path

import click

from p2d.cli.app import fail
from p2d.cli.roots import Roots


@click.command()
@click.option(
    "--settings",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Any of the three files.",
)
@click.pass_obj
def check(roots: Roots, settings: Path) -> None:
    """Validate a settings file and ask the peers it names.

    For the gateway: C-ECHO to the archive, identity and warehouse. All findings are listed; the exit code is
    that of the first failure.

    \b
      p2d check --settings /etc/p2d/gateway.toml
    """  # noqa: D301 - click's paragraph marker
    first = None
    for name, error in roots.check(settings):
        click.echo(f"{'ok    ' if error is None else 'FAILED'}  {name}")
        if error is not None:
            click.echo(f"        {error.problem}" + (f"; way out: {error.remedy}" if error.remedy else ""))
            first = first or error
    if first is not None:
        fail(first)
