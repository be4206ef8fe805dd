"""``p2d review``: held requests, contact sheets, decisions of an officer, and what was approved."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from p2d.cli.lists import local_user
from p2d.cli.roots import Roots
from p2d.flows.research.download import received
from p2d.flows.research.review_client import JsonObject, ReviewClient, pending
from p2d.model.errors import Incomplete, InvalidRequest
from p2d.model.review import Objection
from p2d.settings.file import read_secret

_F = TypeVar("_F", bound=Callable[..., Any])
_FILE: Final = click.Path(path_type=Path, dir_okay=False)


def _options(command: _F) -> _F:
    for option in (
        click.option("--officer", type=_FILE, help="File with the officers' secret; acts as an officer."),
        click.option("--settings", required=True, type=_FILE, help="warehouse.toml"),
    ):
        command = option(command)
    return command


@click.group()
def review() -> None:
    """Look at images that are held, approve or reject them, fetch what was approved.

    A profile with `review: true` lets no image leave before an officer looked at contact sheets of it and
    approved its series. Whoever asked for the images sees how they stand and fetches them.

    \b
      p2d review list --settings warehouse.toml --officer officer-secret
      p2d review show HOLD --settings warehouse.toml --officer officer-secret
      p2d review sheet HOLD --settings warehouse.toml --officer officer-secret --to ./look
      p2d review approve HOLD SERIES --settings warehouse.toml --officer officer-secret
      p2d review reject HOLD SERIES --reason "text in the image" --settings …
      p2d review fetch HOLD --settings warehouse.toml --to ./study-1
    """  # noqa: D301 - click's paragraph marker


@review.command("list")
@_options
@click.pass_obj
def list_(roots: Roots, settings: Path, officer: Path | None) -> None:
    """List held requests: an officer's all, others' own."""
    for hold in _client(roots, settings, officer).holds():
        click.echo(_summary(hold))


@review.command()
@click.argument("hold")
@_options
@click.pass_obj
def show(roots: Roots, hold: str, settings: Path, officer: Path | None) -> None:
    """Show the series of HOLD and how they stand."""
    _print(_client(roots, settings, officer).hold(hold))


@review.command()
@click.argument("hold")
@click.argument("series", required=False)
@_options
@click.option(
    "--to", "folder", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder."
)
@click.pass_obj
def sheet(
    roots: Roots, hold: str, series: str | None, settings: Path, officer: Path | None, folder: Path
) -> None:
    """Write contact sheets of HOLD, or of one SERIES of it, to a folder as SERIES.jpg; for officers.

    A sheet shows up to 24 images: first, last and evenly between, masked ones first. What was masked is
    outlined in red.
    """
    client = _client(roots, settings, officer)
    found = [series] if series else [str(one["series"]) for one in client.hold(hold)["series"]]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for one in found:
        picture = client.sheet(hold, one)
        target = folder / f"{one}.jpg"
        target.touch(mode=0o600)
        target.write_bytes(picture)
    click.echo(f"{len(found)} contact sheets in {folder}")


@review.command()
@click.argument("hold")
@click.argument("series", required=False)
@_options
@click.option("--all", "everything", is_flag=True, help="All series that are pending.")
@click.pass_obj
def approve(
    roots: Roots, hold: str, series: str | None, settings: Path, officer: Path | None, *, everything: bool
) -> None:
    """Approve SERIES of HOLD, or --all that are pending; for officers. A decision is final."""
    _print(_client(roots, settings, officer).decide(hold, _chosen(series, everything=everything)))


@review.command()
@click.argument("hold")
@click.argument("series", required=False)
@_options
@click.option("--all", "everything", is_flag=True, help="All series that are pending.")
@click.option(
    "--reason", required=True, type=click.Choice([*map(str, Objection)]), help="Why; goes into the report."
)
@click.pass_obj
def reject(
    roots: Roots,
    hold: str,
    series: str | None,
    settings: Path,
    officer: Path | None,
    reason: str,
    *,
    everything: bool,
) -> None:
    """Reject SERIES of HOLD, or --all that are pending; for officers. A decision is final."""
    client = _client(roots, settings, officer)
    _print(client.decide(hold, _chosen(series, everything=everything), Objection(reason)))


@review.command()
@click.argument("hold")
@_options
@click.option(
    "--to", "folder", required=True, type=click.Path(path_type=Path, file_okay=False), help="New folder."
)
@click.option("--zip", "as_zip", is_flag=True, help="Keep the download as one ZIP in the folder.")
@click.pass_obj
def fetch(
    roots: Roots, hold: str, settings: Path, officer: Path | None, folder: Path, *, as_zip: bool
) -> None:
    """Fetch what was approved of HOLD into a folder, as `p2d images` writes it.

    Exit code 7 if a series is not decided yet; the command can be repeated into the same folder.
    """
    client = _client(roots, settings, officer)
    waiting = pending(client.hold(hold))
    result = received(client.files(hold), folder, keep_zip=as_zip)
    click.echo(f"{result.released} images in {folder}; {result.withheld} withheld, {result.missing} missing")
    if waiting:
        raise Incomplete("series", f"{waiting} are not decided yet", "run the command again after the review")
    result.require_complete()


def _client(roots: Roots, settings: Path, officer: Path | None) -> ReviewClient:
    secret = read_secret(officer, "--officer").get_secret_value() if officer else None
    return ReviewClient(roots.open_gateway_client(settings), local_user(), secret)


def _chosen(series: str | None, *, everything: bool) -> str | None:
    if (series is None) != everything:
        raise InvalidRequest("SERIES", "is missing, or given beside --all", "name one series, or give --all")
    return series


def _summary(hold: JsonObject) -> str:
    images = sum(int(one["images"]) for one in hold["series"])
    waiting = f"{pending(hold)} of {len(hold['series'])} series pending"
    return f"{hold['hold']}  {hold['user']}  {images} images, {waiting}, until {hold['expires']}"


def _print(hold: JsonObject) -> None:
    click.echo(_summary(hold))
    for one in hold["series"]:
        words = f"{one['images']} {one['modality']}, {one['masked']} masked, {one['standing']}"
        words += f" ({one['reason']})" if one["reason"] else ""
        click.echo(f"  {one['series']}  {words}" + (f" by {one['by']}" if one["by"] else ""))
