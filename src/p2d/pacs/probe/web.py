"""A probe of an archive over DICOMweb (PS3.18): what QIDO-RS answers, whether WADO-RS gives headers alone."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from p2d.model.errors import InvalidRequest, P2DError
from p2d.model.identified import IdentifiedHeader, PatientId
from p2d.model.level import Level
from p2d.pacs.port import Pacs, Query, RetrieveCounts
from p2d.pacs.probe.asking import Bill, Permit
from p2d.pacs.probe.probe import Effort, Probed
from p2d.pacs.probe.watching import Stopped, never, watched
from p2d.pacs.query import KEYS
from p2d.settings.archive_profile import ArchiveProfile, Finding, Measured, Retrieving, Web

Remark = Callable[[str], None]
_SMALL_QUERIES: Final = 5


@dataclass(frozen=True, slots=True)
class WebProbe:
    """Probes the archive called *name* through a connector that *connect* makes for it.

    ``permit`` is asked before every request; without one nothing waits. ``stopped`` is looked at meanwhile.
    """

    name: str
    connect: Callable[[], Pacs]
    effort: Effort = Effort()  # noqa: RUF009 - frozen
    permit: Permit | None = field(default=None, repr=False)
    stopped: Stopped = field(default=never, repr=False)

    def run(self, patients: Sequence[PatientId], watch: Remark = lambda _: None) -> Probed:
        """Ask, compare and measure with the first of *patients* that has some, not too many, images.

        Raises:
            InvalidRequest: none of them has.
            Unavailable, ProtocolViolation, Misconfigured: the archive does not answer even searches.

        """
        bill = Bill() if self.permit is None else Bill(permit=self.permit)
        probed = Probed(ArchiveProfile(archive=self.name), [], bill)

        def remark(text: str) -> None:
            probed.remarks.append(text)
            watch(text)

        pacs = self.connect()

        def end(why: P2DError) -> None:
            bill.end(why)
            pacs.stop()

        try:
            with watched(self.stopped, end):
                profile = self._profile(pacs, patients, bill, remark)
        except P2DError:
            if bill.refused is not None:
                raise bill.refused from None
            raise
        finally:
            pacs.close()
        if bill.refused is not None:  # what was not asked is no property of the archive
            raise bill.refused
        return Probed(profile, probed.remarks, bill)

    def _profile(
        self, pacs: Pacs, patients: Sequence[PatientId], bill: Bill, remark: Remark
    ) -> ArchiveProfile:
        bill.admit(1, 0)
        bill.queries += 1
        pacs.echo()
        headers = self._known(pacs, patients, bill)
        some = headers[: min(self.effort.images, len(headers))]
        remark(f"looking at a patient of {len(headers)} images, {len(some)} of them retrieved")
        alone, seconds_alone = self._retrieved(pacs, some, bill, pixels=False)
        metadata = alone == len(some) and pacs.abilities().headers_alone
        remark(f"headers alone (WADO-RS metadata) {'are' if metadata else 'are not'} given")
        whole, seconds_whole = self._retrieved(pacs, some, bill, pixels=True)
        remark(f"{whole} of {len(some)} whole objects arrived")
        if metadata and seconds_whole < seconds_alone:
            remark('whole objects arrive sooner than headers alone: consider headers = "whole"')
        latency = self._latency(pacs, PatientId(headers[0].patient_id), bill)
        return ArchiveProfile(
            archive=self.name,
            probed_at=datetime.now(UTC).isoformat(timespec="seconds"),
            find=Finding(unsupported=frozenset(_unanswered(headers))),
            retrieve=Retrieving(),
            web=Web(qido=True, wado_metadata=metadata, wado=whole == len(some)),
            measured=Measured(
                find_seconds=round(latency, 5),
                retrieve_seconds=round(seconds_whole / len(some), 5),
                images_per_second={"1": round(len(some) / seconds_whole, 1)},
            ),
        )

    def _known(self, pacs: Pacs, patients: Sequence[PatientId], bill: Bill) -> list[IdentifiedHeader]:
        for patient in patients:
            bill.admit(1, 0)
            bill.queries += 1
            headers = list(pacs.find(Query(Level.INSTANCE, patient)))
            bill.rows += len(headers)
            if 0 < len(headers) <= self.effort.patient_images:
                return headers
        raise InvalidRequest(
            "LIST",
            f"names no patient with 1 to {self.effort.patient_images:,} images",
            "name other patients; a probe should not ask for much",
        )

    def _retrieved(
        self, pacs: Pacs, headers: Sequence[IdentifiedHeader], bill: Bill, *, pixels: bool
    ) -> tuple[int, float]:
        """Return how many of *headers* came, and in how many seconds."""
        bill.admit(0, len(headers))
        bill.retrieves += 1
        counts = RetrieveCounts()
        began = time.perf_counter()
        try:
            patient = PatientId(headers[0].patient_id)
            came = sum(1 for _ in pacs.retrieve(patient, headers, counts, pixels=pixels))
        except P2DError:
            came = 0
        bill.images += came
        bill.octets += counts.octets
        return came, max(time.perf_counter() - began, 1e-6)

    def _latency(self, pacs: Pacs, patient: PatientId, bill: Bill) -> float:
        bill.prepay(_SMALL_QUERIES, 0)
        seconds = []
        for _ in range(_SMALL_QUERIES):
            bill.admit(1, 0)
            bill.queries += 1
            began = time.perf_counter()
            bill.rows += sum(1 for _ in pacs.find(Query(Level.STUDY, patient)))
            seconds.append(time.perf_counter() - began)
        return statistics.median(seconds)


def _unanswered(headers: Sequence[IdentifiedHeader]) -> set[str]:
    usual = {path for level in (Level.STUDY, Level.SERIES, Level.INSTANCE) for path in KEYS[level]}
    return {path for path in usual if not any(path in header.elements for header in headers)}
