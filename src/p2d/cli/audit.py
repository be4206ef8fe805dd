"""``p2d audit``: verify and read audit records."""

import json
import sys
from collections import deque
from pathlib import Path

import click

from p2d.audit import chain
from p2d.model.errors import Incomplete

_FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.group()
def audit() -> None:
    """Verify and read audit records.

    Every query leaves two chained records: what was asked, before anything is looked up, and what became of
    it. An intent without outcome is a query that was interrupted or still runs.
    """


@audit.command()
@_FILE
@click.option("--head", "expected_head", help="A head noted earlier; shows whether records were cut off.")
def verify(file: Path, expected_head: str | None) -> None:
    """Check that no record of FILE was edited, removed, inserted or moved.

    Note the printed head elsewhere, and give it with --head next time: only so is it noticed when records
    are cut off at the end. Exit code 0 when the chain is good, 7 when it is not.
    """
    found = chain.verify(file, expected_head)
    if found.is_good:
        click.echo(f"good: {found.records} records, {found.interrupted} without outcome")
        click.echo(f"head: {found.head}")
        return
    click.echo(f"BAD: record {found.first_bad}: {found.reason}", err=True)
    click.echo(f"The {found.records} records before it are good; their head is {found.head}", err=True)
    sys.exit(Incomplete.exit_code)


@audit.command()
@_FILE
@click.option("--last", default=20, show_default=True, type=click.IntRange(min=1), help="How many records.")
def show(file: Path, last: int) -> None:
    """Print the last records of FILE, one a line; it does not check them."""
    with file.open("rb") as source:
        lines = deque(source, maxlen=last)
    for line in lines:
        click.echo(_summary(line))


def _summary(line: bytes) -> str:
    record = chain.unseal(line)
    if record is None:
        return "BAD record: run p2d audit verify"
    rest = record.get("counts") if record.get("kind") == "outcome" else record.get("subject")
    ending = record.get("error") or record.get("outcome") or ""
    words = [record.get(name) for name in ("seq", "at", "query", "kind", "action", "user", "session")]
    # JSON escapes every control character, so that a record cannot steer the terminal
    shown = [json.dumps(word).strip('"') or "-" for word in (*words, ending)]
    return f"{'  '.join(shown)}  {json.dumps(rest, sort_keys=True)}"
