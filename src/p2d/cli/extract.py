"""``p2d extract``: the bulk extractor, run by an operator in the hospital zone."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import click

from p2d.access.caller import Caller
from p2d.access.roles import Role
from p2d.cli.lists import local_user, read_list
from p2d.cli.progress import BulkProgress
from p2d.cli.roots import Roots
from p2d.flows.gateway.bulk import BulkExtractor
from p2d.flows.gateway.gateway import Gateway
from p2d.jobs.report import RunReport, render
from p2d.model.errors import Incomplete, InvalidRequest
from p2d.model.level import Choice, Scope
from p2d.model.request import Request, parse_modalities
from p2d.pacs.governor.port import WorkClass

_DRAIN_SECONDS: Final = 20.0
"""After SIGTERM, for the patients at hand; then the archive is let go of."""


@click.command()
@click.argument(
    "list_file", required=False, metavar="[LIST]", type=click.Path(path_type=Path, dir_okay=False)
)
@click.option(
    "--settings", required=True, type=click.Path(path_type=Path, dir_okay=False), help="gateway.toml"
)
@click.option(
    "--choice", default="first", type=click.Choice([*map(str, Choice)]), help="Images of each series."
)
@click.option(
    "--scope", default="basic", type=click.Choice([*map(str, Scope)]), help="C-FIND keys or whole headers."
)
@click.option("--modality", "modalities", multiple=True, help="Only this modality; repeat for more.")
@click.option("--resume", metavar="RUN", help="Go on with a run that was stopped or killed.")
@click.option(
    "--priority",
    type=click.IntRange(-100, 100),
    default=0,
    help="Of the new run among others, for p2d worker.",
)
@click.option("--later", is_flag=True, help="Only record the run: p2d worker works it.")
@click.pass_obj
def extract(  # noqa: PLR0913, PLR0917 - click hands over one argument an option
    roots: Roots,
    list_file: Path | None,
    settings: Path,
    choice: str,
    scope: str,
    modalities: tuple[str, ...],
    resume: str | None,
    priority: int,
    *,
    later: bool,
) -> None:
    """Extract headers of the patients in LIST into the warehouse.

    LIST is CSV in UTF-8 with the columns kind,pseudonym,study,start,end,calendar (only pseudonym is needed).
    A run can be stopped (Ctrl-C, SIGTERM) or killed at any time and goes on with --resume.

    \b
      p2d extract patients.csv --settings gateway.toml --choice all
      p2d extract --settings gateway.toml --resume R20261122-…
      p2d extract patients.csv --settings gateway.toml --later --priority 10

    Exit code 0 only if the ledger adds up and nothing is missing, 7 otherwise.
    """  # noqa: D301 - click's paragraph marker
    if (list_file is None) == (resume is None) or (later and resume):
        raise InvalidRequest(
            "LIST",
            "and --resume exclude each other; one is needed, LIST with --later",
            "see p2d extract --help",
        )
    request = None
    if list_file is not None:
        request = Request(
            targets=read_list(list_file),
            modalities=parse_modalities(modalities, "--modality"),
            choice=Choice(choice),
            scope=Scope(scope),
        )
    caller = Caller(user=local_user(), role=Role.OPERATOR, service="cli")
    drain = threading.Event()
    with closing(roots.open_gateway(settings)) as gateway, _ended_by_signal(gateway, drain):
        extractor = BulkExtractor(gateway.for_work(WorkClass.BULK, drain.is_set), drain)
        run_id = extractor.open(request, caller, priority=priority) if request else resume or ""
        if later:
            click.echo(run_id)
            return
        report = _work(extractor, run_id, caller, settings)
    click.echo(render(report))
    if drain.is_set():
        _tell_how_to_go_on(run_id, settings)
    if not report.is_complete:
        sys.exit(Incomplete.exit_code)


def _work(extractor: BulkExtractor, run_id: str, caller: Caller, settings: Path) -> RunReport:
    click.echo(f"Run {run_id}", err=True)
    try:
        with BulkProgress() as progress:
            return extractor.run(run_id, caller, progress.show)
    except KeyboardInterrupt:
        _tell_how_to_go_on(run_id, settings)
        sys.exit(Incomplete.exit_code)


def _tell_how_to_go_on(run_id: str, settings: Path) -> None:
    click.echo(f"Stopped. Go on with: p2d extract --settings {settings} --resume {run_id}", err=True)


@contextmanager
def _ended_by_signal(gateway: Gateway, drain: threading.Event) -> Iterator[None]:
    """Have SIGTERM set *drain*: patients at hand are finished or given back, in the end cut off."""
    cut = threading.Timer(_DRAIN_SECONDS, gateway.pacs.stop)
    cut.daemon = True

    def ended(*_: object) -> None:
        if not drain.is_set():
            drain.set()
            cut.start()

    before = signal.signal(signal.SIGTERM, ended)
    try:
        yield
    finally:
        cut.cancel()
        signal.signal(signal.SIGTERM, before)
