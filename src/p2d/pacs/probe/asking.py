"""Ask an archive one thing at a time, with every answer capped and every request on the bill."""

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from p2d.dimse.association import Association
from p2d.dimse.awaited import Arrived, Awaited, ObjectWriter
from p2d.dimse.command import Command, Operation, Priority
from p2d.dimse.identifiers import Answers, Row, encoded
from p2d.dimse.messages import Message
from p2d.dimse.negotiation import Peer, Proposal
from p2d.dimse.pdu import Context
from p2d.dimse.services import (
    EXPLICIT,
    FIND,
    GET,
    GET_WITHOUT_BULK_DATA,
    IMPLICIT,
    MOVE,
    VERIFICATION,
    storage_classes,
    transfer_syntaxes,
)
from p2d.dimse.status import PENDING, SUCCESS
from p2d.dimse.user_information import ExtendedNegotiation, RoleSelection
from p2d.model.errors import P2DError
from p2d.model.header import text_of

_CHARACTER_SET: Final = b"\x08\x00\x05\x00"
_TERM: Final = re.compile(r"|ISO[_ ](2022 )?IR [0-9]{1,3}|GB18030|GBK")
"""Defined terms of PS3.3 C.12.1.1.2: nothing else that an archive answers reaches a profile file."""
_MOST_CONTEXTS: Final = 128
_RELATIONAL: Final = b"\x01"  # PS3.4 C.5.1.1: relational queries supported


Permit = Callable[[int, int], None]
"""Called before anything is asked, with numbers of queries and images; returns when they may be asked for."""


def _free(_queries: int, _images: int) -> None:
    """Let everything pass."""


