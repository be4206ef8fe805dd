"""An association that the archive requests of us (PS3.8 7, PS3.7 9): C-STORE and C-ECHO as service provider.

One thread owns it. What is negotiated is decided from values; the loop answers messages until the peer ends
the association, breaks a rule or falls silent, and then drops what was not whole.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from p2d.dimse import pdu
from p2d.dimse.admission import LOCAL_LIMIT
from p2d.dimse.awaited import ObjectWriter
from p2d.dimse.command import Command, Operation
from p2d.dimse.messages import Assembler, Message, Sink, encoded
from p2d.dimse.pdu import (
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Context,
    ContextResult,
    Kind,
    ProposedContext,
    Result,
)
from p2d.dimse.services import COMPRESSED, IMPLICIT, UNCOMPRESSED, VERIFICATION, VIDEO, storage_classes
from p2d.dimse.status import MISMATCH, SUCCESS
from p2d.dimse.user_information import UserInformation
from p2d.dimse.wire import LONGEST_PDU, Pdu, Wire
from p2d.model.errors import P2DError, ProtocolViolation, Unavailable

_TAKEN: Final = frozenset((*UNCOMPRESSED, *COMPRESSED, *VIDEO))
_UNRECOGNIZED: Final = 0x0211  # PS3.7 C.5.24
_PERMANENT, _USER = 1, 1  # PS3.8 9.3.4: result, source
_CALLING_UNKNOWN, _CALLED_UNKNOWN = 3, 7  # PS3.8 9.3.4: reasons of the service user
_PROVIDER, _UNEXPECTED_PDU = 2, 2  # PS3.8 9.3.8
_CLOSING_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Rules:
    """Whom we answer, as whom, and how long we wait.

    ``calling_ae_titles`` are the archive's, ``ae_title`` ours. ``idle_seconds`` bound the silence between
    PDUs, ``pdu_seconds`` the arrival of each one; ``pdu_bytes`` is the longest P-DATA that we take.
    """

    ae_title: str
    calling_ae_titles: frozenset[str]
    pdu_bytes: int = LONGEST_PDU
    idle_seconds: float = 60.0
    pdu_seconds: float = 30.0


def answer_to(request: AssociateRequest, rules: Rules) -> AssociateAccept | AssociateReject:
    """Return the answer to *request*: its contexts for C-ECHO and for storage, or why it is rejected."""
    if request.calling_ae_title not in rules.calling_ae_titles:
        return AssociateReject(_PERMANENT, _USER, _CALLING_UNKNOWN)
    if request.called_ae_title != rules.ae_title:
        return AssociateReject(_PERMANENT, _USER, _CALLED_UNKNOWN)
    return AssociateAccept(
        request.called_ae_title,
        request.calling_ae_title,
        tuple(_result(one) for one in request.contexts),
        UserInformation(maximum_length=rules.pdu_bytes),
    )


def _result(one: ProposedContext) -> ContextResult:
    """Take the peer's first transfer syntax that we read; implicit VR only where there is no other."""
    if one.abstract_syntax != VERIFICATION and one.abstract_syntax not in _storage():
        return ContextResult(one.context_id, Result.ABSTRACT_SYNTAX_NOT_SUPPORTED, one.transfer_syntaxes[0])
    readable = [uid for uid in one.transfer_syntaxes if uid in _TAKEN]
    if not readable:
        return ContextResult(one.context_id, Result.TRANSFER_SYNTAXES_NOT_SUPPORTED, one.transfer_syntaxes[0])
    best = next((uid for uid in readable if uid != IMPLICIT), IMPLICIT)
    return ContextResult(one.context_id, Result.ACCEPTED, best)


@lru_cache(maxsize=1)
def _storage() -> frozenset[str]:
    return frozenset(storage_classes())


def _contexts(request: AssociateRequest, accepted: AssociateAccept) -> dict[int, Context]:
    proposed = {one.context_id: one.abstract_syntax for one in request.contexts}
    return {
        one.context_id: Context(one.context_id, proposed[one.context_id], one.transfer_syntax)
        for one in accepted.contexts
        if one.result == Result.ACCEPTED
    }


