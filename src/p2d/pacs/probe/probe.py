"""One probe of one archive: what is asked, in which order, and the profile that comes of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO

from pydicom.filereader import read_dataset

from p2d.dicom.elements import elements_of
from p2d.dimse.awaited import Arrived
from p2d.dimse.negotiation import Peer
from p2d.dimse.services import IMPLICIT
from p2d.model.errors import P2DError
from p2d.model.header import Elements
from p2d.model.identified import PatientId
from p2d.pacs.probe.asking import Asking, Bill, Permit, query_proposal
from p2d.pacs.probe.finding import Query
from p2d.pacs.probe.known import Known, choose
from p2d.pacs.probe.measuring import Measurement
from p2d.pacs.probe.retrieving import Retrieval, Retriever
from p2d.pacs.probe.watching import Stopped, never, watched
from p2d.settings.archive_profile import ArchiveProfile

Mover = Callable[[Known, Bill], Retriever]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much a probe may ask: images of the patient it looks at, images moved, associations at a time."""

    patient_images: int = 1000
    images: int = 500
    associations: int = 4

    def sentence(self) -> str:
        """Say beforehand what it may cost."""
        return (
            f"at most about 200 queries on patients of up to {self.patient_images:,} images, "
            f"{2 * self.images:,} images moved, {self.associations} associations at a time"
        )


@dataclass(frozen=True, slots=True)
class Probed:
    """The profile, what was seen on the way as sentences without identifiers, and what it cost."""

    profile: ArchiveProfile
    remarks: list[str] = field(default_factory=list)
    bill: Bill = field(default_factory=Bill)


@dataclass(frozen=True, slots=True)
class Probe:
    """Probes the archive called *name* at *peer*; ``mover`` makes a way to C-MOVE where a port is ours.

    ``permit`` is asked before every request; without one nothing waits. ``stopped`` is looked at meanwhile.
    """

    name: str
    peer: Peer
    mover: Mover | None = None
    effort: Effort = Effort()
    permit: Permit | None = field(default=None, repr=False)
    stopped: Stopped = field(default=never, repr=False)

    def run(self, patients: Sequence[PatientId], watch: Callable[[str], None] = lambda _: None) -> Probed:
        """Ask, compare and measure with the first suitable one of *patients*.

        Raises:
            InvalidRequest: none of them has images, or all too many.
            Unavailable, ProtocolViolation, Misconfigured: the archive does not answer even simple queries, or
                it may not be asked any more.

        """
        bill = Bill() if self.permit is None else Bill(permit=self.permit)
        try:
            with watched(self.stopped, bill.end):
                probed = self._probed(patients, watch, bill)
        except P2DError:
            if bill.refused is not None:
                raise bill.refused from None
            raise
        if bill.refused is not None:  # what was not asked is no property of the archive
            raise bill.refused
        return probed

    def _probed(self, patients: Sequence[PatientId], watch: Callable[[str], None], bill: Bill) -> Probed:
        probed = Probed(ArchiveProfile(archive=self.name), [], bill)

        def remark(text: str) -> None:
            probed.remarks.append(text)
            watch(text)

        bill.admit(1, 0)
        asking = Asking(self.peer, query_proposal(relational=False), probed.bill)
        try:
            bill.queries += 1
            asking.echo()
            known = choose(asking, patients, self.effort.patient_images)
            remark(f"looking at a patient of {known.images} images in {len(known.series)} series")
            retrieval = Retrieval(self.peer, probed.bill, known, remark, self.effort.images)
            retrieving = retrieval.retrieving(self._mover(known, probed.bill))
            query = Query(self.peer, probed.bill, known, remark)
            finding = query.finding(asking, _header(retrieval.arrived))
            measurement = Measurement(self.peer, probed.bill, known, remark, self.effort.associations)
            measured = measurement.measured(asking, get=retrieving.get)
            user = asking.association.accepted.user
        finally:
            asking.close()
        profile = ArchiveProfile(
            archive=self.name,
            probed_at=datetime.now(UTC).isoformat(timespec="seconds"),
            implementation=_printable(user.implementation_version_name),
            find=finding,
            retrieve=retrieving,
            measured=measured,
        )
        return Probed(profile, probed.remarks, probed.bill)

    def _mover(self, known: Known, bill: Bill) -> Callable[[], Retriever] | None:
        mover = self.mover
        return None if mover is None else (lambda: mover(known, bill))


def _header(arrived: Sequence[Arrived]) -> Elements | None:
    """Return the elements of the first object that can be read."""
    for one in arrived:
        implicit = one.transfer_syntax_uid == IMPLICIT
        try:
            return elements_of(read_dataset(BytesIO(one.content), implicit, is_little_endian=True))
        except Exception:  # noqa: BLE001, S112 - pydicom raises many types; the next object may be readable
            continue
    return None


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())[:16]
