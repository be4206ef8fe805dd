"""One association to the archive, owned by one thread; its messages come by a queue of its own.

pynetdicom negotiates, releases and aborts. Messages are read by ``messages``, out of reach of its reactor
thread, and written to the socket at once, without waiting for its sender thread.
"""

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, Final

from pynetdicom import AE, evt

from p2d.dimse.status import overdue
from p2d.model.errors import Misconfigured, ProtocolViolation, Unavailable
from p2d.pacs.pynetdicom.messages import Message, reader
from p2d.pacs.pynetdicom.requests import MESSAGE_ID, SOP_CLASS_UID, message
from p2d.pacs.pynetdicom.sockets import LONGEST_PDU, hardened
from p2d.settings.gateway import Archive

_ABORT_SECONDS: Final = 0.2
_ESTABLISHED: Final = "Sta6"  # PS3.8 9.2: association established and ready for data transfer
_PERMANENT: Final = 1  # PS3.8 9.3.4, result
_LAST_MESSAGE_ID: Final = 65_535


class Association:
    """An established association; not shared between threads.

    Raises (on construction):
        Misconfigured: the archive rejects it for good, or accepts none of the contexts.
        Unavailable: no connection, no answer in time, or rejected for now.
    """

    def __init__(self, archive: Archive, contexts: Sequence[Any], roles: Sequence[Any] = ()) -> None:
        self._archive = archive
        self._message_id = 0
        self._until = inf
        self.answered = False
        self._messages: queue.Queue[Message | None] = queue.Queue()
        self._broken = threading.Event()
        self._peer, self._socket = _associated(archive, contexts, roles, self._messages, self._broken)
        if not self._peer.is_established:
            self._socket.close()
            raise self._refusal()
        self.contexts: dict[int, Any] = {one.context_id: one for one in self._peer.accepted_contexts}

    def _refusal(self) -> Misconfigured | Unavailable:
        called = self._archive.called_ae_title
        if not self._peer.is_rejected:
            accepted = self._peer.acceptor.primitive
            if accepted is not None and accepted.result == 0:
                return Misconfigured(
                    "pacs",
                    f"{called} accepts none of the services asked for",
                    "let the archive allow them for our AE",
                )
            return Unavailable(
                "pacs", f"{called} cannot be reached or does not answer", "check host and port"
            )
        answer = self._peer.acceptor.primitive
        if answer is not None and answer.result == _PERMANENT:
            return Misconfigured(
                "pacs",
                f"{called} rejects us (source {answer.result_source}, reason {answer.diagnostic})",
                f"register AE title {self._archive.calling_ae_title} there; check called_ae_title",
            )
        return Unavailable("pacs", f"{called} rejects associations for now", "try again later")

    @property
    def is_ready(self) -> bool:
        """Whether the association still stands, as far as our side knows."""
        return (
            self._peer.is_established
            and self._peer.dul.is_alive()
            and self._peer.dul.state_machine.current_state == _ESTABLISHED
            and self._peer.dul.to_user_queue.empty()
            and self._messages.empty()
        )

    def context(self, *abstract_syntaxes: str) -> Any:
        """Return the first accepted presentation context, in the order of *abstract_syntaxes*.

        Raises:
            Misconfigured: the archive accepted none of them.

        """
        for uid in abstract_syntaxes:
            for one in self.contexts.values():
                if one.abstract_syntax == uid:
                    return one
        raise Misconfigured(
            "pacs",
            f"{self._archive.called_ae_title} does not offer a service that is needed",
            "let the archive allow query and retrieve for our AE title",
        )

    def send(self, command: Mapping[int, int | str], context: Any, content: bytes = b"") -> int:
        """Send a request, *command* by element and *content* its data set; return its message id.

        Raises:
            Unavailable: the association is gone.

        """
        if not self.is_ready:
            raise Unavailable("pacs", "the association has ended", "try again")
        self._message_id = self._message_id % _LAST_MESSAGE_ID + 1
        self.answered = False
        self._until = time.monotonic() + self._archive.request_seconds
        named: dict[int, int | str] = {
            SOP_CLASS_UID: str(context.abstract_syntax),
            MESSAGE_ID: self._message_id,
        }
        self.reply({**command, **named}, context.context_id, content)
        return self._message_id

    def reply(self, command: Mapping[int, int | str], context_id: int, content: bytes = b"") -> None:
        """Send a message as it is, such as a response to a request of the archive.

        Raises:
            Unavailable: the association is gone.

        """
        limit = self._peer.acceptor.maximum_length or 0
        try:
            self._socket.sendall(message(context_id, command, content, limit))
        except OSError as error:
            raise Unavailable(
                "pacs", f"the association has ended: {type(error).__name__}", "try again"
            ) from None

    def receive(self, seconds: float | None = None) -> Message | None:
        """Return the next message; None when *seconds* pass without one.

        Raises:
            Unavailable: aborted, closed, nothing came within the archive's ``answer_seconds``, or the request
                has been running for its ``request_seconds``.

        """
        left = self._until - time.monotonic()
        if left <= 0:
            raise overdue(self._archive.request_seconds)
        wait = seconds or self._archive.answer_seconds
        try:
            received = self._messages.get(timeout=min(wait, left))
        except queue.Empty:
            if left < wait:
                raise overdue(self._archive.request_seconds) from None
            if seconds is not None:
                return None
            raise Unavailable("pacs", "no answer in time", "try again later") from None
        if received is None:
            raise Unavailable(
                "pacs", "the archive ended the association before its final answer", "try again"
            )
        self.answered = True
        return received

    def response(self, command: int, message_id: int, received: Message | None) -> Message:
        """Return *received* when it is the response *command* to *message_id*.

        Raises:
            ProtocolViolation: any other message.

        """
        if received is None or received.command != command or received.responds_to != message_id:
            raise ProtocolViolation("pacs", "the archive sent a message that answers no request of ours")
        return received

    def release(self) -> None:
        """End in good order (A-RELEASE), or abort where that fails."""
        if self.is_ready:
            with contextlib.suppress(Exception):
                self._peer.release()
        self.drop()

    def drop(self) -> None:
        """End at once (A-ABORT) and free both of pynetdicom's threads, whatever state they are in."""
        with contextlib.suppress(Exception):
            if self._peer.is_established:
                if not self._broken.is_set():  # else it aborts already, and a second time is an error there
                    self._peer.abort(block=False)
                self._until_left(_ABORT_SECONDS)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._peer._kill = True  # noqa: SLF001 - kill() waits without end for a state that may never come
        self._peer.dul.kill_dul()
        with contextlib.suppress(RuntimeError):  # never started
            self._peer.dul.join(_ABORT_SECONDS)
        self._socket.close()

    def _until_left(self, seconds: float) -> None:
        """Give the other thread up to *seconds* to send the abort."""
        deadline = time.monotonic() + seconds
        while self._peer.dul.state_machine.current_state == _ESTABLISHED and time.monotonic() < deadline:
            time.sleep(0.002)


