"""What the archive does with retrieves: C-GET and C-MOVE, lists and their length, whole series, studies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from p2d.dimse.awaited import Arrived
from p2d.dimse.negotiation import Peer
from p2d.dimse.services import GET, GET_WITHOUT_BULK_DATA
from p2d.model.errors import Misconfigured, P2DError
from p2d.model.level import Level
from p2d.pacs.lists import LIST_LENGTH
from p2d.pacs.probe.asking import Asking, Bill, get_proposal
from p2d.pacs.probe.known import INSTANCE, SERIES, STUDY, WORDS, Known
from p2d.pacs.query import PATIENT_ID
from p2d.settings.archive_profile import Retrieving

Remark = Callable[[str], None]
_LENGTHS: Final = (2, 10, 50, 200, 500)
"""Lengths of lists that are tried; 500 UIDs of 64 characters fit the 65,534 bytes of a UI value twice."""


class Retriever(Protocol):
    """One way to retrieve: returns those of *uids* that came."""

    name: str

    def retrieve(self, level: Level, keys: dict[str, str], uids: Sequence[str]) -> list[Arrived]:
        """Ask at *level* for what *keys* name.

        Raises:
            Unavailable, ProtocolViolation, Misconfigured: the archive does not do that.

        """
        ...

    def close(self) -> None:
        """End the association."""
        ...


class Getter:
    """C-GET over one association."""

    name = "C-GET"

    def __init__(self, peer: Peer, bill: Bill, sop_classes: Sequence[str]) -> None:
        self._asking = Asking(peer, get_proposal(sop_classes, without_bulk_data=True), bill)
        if not any(self._asking.accepts(root) for root in GET):
            self._asking.close()
            raise Misconfigured("pacs", "does not accept C-GET")

    @property
    def accepts_without_bulk_data(self) -> bool:
        """Whether Composite Instance Retrieve Without Bulk Data (PS3.4 Annex Z) was accepted."""
        return self._asking.accepts(GET_WITHOUT_BULK_DATA)

    def retrieve(self, level: Level, keys: dict[str, str], uids: Sequence[str]) -> list[Arrived]:
        """See ``Retriever``."""
        root = next(uid for uid in GET if self._asking.accepts(uid))
        return self._asking.get(root, WORDS[level], keys, uids)

    def without_bulk_data(self, keys: dict[str, str], uids: Sequence[str]) -> list[Arrived]:
        """Ask for instances without their bulk data (PS3.4 Z.1.1: SOP Instance UIDs alone)."""
        return self._asking.get(GET_WITHOUT_BULK_DATA, "IMAGE", keys, uids, pixels=False)

    def close(self) -> None:
        """End the association."""
        self._asking.close()


@dataclass(slots=True)
class Lists:
    """What one way to retrieve can do."""

    one: bool = False
    length: int = 1
    need_upper_keys: bool = True
    series: bool = False
    study: bool = False


@dataclass(slots=True)
class Retrieval:
    """The state of probing retrieves; ``left`` is how many images may still be moved."""

    peer: Peer
    bill: Bill
    known: Known
    remark: Remark = field(repr=False)
    left: int = 500
    arrived: list[Arrived] = field(default_factory=list, repr=False)

    def retrieving(self, mover: Callable[[], Retriever] | None) -> Retrieving:
        """Return what retrieves do: C-GET is tried, then C-MOVE where *mover* makes one."""
        got = moved = Lists()
        without = False
        getter = self._opened(lambda: Getter(self.peer, self.bill, self.known.sop_classes))
        if isinstance(getter, Getter):
            got = self._lists(getter)
            without = self._without_bulk_data(getter)
            getter.close()
        if mover is not None and (other := self._opened(mover)) is not None:
            moved = self._lists(other)
            other.close()
        best = got if got.one else moved
        return Retrieving(
            get=got.one,
            move=moved.one,
            list_length=best.length,
            lists_need_upper_keys=best.need_upper_keys,
            series=best.series,
            study=best.study,
            without_bulk_data=without,
            sop_classes=tuple(sorted({one.sop_class_uid for one in self.arrived})),
            transfer_syntaxes=tuple(sorted({one.transfer_syntax_uid for one in self.arrived})),
        )

    def _opened(self, make: Callable[[], Retriever]) -> Retriever | None:
        try:
            return make()
        except P2DError as error:
            self.remark(f"no retrieve: {error.problem}")
            return None

    def _lists(self, retriever: Retriever) -> Lists:
        found, has_failed = Lists(), False
        (study, series), uids = self._longest()
        found.one = self._brings(
            retriever, Level.INSTANCE, self.known.keys(study, series, uids[:1]), uids[:1]
        )
        if not found.one:
            self.remark(f"{retriever.name} does not bring an image that is there")
            return found
        for length in _LENGTHS:
            some = uids[:length]
            if len(some) < 2 or len(some) <= found.length or len(some) > self.left:  # noqa: PLR2004 - a list
                break
            if not self._brings(retriever, Level.INSTANCE, self.known.keys(study, series, some), some):
                self.remark(f"{retriever.name}: a list of {len(some)} does not bring all of it")
                has_failed = True
                break
            found.length = len(some)
        self.remark(f"{retriever.name}: lists of up to {found.length} tried and brought whole")
        if found.length > 1 and self.left >= 2:  # noqa: PLR2004 - a list
            bare = {INSTANCE: "\\".join(uids[:2])}
            found.need_upper_keys = not self._brings(retriever, Level.INSTANCE, bare, uids[:2])
            if found.need_upper_keys:
                self.remark(f"{retriever.name}: lists need study and series stated")
        self._whole(retriever, found)
        if found.length > 1 and not has_failed:  # longer ones are no worse known than in any other archive
            found.length = max(found.length, LIST_LENGTH)
        return found

    def _whole(self, retriever: Retriever, found: Lists) -> None:
        """Try a whole series and a whole study, the smallest there is, within the budget."""
        known = self.known
        (study, series), uids = min(known.series.items(), key=lambda item: len(item[1]))
        if len(uids) <= self.left:
            keys = {PATIENT_ID: known.patient_id.value, STUDY: study, SERIES: series}
            found.series = self._brings(retriever, Level.SERIES, keys, uids)
        within: dict[str, list[str]] = {}
        for (parent, _), some in known.series.items():
            within.setdefault(parent, []).extend(some)
        study, uids = min(within.items(), key=lambda item: len(item[1]))
        if len(uids) <= self.left:
            keys = {PATIENT_ID: known.patient_id.value, STUDY: study}
            found.study = self._brings(retriever, Level.STUDY, keys, uids)
        series_word, study_word = _word(done=found.series), _word(done=found.study)
        self.remark(f"{retriever.name}: whole series {series_word}, whole studies {study_word}")

    def _longest(self) -> tuple[tuple[str, str], list[str]]:
        """Return the series with the most images that the budget allows to move twice."""
        ordered = sorted(self.known.series.items(), key=lambda item: len(item[1]))
        fitting = [item for item in ordered if 2 * len(item[1]) <= self.left]
        return fitting[-1] if fitting else ordered[0]

    def _brings(self, retriever: Retriever, level: Level, keys: dict[str, str], uids: Sequence[str]) -> bool:
        try:
            arrived = retriever.retrieve(level, keys, uids)
        except P2DError as error:
            self.remark(f"{retriever.name} at {WORDS[level]} level: {error.problem}")
            return False
        self.left -= len(arrived)
        self.arrived += arrived
        return {one.sop_instance_uid for one in arrived} == set(uids)

    def _without_bulk_data(self, getter: Getter) -> bool:
        if not getter.accepts_without_bulk_data:
            self.remark("retrieve without bulk data (PS3.4 Annex Z) is not accepted")
            return False
        _, uids = self._longest()
        try:
            arrived = getter.without_bulk_data({INSTANCE: uids[0]}, uids[:1])
        except P2DError:
            arrived = []
        works = len(arrived) == 1 and not arrived[0].dropped_bytes
        self.remark(f"retrieve without bulk data is accepted and {_word(done=works)}")
        return works


def _word(*, done: bool) -> str:
    return "work" if done else "do not work"
