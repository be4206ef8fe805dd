"""``p2d cohort``: count, preview and table of a cohort query, asked of a running warehouse."""

import csv
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import click
from rich.console import Console
from rich.table import Table as Picture

from p2d.cli.roots import Roots
from p2d.cli.warehouse_address import address, warehouse_options
from p2d.model.errors import InvalidRequest
from p2d.warehouse.query.as_json import query_json
from p2d.warehouse.query.examples import PAPER
from p2d.warehouse.query.nodes import Query
from p2d.warehouse.query.parse import parse
from p2d.warehouse.query.text_form.grammar import parse_text

if TYPE_CHECKING:
    from p2d.flows.research.cohort_client import Cohorts

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

    QUERY is a file, or - for standard input, with the query as JSON or as text; the page
    docs/reference/cohort-language.md describes both. Imaging criteria that stand together hold in the same
    series. The command "say" shows what a query means without asking the warehouse.

    \b
      p2d cohort --example > query.json
      p2d cohort count query.json --settings warehouse.toml
      echo 'LVEF < 45 and Modality = CT' | p2d cohort count - --settings warehouse.toml
      p2d cohort table query.json --url http://127.0.0.1:8130 --secret researcher --to cohort.csv
    """  # noqa: D301 - click's paragraph marker


@cohort.command()
@_QUERY
@warehouse_options
@click.pass_obj
def count(roots: Roots, query: Path, settings: Path | None, url: str | None, secret: Path | None) -> None:
    """Count patients, cases, and the studies, series and instances that match."""
    cohorts = roots.open_cohorts(*address(settings, url, secret, "researcher"))
    counts = cohorts.count(_query(cohorts, query))
    picture = Picture("what", "count")
    for name, number in counts.items():
        picture.add_row(name.replace("_", " "), "too few to be shown" if number is None else f"{number:,}")
    Console().print(picture)


@cohort.command()
@_QUERY
@warehouse_options
@click.pass_obj
def preview(roots: Roots, query: Path, settings: Path | None, url: str | None, secret: Path | None) -> None:
    """Show the first rows of the query's table."""
    cohorts = roots.open_cohorts(*address(settings, url, secret, "researcher"))
    found = cohorts.preview(_query(cohorts, query))
    picture = Picture(*found.columns, title=f"{len(found.rows)} of {found.total} rows")
    for row in found.rows:
        picture.add_row(*(_shown(row.get(name)) for name in found.columns))
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
    cohorts = roots.open_cohorts(*address(settings, url, secret, "researcher"))
    found = cohorts.table(_query(cohorts, query))
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
    cohorts = roots.open_cohorts(*address(settings, url, secret, "researcher"))
    found = cohorts.patients(_query(cohorts, query))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("kind", "pseudonym", "study", "start", "end", "calendar"))
    writer.writerows(("patient", patient, "", "", "", "") for patient in found)


@cohort.command()
@click.argument("name")
@click.argument("source", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@warehouse_options
@click.option("--patients", "is_list", is_flag=True, help="SOURCE holds pseudonyms, one a line, no query.")
@click.option("--shared", is_flag=True, help="Others may use it, too.")
@click.pass_obj
def save(  # noqa: PLR0913, PLR0917 - arguments are options
    roots: Roots,
    name: str,
    source: Path,
    settings: Path | None,
    url: str | None,
    secret: Path | None,
    is_list: bool,  # noqa: FBT001 - click's signature
    shared: bool,  # noqa: FBT001 - as above
) -> None:
    """Save the query (or the pseudonyms) in SOURCE as NAME, to be used as {"cohort": NAME}.

    \b
      p2d cohort save "heart failure" query.json --shared --settings warehouse.toml
      p2d cohort save pilot-1 pseudonyms.txt --patients --settings warehouse.toml
    """  # noqa: D301 - click's paragraph marker
    cohorts = roots.open_cohorts(*address(settings, url, secret, "researcher"))
    content: dict[str, object] = (
        {"patients": _lines(source)} if is_list else {"query": _query(cohorts, source)}
    )
    cohorts.save(name, content, shared=shared)
    click.echo(f"Saved as {name}.")


@cohort.command("list")
@warehouse_options
@click.pass_obj
def list_saved(roots: Roots, settings: Path | None, url: str | None, secret: Path | None) -> None:
    """List saved cohorts: one's own, and those others share."""
    picture = Picture("name", "owner", "shared", "kind", "patients", "saved at")
    for found in roots.open_cohorts(*address(settings, url, secret, "researcher")).saved():
        size = found.get("patients")
        picture.add_row(
            str(found["name"]),
            str(found["owner"]),
            "yes" if found["shared"] else "no",
            str(found["kind"]),
            "" if size is None else f"{size:,}",
            str(found["created_at"]),
        )
    Console().print(picture)


@cohort.command()
@click.argument("name")
@warehouse_options
@click.pass_obj
def delete(roots: Roots, name: str, settings: Path | None, url: str | None, secret: Path | None) -> None:
    """Forget the saved cohort NAME."""
    roots.open_cohorts(*address(settings, url, secret, "researcher")).delete(name)
    click.echo(f"Deleted {name}.")


@cohort.command()
@_QUERY
@click.option(
    "--as", "form", default="en", type=click.Choice(["en", "de", "text", "json"]), help="Words, text or JSON."
)
def say(query: Path, form: str) -> None:
    """Say a query in words, or write it as text or JSON.

    In which frame imaging criteria hold depends on what the warehouse holds, so words do not say it here.
    """
    from p2d.warehouse.query.text_form.writer import as_text  # noqa: PLC0415 - this command alone needs it
    from p2d.warehouse.query.words.sentences import query_words  # noqa: PLC0415 - as above

    found = _read(query)
    if form == "json":
        click.echo(json.dumps(query_json(found), indent=2, ensure_ascii=False))
    elif form == "text":
        click.echo(as_text(found))
    else:
        click.echo(query_words(found, "de" if form == "de" else "en"))


def _query(cohorts: "Cohorts", path: Path) -> Mapping[str, object]:
    """Return the query in *path*; mistakes of form show before the warehouse is asked.

    Of a query as text the warehouse knows which bare names are documents.
    """
    text = _text(path)
    if _is_json(text):
        return query_json(_parsed(path, text))
    parse_text(text)
    return cohorts.parse(text)


def _read(path: Path) -> Query:
    text = _text(path)
    return _parsed(path, text) if _is_json(text) else parse_text(text)


def _text(path: Path) -> str:
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        remedy = "name a file; see --example"
        raise InvalidRequest("QUERY", f"{path} is not readable as UTF-8", remedy) from None


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in _text(path).splitlines() if line.strip()]


def _is_json(text: str) -> bool:
    return text.lstrip().startswith("{")


def _parsed(path: Path, text: str) -> Query:
    try:
        source = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidRequest("QUERY", f"{path} is not JSON", "see p2d cohort --example") from None
    return parse(source)


def _shown(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(map(_shown, value))
    return "" if value is None else str(value)


def _write_csv(target: TextIO, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
    from p2d.export.table import flat, write_csv  # noqa: PLC0415 - loads the DICOM dictionary

    write_csv(target, tuple(columns), map(flat, rows))
