"""The demo as a whole, with what it prints."""

import getpass
import signal
import threading
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from p2d.cli.roots import DemoOptions
from p2d.export.directory import write_clinical
from p2d.flows.research.gateway_client import GatewayClient
from p2d.main.demo import acts
from p2d.main.demo.stage import Stage, staged
from p2d.model.errors import Incomplete, P2DError

_ROWS_SHOWN = 10


def run_demo(options: DemoOptions) -> int:
    """Run the demo and return its exit code: 0 only if the ledger adds up and nothing is missing."""
    console = Console(soft_wrap=True)
    began = time.monotonic()
    try:
        with staged(options) as stage:
            complete = _play(stage, console)
            console.print(f"\nAll of this took {time.monotonic() - began:.0f} s.")
            if not options.once:
                console.print("Press Ctrl-C to stop.")
                _until_stopped()
    except P2DError as error:
        console.print(f"[bold]{error.title}[/bold]: {error}", highlight=False)
        return error.exit_code
    return 0 if complete else Incomplete.exit_code


def _play(stage: Stage, console: Console) -> bool:
    console.rule("Synthetic hospital")
    _show_hospital(stage, console)
    console.rule("Clinical facts: pseudonymised, date-shifted, loaded")
    rows = acts.load_clinical(stage)
    console.print(", ".join(f"{count:,} {table} rows" for table, count in rows.items()))
    console.rule("Bulk extraction: basic headers of all images")
    client = acts.gateway_client(stage)
    report = acts.extract(stage, client)
    _show_report(console, report)
    console.rule("Cohort: LVEF < 45, NYHA III or IV in the discharge letter, CT thorax")
    columns, table, patients = acts.cohort(stage)
    _show_table(console, columns, table)
    if patients:
        _export(stage, console, client, columns, table, patients)
    _show_places(stage, console)
    return bool(report["adds_up"] and report["is_complete"] and patients)


def _show_hospital(stage: Stage, console: Console) -> None:
    hospital = stage.hospital
    counts = {
        "patients": len(hospital.patients),
        "studies": sum(1 for _ in hospital.studies()),
        "series": sum(1 for _ in hospital.series()),
        "images": sum(1 for _ in hospital.images()),
    }
    console.print(", ".join(f"{count:,} {name}" for name, count in counts.items()))
    console.print("Archive, identity, gateway and warehouse run as processes on loopback.")


def _export(
    stage: Stage,
    console: Console,
    client: GatewayClient,
    columns: list[str],
    table: list[dict[str, Any]],
    patients: list[str],
) -> None:
    console.rule("Session for that cohort; export of its first CT thorax series")
    session = client.open_session(getpass.getuser(), "researcher", patients, images=True)
    try:
        folder, results = acts.export_series(stage, client, session, patients)
    finally:
        client.close_session(session)
    write_clinical(folder / "clinical.csv", columns, table)
    for output, result in results.items():
        console.print(
            f"{output}: {result.released} images, {result.withheld} withheld, {result.missing} missing"
        )
    console.print(f"clinical table: {folder / 'clinical.csv'}", highlight=False)


def _show_report(console: Console, report: dict[str, Any]) -> None:
    table = Table("ledger", "images", title=f"Run {report['run_id']}: {report['state']}")
    for name in ("expected", "received", "missing", "released", "duplicate", "refused"):
        table.add_row(name, f"{report['images'][name]:,}")
    for reason, count in report["images"]["withheld"].items():
        table.add_row(f"withheld: {reason}", f"{count:,}")
    table.add_row("patients done / absent / total", _patients(report["patients"]))
    table.add_row("studies / series", f"{report['studies']:,} / {report['series']:,}")
    table.add_row("adds up", "yes" if report["adds_up"] else "NO")
    console.print(table)
    for note in report["notes"]:
        console.print(f"note: {note}", highlight=False)


def _patients(counts: dict[str, Any]) -> str:
    return f"{counts['done']:,} / {counts['absent']:,} / {counts['total']:,}"


def _show_table(console: Console, columns: list[str], rows: list[dict[str, Any]]) -> None:
    table = Table(title=f"{len(rows)} rows")
    for name in columns:
        table.add_column(name, no_wrap=name == "patient", overflow="fold")
    for row in rows[:_ROWS_SHOWN]:
        table.add_row(*("" if row.get(name) is None else str(row.get(name)) for name in columns))
    console.print(table)


def _show_places(stage: Stage, console: Console) -> None:
    console.rule("Where everything is")
    made = stage.installation
    for name, place in {
        "hospital zone (identified, synthetic)": stage.folder / "hospital",
        "settings, keys, logs": made.folder,
        "warehouse": made.folder / "warehouse" / "warehouse.duckdb",
        "ledger and audit": made.folder / "gateway",
        "exports": stage.exports,
        "gateway API": f"{made.url('gateway')}/openapi.json",
        "warehouse API": f"{made.url('warehouse')}/openapi.json",
    }.items():
        console.print(f"  {name}: {place}", highlight=False)
    console.print(
        f"\nStart page (this link works once): {acts.page_url(stage)}", highlight=False, style="bold"
    )


def _until_stopped() -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
