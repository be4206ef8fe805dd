"""``p2d demo``: the whole pipeline on this machine, with a synthetic hospital and nothing but Python."""

import sys
from pathlib import Path

import click

from p2d.cli.roots import DemoOptions, Roots


@click.command()
@click.option(
    "--patients", default=100, type=click.IntRange(1, 5000), help="Patients of the synthetic hospital."
)
@click.option("--seed", default=1, type=int, help="The same seed makes the same hospital.")
@click.option("--max-images", default=400, type=click.IntRange(1, 5000), help="Most images of one patient.")
@click.option(
    "--folder",
    default="p2d-demo",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where everything goes.",
)
@click.option("--once", is_flag=True, help="End after the report; exit code 0 only if the ledger adds up.")
@click.option("--canary", is_flag=True, hidden=True)
@click.pass_obj
def demo(
    roots: Roots, patients: int, seed: int, max_images: int, folder: Path, *, once: bool, canary: bool
) -> None:
    """Start archive, identity, gateway and warehouse with a synthetic hospital.

    Extracts every header into the warehouse, runs the paper's example cohort, exports a series of it and
    prints where everything is. Nobody in it is real. Stays up until Ctrl-C.

    \b
      p2d demo
      p2d demo --once --patients 30
    """  # noqa: D301 - click's paragraph marker
    sys.exit(roots.run_demo(DemoOptions(patients, seed, max_images, folder, once, canary)))
