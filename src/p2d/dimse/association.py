"""An association that we request (PS3.8 7, PS3.7 9): C-ECHO, C-FIND, C-GET and C-MOVE as service user.

One thread owns it. Other threads may ``cancel`` what runs or ``abort`` it.
"""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import inf
from typing import Final, NoReturn, TypeVar

from p2d.dimse import pdu
from p2d.dimse.command import LAST_MESSAGE_ID, Command, Operation, Priority
from p2d.dimse.identifiers import Answers, Row
from p2d.dimse.messages import Assembler, Message, Sink, encoded, no_sink
from p2d.dimse.negotiation import Peer, Proposal, negotiated
from p2d.dimse.pdu import Context, Kind
from p2d.dimse.status import PENDING, SUCCESS, is_final, overdue, refusal
from p2d.dimse.wire import Wire, connect
from p2d.model.errors import Misconfigured, P2DError, ProtocolViolation, Unavailable

T = TypeVar("T")

MOST_ROWS: Final = 1_000_000
"""Answers to one C-FIND at most; they are held in memory, and an archive could send them without end."""

MOST_ROW_BYTES: Final = 512 << 20
"""Bytes of the answers to the queries that are asked at a time, for the same reason."""

_RELEASE_SECONDS: Final = 2.0


class Association:
    """An established association.

    ``contexts`` are the agreed ones by id, ``extended`` the peer's answers by SOP class, ``window`` how many
    operations we may have outstanding. ``answered`` says that the latest request has been answered at all,
    ``is_awaited`` that the owner is waiting for a message right now. ``late_seconds`` are left to wait for
    objects of a C-GET that come after its final response, although they may not.

    Raises (on construction):
        Misconfigured: the peer rejects it for good, or accepts none of the contexts.
        Unavailable: no connection, no answer in time, or rejected for now.
        ProtocolViolation: its answer is none.

    """

    def __init__(self, peer: Peer, proposal: Proposal, sink: Sink = no_sink) -> None:
        self.peer = peer
        self.answered = False
        self.late_seconds = 0.0
        self._message_id = 0
        self._outstanding: dict[int, Context] = {}
        self._deadlines: dict[int, float] = {}  # of what is outstanding, the earliest first
        self.is_awaited = False
        self._waiting: deque[Message] = deque()
        plain = connect(peer.host, peer.port, peer.connect_seconds, peer.tls, peer.server_name)
        self._wire = Wire(plain, longest_pdu=0, pdu_seconds=peer.connect_seconds)
        try:
            agreement = negotiated(self._wire, peer, proposal)
        except BaseException:
            self._wire.close()
            raise
        self.accepted = agreement.accepted
        self.contexts = agreement.contexts
        self.extended = {one.sop_class_uid: one.application for one in self.accepted.user.extended}
        self.window = agreement.window
        self._longest_sent = self.accepted.user.maximum_length
        self._assembler = Assembler(self.contexts, sink)
        self._wire.longest_pdu = peer.pdu_bytes
        self._wire.pdu_seconds = self._wire.send_seconds = peer.answer_seconds

    @property
    def sink(self) -> Sink:
        """What takes the data sets that arrive; may be changed between operations."""
        return self._assembler.sink

    @sink.setter
    def sink(self, sink: Sink) -> None:
        self._assembler.sink = sink

    @property
    def is_ready(self) -> bool:
        """Whether the association stands, nothing runs on it, and the peer has not said a word since."""
        return not self._outstanding and not self._waiting and self._wire.is_quiet

    def context(self, *abstract_syntaxes: str) -> Context:
        """Return the first agreed presentation context, in the order of *abstract_syntaxes*.

        Raises:
            Misconfigured: the peer accepted none of them.

        """
        for uid in abstract_syntaxes:
            for one in self.contexts.values():
                if one.abstract_syntax == uid:
                    return one
        raise Misconfigured(
            "pacs",
            f"{self.peer.called_ae_title} does not offer a service that is needed",
            "let the archive allow query and retrieve for our AE title",
        )

    def send(self, context: Context, command: Command, content: bytes = b"") -> int:
        """Send the request *command* with *content* as its data set; return its message id.

        Raises:
            Unavailable: the association is gone.

        """
        while True:
            self._message_id = self._message_id % LAST_MESSAGE_ID + 1
            if self._message_id not in self._outstanding:
                break
        self.answered = False
        self._outstanding[self._message_id] = context
        self._deadlines[self._message_id] = time.monotonic() + self.peer.request_seconds
        self.reply(
            context,
            replace(
                command,
                message_id=self._message_id,
                sop_class_uid=context.abstract_syntax,
                has_data_set=bool(content),
            ),
            content,
        )
        return self._message_id

    def reply(self, context: Context, command: Command, content: bytes = b"") -> None:
        """Send a message as it is, such as a response to a request of the peer.

        Raises:
            Unavailable: the association is gone.

        """
        self._wire.send(*encoded(context.context_id, command, content, self._longest_sent))

    def receive(self, seconds: float | None = None) -> Message | None:
        """Return the next message; None when *seconds* pass without the begin of one.

        Raises:
            Unavailable: aborted, closed, nothing came within ``answer_seconds``, or a request of ours has
                been running for ``request_seconds``; the association is aborted.
            ProtocolViolation: what came is no message; the association is aborted.

        """
        self.is_awaited = True
        try:
            while not self._waiting:
                left = self._left()
                received = self._wire.read(
                    min(self.peer.answer_seconds if seconds is None else seconds, left)
                )
                if received is None and seconds is not None and seconds <= left:
                    return None
                if received is None and left < self.peer.answer_seconds:
                    continue  # the request's time is over, which is said at the head of the loop
                if received is None:
                    raise Unavailable("pacs", "no answer in time", "try again later")
                if received.kind != Kind.P_DATA:
                    self._ended(received.kind)
                self._waiting.extend(self._assembler.take(received.body))
        except P2DError:
            self.drop()
            raise
        finally:
            self.is_awaited = False
        self.answered = True
        return self._waiting.popleft()

    def _left(self) -> float:
        """Return the seconds that what runs may go on, however much the peer still sends."""
        left = next(iter(self._deadlines.values()), inf) - time.monotonic()
        if left <= 0:
            raise overdue(self.peer.request_seconds)
        return left

    def _ended(self, kind: int) -> NoReturn:
        if kind == Kind.RELEASE_RQ:
            with contextlib.suppress(Unavailable):
                self._wire.send(pdu.RELEASE_RP)
        elif kind != Kind.ABORT:
            raise ProtocolViolation("pacs", "the archive sent a PDU that has no place here")
        raise Unavailable("pacs", "the archive ended the association before its final answer", "try again")

    def response(self, operation: Operation, received: Message) -> tuple[int, int]:
        """Return message id and status of *received*, a response to *operation*; a final one closes it.

        Raises:
            ProtocolViolation: any other message.

        """
        command = received.command
        context = self._outstanding.get(command.responds_to or 0)
        if (
            command.operation != operation
            or context is None
            or command.responds_to is None
            or command.status is None
            or received.context.context_id != context.context_id
            or command.sop_class_uid not in {"", context.abstract_syntax}
        ):
            self.drop()
            raise ProtocolViolation("pacs", "the archive sent a message that answers no request of ours")
        if command.status not in PENDING:
            del self._outstanding[command.responds_to], self._deadlines[command.responds_to]
        return command.responds_to, command.status

    def echo(self, context: Context) -> None:
        """Verify that the peer answers (PS3.7 9.1.5).

        Raises:
            Unavailable, ProtocolViolation: it does not, or with another status than success.

        """
        self.send(context, Command(Operation.C_ECHO_RQ))
        _, status = self.response(Operation.C_ECHO_RSP, self._next())
        if status != SUCCESS:
            raise refusal(status, "C-ECHO")

    def _next(self) -> Message:
        received = self.receive()
        if received is None:  # pragma: no cover - receive() without a time returns a message or raises
            raise Unavailable("pacs", "no answer in time", "try again later")
        return received

    def find(self, context: Context, identifier: bytes) -> list[Row]:
        """Return all answers to one query; see ``finds``."""
        return self.finds(context, [identifier])[0]

    def finds(self, context: Context, identifiers: Sequence[bytes]) -> list[list[Row]]:
        """Return the answers to each of *identifiers*, as many asked at a time as the window allows.

        Raises:
            Unavailable: no final status 0x0000 was received for each.
            ProtocolViolation: another final status, an answer that is none, more than MOST_ROWS of them, or
                more than MOST_ROW_BYTES in all.

        """
        command = Command(Operation.C_FIND_RQ, priority=Priority.MEDIUM)
        found: list[list[Row]] = [[] for _ in identifiers]
        places: dict[int, int] = {}
        answers = Answers()
        sent = octets = 0
        while sent < len(identifiers) or places:
            while sent < len(identifiers) and len(places) < self.window:
                places[self.send(context, command, identifiers[sent])] = sent
                sent += 1
            received = self._next()
            message_id, status = self.response(Operation.C_FIND_RSP, received)
            if status in PENDING and received.content:
                rows = found[places[message_id]]
                if len(rows) == MOST_ROWS:
                    raise ProtocolViolation("pacs", f"C-FIND brought more than {MOST_ROWS:,} rows")
                octets += len(received.content)
                if octets > MOST_ROW_BYTES:
                    raise ProtocolViolation("pacs", f"C-FIND brought more than {MOST_ROW_BYTES >> 20} MiB")
                rows.append(_row(answers, received.content))
            elif status == SUCCESS:
                del places[message_id]
            else:
                raise refusal(status, "C-FIND")
        return found

    def get(
        self, context: Context, identifier: bytes, stored: Callable[[Message], tuple[int, T | None]]
    ) -> Iterator[T]:
        """Yield what *stored* makes of each object that one C-GET brings, once it has been answered.

        *stored* returns the status of the C-STORE (PS3.4 B.2.3) and what is to be yielded, or None. The
        objects themselves go to the association's sink. Those that the final response counts and that have
        not come are waited for, all in all during ``late_seconds``.

        Raises:
            Unavailable: aborted, timed out or out of resources.
            ProtocolViolation: a status that PS3.4 C.4.3.1.4 does not define.

        """
        self.send(context, Command(Operation.C_GET_RQ, priority=Priority.LOW), identifier)
        came, told, until = 0, 0, inf
        while until == inf or (came < told and time.monotonic() < until):
            received = self._next() if until == inf else self.receive(max(until - time.monotonic(), 0.001))
            if received is None:
                break
            if received.command.operation == Operation.C_STORE_RQ:
                came += 1
                status, one = stored(received)
                self.reply(received.context, _stored(received.command, status))
                if one is not None:
                    yield one
            elif is_final(self.response(Operation.C_GET_RSP, received)[1], "C-GET"):
                told, until = received.command.completed or 0, time.monotonic() + self.late_seconds
        self.late_seconds = max(min(self.late_seconds, until - time.monotonic()), 0.0)

    def move(self, context: Context, identifier: bytes, destination: str) -> int:
        """Ask the peer to send what *identifier* names to *destination*; return the message id."""
        command = Command(Operation.C_MOVE_RQ, priority=Priority.LOW, destination=destination)
        return self.send(context, command, identifier)

    def cancel(self) -> None:
        """Ask the peer to end what runs (C-CANCEL, PS3.7 9.3.2.3); from any thread, never raises."""
        for message_id, context in list(self._outstanding.items()):
            command = Command(Operation.C_CANCEL_RQ, responds_to=message_id)
            pieces = encoded(context.context_id, command, b"", self._longest_sent)
            self._wire.interject(b"".join(pieces))

    def release(self) -> None:
        """End in good order (A-RELEASE), or abort where that fails; never raises."""
        if self.is_ready:
            with contextlib.suppress(P2DError):
                self._wire.send(pdu.RELEASE_RQ)
                received = self._wire.read(_RELEASE_SECONDS)
                if received is not None and received.kind == Kind.RELEASE_RP:
                    self._wire.close()
                    return
        self.drop()

    def drop(self) -> None:
        """End at once (A-ABORT), what half arrived dropped; for the owner, never raises."""
        self.abort()
        self._assembler.abort()

    def abort(self) -> None:
        """End at once (A-ABORT); from any thread, never raises. The owner's next step fails."""
        self._wire.abort()


def _row(answers: Answers, content: bytes) -> Row:
    try:
        return answers.row(content)
    except ValueError as error:
        raise ProtocolViolation("pacs", f"an answer is not readable: {type(error).__name__}") from None


def _stored(request: Command, status: int) -> Command:
    return Command(
        Operation.C_STORE_RSP,
        responds_to=request.message_id,
        status=status,
        sop_class_uid=request.sop_class_uid,
        sop_instance_uid=request.sop_instance_uid,
    )
