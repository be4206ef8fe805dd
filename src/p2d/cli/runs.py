"""``p2d runs``: bulk runs of this gateway and their reports."""

import json
import sys
from pathlib import Path

import click

from p2d.cli.roots import Roots
from p2d.deid.report.page import page
from p2d.flows.gateway.deid_report import report_of_run
from p2d.jobs.report import render
from p2d.model.errors import Incomplete


@click.command()
@click.argument("run", required=False)
@click.option(
    "--settings", required=True, type=click.Path(path_type=Path, dir_okay=False), help="gateway.toml"
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--deid", type=click.Choice(["json", "html"]), help="Print RUN's de-identification report instead."
)
@click.option("--stop", is_flag=True, help="Ask a running RUN to stop after its current patient.")
@click.pass_obj
def runs(
    roots: Roots, run: str | None, settings: Path, *, as_json: bool, deid: str | None, stop: bool
) -> None:
    """List runs, or print the report of RUN with its ledger.

    \b
      p2d runs --settings gateway.toml
      p2d runs R20261122-… --settings gateway.toml
      p2d runs R20261122-… --settings gateway.toml --deid html > report.html

    The de-identification report counts what was removed, replaced, cleaned and kept of every attribute; its
    page can be signed. With RUN the exit code is 0 only if its ledger adds up and nothing is missing.
    """  # noqa: D301 - click's paragraph marker
    gateway = roots.open_gateway(settings)
    ledger = gateway.ledger
    if run is None:
        for run_id in ledger.runs():
            click.echo(f"{run_id}  {ledger.report(run_id).state}")
        return
    if stop:
        ledger.request_stop(run)
        click.echo(f"{run} stops after its current patient.")
        return
    if deid:
        made = report_of_run(gateway, run)
        click.echo(made.content if deid == "json" else page(made), nl=False)
        return
    report = ledger.report(run)
    click.echo(json.dumps(report.as_json(), indent=2) if as_json else render(report))
    if not report.is_complete:
        sys.exit(Incomplete.exit_code)
