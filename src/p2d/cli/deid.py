"""``p2d deid``: de-identify a folder of DICOM files, or look for patients' values in a finished one."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from p2d.cli.progress import BulkProgress
from p2d.deid.profile.profile import Screen as Screening
from p2d.deid.profile.project import read_profile
from p2d.flows.gateway.folder.check import CheckResult, check_folder
from p2d.flows.gateway.folder.patients import read_patients
from p2d.flows.gateway.folder.project import DAYS_A_WEEK
from p2d.flows.gateway.folder.report import write_report
from p2d.flows.gateway.folder.run import FolderJob, FolderResult, deidentify_folder
from p2d.flows.gateway.folder.workers import Equipment
from p2d.model.errors import InvalidRequest

_INCOMPLETE: Final = 7
_LEAKS: Final = 4
_PATH: Final = click.Path(path_type=Path)
_MOST_SHOWN: Final = 20
_SECONDS: Final = 20  # of processor time that one image may cost


@click.command()
@click.argument("source", metavar="IN", type=_PATH)
@click.argument("target", metavar="OUT", required=False, type=_PATH)
@click.option("--profile", "profile_name", default="research", help="basic, research, strict or a YAML file.")
@click.option(
    "--patients", type=_PATH, help="CSV of what is known of the patients, columns by DICOM keyword."
)
@click.option("--report", type=_PATH, help="Write the report (JSON) here, beside it a page to sign (HTML).")
@click.option("--key", default="p2d-project.key", type=_PATH, help="Project key file; made if absent.")
@click.option("--mapping", type=_PATH, help="Write originals and pseudonyms to this file (CSV, owner only).")
@click.option("--screen", type=click.Choice(["all", "rules", "sample"]), help="Images searched for text.")
@click.option("--max-shift-days", default=365, type=click.IntRange(7, 3650), help="Largest shift of dates.")
@click.option(
    "--processes",
    default=os.cpu_count() or 1,
    type=click.IntRange(1, 64),
    help="Patients at a time; one a core.",
)
@click.option("--check", is_flag=True, help="Only search the folder IN for the patients' values.")
def deid(  # noqa: PLR0913, PLR0917 - one parameter an option
    source: Path,
    target: Path | None,
    profile_name: str,
    patients: Path | None,
    report: Path | None,
    key: Path,
    mapping: Path | None,
    screen: Screening | None,
    max_shift_days: int,
    processes: int,
    *,
    check: bool,
) -> None:
    """De-identify the DICOM files in the folder IN into the new folder OUT, without archive or server.

    OUT holds patient/study/series/instance.dcm, named by pseudonyms of this project's own key: not those of a
    gateway. Every file is released or withheld with a reason. What is known of a patient is taken from the
    patient's own files and from --patients. With the extra p2d[pixels] all images are searched for burned-in
    text unless --screen or the profile's project file says otherwise; without it images that may show
    text are withheld.

    \b
      p2d deid ./in ./out --patients patients.csv --report report.json
      p2d deid --check ./out --patients patients.csv

    A run that was interrupted goes on when it is started again. Exit code 7 if a file could not be
    read; with --check 4 if a value was found, 7 if a file could not be searched.
    """  # noqa: D301 - click's paragraph marker
    known = read_patients(patients) if patients else {}
    if check:
        if target is not None:
            raise InvalidRequest("OUT", "is not written by --check", "name only the folder to search")
        with BulkProgress() as progress:
            checked = check_folder(source, known, lambda done, total: progress.show_counts(done, total, done))
        _say_checked(checked)
        return
    if target is None:
        raise InvalidRequest("OUT", "is missing", "name a new folder for the result")
    profile = read_profile(profile_name)
    if screen or profile_name == profile.name:
        profile = replace(profile, screen=screen or "all")
    if profile.review:
        click.echo("This profile asks for a release review: look at the result before you hand it on.")
    is_new = not key.exists()
    equipment = Equipment(key, max_shift_days, DAYS_A_WEEK if profile.whole_weeks else 1, _SECONDS)
    project = equipment.project()
    if is_new:
        click.echo(f"New project key {key}: keep it, and keep it apart from the result.")
    job = FolderJob(source, target, profile, project, known, mapping, processes, equipment)
    with equipment.screen(processes) as pixels, BulkProgress() as progress:
        result = deidentify_folder(job, pixels, progress.show_counts)
    if report:
        write_report(report, result, profile)
    _say(result, target)


def _say(result: FolderResult, target: Path) -> None:
    withheld = result.withheld
    click.echo(
        f"{len(result.files)} files: {result.released} released to {target}, {withheld.total()} withheld"
    )
    for reason, count in withheld.most_common():
        click.echo(f"  {count} withheld: {reason}")
    if not result.is_complete:
        click.echo("Incomplete: some files could not be read", err=True)
        raise SystemExit(_INCOMPLETE)


def _say_checked(result: CheckResult) -> None:
    click.echo(f"{result.files} files searched, {len(result.leaking)} with findings")
    for finding, count in result.findings.found.most_common(_MOST_SHOWN):
        click.echo(f"  {count} of {finding.kind} in {finding.place}")
    for place, count in result.findings.unread.most_common(_MOST_SHOWN):
        click.echo(f"  {count} not searchable: {place}")
    if result.leaking:
        numbers = ", ".join(map(str, result.leaking[:_MOST_SHOWN]))
        click.echo(f"Files with findings, by their place in the order of names: {numbers}", err=True)
        raise SystemExit(_LEAKS if result.findings.found else _INCOMPLETE)
    if result.unreadable:
        raise SystemExit(_INCOMPLETE)
