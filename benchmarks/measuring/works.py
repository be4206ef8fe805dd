"""The works of the table: what is extracted, and how long it takes one archive's way to bring it to rows."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final

from measuring.bare import BareAssociation
from measuring.bare_archive import firsts, objects_of, rows_of
from measuring.peer import Remembering
from p2d.access.caller import Caller
from p2d.access.roles import Role
from p2d.flows.gateway.bulk import BulkExtractor
from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.plan.prediction import APPROACHES, Approach
from p2d.main.gateway import open_gateway
from p2d.model.identified import PatientId
from p2d.model.ids import Pseudonym
from p2d.model.level import Choice, Kind, Level, Scope
from p2d.model.request import Request, Target
from p2d.pacs.port import Pacs, Query
from p2d.testing.hospital import Hospital, Patient
from p2d.testing.servers import RunningArchive
from p2d.testing.site import Site

OPERATOR: Final = Caller("benchmark", Role.OPERATOR, "benchmark")


@dataclass(frozen=True, slots=True)
class Work(Approach):
    """An approach as a work of the table: what it asks of an archive, and how many images it has to bring."""

    @property
    def full(self) -> Choice | None:
        """Which images the archive is asked for with all keys, as the gateway does."""
        return None if self.scope is Scope.EXTENDED else self.choice

    def images(self, patients: Sequence[Patient]) -> int:
        """Return how many images of *patients* it has to bring."""
        series = [one for patient in patients for study in patient.studies for one in study.series]
        return len(series) if self.choice is Choice.FIRST else sum(len(one.instances) for one in series)


WORKS: Final = tuple(Work(one.scope, one.choice) for one in APPROACHES)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a run brought and took; it counts only when complete."""

    images: int
    seconds: float
    is_complete: bool = True


def requests_of(work: Work, way: str, patients: Sequence[Patient]) -> int:
    """Return how many requests *way* (dcmtk, stock) sends for *patients*, level by level."""
    studies = [study for patient in patients for study in patient.studies]
    series = sum(len(study.series) for study in studies)
    asked = len(patients) + len(studies) + series
    if work.scope is Scope.BASIC:
        return asked
    return asked + (work.images(patients) if way == "dcmtk" else series)


def to_rows(site: Site, pacs: Pacs | None, work: Approach, patients: Sequence[int], **more: int) -> Taken:
    """Extract the *patients* at these places into an empty warehouse; *more* changes the gateway's choices.

    Without *pacs* the site's own connection to its archive is used, governor and all.

    The seconds run from the opened run to its last receipt: pseudonyms, queries, retrieval, keys,
    de-identification, rows, load, ledger. Of a way that is remembered only those with the archive count.
    """
    empty_warehouse(site)
    targets = tuple(Target(Kind.PATIENT, Pseudonym(site.patients[place])) for place in patients)
    before = pacs.seconds if isinstance(pacs, Remembering) else 0.0
    with gateway_of(site) as gateway:
        extractor = BulkExtractor(replace(gateway, pacs=pacs or gateway.pacs, **more))  # type: ignore[arg-type]  # numbers
        run_id = extractor.open(Request(targets, choice=work.choice, scope=work.scope), OPERATOR)
        began = time.perf_counter()
        report = extractor.run(run_id, OPERATOR)
        seconds = time.perf_counter() - began
    if isinstance(pacs, Remembering):
        seconds = pacs.seconds - before
    return Taken(report.received, seconds, report.is_complete)


def requests_alone(
    archive: RunningArchive, work: Work, patients: Sequence[Patient], classes: Sequence[str]
) -> Taken:
    """Ask and retrieve what *work* needs over bare sockets, and do nothing with it."""
    began = time.perf_counter()
    images = 0
    with BareAssociation(archive, "P2D", classes if work.scope is Scope.EXTENDED else ()) as association:
        for patient in patients:
            _, _, rows = rows_of(association, patient.patient_id, work.full)
            uids = firsts(rows) if work.choice is Choice.FIRST else [_uid(row) for row in rows]
            if work.scope is Scope.EXTENDED:
                arrived = objects_of(association, patient.patient_id, uids, cut=True)
                images += sum(1 for _ in arrived)
            else:
                images += len(uids)
    return Taken(images, time.perf_counter() - began)


def received_alone(pacs: Pacs, patients: Sequence[Patient]) -> Taken:
    """List all images of *patients* and retrieve their headers with P2D's connector; do nothing with them."""
    began = time.perf_counter()
    images = 0
    for patient in patients:
        owner = PatientId(patient.patient_id)
        listed = list(pacs.find(Query(Level.INSTANCE, owner, full=None)))
        images += sum(1 for _ in pacs.retrieve(owner, listed, pixels=False))
    return Taken(images, time.perf_counter() - began)


def moved_alone(archive: RunningArchive, patients: Sequence[Patient], destination: str) -> Taken:
    """Have all images of *patients* moved, study by study, to a receiver that throws them away."""
    began = time.perf_counter()
    images = 0
    with BareAssociation(archive, "P2D") as association:
        for patient in patients:
            for study in patient.studies:
                keys = {0x00100020: patient.patient_id, 0x0020000D: study.study_instance_uid}
                images += association.move("STUDY", keys, destination)
    return Taken(images, time.perf_counter() - began)


def _uid(row: dict[int, bytes]) -> str:
    return row[0x00080018].rstrip(b"\0").decode()


def empty_warehouse(site: Site) -> None:
    """Start the warehouse anew without its file: every run loads into an empty one."""
    site.processes["warehouse"].stop()
    with suppress(FileNotFoundError):
        site.database.unlink()
    site.processes.restart("warehouse")


def classes_of(hospital: Hospital) -> list[str]:
    """Return the SOP classes of the hospital's images, which a probe would find."""
    return sorted({image.sop_class_uid for image in hospital.images()})


@contextmanager
def gateway_of(site: Site) -> Iterator[Gateway]:
    """Yield the site's gateway in this process, and close its stages."""
    gateway = open_gateway(site.installation.settings("gateway"))
    try:
        yield gateway
    finally:
        for stage in (gateway.pacs, gateway.identity, gateway.warehouse, gateway.ledger):
            close = getattr(stage, "close", None)
            if close is not None:
                close()
