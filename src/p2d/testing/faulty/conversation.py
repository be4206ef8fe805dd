"""One association of the faulty archive: it answers as its script says, and truly where that says nothing."""

import select
import struct
from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Final, TypeVar

from pydicom.filereader import read_dataset

from p2d.testing.archive_index import asked
from p2d.testing.faulty.host import Host
from p2d.testing.faulty.objects import DEFLATED, EXPLICIT, IMPLICIT, Planned, encoded
from p2d.testing.faulty.retrieval import Retrieval
from p2d.testing.faulty.rows import answers
from p2d.testing.faulty.script import (
    Abort,
    Behaviour,
    Change,
    ClaimPdu,
    EndlessFragments,
    Hang,
    NoService,
    Operation,
    Pause,
    Reject,
    Reset,
    Restart,
    Status,
)
from p2d.testing.faulty.stores import CANCEL, Stores, accepted, misbehave
from p2d.testing.faulty.wire import (
    AC,
    COMMAND,
    DATA_SET_TYPE,
    MESSAGE_ID,
    RESPONDS_TO,
    RJ,
    RQ,
    SOP_CLASS,
    STATUS,
    Command,
    Context,
    GoneError,
    Proposal,
    Received,
    Wire,
    association_pdu,
    encode_command,
    fragments,
    pdu,
    read_proposal,
)

_ECHO, _FIND, _GET, _MOVE = 0x0030, 0x0020, 0x0010, 0x0021
_RESPONSE: Final = 0x8000
_PENDING, _CANCELLED = 0xFF00, 0xFE00
_LONGEST: Final = 131_072
_QUERY: Final = "1.2.840.10008.5.1.4.1.2."
_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
_VERIFICATION: Final = "1.2.840.10008.1.1"
B = TypeVar("B", bound=Behaviour)


def one_of(faults: Iterable[Behaviour], kind: type[B]) -> B | None:
    """Return the first of *faults* that is of *kind*."""
    return next((fault for fault in faults if isinstance(fault, kind)), None)


