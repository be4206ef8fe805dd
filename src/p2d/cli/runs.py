"""``p2d runs``: bulk runs of this gateway, their reports, and an operator's orders to them."""

import json
import sys
from pathlib import Path
from typing import Final

import click

from p2d.access.caller import Caller
from p2d.access.roles import Role
from p2d.cli.lists import local_user
from p2d.cli.roots import Roots
from p2d.deid.report.page import page
from p2d.flows.gateway.deid_report import report_of_run
from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.run_orders import RunOrders
from p2d.jobs.report import Progress, render
from p2d.model.errors import Incomplete, InvalidRequest

_ORDERS: Final = ("pause", "resume", "cancel", "priority", "retry")


@click.command(context_settings={"ignore_unknown_options": True})  # PRIORITY may be a number such as -5
@click.argument("words", nargs=-1, metavar="[ORDER] [RUN] [PRIORITY]")
@click.option(
    "--settings", required=True, type=click.Path(path_type=Path, dir_okay=False), help="gateway.toml"
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--deid", type=click.Choice(["json", "html"]), help="Print RUN's de-identification report instead."
)
@click.option("--recount", is_flag=True, help="Prove the totals by counting every row of RUN anew.")
@click.option("--stop", is_flag=True, help="Ask a running RUN to stop after its current patient.")
@click.pass_obj
def runs(
    roots: Roots,
    words: tuple[str, ...],
    settings: Path,
    *,
    as_json: bool,
    deid: str | None,
    recount: bool,
    stop: bool,
) -> None:
    """List runs, print the report of RUN with its ledger, or give RUN an order.

    \b
      p2d runs --settings gateway.toml
      p2d runs R20261122-… --settings gateway.toml
      p2d runs R20261122-… --settings gateway.toml --deid html > report.html
      p2d runs pause R20261122-… --settings gateway.toml

    \b
    Orders, which workers heed with the next patient; each is recorded in the audit:
      pause RUN        keep workers from it until it is resumed
      resume RUN       let p2d worker take it again (p2d extract --resume works it here)
      cancel RUN       end it for good; what is loaded stays loaded
      priority RUN N   let it go before runs of a lower number, from -100 to 100
      retry RUN        try again the patients that were given up, and no others

    The de-identification report counts what was removed, replaced, cleaned and kept of every attribute; its
    page can be signed. With RUN the exit code is 0 only if its ledger adds up and nothing is missing.
    """  # noqa: D301 - click's paragraph marker
    order, run, number = _read(words)
    gateway = roots.open_gateway(settings)
    try:
        if run is None:
            _list(gateway)
        elif order or stop:
            click.echo(_obey(gateway, order or "stop", run, number))
        elif deid:
            made = report_of_run(gateway, run)
            click.echo(made.content if deid == "json" else page(made), nl=False)
        else:
            _print(gateway, run, as_json=as_json, recount=recount)
    finally:
        gateway.close()
        gateway.ledger.close()


def _read(words: tuple[str, ...]) -> tuple[str, str | None, int]:
    order = words[0] if words and words[0] in _ORDERS else ""
    rest = words[1:] if order else words
    wanted = 1 + (order == "priority")
    if len(rest) > wanted or (order and len(rest) < wanted):
        raise InvalidRequest("RUN", f"{order or 'a report'} takes {wanted} value(s)", "see p2d runs --help")
    number = rest[1] if order == "priority" else "0"
    if not number.removeprefix("-").isdecimal():
        raise InvalidRequest("PRIORITY", "is not a whole number", "use -100 to 100")
    return order, rest[0] if rest else None, int(number)


def _list(gateway: Gateway) -> None:
    for run_id in gateway.ledger.runs():
        click.echo(f"{run_id}  {_line(gateway.ledger.progress(run_id))}")


def _line(progress: Progress) -> str:
    parts = [progress.state]
    if progress.state not in {"completed", "cancelled"}:
        parts.append(f"{progress.patients_done:,} of {progress.patients_total:,} patients")
    if progress.parked:
        parts.append(f"{progress.parked:,} given up")
    if progress.priority:
        parts.append(f"priority {progress.priority}")
    if progress.patients_leased:
        parts.append(f"{progress.patients_leased:,} at work, {progress.patients_per_minute:,.0f} a minute")
        if progress.seconds_left is not None:
            parts.append(f"about {progress.seconds_left / 60:,.0f} min left")
    return ", ".join(parts)


def _obey(gateway: Gateway, order: str, run: str, number: int) -> str:
    orders = RunOrders(gateway, Caller(user=local_user(), role=Role.OPERATOR, service="cli"))
    if order == "stop":
        orders.stop(run)
        return f"{run} stops after its current patient."
    if order == "priority":
        orders.prioritise(run, number)
        return f"{run} has priority {number}."
    if order == "retry":
        return f"{orders.retry(run):,} patients of {run} are to be tried again."
    {"pause": orders.pause, "resume": orders.resume, "cancel": orders.cancel}[order](run)
    return f"{run}: {gateway.ledger.state(run)}"


def _print(gateway: Gateway, run: str, *, as_json: bool, recount: bool) -> None:
    report = gateway.ledger.report(run, recount=recount)
    if as_json:
        click.echo(
            json.dumps({**report.as_json(), "progress": gateway.ledger.progress(run).as_json()}, indent=2)
        )
    else:
        click.echo(render(report))
    if not report.is_complete:
        sys.exit(Incomplete.exit_code)
