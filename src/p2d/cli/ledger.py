"""``p2d ledger``: every image of a run accounted for, what does not fit together, and a signed summary."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from p2d.cli.roots import Roots
from p2d.flows.gateway.gateway import Gateway
from p2d.jobs.completeness import as_csv, rows
from p2d.jobs.register import Inconsistency, as_table
from p2d.jobs.summary import make_keys, signed, signing_key, verified
from p2d.model.errors import Incomplete, InvalidRequest

_SETTINGS: Final = click.option(
    "--settings", required=True, type=click.Path(path_type=Path, dir_okay=False), help="gateway.toml"
)
_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON lines instead of CSV.")
_FILE: Final = click.Path(path_type=Path, dir_okay=False)


@click.group()
def ledger() -> None:
    """Account for every image of a run.

    \b
      p2d ledger lines RUN --settings gateway.toml > ledger.csv
      p2d ledger inconsistencies RUN --settings gateway.toml
      p2d ledger sign RUN --settings gateway.toml --key ledger.key > summary.json
      p2d ledger verify summary.json --key ledger.pub
    """  # noqa: D301 - click's paragraph marker


@ledger.command()
@click.argument("run")
@_SETTINGS
@_JSON
@click.pass_obj
def lines(roots: Roots, run: str, settings: Path, *, as_json: bool) -> None:
    """Print what was expected, received, released, withheld and is missing of each series of RUN.

    Exit code 0 only if the ledger adds up and nothing is missing, 7 otherwise.
    """
    with _opened(roots, settings) as gateway:
        found = gateway.ledger.lines_and_retries(run)
        if as_json:
            for row in rows(found):
                click.echo(json.dumps(row))
        else:
            for piece in as_csv(found):
                click.echo(piece, nl=False)
        _leave(gateway, run)


@ledger.command()
@click.argument("run")
@_SETTINGS
@_JSON
@click.option("--kind", default="", type=click.Choice(["", *map(str, Inconsistency)]), help="Only this kind.")
@click.option("--patient", default="", help="Only this patient (pseudonym).")
@click.option("--explain", is_flag=True, help="Say of each kind that was met what it means.")
@click.pass_obj
def inconsistencies(
    roots: Roots, run: str, settings: Path, *, as_json: bool, kind: str, patient: str, explain: bool
) -> None:
    """Print what RUN met that does not fit together, in pseudonyms: the inconsistency register.

    What was listed but never arrived is of the kind "never arrived".
    """
    with _opened(roots, settings) as gateway:
        if explain:
            for met, times in gateway.ledger.report(run).inconsistencies.items():
                click.echo(f"{met} ({times:,}): {Inconsistency(met).explanation}")
            return
        found = gateway.ledger.findings(run, kind, patient)
        if as_json:
            for one in found:
                click.echo(json.dumps(one.as_json()))
        else:
            for piece in as_table(found):
                click.echo(piece, nl=False)


@ledger.command()
@click.argument("run")
@_SETTINGS
@click.option("--key", required=True, type=_FILE, help="Private key file (p2d ledger keys).")
@click.pass_obj
def sign(roots: Roots, run: str, settings: Path, key: Path) -> None:
    """Print the summary of RUN, signed; whoever has the public key can check it."""
    private = signing_key(key)
    with _opened(roots, settings) as gateway:
        click.echo(json.dumps(signed(gateway.ledger.report(run, recount=True), private), indent=2))
        _leave(gateway, run)


@ledger.command()
@click.argument("file", type=_FILE)
@click.option("--key", required=True, type=_FILE, help="The gateway's public key file.")
def verify(file: Path, key: Path) -> None:
    """Check the signature of the summary in FILE and print the summary."""
    try:
        content = file.read_bytes()
    except OSError:
        raise InvalidRequest("FILE", "is not readable", "name a file of p2d ledger sign") from None
    click.echo(json.dumps(verified(content, key), indent=2))


@ledger.command()
@click.argument("private", type=_FILE)
@click.argument("public", type=_FILE)
def keys(private: Path, public: Path) -> None:
    """Make a pair of keys: PRIVATE stays with the gateway, PUBLIC goes to whoever checks summaries."""
    make_keys(private, public)
    click.echo(f"Wrote {private} (keep it secret) and {public}", err=True)


@contextmanager
def _opened(roots: Roots, settings: Path) -> Iterator[Gateway]:
    gateway = roots.open_gateway(settings)
    try:
        yield gateway
    finally:
        gateway.close()
        gateway.ledger.close()


def _leave(gateway: Gateway, run: str) -> None:
    if not gateway.ledger.report(run).is_complete:
        sys.exit(Incomplete.exit_code)