class Conversation:
    """Serves one accepted connection until it ends; runs in a thread of its own."""

    def __init__(self, archive: Host, wire: Wire) -> None:
        self.archive = archive
        self.wire = wire
        self.calling = ""
        self._syntaxes: dict[int, str] = {}
        self._stores: dict[tuple[str, str], int] = {}

    def run(self) -> None:
        """Negotiate, then answer requests until the association ends."""
        try:
            if self._associated():
                while True:
                    self._answered(self.wire.receive())
        except (GoneError, OSError, struct.error):
            return

    # Association -----------------------------------------------------------------------------------------

    def _associated(self) -> bool:
        kind, body = self.wire.next_pdu()
        if kind != RQ:
            return False
        proposal = read_proposal(body)
        self.calling = proposal.calling
        faults = self.archive.faults_of(Operation.ASSOCIATE)
        self.gate(faults, 0)
        rejection = one_of(faults, Reject) or self.archive.rejection(proposal.called, proposal.calling)
        if rejection is not None:
            self.wire.raw(pdu(RJ, bytes((0, rejection.result, rejection.source, rejection.reason))))
            self.wire.next_pdu()  # the requestor closes, or aborts
            return False
        contexts = () if one_of(faults, NoService) else self._chosen(proposal)
        refused = {one.number: Context(one.number, "", ()) for one in proposal.contexts}
        answered = tuple({**refused, **{one.number: one for one in contexts}}.values())
        self._syntaxes = {one.number: one.syntaxes[0] for one in contexts}
        self._stores = accepted(contexts, contexts)
        self.wire.limit = proposal.longest
        stated = Proposal(proposal.called, proposal.calling, answered, proposal.roles)
        self.wire.raw(association_pdu(AC, stated, _LONGEST))
        return True

    def _chosen(self, proposal: Proposal) -> tuple[Context, ...]:
        """Return the contexts taken, each with one transfer syntax: the first for objects, implicit else."""
        taken = []
        for one in proposal.contexts:
            if one.abstract.startswith(_QUERY) or one.abstract == _VERIFICATION:
                syntaxes = sorted({IMPLICIT, EXPLICIT}.intersection(one.syntaxes))  # implicit comes first
            elif one.abstract.startswith(_STORAGE):
                syntaxes = [uid for uid in one.syntaxes if uid != DEFLATED or self.archive.deflates]
            else:
                continue
            if syntaxes:
                taken.append(Context(one.number, one.abstract, (syntaxes[0],)))
        return tuple(taken)

    # Requests --------------------------------------------------------------------------------------------

    def _answered(self, message: Received) -> None:
        command = message.command[COMMAND]
        if command == _ECHO:
            faults = self.archive.faults_of(Operation.ECHO)
            self.gate(faults, 0)
            status = one_of(faults, Status)
            self.respond(message, status.value if status else 0)
        elif command == _FIND:
            self._find(message)
        elif command in {_GET, _MOVE}:
            self._retrieve(message, is_move=command == _MOVE)
        elif command != CANCEL:
            self.wire.abort()
            raise GoneError

    def identifier(self, message: Received) -> tuple[str, dict[str, str], tuple[int, ...]]:
        """Return level, keys and tags of a request's identifier."""
        implicit = self._syntaxes[message.context] == IMPLICIT
        return asked(read_dataset(BytesIO(message.content), implicit, is_little_endian=True))

    def _find(self, message: Received) -> None:
        level, keys, tags = self.identifier(message)
        faults = self.archive.faults_of(Operation.FIND, level, keys)
        rows, final = answers(self.archive.index, level, keys, tags, faults)
        implicit = self._syntaxes[message.context] == IMPLICIT
        for number, (status, row) in enumerate(rows):
            self.gate(faults, number)
            if self.cancelled():
                self.respond(message, _CANCELLED)
                return
            self.respond(message, status, content=row if implicit else _explicit(row))
        self.gate(faults, len(rows))
        excess = one_of(faults, ClaimPdu) or one_of(faults, EndlessFragments)
        if excess is not None:
            head = {**_of(message), STATUS: _PENDING, DATA_SET_TYPE: 1}
            self.wire.raw(fragments(message.context, 1, encode_command(head), self.wire.limit))
            misbehave(self.wire, message.context, excess)
        status_fault = one_of(faults, Status)
        self.respond(message, status_fault.value if status_fault else final)
        self._change(faults)

    def _retrieve(self, message: Received, *, is_move: bool) -> None:
        level, keys, _ = self.identifier(message)
        faults = self.archive.faults_of(Operation.RETRIEVE, level, keys)
        retrieval = Retrieval(self, message, keys, faults)
        if is_move:
            retrieval.move()
        else:
            retrieval.get(Stores(self.wire, self._stores))
        self._change(faults)

    def _change(self, faults: Sequence[Behaviour]) -> None:
        for fault in faults:
            if isinstance(fault, Change):
                self.archive.change(fault.added, fault.removed)

    def respond(
        self, message: Received, status: int, more: Command | None = None, content: bytes = b""
    ) -> None:
        """Send a response to *message*."""
        self.wire.send(message.context, {**_of(message), STATUS: status, **(more or {})}, content)

    def cancelled(self) -> bool:
        """Whether a C-CANCEL waits to be read; it is taken."""
        if not select.select([self.wire.plain], [], [], 0)[0]:
            return False
        is_cancel = self.wire.receive().command[COMMAND] == CANCEL
        self.archive.cancels += is_cancel
        return is_cancel

    # Faults on the way -----------------------------------------------------------------------------------

    def gate(
        self,
        faults: Sequence[Behaviour],
        number: int,
        stores: Stores | None = None,
        planned: Planned | None = None,
    ) -> None:
        """Let pass the item after *number* others, or do what the script has for this place.

        Raises:
            GoneError: the association was ended.

        """
        for fault in faults:
            if isinstance(fault, Pause) and number >= fault.after:
                self.archive.wait(fault.seconds)
            elif isinstance(fault, (Hang, Abort, Reset, Restart)) and number == fault.after:
                self._end(fault, stores, planned)

    def _end(
        self, fault: Hang | Abort | Reset | Restart, stores: Stores | None, planned: Planned | None
    ) -> None:
        if isinstance(fault, Hang):
            while True:  # whatever comes, a C-CANCEL too, is not answered
                self.wire.exactly(1)
        if isinstance(fault, Restart):
            self.archive.restart(fault.seconds)
        elif isinstance(fault, Reset):
            self.wire.reset()
        else:
            if fault.amid and stores is not None and planned is not None:
                stores.half(planned)
            self.wire.abort()
        self.archive.cut(self.wire)
        raise GoneError


def _of(message: Received) -> Command:
    """Return what every response repeats of its request."""
    return {
        SOP_CLASS: message.command[SOP_CLASS],
        COMMAND: int(message.command[COMMAND]) | _RESPONSE,
        RESPONDS_TO: message.command[MESSAGE_ID],
    }


def _explicit(row: bytes) -> bytes:
    """Return an implicit VR identifier as explicit VR."""
    return encoded(read_dataset(BytesIO(row), is_implicit_VR=True, is_little_endian=True), implicit=False)
