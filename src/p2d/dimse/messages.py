"""DIMSE messages from and to P-DATA (PS3.7 6.3, PS3.8 E): the loop that client and Storage SCP share.

When a command set is complete a *sink* is asked for a writer of the data set that follows. With a writer the
fragments pass through and are not kept; without one they are collected, up to a small cap.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from p2d.dimse import command as commands
from p2d.dimse import pdu
from p2d.dimse.command import Command
from p2d.dimse.pdu import Context
from p2d.model.errors import ProtocolViolation

LONGEST_IDENTIFIER: Final = 1 << 20
"""Bytes of a data set that is collected in memory, such as a C-FIND answer."""

LONGEST_OBJECT: Final = 8 << 30
"""Bytes of a data set that goes to a writer, which may have a lower limit of its own."""


class Writer(Protocol):
    """Takes one data set as it arrives."""

    def write(self, view: memoryview, last: bool) -> None:  # noqa: FBT001 - called for each fragment
        """Take the next fragment, which is valid during the call only; *last* ends it."""
        ...

    def abort(self) -> None:
        """Drop what was taken: the rest will not come."""
        ...


Sink = Callable[[Context, Command], Writer | None]


@dataclass(slots=True)
class Message:
    """A whole message: its data set is in ``content``, or went to ``writer``."""

    context: Context
    command: Command
    content: bytes = field(default=b"", repr=False)
    writer: Writer | None = None


def no_sink(_context: Context, _command: Command) -> None:
    """Collect every data set in memory."""


class Assembler:
    """Builds messages from presentation data values; one for each association.

    *contexts* are the agreed ones by id; a value in another is a violation.
    """

    def __init__(
        self,
        contexts: Mapping[int, Context],
        sink: Sink = no_sink,
        *,
        longest_identifier: int = LONGEST_IDENTIFIER,
        longest_object: int = LONGEST_OBJECT,
    ) -> None:
        self.sink = sink
        self._contexts = contexts
        self._longest_identifier = longest_identifier
        self._longest_object = longest_object
        self._parts = bytearray()
        self._message: Message | None = None
        self._context_id = 0
        self._received = 0
        self._latest: tuple[bytes, Command] = (b"", Command(0))

    def take(self, body: memoryview) -> Iterator[Message]:
        """Yield the messages that the P-DATA-TF *body* completes.

        Raises:
            ProtocolViolation: lengths that do not add up, fragments out of order, an unknown context, or a
                data set that is too long. The association has to be aborted.

        """
        for value in pdu.data_values(body):
            message = self._command(value) if value.is_command else self._data(value)
            if message is not None:
                yield message

    def abort(self) -> None:
        """Drop a message that is not whole, and tell its writer."""
        message, self._message = self._message, None
        self._parts.clear()
        if message is not None and message.writer is not None:
            message.writer.abort()

    def _command(self, value: pdu.DataValue) -> Message | None:
        if self._message is not None or (self._parts and value.context_id != self._context_id):
            raise _violation("a command set within another message")
        self._context_id = value.context_id
        if not value.is_last or self._parts:
            self._parts += value.fragment
            if len(self._parts) > commands.LONGEST_COMMAND:
                raise _violation("a command set longer than any")
            if not value.is_last:
                return None
            content = bytes(self._parts)
            self._parts.clear()
        else:
            content = bytes(value.fragment)
        context = self._contexts.get(value.context_id)
        if context is None:
            raise _violation("a message in a presentation context that was not agreed on")
        message = Message(context, self._parsed(content))
        if not message.command.has_data_set:
            return message
        message.writer = self.sink(context, message.command)
        self._message, self._received = message, 0
        return None

    def _parsed(self, content: bytes) -> Command:
        """Return the command set *content*; the pending answers to one query all have the same."""
        latest, command = self._latest
        if content != latest:
            command = commands.parse(content)
            self._latest = content, command
        return command

    def _data(self, value: pdu.DataValue) -> Message | None:
        message = self._message
        if message is None or value.context_id != self._context_id:
            raise _violation("a data set without its command set")
        self._received += len(value.fragment)
        if message.writer is not None:
            if self._received > self._longest_object:
                raise _violation("an object longer than any limit")
            message.writer.write(value.fragment, value.is_last)
        else:
            if self._received > self._longest_identifier:
                raise _violation("an identifier longer than any limit")
            if value.is_last and not self._parts:
                message.content = bytes(value.fragment)
            else:
                self._parts += value.fragment
                if value.is_last:
                    message.content = bytes(self._parts)
                    self._parts.clear()
        if not value.is_last:
            return None
        self._message = None
        return message


def encoded(context_id: int, command: Command, content: bytes, maximum_length: int) -> list[bytes]:
    """Return the PDUs of one message in pieces, to be sent in one go; *content* empty for no data set.

    *maximum_length* is what the peer said it takes, 0 for unlimited.
    """
    pieces = pdu.data(context_id, commands.encode(command), maximum_length, is_command=True)
    if command.has_data_set:
        pieces += pdu.data(context_id, content, maximum_length, is_command=False)
    return pieces


def _violation(problem: str) -> ProtocolViolation:
    return ProtocolViolation("pacs", problem, "see the peer's conformance statement")
