"""``p2d sync``: what is new, changed or gone in the archives since it was last extracted."""

import json
import sys
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path

import click

from p2d.access.caller import Caller
from p2d.access.roles import Role
from p2d.cli.lists import local_user
from p2d.cli.progress import BulkProgress
from p2d.cli.roots import Roots
from p2d.flows.gateway.sync.counts import SyncReport
from p2d.flows.gateway.sync.options import SyncOptions
from p2d.flows.gateway.sync.sync import Sync
from p2d.jobs.report import render
from p2d.model.errors import Incomplete, InvalidRequest
from p2d.model.level import Choice, Scope
from p2d.model.request import parse_modalities
from p2d.pacs.governor.port import WorkClass

_DAY = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.option(
    "--settings", required=True, type=click.Path(path_type=Path, dir_okay=False), help="gateway.toml"
)
@click.option("--from", "first", type=_DAY, help="First StudyDate, a true date.")
@click.option("--to", "last", type=_DAY, help="Last StudyDate; without it today.")
@click.option("--days", type=click.IntRange(min=0), help="Instead: so many days back, and today.")
@click.option("--modality", "modalities", multiple=True, help="Only this modality; repeat for more.")
@click.option(
    "--scope", default="basic", type=click.Choice([*map(str, Scope)]), help="C-FIND keys or whole headers."
)
@click.option(
    "--choice", default="all", type=click.Choice([*map(str, Choice)]), help="Images of each series."
)
@click.option("--admit-unknown", is_flag=True, help="Give unknown patients pseudonyms.")
@click.option("--dry-run", "dry", is_flag=True, help="Only look: extract and mark nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers and the run's report as JSON.")
@click.pass_obj
def sync(  # noqa: PLR0913, PLR0917 - one parameter an option
    roots: Roots,
    settings: Path,
    first: datetime | None,
    last: datetime | None,
    days: int | None,
    modalities: tuple[str, ...],
    scope: str,
    choice: str,
    *,
    admit_unknown: bool,
    dry: bool,
    as_json: bool,
) -> None:
    """Extract what is new or changed in the archives since the last sync, and mark what is gone.

    The archives are asked for the studies of each day, of all patients. Those of patients whom the warehouse
    does not know are counted and nothing more, unless --admit-unknown.

    \b
      p2d sync --settings gateway.toml --days 7
      p2d sync --settings gateway.toml --from 2024-01-01 --to 2024-12-31 --modality MR --dry-run

    A sync that was stopped or killed is gone on with by the next one. Exit code 0 only if everything was
    looked at and the run is complete, 7 otherwise.
    """  # noqa: D301 - click's paragraph marker
    begin, end = _range(first, last, days)
    options = SyncOptions(
        begin,
        end,
        parse_modalities(modalities, "--modality"),
        Scope(scope),
        Choice(choice),
        admit_unknown=admit_unknown,
    )
    caller = Caller(user=local_user(), role=Role.OPERATOR, service="cli")
    with closing(roots.open_gateway(settings)) as gateway:
        try:
            with BulkProgress() as progress:
                work = Sync(gateway.for_work(WorkClass.BULK), watch=progress.show)
                report = work.run(options, caller, dry=dry)
        except KeyboardInterrupt:
            click.echo("Stopped. The next sync goes on from there.", err=True)
            sys.exit(Incomplete.exit_code)
        finally:
            gateway.ledger.close()
    click.echo(_rendered(report, as_json=as_json))
    if not report.is_complete:
        sys.exit(Incomplete.exit_code)


def _range(first: datetime | None, last: datetime | None, days: int | None) -> tuple[date, date]:
    if (first is None) == (days is None) or (last is not None and first is None):
        raise InvalidRequest(
            "--from", "and --days exclude each other; one is needed, --to goes with --from", "see --help"
        )
    today = datetime.now().astimezone().date()
    if first is None:
        return today - timedelta(days=days or 0), today
    return first.date(), last.date() if last is not None else today


def _rendered(report: SyncReport, *, as_json: bool) -> str:
    if as_json:
        run = None if report.run is None else report.run.as_json()
        return json.dumps({"counts": report.counts.as_json(), "run": run}, indent=2)
    return "\n".join([*report.counts.lines(), *([] if report.run is None else ["", render(report.run)])])