class Acceptor:
    """Serves one connection over *wire*, from its A-ASSOCIATE-RQ to its end.

    *admit* is asked once the request is known to be the archive's, and says whether there is room for it.
    """

    def __init__(self, wire: Wire, rules: Rules, sink: Sink, admit: Callable[[], bool]) -> None:
        self._wire = wire
        self._rules = rules
        self._sink = sink
        self._admit = admit
        self._longest_sent = 0

    def serve(self, handshake_seconds: float) -> str:
        """Answer until the association has ended; return why it was refused, if it was.

        Raises:
            P2DError: the peer broke a rule, was too slow or fell silent. What was not whole is dropped, the
                association aborted.

        """
        self._wire.longest_pdu, self._wire.pdu_seconds = 0, handshake_seconds
        request = self._requested(handshake_seconds)
        answer = answer_to(request, self._rules)
        if isinstance(answer, AssociateAccept) and not self._admit():
            answer = AssociateReject(*LOCAL_LIMIT)
        self._wire.send(pdu.encode(answer))
        if isinstance(answer, AssociateReject):
            return _refusal(answer)
        self._wire.longest_pdu, self._wire.pdu_seconds = self._rules.pdu_bytes, self._rules.pdu_seconds
        self._longest_sent = request.user.maximum_length
        self._serve(Assembler(_contexts(request, answer), self._sink))
        return ""

    def _requested(self, seconds: float) -> AssociateRequest:
        received = self._wire.read(seconds)
        if received is None:
            raise Unavailable("pacs", "no association request in time", "try again later")
        if received.kind != Kind.ASSOCIATE_RQ:
            raise ProtocolViolation("pacs", "a PDU before any association")
        return pdu.parse_request(received.body)

    def _serve(self, assembler: Assembler) -> None:
        try:
            while True:
                received = self._wire.read(self._rules.idle_seconds)
                if received is None:
                    raise Unavailable("pacs", "the archive is silent on its association", "it may try again")
                if received.kind != Kind.P_DATA:
                    self._end(received)
                    return
                for message in assembler.take(received.body):
                    self._answer(message)
        except P2DError as error:
            reason = _UNEXPECTED_PDU if isinstance(error, ProtocolViolation) else 0
            self._wire.abort(source=_PROVIDER if reason else 0, reason=reason)
            raise
        finally:
            assembler.abort()

    def _end(self, received: Pdu) -> None:
        if received.kind == Kind.RELEASE_RQ:
            self._wire.send(pdu.RELEASE_RP)
            with contextlib.suppress(P2DError):
                self._wire.read(_CLOSING_SECONDS)  # it is the peer who closes the connection: PS3.8 9.2.3
        elif received.kind != Kind.ABORT:
            raise ProtocolViolation("pacs", "a PDU that has no place in an association")

    def _answer(self, message: Message) -> None:
        command = message.command
        if command.operation == Operation.C_CANCEL_RQ or command.operation & 0x8000:
            return  # nothing of ours runs that could be cancelled or answered
        status = _UNRECOGNIZED
        if command.operation == Operation.C_ECHO_RQ:
            status = SUCCESS if message.context.abstract_syntax == VERIFICATION else _UNRECOGNIZED
        elif command.operation == Operation.C_STORE_RQ:
            status = message.writer.status if isinstance(message.writer, ObjectWriter) else MISMATCH
        response = Command(
            command.operation | 0x8000,
            responds_to=command.message_id,
            status=status,
            sop_class_uid=command.sop_class_uid,
            sop_instance_uid=command.sop_instance_uid,
        )
        self._wire.send(*encoded(message.context.context_id, response, b"", self._longest_sent))


def _refusal(answer: AssociateReject) -> str:
    if (answer.result, answer.source, answer.reason) == LOCAL_LIMIT:
        return "too many associations"
    return "calling AE title" if answer.reason == _CALLING_UNKNOWN else "called AE title"
