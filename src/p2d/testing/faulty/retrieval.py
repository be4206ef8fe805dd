"""One C-GET or C-MOVE of the faulty archive: what is sent, when, and what is said of it."""

from collections.abc import Mapping, Sequence
from typing import Final

from p2d.testing.faulty.host import Asked
from p2d.testing.faulty.objects import Planned
from p2d.testing.faulty.script import (
    Also,
    Behaviour,
    ClaimPdu,
    Damaged,
    DeflateBomb,
    EndlessFragments,
    Giant,
    Late,
    Omit,
    Status,
    Twice,
)
from p2d.testing.faulty.stores import NOT_SENT, Stores, kinds_of, opened
from p2d.testing.faulty.wire import (
    COMPLETED,
    DESTINATION,
    FAILED,
    MESSAGE_ID,
    ORIGINATOR,
    ORIGINATOR_MESSAGE,
    REMAINING,
    WARNING,
    Command,
    GoneError,
    Received,
)
from p2d.testing.holdings import HeldInstance

_PENDING, _CANCELLED, _WARNING, _NO_DESTINATION = 0xFF00, 0xFE00, 0xB000, 0xA801
_Excess = ClaimPdu | EndlessFragments | DeflateBomb
_OUT_OF_RESOURCES: Final = 0xA702


class Retrieval:
    """Sends what was asked for, apart from the script's faults, and counts it."""

    def __init__(
        self,
        conversation: Asked,
        message: Received,
        keys: Mapping[str, str],
        faults: Sequence[Behaviour],
    ) -> None:
        self._conversation = conversation
        self._archive = conversation.archive
        self._message = message
        self._faults = faults
        is_list = "\\" in keys.get("SOPInstanceUID", "")
        chosen = self._archive.index.instances(keys)
        kept, claimed = _kept(chosen, faults, is_list=is_list)
        planned = _planned(kept, faults)
        late = next((fault for fault in faults if isinstance(fault, Late)), None)
        here = len(planned) - min(late.count if late else 0, len(planned))
        self._planned, self._late = planned[:here], planned[here:]
        self._late_seconds = late.seconds if late else 0.0
        self._remaining = len(planned)
        self._completed = claimed + len(self._late)
        self._failed = self._warned = 0
        self._is_answered = False

    def get(self, stores: Stores) -> None:
        """Answer a C-GET over the association it came by."""
        status = self._send(stores)
        self._conversation.respond(self._message, status, self._counters())
        self._send_late(stores)

    def move(self) -> None:
        """Answer a C-MOVE by an association with its destination."""
        destination = str(self._message.command[DESTINATION])
        address = self._archive.peers.get(destination)
        if address is None:
            self._conversation.respond(self._message, _NO_DESTINATION)
            return
        originator: Command = {
            ORIGINATOR: self._conversation.calling,
            ORIGINATOR_MESSAGE: self._message.command[MESSAGE_ID],
        }
        deflated = any(isinstance(fault, DeflateBomb) for fault in self._faults)
        kinds = kinds_of([*self._planned, *self._late], deflated=deflated)
        if not kinds:
            self._conversation.gate(self._faults, 0)
            self._conversation.respond(self._message, self._final(), self._counters())
            return
        try:
            with opened(address, destination, self._archive.ae_title, kinds, originator) as stores:
                self._answer(self._send(stores))
                self._send_late(stores)
        except GoneError:  # our destination; or ourselves, by the script
            if self._archive.was_cut(self._conversation.wire):
                raise
            if not self._is_answered:
                self._failed += self._remaining
                self._remaining = 0
                self._answer(_OUT_OF_RESOURCES)

    def _answer(self, status: int) -> None:
        self._conversation.respond(self._message, status, self._counters())
        self._is_answered = True

    def _send(self, stores: Stores) -> int:
        conversation = self._conversation
        excess: list[_Excess] = [fault for fault in self._faults if isinstance(fault, _Excess)]
        for number, planned in enumerate(self._planned):
            conversation.gate(self._faults, number, stores, planned)
            status = stores.misbehave(planned, excess.pop(0)) if excess else stores.send(planned)
            self._count(status)
            is_cancelled = stores.is_cancelled or (
                stores.wire is not conversation.wire and conversation.cancelled()
            )
            if is_cancelled:
                self._archive.cancels += stores.is_cancelled
                return _CANCELLED
            conversation.respond(self._message, _PENDING, self._counters())
        conversation.gate(self._faults, len(self._planned), stores)
        return self._final()

    def _send_late(self, stores: Stores) -> None:
        if self._late:
            self._archive.wait(self._late_seconds)
            for planned in self._late:
                self._archive.statuses.append(stores.send(planned))

    def _count(self, status: int) -> None:
        if status != NOT_SENT:
            self._archive.statuses.append(status)
        self._remaining -= 1
        if status == 0:
            self._completed += 1
        elif status >> 12 == 0xB:
            self._warned += 1
        else:
            self._failed += 1

    def _final(self) -> int:
        self._remaining = 0
        stated = next((fault.value for fault in self._faults if isinstance(fault, Status)), None)
        if stated is not None:
            return stated
        return _WARNING if self._failed or self._warned else 0

    def _counters(self) -> Command:
        return {
            REMAINING: self._remaining,
            COMPLETED: self._completed,
            FAILED: self._failed,
            WARNING: self._warned,
        }


def _kept(
    chosen: list[HeldInstance], faults: Sequence[Behaviour], *, is_list: bool
) -> tuple[list[HeldInstance], int]:
    """Return what is sent of *chosen*, and how many others are claimed to have been."""
    claimed = 0
    for fault in faults:
        if isinstance(fault, Omit) and (is_list or not fault.in_lists):
            count = len(chosen) if fault.count is None else min(fault.count, len(chosen))
            chosen = chosen[count:]
            claimed += count if fault.claimed else 0
    return chosen, claimed


def _planned(kept: list[HeldInstance], faults: Sequence[Behaviour]) -> list[Planned]:
    planned = [Planned(one) for one in kept]
    for fault in faults:
        if isinstance(fault, Damaged) and fault.number <= len(planned):
            planned[fault.number - 1] = Planned(kept[fault.number - 1], fault.how)
        elif isinstance(fault, Giant) and planned:
            planned[0] = Planned(kept[0], giant_bytes=fault.pixel_bytes)
        elif isinstance(fault, Twice):
            planned = [
                each for one in planned for each in (one, Planned(one.instance, changed=fault.changed))
            ]
        elif isinstance(fault, Also):
            planned += [Planned(one) for one in fault.instances]
    return planned
