"""``p2d worker``: works whatever bulk runs are open, in several processes, until it is stopped."""

from pathlib import Path

import click

from p2d.cli.roots import Roots


@click.command()
@click.option(
    "--settings", required=True, type=click.Path(path_type=Path, dir_okay=False), help="gateway.toml"
)
@click.option(
    "--processes", type=click.IntRange(1, 64), help="Worker processes; without it [jobs] processes says."
)
@click.option("--migrate", is_flag=True, help="Only make the tables of [jobs] dsn, or bring them up to date.")
@click.pass_obj
def worker(roots: Roots, settings: Path, processes: int | None, *, migrate: bool) -> None:
    """Work the open bulk runs of a gateway, the highest priority first.

    \b
      p2d worker --settings gateway.toml --migrate       # once, and after an update
      p2d worker --settings gateway.toml --processes 4

    With [jobs] engine = "ledger" all workers are on one machine; with "postgresql" any number of machines
    run this command. Each patient is one worker's at a time; a worker that dies is replaced, and its patients
    go to others. SIGTERM ends it within 30 seconds: patients at hand are finished or given back.
    """  # noqa: D301 - click's paragraph marker
    if migrate:
        click.echo(roots.migrate_jobs(settings))
        return
    roots.work(settings, processes)
