"""A peer that answers DIMSE requests by a function, quickly and within this process; no archive behind it."""

import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Self

from p2d.dimse import pdu
from p2d.dimse.command import Command
from p2d.dimse.messages import Assembler, Message, encoded
from p2d.dimse.pdu import (
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Context,
    ContextResult,
    Kind,
    Result,
)
from p2d.dimse.user_information import AsynchronousWindow, UserInformation
from p2d.dimse.wire import Wire
from p2d.model.errors import P2DError

Accept = Callable[[AssociateRequest], AssociateAccept | AssociateReject]


class Conversation:
    """One association from the responder's side; *wire* lets a test send whatever it likes."""

    def __init__(self, wire: Wire, request: AssociateRequest, contexts: Mapping[int, Context]) -> None:
        self.wire = wire
        self.request = request
        self._contexts = contexts

    def context(self, abstract_syntax: str) -> Context:
        """Return the first agreed context for *abstract_syntax*."""
        return next(one for one in self._contexts.values() if one.abstract_syntax == abstract_syntax)

    def send(self, context: Context, command: Command, content: bytes = b"") -> None:
        """Send one message."""
        command = replace(command, has_data_set=bool(content))
        self.wire.send(*encoded(context.context_id, command, content, self.request.user.maximum_length))


def accepting(
    *services: str, window: AsynchronousWindow | None = None, maximum_length: int = 16_384
) -> Accept:
    """Return how to accept the contexts for *services* (all where none is named), first syntax each."""

    def accept(request: AssociateRequest) -> AssociateAccept:
        results = tuple(
            ContextResult(one.context_id, Result.ACCEPTED, one.transfer_syntaxes[0])
            if not services or one.abstract_syntax in services
            else ContextResult(one.context_id, Result.ABSTRACT_SYNTAX_NOT_SUPPORTED)
            for one in request.contexts
        )
        user = UserInformation(
            maximum_length, roles=request.user.roles, extended=request.user.extended, window=window
        )
        return AssociateAccept(request.called_ae_title, request.calling_ae_title, results, user)

    return accept


class Responder:
    """Listens on a loopback port while it is open as a context manager; a thread for each association.

    *respond* is called with each whole message. ``requests`` are the association requests that came,
    ``messages`` the operations; ``aborts`` counts A-ABORTs, ``releases`` A-RELEASEs.
    """

    def __init__(
        self, respond: Callable[[Conversation, Message], None], accept: Accept | None = None
    ) -> None:
        self.requests: list[AssociateRequest] = []
        self.messages: list[int] = []
        self.aborts = self.releases = 0
        self._respond = respond
        self._accept = accept or accepting()
        self._threads: list[threading.Thread] = []
        self._wires: list[Wire] = []
        self._listening = socket.create_server(("127.0.0.1", 0))

    @property
    def port(self) -> int:
        """The port bound."""
        return int(self._listening.getsockname()[1])

    def __enter__(self) -> Self:
        self._started(self._listen)
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join()

    def drop(self) -> None:
        """Close all connections without a word."""
        for wire in self._wires:
            wire.close()

    def _started(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        while True:
            try:
                plain, _ = self._listening.accept()
            except OSError:
                return
            wire = Wire(plain)
            self._wires.append(wire)
            self._started(lambda wire=wire: self._served(wire))  # type: ignore[misc] # bound at once

    def _served(self, wire: Wire) -> None:
        with suppress(P2DError):
            self._serve(wire)
        wire.close()

    def _serve(self, wire: Wire) -> None:
        received = wire.read(10)
        if received is None or received.kind != Kind.ASSOCIATE_RQ:
            return
        request = pdu.parse_request(received.body)
        self.requests.append(request)
        answer = self._accept(request)
        wire.send(pdu.encode(answer))
        if isinstance(answer, AssociateReject):
            return
        proposed = {one.context_id: one.abstract_syntax for one in request.contexts}
        agreed = {
            one.context_id: Context(one.context_id, proposed.get(one.context_id, ""), one.transfer_syntax)
            for one in answer.contexts
        }
        conversation, assembler = Conversation(wire, request, agreed), Assembler(agreed)
        while (received := wire.read(60)) is not None:
            if received.kind == Kind.RELEASE_RQ:
                self.releases += 1
                wire.send(pdu.RELEASE_RP)
                return
            if received.kind == Kind.ABORT:
                self.aborts += 1
                return
            for message in assembler.take(received.body):
                self.messages.append(message.command.operation)
                self._respond(conversation, message)
