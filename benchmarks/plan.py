"""What ``p2d plan`` predicts against real runs: hospitals of several seeds in Orthanc, every approach run.

For each seed a site is started, a plan is made from a sample of its patients, then each approach is run over
all of them. Printed: images and hours, predicted and true, and their ratio. To hold: images within a fifth,
hours within a factor of 1.5.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from measuring.filling import fill
from measuring.summary import Verdict, table
from measuring.works import OPERATOR, gateway_of, to_rows
from p2d.flows.gateway.plan.planner import EFFORTS, Effort, Plan, Planner
from p2d.flows.gateway.plan.prediction import APPROACHES, Prediction
from p2d.model.request import Request
from p2d.testing.hospital import Hospital, generate
from p2d.testing.installation import ArchiveAddress, free_ports
from p2d.testing.servers import orthanc
from p2d.testing.site import Site, running_site

_IMAGES_WITHIN: Final = 0.2
_HOURS_WITHIN: Final = 1.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """One approach on one seed."""

    seed: int
    predicted: Prediction
    images: int
    seconds: float

    @property
    def images_ratio(self) -> float:
        """Predicted over true images."""
        return self.predicted.rows.estimate / self.images

    @property
    def hours_ratio(self) -> float:
        """Predicted over true seconds."""
        return self.predicted.hours.estimate * 3600 / self.seconds


def main() -> int:
    asked = _arguments()
    outcomes = [one for seed in asked.seeds for one in _seed(seed, asked)]
    rows = [
        (
            str(one.seed),
            one.predicted.approach.name,
            f"{one.predicted.rows.estimate:,.0f}",
            f"{one.images:,}",
            f"{one.images_ratio:.2f}",
            f"{one.predicted.hours.estimate * 3600:.2f}",
            f"{one.seconds:.2f}",
            f"{one.hours_ratio:.2f}",
        )
        for one in outcomes
    ]
    heading = ("Seed", "Approach", "images planned", "true", "ratio", "seconds planned", "true", "ratio")
    print(table(heading, rows, left=2))
    verdict = _judge(outcomes)
    print(verdict.line())
    return 0 if verdict.passed else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--patients", type=int, default=60)
    parser.add_argument("--effort", choices=[*EFFORTS], default="normal")
    parser.add_argument("--counted", type=int, help="patients counted, in the place of the effort's")
    parser.add_argument("--max-images", type=int, default=150, help="of one patient")
    return parser.parse_args()


def _seed(seed: int, asked: argparse.Namespace) -> list[Outcome]:
    hospital = generate(asked.patients, seed, asked.max_images)
    (store_port,) = free_ports(1)
    with (
        tempfile.TemporaryDirectory(prefix="p2d-bench-") as name,
        orthanc(Path(name) / "orthanc", store_port=store_port) as archive,
    ):
        fill(archive, hospital)
        address = ArchiveAddress(archive.port, archive.ae_title)
        (Path(name) / "site").mkdir()
        with running_site(Path(name) / "site", hospital, address) as site:
            effort = EFFORTS[asked.effort]
            plan = _plan(site, replace(effort, counted=asked.counted or effort.counted))
            return [_run(seed, site, hospital, one) for one in plan.predictions]


def _plan(site: Site, effort: Effort) -> Plan:
    with gateway_of(site) as gateway:
        return Planner(gateway).plan(Request(site.targets), OPERATOR, effort=effort)


def _run(seed: int, site: Site, hospital: Hospital, predicted: Prediction) -> Outcome:
    taken = to_rows(site, None, predicted.approach, range(len(site.patients)))
    assert taken.is_complete
    assert taken.images <= sum(1 for _ in hospital.images())
    return Outcome(seed, predicted, taken.images, taken.seconds)


def _judge(outcomes: Sequence[Outcome]) -> Verdict:
    verdict = Verdict("plan")
    for approach in APPROACHES:
        own = [one for one in outcomes if one.predicted.approach == approach]
        name = approach.name.replace("/", "_")
        off = max(abs(one.images_ratio - 1) for one in own)
        factor = max(max(one.hours_ratio, 1 / one.hours_ratio) for one in own)
        verdict.add(f"{name}_images", 1 - off, 1 - _IMAGES_WITHIN)
        verdict.add(f"{name}_hours", 1 / factor, 1 / _HOURS_WITHIN)
    return verdict


if __name__ == "__main__":
    sys.exit(main())
