"""``p2d warehouse check|promote|demote|erase|arrange|refresh``, asked of a running warehouse."""

import csv
from importlib import resources
from pathlib import Path
from typing import Any, Final

import click

from p2d.cli.roots import Roots
from p2d.cli.warehouse_address import address, warehouse_options
from p2d.model.errors import Incomplete, InvalidRequest


def _call(roots: Roots, where: tuple[Path | None, str | None, Path | None], *call: str, **more: Any) -> Any:
    """Return the answer of the warehouse that the options *where* name to *call* (method and path)."""
    return roots.open_cohorts(*address(*where, "operator")).client.call(*call, **more)


@click.command()
@warehouse_options
@click.pass_obj
def check(roots: Roots, settings: Path | None, url: str | None, secret: Path | None) -> None:
    """Look whether parents, keys, counts, links and words fit together; exit code 7 where they do not."""
    found = _call(roots, (settings, url, secret), "GET", "/upkeep/check")["inconsistencies"]
    for claim, rows in found.items():
        click.echo(f"{rows:>10,} rows against: {claim}", err=True)
    if found:
        raise Incomplete("warehouse", f"{len(found)} claim(s) do not hold", "restore a copy, or load anew")
    click.echo("The store fits together.")


@click.command()
@click.argument("keywords", nargs=-1)
@click.option(
    "--level", type=click.Choice(["study", "series", "instance"]), default="series", show_default=True
)
@click.option("--mii", is_flag=True, help="The attributes of the MII imaging module, each at its level.")
@warehouse_options
@click.pass_obj
def promote(
    roots: Roots,
    keywords: tuple[str, ...],
    level: str,
    *,
    mii: bool,
    settings: Path | None,
    url: str | None,
    secret: Path | None,
) -> None:
    """Make extended attributes typed columns: faster to ask, filled from what is loaded, kept by loads.

    \b
      p2d warehouse promote SliceThickness KVP --settings warehouse.toml
      p2d warehouse promote --mii --settings warehouse.toml
    """  # noqa: D301 - click's paragraph marker
    wanted = [{"keyword": keyword, "level": level} for keyword in keywords] + (_mii() if mii else [])
    if not wanted:
        raise InvalidRequest("KEYWORDS", "are missing", "name attributes, or give --mii")
    done = _call(roots, (settings, url, secret), "POST", "/promotions", json=wanted)
    for one in done["promotions"]:
        click.echo(
            f"{one['keyword']} ({one['type']}, {one['level']}): {one['filled']:,} filled, "
            f"{one['differing']:,} left empty because their images differ, {one['unfit']:,} of another type"
        )


@click.command()
@click.argument("keyword")
@warehouse_options
@click.pass_obj
def demote(roots: Roots, keyword: str, settings: Path | None, url: str | None, secret: Path | None) -> None:
    """Take a promoted column away; its values stay in the extended headers."""
    _call(roots, (settings, url, secret), "DELETE", f"/promotions/{keyword}")
    click.echo(f"{keyword} is an extended attribute again.")


@click.command()
@click.argument("patients", nargs=-1)
@click.option(
    "--list", "listed", type=click.Path(path_type=Path, dir_okay=False), help="One pseudonym a line."
)
@click.confirmation_option(prompt="Every row of these patients is deleted. Go on?")
@warehouse_options
@click.pass_obj
def erase(
    roots: Roots,
    patients: tuple[str, ...],
    listed: Path | None,
    settings: Path | None,
    url: str | None,
    secret: Path | None,
) -> None:
    """Delete every row of PATIENTS (pseudonyms) in every table, and prove that none is left."""
    wanted = [*patients, *(listed.read_text(encoding="utf-8").split() if listed else ())]
    if not wanted:
        raise InvalidRequest("PATIENTS", "are missing", "name pseudonyms, or give --list")
    answer = _call(roots, (settings, url, secret), "POST", "/erasures", json={"patients": wanted})
    for table, rows in answer["erased"].items():
        if rows:
            click.echo(f"{rows:>10,} rows of {table} deleted")
    click.echo(f"{answer['left']:>10,} rows of these patients are left")


@click.command()
@warehouse_options
@click.pass_obj
def arrange(roots: Roots, settings: Path | None, url: str | None, secret: Path | None) -> None:
    """Rewrite tables in the order in which queries read them; may be interrupted and run again."""
    answer = _call(roots, (settings, url, secret), "POST", "/upkeep/arrange")
    for table, was_rewritten in answer["rewritten"].items():
        click.echo(f"{table}: {'rewritten' if was_rewritten else 'was in order'}")


@click.command()
@warehouse_options
@click.pass_obj
def refresh(roots: Roots, settings: Path | None, url: str | None, secret: Path | None) -> None:
    """Count the whole catalogue and index the words of all documents anew."""
    where = (settings, url, secret)
    _call(roots, where, "POST", "/upkeep/terms")
    click.echo(f"{_call(roots, where, 'POST', '/upkeep/refresh')['attributes']:,} attributes counted")


def _mii() -> list[dict[str, str]]:
    listed = resources.files("p2d.warehouse") / "data" / "promotions_mii.tsv"
    return list(csv.DictReader(listed.read_text(encoding="utf-8").splitlines(), delimiter="\t"))


COMMANDS: Final = (check, promote, demote, erase, arrange, refresh)