@dataclass(slots=True)
class Bill:
    """What a probe asked of the archive; ``permit`` is asked before it does.

    Once that has raised, or ``end`` was called, nothing more is asked: ``refused`` says why.
    """

    associations: int = 0
    queries: int = 0
    rows: int = 0
    retrieves: int = 0
    images: int = 0
    octets: int = 0
    cancelled: int = 0
    permit: Permit = field(default=_free, repr=False)
    refused: P2DError | None = None
    _live: list[Association] = field(default_factory=list, repr=False)
    _prepaid: tuple[int, int] = field(default=(0, 0), repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def prepay(self, queries: int, images: int) -> None:
        """Get leave now for what a measurement is about to ask, so that it does not wait amid it."""
        self._permitted(queries, images)
        with self._lock:
            self._prepaid = queries, images

    def admit(self, queries: int, images: int) -> None:
        """Return when *queries* and *images* may be asked for, counted against what was prepaid."""
        with self._lock:
            held = self._prepaid
            if self.refused is None and held[0] >= queries and held[1] >= images:
                self._prepaid = held[0] - queries, held[1] - images
                return
        self._permitted(queries, images)

    def _permitted(self, queries: int, images: int) -> None:
        """Ask for leave; what was refused once is no property of the archive, and is not asked for again."""
        if self.refused is None:
            try:
                self.permit(queries, images)
            except P2DError as error:
                self.refused = error
        self.check()

    def check(self) -> None:
        """Raise ``refused``, if there is such a thing."""
        if self.refused is not None:
            raise self.refused

    def opened(self, association: Association) -> None:
        """Count *association*, which ``end`` ends."""
        with self._lock:
            self.associations += 1
            self._live.append(association)
            is_over = self.refused is not None
        if is_over:
            association.abort()

    def end(self, why: P2DError) -> None:
        """End all that is under way, for *why*, and let nothing more be asked; from any thread."""
        with self._lock:
            self.refused = why
            live = list(self._live)
        for association in live:
            association.cancel()
            association.abort()

    def sentence(self) -> str:
        """Return the bill for a human."""
        return (
            f"{self.associations} associations, {self.queries} queries with {self.rows:,} rows "
            f"({self.cancelled} cancelled), {self.retrieves} retrieves of {self.images:,} images, "
            f"{self.octets / 2**20:,.1f} MiB"
        )


@dataclass(slots=True)
class Answer:
    """The rows of one query, its final status, and whether we cut it off because it had too many.

    ``character_sets`` are the values of SpecificCharacterSet (0008,0005) met; ``seconds`` run from the
    request to the final status.
    """

    rows: list[Row] = field(default_factory=list, repr=False)
    status: int = SUCCESS
    is_cut: bool = False
    character_sets: set[str] = field(default_factory=set)
    seconds: float = 0.0

    @property
    def is_whole(self) -> bool:
        """Whether the archive said that this is all."""
        return self.status == SUCCESS and not self.is_cut

    def uids(self, *paths: str) -> set[tuple[str, ...]]:
        """Return the values at *paths* of every row."""
        return {tuple(text_of(row, path) for path in paths) for row in self.rows}


def query_proposal(*, relational: bool) -> Proposal:
    """Return what is proposed for queries, C-MOVE and C-ECHO; *relational* is asked for where True."""
    services = (*FIND, *MOVE, VERIFICATION)
    extended = tuple(ExtendedNegotiation(uid, _RELATIONAL) for uid in FIND) if relational else ()
    return Proposal(tuple((uid, (IMPLICIT,)) for uid in services), extended=extended)


def get_proposal(sop_classes: Sequence[str], *, without_bulk_data: bool = False) -> Proposal:
    """Return what is proposed for C-GET of objects of *sop_classes*, in the syntaxes they are stored in."""
    own = (*GET, *((GET_WITHOUT_BULK_DATA,) if without_bulk_data else ()))
    contexts: list[tuple[str, tuple[str, ...]]] = [(uid, (IMPLICIT,)) for uid in own]
    classes = list(dict.fromkeys(sop_classes)) or list(storage_classes())
    for uid in classes:
        contexts.append((uid, (EXPLICIT, IMPLICIT)))
        contexts += [(uid, (one,)) for one in transfer_syntaxes(uid)[2:] if sop_classes]
    kept = tuple(contexts[:_MOST_CONTEXTS])
    roles = tuple(
        RoleSelection(uid, scu=False, scp=True) for uid in dict.fromkeys(uid for uid, _ in kept[len(own) :])
    )
    return Proposal(kept, roles)


class Asking:
    """One association whose every request is counted on *bill*; for one thread."""

    def __init__(self, peer: Peer, proposal: Proposal, bill: Bill) -> None:
        self._bill = bill
        self._awaited: Awaited | None = None
        bill.check()
        self.association = Association(peer, proposal, self._sink)
        bill.opened(self.association)

    def _sink(self, context: Context, command: Command) -> ObjectWriter | None:
        if self._awaited is None or command.operation != Operation.C_STORE_RQ:
            return None
        return self._awaited.writer(context, command)

    def accepts(self, uid: str) -> bool:
        """Whether the archive accepted a context for *uid*."""
        return any(one.abstract_syntax == uid for one in self.association.contexts.values())

    def echo(self) -> None:
        """Verify that the archive answers."""
        self.association.echo(self.association.context(VERIFICATION))

    def find(self, root: str, level: str, keys: Mapping[str, str], most: int) -> Answer:
        """Ask at *level* of the information model *root*; more than *most* rows are cancelled.

        Raises:
            Unavailable, ProtocolViolation: no final answer, or none that is readable.

        """
        self._bill.admit(1, 0)
        association, answer, readers = self.association, Answer(), Answers()
        began = time.perf_counter()
        command = Command(Operation.C_FIND_RQ, priority=Priority.LOW)
        association.send(association.context(root), command, encoded(level, keys))
        self._bill.queries += 1
        while True:
            received = self._received()
            _, status = association.response(Operation.C_FIND_RSP, received)
            if status not in PENDING:
                answer.status, answer.seconds = status, time.perf_counter() - began
                return answer
            self._bill.rows += 1
            if len(answer.rows) < most:
                answer.rows.append(readers.row(received.content))
                answer.character_sets |= _character_sets(received.content)
            elif not answer.is_cut:
                answer.is_cut = True
                self._bill.cancelled += 1
                association.cancel()

    def get(
        self, root: str, level: str, keys: Mapping[str, str], uids: Sequence[str], *, pixels: bool = False
    ) -> list[Arrived]:
        """Retrieve by C-GET what *keys* name; return those of *uids* that came.

        Raises:
            Unavailable, ProtocolViolation: no final answer, or one that no retrieve ends with.

        """
        self._bill.admit(0, len(uids))
        association = self.association
        self._awaited = Awaited(uids, pixels=pixels)
        self._bill.retrieves += 1
        try:
            arrived = list(association.get(association.context(root), encoded(level, keys), _stored))
        finally:
            self._awaited = None
        self._bill.images += len(arrived)
        self._bill.octets += sum(len(one.content) + one.dropped_bytes for one in arrived)
        return arrived

    def _received(self) -> Message:
        received = self.association.receive()
        assert received is not None  # noqa: S101 - without a time it returns a message or raises
        return received

    def close(self) -> None:
        """End the association in good order."""
        self.association.release()


def _stored(message: Message) -> tuple[int, Arrived | None]:
    writer = message.writer
    assert isinstance(writer, ObjectWriter)  # noqa: S101 - every C-STORE goes to the sink
    return writer.status, writer.arrived


def _character_sets(content: bytes) -> set[str]:
    """Return SpecificCharacterSet (0008,0005) of an implicit VR little endian answer, where it states one."""
    place = content.find(_CHARACTER_SET)
    if place < 0 or place > len(content) - 8:
        return set()
    length = int.from_bytes(content[place + 4 : place + 8], "little")
    text = content[place + 8 : place + 8 + min(length, 64)].decode("ascii", "replace").strip(" \0")
    return {text} if all(_TERM.fullmatch(one.strip()) for one in text.split("\\")) and text else set()