def _associated(
    archive: Archive,
    contexts: Sequence[Any],
    roles: Sequence[Any],
    messages: "queue.Queue[Message | None]",
    broken: threading.Event,
) -> tuple[Any, socket.socket]:
    """Return pynetdicom's association after negotiation, whatever its outcome, and its socket.

    pynetdicom loses sight of sockets that the peer has closed first, without closing them.
    """
    sockets: list[socket.socket] = []
    entity: Any = AE(ae_title=archive.calling_ae_title)
    entity.connection_timeout = archive.connect_seconds
    entity.acse_timeout = archive.connect_seconds
    entity.dimse_timeout = archive.answer_seconds
    entity.network_timeout = None
    create = entity._create_socket  # noqa: SLF001 - the one place where the socket can be had
    harden = hardened(archive.answer_seconds)

    def opened(event: Any) -> None:
        harden(event)
        event.assoc.dul._read_pdu_data = reader(event.assoc, messages, broken, archive.answer_seconds)  # noqa: SLF001 - see there

    def created(*arguments: Any) -> Any:
        wrapper = create(*arguments)
        sockets.append(wrapper.socket)
        return wrapper

    def ended(_: Any) -> None:
        messages.put(None)

    ends = (evt.EVT_CONN_CLOSE, evt.EVT_ABORTED, evt.EVT_RELEASED)
    entity._create_socket = created  # noqa: SLF001 - as above
    try:
        peer = entity.associate(
            archive.host,
            archive.port,
            contexts=list(contexts),
            ae_title=archive.called_ae_title,
            max_pdu=LONGEST_PDU,
            ext_neg=list(roles),
            evt_handlers=[(evt.EVT_CONN_OPEN, opened), *((end, ended) for end in ends)],
        )
    except (OSError, RuntimeError, UnicodeError) as error:  # the last: a host name that is none
        raise Unavailable("pacs", f"no connection: {type(error).__name__}", "check host and port") from None
    return peer, sockets[-1]
