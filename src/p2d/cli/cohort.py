"""``p2d cohort``: count, preview and table of a cohort query, asked of a running warehouse."""

import csv
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TextIO

import click
from rich.console import Console
from rich.table import Table as Picture

from p2d.cli.roots import Roots
from p2d.cli.warehouse_address import address, warehouse_options
from p2d.model.errors import InvalidRequest
from p2d.warehouse.query.examples import PAPER
from p2d.warehouse.query.parse import parse

_QUERY: Final = click.argument("query", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))


def _example(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click's signature
    if wanted and not ctx.resilient_parsing:
        click.echo(json.dumps(PAPER, indent=2, ensure_ascii=False))
        ctx.exit()


@click.group()
@click.option(
    "--example",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_example,
    help="Print a query to start from.",
)
def cohort() -> None:
    """Ask the warehouse for a cohort of patients.

    QUERY is a JSON file, or - for standard input; docs/reference/cohort-language.md describes the language.
    Imaging criteria that stand together in one "all" hold in the same series.

    \b
      p2d cohort --example > query.json
      p2d cohort count query.json --settings warehouse.toml
      p2d cohort table query.json --url http://127.0.0.1:8130 --secret researcher --to cohort.csv
    """  # noqa: D301 - click's paragraph marker


@cohort.command()
@_QUERY
@warehouse_options
@click.pass_obj
def count(roots: Roots, query: Path, settings: Path | None, url: str | None, secret: Path | None) -> None:
    """Count patients, cases, and the studies, series and instances that match."""
    counts = roots.open_cohorts(*address(settings, url, secret, "researcher")).count(_read(query))
    picture = Picture("what", "count")
    for name, number in counts.items():
        picture.add_row(name.replace("_", " "), f"{number:,}")
    Console().print(picture)


@cohort.command()
@_QUERY
@warehouse_options
@click.pass_obj
def preview(roots: Roots, query: Path, settings: Path | None, url: str | None, secret: Path | None) -> None:
    """Show the first rows of the query's table."""
    found = roots.open_cohorts(*address(settings, url, secret, "researcher")).preview(_read(query))
    picture = Picture(*found.columns, title=f"{len(found.rows)} of {found.total} rows")
    for row in found.rows:
        picture.add_row(*("" if row.get(c) is None else str(row[c]) for c in found.columns))
    Console().print(picture)


@cohort.command()
@_QUERY
@warehouse_options
@click.option("--format", "form", default="csv", type=click.Choice(["csv", "json"]))
@click.option(
    "--to",
    "target",
    default="-",
    type=click.File("w", encoding="utf-8", lazy=True),
    help="File; default stdout.",
)
@click.pass_obj
def table(
    roots: Roots,
    query: Path,
    settings: Path | None,
    url: str | None,
    secret: Path | None,
    form: str,
    target: TextIO,
) -> None:
    """Write all rows of the query's table as CSV or JSON."""
    found = roots.open_cohorts(*address(settings, url, secret, "researcher")).table(_read(query))
    if form == "csv":
        _write_csv(target, found.columns, found.rows)
    else:
        target.write(json.dumps(found.rows, ensure_ascii=False, indent=1) + "\n")


@cohort.command()
@_QUERY
@warehouse_options
@click.pass_obj
def patients(roots: Roots, query: Path, settings: Path | None, url: str | None, secret: Path | None) -> None:
    """Print the patients as a list file: the input of p2d extract, query and images."""
    found = roots.open_cohorts(*address(settings, url, secret, "researcher")).patients(_read(query))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("kind", "pseudonym", "study", "start", "end", "calendar"))
    writer.writerows(("patient", patient, "", "", "", "") for patient in found)


def _read(path: Path) -> Mapping[str, object]:
    """Return the query in *path*, parsed once here so that mistakes show without a warehouse."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
        source = json.loads(text)
    except (OSError, UnicodeDecodeError):
        raise InvalidRequest(
            "QUERY", f"{path} is not readable as UTF-8", "name a file; see --example"
        ) from None
    except (ValueError, RecursionError):
        raise InvalidRequest("QUERY", f"{path} is not JSON", "see p2d cohort --example") from None
    parse(source)
    return dict(source)


def _write_csv(target: TextIO, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
    from p2d.export.table import write_csv  # noqa: PLC0415 - loads the DICOM dictionary

    write_csv(target, tuple(columns), (dict(row) for row in rows))
