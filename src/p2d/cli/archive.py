"""``p2d archive``: the load on the archives, and the kill switch."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from p2d.cli.lists import local_user
from p2d.cli.roots import Roots
from p2d.pacs.governor.port import Load, Resource
from p2d.pacs.governor.wire import load_out

_F = TypeVar("_F", bound=Callable[..., Any])
_UNITS: Final = {Resource.BYTES: (1e6, "MB")}


def _options(command: _F) -> _F:
    file = click.Path(path_type=Path, dir_okay=False)
    settings = click.option("--settings", required=True, type=file, help="gateway.toml")
    return click.argument("name", required=False)(settings(command))


@click.group()
def archive() -> None:
    """See what P2D asks of an archive, stop it, let it go on.

    NAME is the archive's name in the settings; without it all are meant.

    \b
      p2d archive status --settings gateway.toml
      p2d archive stop --settings gateway.toml
      p2d archive resume main --settings gateway.toml

    A file called STOP in the gateway's state folder stops all but folders too, whatever else is broken.
    """  # noqa: D301 - click's paragraph marker


@archive.command()
@_options
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_obj
def status(roots: Roots, name: str | None, settings: Path, *, as_json: bool) -> None:
    """Show rates and their caps, associations, windows, breakers and the kill switch."""
    with roots.open_archive_orders(settings, local_user()) as orders:
        loads = orders.loads(name)
    if as_json:
        click.echo(json.dumps([load_out(load) for load in loads], indent=2))
        return
    for load in loads:
        click.echo(_text(load))


@archive.command()
@_options
@click.pass_obj
def stop(roots: Roots, name: str | None, settings: Path) -> None:
    """Stop all work on archives: nothing new from now on, what runs is ended within 5 seconds.

    It holds until `p2d archive resume`, in every process and after a restart.
    """
    with roots.open_archive_orders(settings, local_user()) as orders:
        for one in orders.stop(name):
            click.echo(f"archive {one} is stopped")


@archive.command()
@_options
@click.pass_obj
def resume(roots: Roots, name: str | None, settings: Path) -> None:
    """Let archives be asked again."""
    with roots.open_archive_orders(settings, local_user()) as orders:
        for one in orders.resume(name):
            click.echo(f"archive {one} may be asked again")


def _text(load: Load) -> str:
    state = f"STOPPED by {load.stopped}" if load.is_stopped else "running"
    lines = [f"archive {load.archive}: {state}, at {load.factor:.0%} of its caps"]
    lines.append(f"  {'':14}{'last minute':>14}{'last 15 min':>14}{'cap a minute':>14}{'share':>8}")
    for resource, rate in load.rates.items():
        size, unit = _UNITS.get(resource, (1.0, str(resource)))
        minute, quarter, cap = (
            f"{one / size:,.0f}" for one in (rate.last_minute, rate.last_quarter, rate.cap)
        )
        lines.append(f"  {unit:14}{minute:>14}{quarter:>14}{cap:>14}{rate.share:>8.0%}")
    held = ", ".join(f"{number} {one}" for one, number in load.associations.items() if number) or "none"
    lines.append(f"  associations  {held} of {load.allowed_associations} (cap {load.most_associations})")
    waiting = ", ".join(f"{number} {one}" for one, number in load.waiting.items() if number) or "none"
    lines.append(f"  waiting       {waiting}")
    lines.append("  breakers      " + ", ".join(f"{one} {state}" for one, state in load.breakers.items()))
    for one, (is_open, change) in load.windows.items():
        until = f" until {change:%Y-%m-%d %H:%M %Z}" if change else ""
        lines.append(f"  window        {one} {'open' if is_open else 'closed'}{until}")
    return "\n".join(lines)
