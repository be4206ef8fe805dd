"""``p2d serve``: start one of the three processes and stay until it is stopped."""

from pathlib import Path

import click

from p2d.cli.roots import Roots


@click.command()
@click.argument("process", type=click.Choice(["gateway", "warehouse", "identity"]))
@click.option(
    "--settings",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="TOML settings file of that process (docs/reference/settings.md).",
)
@click.pass_obj
def serve(roots: Roots, process: str, settings: Path) -> None:
    """Start PROCESS in the foreground.

    Each process has its own settings file, secrets and operating-system user:

    \b
      p2d serve identity  --settings /etc/p2d/identity.toml
      p2d serve gateway   --settings /etc/p2d/gateway.toml
      p2d serve warehouse --settings /etc/p2d/warehouse.toml

    It refuses to start with a weak or default secret, an unknown setting, or a port in use.
    """  # noqa: D301 - click's paragraph marker
    roots.serve[process](settings)
