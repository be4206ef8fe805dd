"""One approach through the gateway's own bulk extractor, patient by patient."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from p2d.access.caller import Caller
from p2d.access.roles import Role
from p2d.flows.gateway.bulk import BulkExtractor
from p2d.flows.gateway.gateway import Gateway
from p2d.jobs.report import Progress
from p2d.main.gateway import open_gateway
from p2d.model.level import Choice, Scope
from p2d.model.request import Request
from p2d.pacs.pynetdicom.association import Association
from p2d.pacs.pynetdicom.messages import Message
from p2d.testing.site import Site

OPERATOR: Final = Caller("benchmark", Role.OPERATOR, "benchmark")


@dataclass(frozen=True, slots=True)
class Approach:
    """One of the paper's three ways to extract headers."""

    name: str
    scope: Scope
    choice: Choice


APPROACHES: Final = (
    Approach("basic/first", Scope.BASIC, Choice.FIRST),
    Approach("basic/all", Scope.BASIC, Choice.ALL),
    Approach("extended/first", Scope.EXTENDED, Choice.FIRST),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one patient took: images received, seconds, and KiB received from the archive."""

    images: int
    seconds: float
    kib: float


@dataclass(slots=True)
class Received:
    """Bytes of the data sets that came from the archive (C-FIND identifiers, C-STORE data sets)."""

    content: int = 0


@contextmanager
def counted() -> Iterator[Received]:
    """Count what every association of this process receives, as encoded on the wire, without protocol."""
    received = Received()
    own_way = Association.receive

    def receive(self: Association, seconds: float | None = None) -> Message | None:
        message = own_way(self, seconds)
        received.content += len(message.content) if message is not None else 0
        return message

    setattr(Association, "receive", receive)  # noqa: B010 - the one place that sees every message
    try:
        yield received
    finally:
        setattr(Association, "receive", own_way)  # noqa: B010 - as above


def extract(site: Site, approach: Approach) -> tuple[Mapping[str, Cost], bool]:
    """Extract every patient of *site* in batches of one; return the costs and whether the run is complete.

    The seconds of a patient run from the receipt of the one before to its own: resolving the pseudonym,
    asking the archive, deriving UIDs, de-identification, loading, ledger. The gateway is new, so the first
    patient also pays for the association and for the proof that relational queries can be relied on.
    """
    with counted() as received, open_site_gateway(site) as gateway:
        extractor = BulkExtractor(replace(gateway, patients_per_batch=1))
        run_id = extractor.open(_request(site, approach), OPERATOR)
        marks = [(time.perf_counter(), 0, received.content)]

        def watch(progress: Progress) -> None:
            if progress.patients_done == len(marks):
                marks.append((time.perf_counter(), progress.images_received, received.content))

        report = extractor.run(run_id, OPERATOR, watch)
    return dict(zip(site.patients, _costs(marks), strict=False)), report.is_complete


def extract_as_set_up(site: Site, approach: Approach) -> tuple[int, float, bool]:
    """Extract every patient with the batches that the settings name, as ``p2d extract`` does.

    Return images received, seconds, and whether the run is complete.
    """
    with open_site_gateway(site) as gateway:
        extractor = BulkExtractor(gateway)
        run_id = extractor.open(_request(site, approach), OPERATOR)
        began = time.perf_counter()
        report = extractor.run(run_id, OPERATOR)
        return report.received, time.perf_counter() - began, report.is_complete


def _request(site: Site, approach: Approach) -> Request:
    return Request(site.targets, choice=approach.choice, scope=approach.scope)


def _costs(marks: Sequence[tuple[float, int, int]]) -> list[Cost]:
    return [
        Cost(images - images_before, now - before, (content - content_before) / 1024)
        for (before, images_before, content_before), (now, images, content) in pairwise(marks)
    ]


@contextmanager
def open_site_gateway(site: Site) -> Iterator[Gateway]:
    """Open the gateway of *site* as a command does, and close it."""
    gateway = open_gateway(site.installation.settings("gateway"))
    try:
        yield gateway
    finally:
        for stage in (gateway.pacs, gateway.identity, gateway.warehouse, gateway.ledger):
            close = getattr(stage, "close", None)
            if close is not None:
                close()
