"""How fast and how much at once: latency of a query, throughput over 1, 2 and 4 associations."""

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeVar

from p2d.dimse.negotiation import Peer, Proposal
from p2d.dimse.services import FIND, GET
from p2d.model.errors import P2DError
from p2d.pacs.probe.asking import Asking, Bill, get_proposal, query_proposal
from p2d.pacs.probe.known import STUDY, STUDY_ROOT, Known
from p2d.pacs.query import PATIENT_ID
from p2d.settings.archive_profile import Measured

T = TypeVar("T")
Remark = Callable[[str], None]
_SMALL_QUERIES: Final = 7
_FINDS_EACH: Final = 10


@dataclass(frozen=True, slots=True)
class Measurement:
    """The state of measuring; ``most`` associations at a time, ``images`` moved for each number of them."""

    peer: Peer
    bill: Bill
    known: Known
    remark: Remark = field(repr=False)
    most: int = 4
    images: int = 100

    def measured(self, asking: Asking, *, get: bool) -> Measured:
        """Return what the archive bore; throughput of images is measured where *get* works."""
        latency = statistics.median(self._small(asking) for _ in range(_SMALL_QUERIES))
        tried = [number for number in (1, 2, 4, 8) if number <= self.most] or [1]
        accepted = 0
        finds: dict[str, float] = {}
        images: dict[str, float] = {}
        octets: dict[str, float] = {}
        for number in tried:
            askings = self._opened(number)
            accepted = max(accepted, len(askings))
            try:
                if len(askings) == number:
                    finds[str(number)] = self._finds(askings)
                    if get:
                        images[str(number)], octets[str(number)] = self._gets(askings)
            finally:
                for one in askings:
                    one.close()
            if len(askings) < number:
                self.remark(f"{len(askings)} of {number} associations at a time are accepted")
                break
        retrieve = self._one_image(asking) if get else None
        return Measured(
            associations=max(accepted, 1),
            pdu_bytes=asking.association.accepted.user.maximum_length,
            asynchronous=asking.association.window,
            find_seconds=round(latency, 5),
            retrieve_seconds=retrieve,
            finds_per_second=finds,
            images_per_second=images,
            bytes_per_second=octets,
        )

    def _opened(self, number: int) -> list[Asking]:
        askings: list[Asking] = []
        for _ in range(number):
            try:
                askings.append(Asking(self.peer, self._proposal(), self.bill))
            except P2DError:
                break
        return askings

    def _proposal(self) -> Proposal:
        queries, gets = query_proposal(relational=False), get_proposal(self.known.sop_classes)
        return Proposal((*queries.contexts[: len(FIND)], *gets.contexts)[:128], gets.roles)

    def _small(self, asking: Asking) -> float:
        keys = {PATIENT_ID: self.known.patient_id.value, STUDY: ""}
        return asking.find(STUDY_ROOT, "STUDY", keys, len(self.known.studies)).seconds

    def _finds(self, askings: Sequence[Asking]) -> float:
        """Return queries a second when every one of *askings* puts some at the same time."""

        def ask(asking: Asking) -> None:
            for _ in range(_FINDS_EACH):
                self._small(asking)

        self.bill.prepay(len(askings) * _FINDS_EACH, 0)
        seconds = _together(ask, askings)
        return round(len(askings) * _FINDS_EACH / seconds, 1)

    def _gets(self, askings: Sequence[Asking]) -> tuple[float, float]:
        """Return images and octets a second when *askings* share up to ``images`` images."""
        parts = self._parts(len(askings))
        self.bill.prepay(0, sum(len(uids) for part in parts for _, uids in part))
        before = self.bill.images, self.bill.octets

        def get(item: tuple[Asking, list[tuple[dict[str, str], list[str]]]]) -> None:
            asking, requests = item
            for keys, uids in requests:
                root = next(uid for uid in GET if asking.accepts(uid))
                asking.get(root, "IMAGE", keys, uids)

        seconds = _together(get, list(zip(askings, parts, strict=True)))
        images, octets = self.bill.images - before[0], self.bill.octets - before[1]
        return round(images / seconds, 1), round(octets / seconds, 1)

    def _parts(self, number: int) -> list[list[tuple[dict[str, str], list[str]]]]:
        parts: list[list[tuple[dict[str, str], list[str]]]] = [[] for _ in range(number)]
        left, turn = self.images, 0
        for (study, series), uids in self.known.series.items():
            some = uids[: max(0, min(left, 20))]
            if not some:
                break
            left -= len(some)
            for uid in some:  # single instances: every archive that gets at all does this
                parts[turn % number].append((self.known.keys(study, series, [uid]), [uid]))
                turn += 1
        return parts

    def _one_image(self, asking: Asking) -> float | None:
        del asking  # its contexts are for queries
        (study, series), uids = min(self.known.series.items(), key=lambda item: len(item[1]))
        try:
            getter = Asking(self.peer, get_proposal(self.known.sop_classes), self.bill)
        except P2DError:
            return None
        root = next((uid for uid in GET if getter.accepts(uid)), None)
        seconds = []
        for _ in range(3 if root else 0):
            began = time.perf_counter()
            getter.get(str(root), "IMAGE", self.known.keys(study, series, uids[:1]), uids[:1])
            seconds.append(time.perf_counter() - began)
        getter.close()
        return round(statistics.median(seconds), 5) if seconds else None


def _together(work: Callable[[T], None], items: Sequence[T]) -> float:
    began = time.perf_counter()
    with ThreadPoolExecutor(len(items)) as pool:
        for _ in pool.map(work, items):
            pass
    return max(time.perf_counter() - began, 1e-6)
