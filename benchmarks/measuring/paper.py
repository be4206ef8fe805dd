"""Tables 1 and 2 of the paper, and what P2D takes in their form: patient by patient, then as set up."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from measuring.relay import Relay
from measuring.summary import Summary, table
from measuring.works import OPERATOR, WORKS, Work, empty_warehouse, gateway_of
from p2d.flows.gateway.bulk import BulkExtractor
from p2d.model.request import Request
from p2d.pacs.port import Pacs
from p2d.testing.hospital import Hospital
from p2d.testing.site import Site

WHOLE_ARCHIVE: Final = 500_000
_DAY: Final = 86_400
_STATISTICS: Final = ("mean", "median (quartiles)", "minimum", "maximum")
_DAYS: Final = f"{WHOLE_ARCHIVE:,} patients"
_BY_MEAN, _AS_SET_UP = "days, by the mean seconds", "days, in batches as set up"
_PAPER_2: Final = (
    ("Images", "mean", "44.1", "1,434.3", "44.1", ""),
    ("", "median (quartiles)", "13 (5-67)", "100 (32-1,891)", "13 (5-67)", ""),
    ("", "minimum", "1", "1", "1", ""),
    ("", "maximum", "171", "7,943", "170", ""),
    ("Seconds", "mean", "10.78", "13.64", "110.88", ""),
    ("", "median (quartiles)", "2.16 (1.08-9.46)", "6.14 (0.78-29.76)", "32.33 (9.19-147.75)", ""),
    ("", "minimum", "<0.01", "0.02", "4.08", ""),
    ("", "maximum", "67.47", "46.47", "403.69", ""),
    ("KiB", "mean", "848.3", "848.3", "164,800.3", ""),
    (
        "",
        "median (quartiles)",
        "56.9 (13.9-1,240.6)",
        "56.9 (13.9-1,240.6)",
        "26,307.3 (4,921.7-139,309.6)",
        "",
    ),
    ("", "minimum", "0.7", "0.7", "0.2", ""),
    ("", "maximum", "4,648.0", "4,648.0", "1,863,962.9", ""),
    (_DAYS, _BY_MEAN, "62.38", "78.94", "641.67", ""),
)
"""Table 2 of the paper: 20 test patients on its Orthanc."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one patient took: images received, seconds, and KiB that came from the archive."""

    images: int
    seconds: float
    kib: float


def by_patient(site: Site, pacs: Pacs, relay: Relay, work: Work, places: Sequence[int]) -> list[Cost]:
    """Extract the patients of *site* at *places* one after another, each by a run of its own, over *relay*.

    The seconds are those of the whole run, to its receipt; KiB are those of the connection.
    """
    empty_warehouse(site)
    costs = []
    with gateway_of(site) as own:
        extractor = BulkExtractor(replace(own, pacs=pacs))
        for target in (site.targets[place] for place in places):
            request = Request((target,), choice=work.choice, scope=work.scope)
            octets, began = relay.octets, time.perf_counter()
            run_id = extractor.open(request, OPERATOR)
            report = extractor.run(run_id, OPERATOR)
            seconds = time.perf_counter() - began
            costs.append(Cost(report.received, seconds, (relay.octets - octets) / 1024))
    return costs


def show(hospital: Hospital, costs: Mapping[str, Sequence[Cost]], as_set_up: Mapping[str, float]) -> str:
    """Return both tables of *hospital* and the paper's second one."""
    heading = ("Per patient", "", *(work.name for work in WORKS))
    rows: list[tuple[str, ...]] = []
    for label, digits in (("images", 1), ("seconds", 2), ("kib", 1)):
        samples = [[getattr(cost, label) for cost in costs[work.name]] for work in WORKS]
        cells = zip(*(Summary.of(sample).cells(digits) for sample in samples), strict=True)
        name = "KiB" if label == "kib" else label.capitalize()
        rows += [("" if n else name, _STATISTICS[n], *row) for n, row in enumerate(cells)]
    means = [sum(cost.seconds for cost in costs[work.name]) / len(costs[work.name]) for work in WORKS]
    rows.append((_DAYS, _BY_MEAN, *map(_days, means)))
    patients = len(hospital.patients)
    rows.append(("", _AS_SET_UP, *(_days(as_set_up[work.name] / patients) for work in WORKS)))
    orientation = "For orientation, the paper's Table 2: 20 other patients, its Orthanc and network"
    return "\n\n".join(
        (_first_table(hospital), table(heading, rows, left=2), orientation, table(heading, _PAPER_2, left=2))
    )


def _first_table(hospital: Hospital) -> str:
    """Return the archive's shape in the form of Table 1: series and images per patient, images per series."""
    series = [[s for study in patient.studies for s in study.series] for patient in hospital.patients]
    samples = {
        "series per patient": [len(some) for some in series],
        "images per patient": [sum(len(one.instances) for one in some) for some in series],
        "images per series": [len(one.instances) for some in series for one in some],
    }
    rows = [(name, *Summary.of(sample).cells(1)) for name, sample in samples.items()]
    return table(("The archive", *_STATISTICS), rows, left=1)


def _days(seconds: float) -> str:
    return f"{seconds * WHOLE_ARCHIVE / _DAY:,.2f}"
