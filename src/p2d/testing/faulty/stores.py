"""Sends objects by C-STORE (PS3.7 9.3.1), over the association of a C-GET or one opened for a C-MOVE."""

import socket
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from p2d.testing.faulty.objects import (
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    Planned,
    bomb,
    content_of,
    giant,
    syntax_of,
)
from p2d.testing.faulty.script import ClaimPdu, DeflateBomb, EndlessFragments
from p2d.testing.faulty.wire import (
    AC,
    COMMAND,
    DATA_SET_TYPE,
    MESSAGE_ID,
    P_DATA,
    PRIORITY,
    RELEASE_RQ,
    RQ,
    SOP_CLASS,
    SOP_INSTANCE,
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

CANCEL: Final = 0x0FFF
NOT_SENT: Final = -1
"""Instead of a status: no accepted presentation context fits the object."""

_STORE: Final = 0x0001
_STORE_RESPONSE: Final = 0x8001
_UNCOMPRESSED: Final = (EXPLICIT, IMPLICIT)
Accepted = Mapping[tuple[str, str], int]


class Stores:
    """One association's C-STORE requests; ``accepted`` maps SOP class and transfer syntax to a context."""

    def __init__(self, wire: Wire, accepted: Accepted, more: Command | None = None) -> None:
        self.wire = wire
        self.is_cancelled = False
        self._accepted = accepted
        self._more = more or {}
        self._message_id = 0

    def send(self, planned: Planned) -> int:
        """Send one object and return the status of its response, or NOT_SENT.

        Raises:
            GoneError: the association ended.

        """
        found = self._context(planned)
        if found is None:
            return NOT_SENT
        context, syntax = found
        if planned.giant_bytes:
            self.wire.raw(self._head(planned, context))
            self._stream(context, giant(planned, syntax))
        else:
            self.wire.send(context, self._command(planned), content_of(planned, syntax))
        return self._status()

    def half(self, planned: Planned) -> None:
        """Send the command and half of the data set, without its last fragment."""
        found = self._context(planned)
        if found is not None:
            content = content_of(planned, found[1])
            self.wire.raw(self._head(planned, found[0]))
            self._fragment(found[0], content[: len(content) // 2], last=False)

    def misbehave(self, planned: Planned, what: ClaimPdu | EndlessFragments | DeflateBomb) -> int:
        """Send what no peer may send, and return the status of a response, should one come.

        Raises:
            GoneError: the peer closed, as it should.

        """
        if isinstance(what, DeflateBomb):
            context = self._accepted.get((planned.instance["SOPClassUID"], DEFLATED))
            if context is None:
                return NOT_SENT
            self.wire.send(context, self._command(planned), bomb(planned.instance.render(), what.inflated))
            return self._status()
        found = self._context(planned)
        if found is None:
            return NOT_SENT
        self.wire.raw(self._head(planned, found[0]))
        misbehave(self.wire, found[0], what)
        return self._status()

    def _context(self, planned: Planned) -> tuple[int, str] | None:
        own = syntax_of(planned.instance.render())
        for syntax in (own, *_UNCOMPRESSED) if own in _UNCOMPRESSED else (own,):
            context = self._accepted.get((planned.instance["SOPClassUID"], syntax))
            if context is not None:
                return context, syntax
        return None

    def _command(self, planned: Planned) -> Command:
        self._message_id += 1
        return {
            **self._more,
            SOP_CLASS: planned.instance["SOPClassUID"],
            COMMAND: _STORE,
            MESSAGE_ID: self._message_id,
            PRIORITY: 0,
            SOP_INSTANCE: planned.instance["SOPInstanceUID"],
        }

    def _head(self, planned: Planned, context: int) -> bytes:
        command = {**self._command(planned), DATA_SET_TYPE: 1}
        return fragments(context, 1, encode_command(command), self.wire.limit)

    def _fragment(self, context: int, content: bytes, *, last: bool) -> None:
        step = (self.wire.limit or 131_072) - 6
        for start in range(0, len(content), step):
            part = content[start : start + step]
            control = 0x02 if last and start + step >= len(content) else 0
            self.wire.raw(pdu(P_DATA, struct.pack(">IBB", len(part) + 2, context, control) + part))

    def _stream(self, context: int, parts: Iterator[bytes]) -> None:
        waiting = next(parts)
        for part in parts:
            self._fragment(context, waiting, last=False)
            waiting = part
        self._fragment(context, waiting, last=True)

    def _status(self) -> int:
        others: list[Received] = []
        while (received := self.wire.receive()).command[COMMAND] != _STORE_RESPONSE:
            if received.command[COMMAND] == CANCEL:
                self.is_cancelled = True
            else:
                others.append(received)
        for one in others:
            self.wire.unread(one)
        return int(received.command[STATUS])


def misbehave(wire: Wire, context: int, what: ClaimPdu | EndlessFragments) -> None:
    """Send a PDU or fragments beyond every limit.

    Raises:
        GoneError: the peer closed, as it should.

    """
    if isinstance(what, ClaimPdu):
        head = struct.pack(">BBI", P_DATA, 0, what.claimed)
        wire.raw(head + struct.pack(">IBB", what.claimed - 4, context, 0))
        for _ in range(0, what.sent, 65_536):
            wire.raw(bytes(65_536))
        return
    part = bytes((wire.limit or 131_072) - 6)
    one = pdu(P_DATA, struct.pack(">IBB", len(part) + 2, context, 0) + part)
    for _ in range(0, what.most, len(part)):
        wire.raw(one)


@contextmanager
def opened(
    address: tuple[str, int],
    called: str,
    calling: str,
    kinds: Iterable[tuple[str, str]],
    originator: Command,
) -> Iterator[Stores]:
    """Associate with a Storage SCP for *kinds* (SOP class, transfer syntax) and send over it.

    Raises:
        GoneError: it cannot be reached, or rejects the association.

    """
    contexts = tuple(
        Context(2 * place + 1, sop_class, (syntax,)) for place, (sop_class, syntax) in enumerate(kinds)
    )
    try:
        plain = socket.create_connection(address, timeout=10)
    except OSError as error:
        raise GoneError from error
    with plain:
        wire = Wire(plain)
        wire.raw(association_pdu(RQ, Proposal(called, calling, contexts), 131_072))
        kind, body = wire.next_pdu()
        if kind != AC:
            raise GoneError
        answer = read_proposal(body)
        wire.limit = answer.longest
        yield Stores(wire, accepted(contexts, answer.contexts), originator)
        wire.raw(pdu(RELEASE_RQ, bytes(4)))
        wire.next_pdu()


def accepted(proposed: Sequence[Context], answered: Sequence[Context]) -> dict[tuple[str, str], int]:
    """Return the accepted contexts of an association by abstract and transfer syntax."""
    abstract = {one.number: one.abstract for one in proposed}
    return {(abstract[one.number], syntax): one.number for one in answered for syntax in one.syntaxes}


def kinds_of(planned: Sequence[Planned], *, deflated: bool) -> list[tuple[str, str]]:
    """Return SOP class and transfer syntax of what is to be sent, each once."""
    kinds: dict[tuple[str, str], None] = {}
    for one in planned:
        sop_class, own = one.instance["SOPClassUID"], syntax_of(one.instance.render())
        for syntax in _UNCOMPRESSED if own in _UNCOMPRESSED else (own,):
            kinds[sop_class, syntax] = None
        if deflated:
            kinds[sop_class, DEFLATED] = None
    return list(kinds)
