"""Command sets and the loop that builds messages: any fragmentation gives the same message, none a fault."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.dimse import command as commands
from p2d.dimse import pdu
from p2d.dimse.command import LONGEST_COMMAND, Command, Operation
from p2d.dimse.messages import Assembler, Message, encoded
from p2d.dimse.pdu import Context
from p2d.model.errors import ProtocolViolation

CONTEXT = Context(3, "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.1.2")
numbers = st.none() | st.integers(0, 65_535)
uids = st.just("") | st.integers(1, 10**30).map(lambda one: f"1.2.{one}")
titles = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", max_size=16)
command_sets = st.builds(
    Command,
    operation=st.sampled_from(list(Operation)).map(int),
    message_id=numbers,
    responds_to=numbers,
    has_data_set=st.booleans(),
    status=numbers,
    priority=numbers,
    sop_class_uid=uids,
    sop_instance_uid=uids,
    destination=titles,
    move_originator=titles,
    move_originator_id=numbers,
    remaining=numbers,
    completed=numbers,
    failed=numbers,
    warned=numbers,
)


class Taken:
    """A writer that remembers."""

    def __init__(self) -> None:
        self.content = b""
        self.lasts: list[bool] = []
        self.is_aborted = False

    def write(self, view: memoryview, last: bool) -> None:
        self.content += view
        self.lasts.append(last)

    def abort(self) -> None:
        self.is_aborted = True


def bodies(*messages: tuple[Command, bytes], maximum_length: int = 16_384) -> list[memoryview]:
    wire = b"".join(
        piece
        for command, content in messages
        for piece in encoded(CONTEXT.context_id, command, content, maximum_length)
    )
    found, position = [], 0
    while position < len(wire):
        _, length = pdu.head(wire, position, maximum_length)
        position += pdu.HEAD_LENGTH
        found.append(memoryview(wire)[position : position + length])
        position += length
    return found


def taken(assembler: Assembler, some: list[memoryview]) -> list[Message]:
    return [message for body in some for message in assembler.take(body)]


@given(command_sets)
def test_a_command_set_is_read_as_it_was_written(one: Command) -> None:
    content = commands.encode(one)

    assert commands.parse(content) == one
    assert struct.unpack_from("<HHII", content) == (0, 0, 4, len(content) - 12)


@given(command_sets, st.data())
def test_a_broken_command_set_is_a_violation_or_a_command_set(one: Command, data: st.DataObject) -> None:
    content = bytearray(commands.encode(one))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        parsed = commands.parse(bytes(content[: data.draw(st.integers(0, len(content)))]))
    except ProtocolViolation:
        return
    assert len(parsed.sop_instance_uid) <= 65


@given(st.binary(max_size=200))
def test_any_bytes_are_a_violation_or_a_command_set(content: bytes) -> None:
    with suppress(ProtocolViolation):
        commands.parse(content)


@given(command_sets)
def test_what_follows_the_stated_end_of_a_command_set_is_dropped(one: Command) -> None:
    """Orthanc puts FailedSOPInstanceUIDList (0008,0058) there when a C-GET did not bring everything."""
    failed = bytes.fromhex("0800000004000000280000000800580020000000") + b"1.2.3".ljust(32, b"\0")

    assert commands.parse(commands.encode(one) + failed) == one


def test_a_command_set_is_not_shown_with_the_instance_it_names() -> None:
    assert "1.2.3.4" not in repr(Command(1, sop_instance_uid="1.2.3.4"))


@given(
    st.lists(st.tuples(command_sets, st.binary(min_size=1, max_size=600)), max_size=5), st.integers(7, 900)
)
def test_any_fragmentation_gives_the_messages_that_were_sent(
    sent: list[tuple[Command, bytes]], maximum_length: int
) -> None:
    assembler = Assembler({3: CONTEXT})

    found = taken(assembler, bodies(*sent, maximum_length=maximum_length))

    assert [(one.command, one.content) for one in found] == [
        (command, content if command.has_data_set else b"") for command, content in sent
    ]


@given(st.binary(min_size=1, max_size=3_000), st.integers(7, 900))
def test_a_writer_gets_each_fragment_and_the_last_one_named(content: bytes, maximum_length: int) -> None:
    writer = Taken()
    assembler = Assembler({3: CONTEXT}, lambda _context, _command: writer)
    command = Command(Operation.C_STORE_RQ, has_data_set=True)

    (message,) = taken(assembler, bodies((command, content), maximum_length=maximum_length))

    assert writer.content == content
    assert writer.lasts == [False] * (len(writer.lasts) - 1) + [True]
    assert (message.writer, message.content) == (writer, b"")


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_any_p_data_is_a_violation_or_a_message(some: list[bytes]) -> None:
    assembler = Assembler({3: CONTEXT}, longest_identifier=100)
    try:
        taken(assembler, [memoryview(one) for one in some])
    except ProtocolViolation:
        assembler.abort()


def test_half_an_object_is_given_up_with_its_writer() -> None:
    writer = Taken()
    assembler = Assembler({3: CONTEXT}, lambda _context, _command: writer)
    some = bodies((Command(Operation.C_STORE_RQ, has_data_set=True), b"x" * 500), maximum_length=200)

    assert taken(assembler, some[:-1]) == []
    assembler.abort()

    assert writer.is_aborted


@pytest.mark.parametrize("with_writer", [False, True])
def test_a_data_set_longer_than_its_limit_is_a_violation(with_writer: bool) -> None:
    assembler = Assembler(
        {3: CONTEXT},
        lambda _context, _command: Taken() if with_writer else None,
        longest_identifier=400,
        longest_object=400,
    )
    command = Command(Operation.C_FIND_RSP, has_data_set=True)

    assert len(taken(assembler, bodies((command, b"x" * 400), maximum_length=100))) == 1
    with pytest.raises(ProtocolViolation, match="longer than any limit"):
        taken(assembler, bodies((command, b"x" * 401), maximum_length=100))


def test_a_command_set_without_end_is_a_violation() -> None:
    item = struct.pack(">IBB", 1002, 3, 0x01) + b"\0" * 1000
    assembler = Assembler({3: CONTEXT})

    with pytest.raises(ProtocolViolation, match="longer than any"):
        taken(assembler, [memoryview(item)] * (LONGEST_COMMAND // 1000 + 1))


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (struct.pack(">IBB", 4, 3, 0x02) + b"ab", "without its command set"),
        (struct.pack(">IBB", 1, 3, 0x03), "too short"),
        (struct.pack(">IBB", 400, 3, 0x03), "longer than its PDU"),
        (b"\0\0\0", "within a presentation data value"),
    ],
)
def test_values_that_do_not_add_up_are_violations(item: bytes, problem: str) -> None:
    with pytest.raises(ProtocolViolation, match=problem):
        taken(Assembler({3: CONTEXT}), [memoryview(item)])


def test_a_message_in_a_context_nobody_agreed_on_is_a_violation() -> None:
    some = bodies((Command(Operation.C_ECHO_RSP), b""))

    with pytest.raises(ProtocolViolation, match="not agreed on"):
        taken(Assembler({5: CONTEXT}), some)
