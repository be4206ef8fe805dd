"""Bytes from an archive: answers, command sets and PDUs, well formed and hostile."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.dicom.elements import UndecodableHeader
from p2d.dimse.identifiers import answer, encoded, sop_instance_uid
from p2d.model.header import text_of
from p2d.pacs.pynetdicom.messages import Assembler, BrokenPduError, Message, command_of
from p2d.pacs.pynetdicom.requests import message
from p2d.pacs.pynetdicom.sockets import bounded


def command(**values: int) -> bytes:
    elements = {"command": 0x0100, "responds_to": 0x0120, "data_set_type": 0x0800, "status": 0x0900}
    return b"".join(struct.pack("<HHIH", 0, elements[name], 2, value) for name, value in values.items())


def item(control: int, content: bytes, context: int = 1) -> bytes:
    return struct.pack(">IBB", len(content) + 2, context, control) + content


def assembled(*bodies: bytes) -> list[Message]:
    messages: list[Message] = []
    assembler = Assembler(messages.append)
    for body in bodies:
        assembler.take(body)
    return messages


texts = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="\\"), max_size=20)


@given(texts, texts)
def test_an_identifier_is_read_back_as_written(name: str, patient: str) -> None:
    flat = answer(encoded("STUDY", {"00100010": name, "00100020": patient, "0020000D": "1.2.3"}))

    assert text_of(flat, "00100010") == name
    assert text_of(flat, "00100020") == patient
    assert text_of(flat, "0020000D") == "1.2.3"
    assert "00080052" not in flat


def test_a_sequence_in_an_answer_is_read_with_its_items() -> None:
    inner = struct.pack("<HHI", 0x0008, 0x0100, 4) + b"CODE"
    one = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
    sequence = struct.pack("<HHI", 0x0008, 0x1032, len(one)) + one

    flat = answer(sequence)

    assert text_of(flat, "00081032[0].00080100") == "CODE"


@given(st.binary(max_size=200))
def test_hostile_answers_are_refused_by_one_error(content: bytes) -> None:
    with contextlib.suppress(UndecodableHeader):
        answer(content)


@given(st.binary(max_size=200), st.booleans())
def test_a_broken_data_set_has_no_uid_or_some_text(content: bytes, implicit: bool) -> None:
    assert isinstance(sop_instance_uid(content, implicit=implicit), str)


def test_the_uid_of_a_data_set_is_found_behind_other_elements() -> None:
    implicit = struct.pack("<HHI", 8, 5, 10) + b"ISO_IR 100" + struct.pack("<HHI", 8, 0x18, 6) + b"1.2.3\0"
    explicit = (
        struct.pack("<HH2sHI", 8, 1, b"UN", 0, 2)
        + b"ab"
        + struct.pack("<HH2sH", 8, 0x18, b"UI", 6)
        + b"1.2.3\0"
    )

    assert sop_instance_uid(implicit, implicit=True) == "1.2.3"
    assert sop_instance_uid(explicit, implicit=False) == "1.2.3"
    assert sop_instance_uid(explicit[:-1], implicit=False) == ""


def test_a_message_is_put_together_from_fragments() -> None:
    pending = command(command=0x8020, responds_to=7, data_set_type=1, status=0xFF00)
    final = command(command=0x8020, responds_to=7, data_set_type=0x0101, status=0)

    first, second = assembled(
        item(0x01, pending[:5]),
        item(0x03, pending[5:]) + item(0x00, b"ab"),
        item(0x02, b"c"),
        item(0x03, final),
    )

    assert (first.status, first.responds_to, first.content) == (0xFF00, 7, b"abc")
    assert (second.status, second.content) == (0, b"")


@pytest.mark.parametrize(
    "body",
    [
        b"\0",
        item(0x02, b"data before a command"),
        struct.pack(">IBB", 1000, 1, 3),
        struct.pack(">IBB", 1, 1, 3),
        item(0x03, b"\0\0\0\1\xff\0\0\0"),
        item(0x03, struct.pack("<HHI", 8, 0x0100, 0)),
    ],
)
def test_pdus_that_do_not_add_up_are_refused(body: bytes) -> None:
    with pytest.raises(BrokenPduError):
        assembled(body)


def test_a_command_set_without_end_is_refused() -> None:
    with pytest.raises(BrokenPduError):
        assembled(*[item(0x01, b"x" * 60_000)] * 3)


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_hostile_pdus_are_refused_by_one_error(bodies: list[bytes]) -> None:
    with contextlib.suppress(BrokenPduError):
        assembled(*bodies)


@given(st.binary(max_size=60))
def test_hostile_command_sets_are_refused_by_one_error(content: bytes) -> None:
    with contextlib.suppress(BrokenPduError):
        command_of(1, content)


@given(st.binary(max_size=300), st.integers(60, 200))
def test_what_is_sent_is_read_back_whatever_the_longest_pdu(content: bytes, limit: int) -> None:
    fields: dict[int, int | str] = {0x0100: 0x0020, 0x0110: 9, 0x0002: "1.2.840.10008.1.1"}

    pdus = message(3, fields, content, limit)

    bodies = []
    while pdus:
        length = int.from_bytes(pdus[2:6], "big")
        assert (pdus[0], length <= limit) == (4, True)
        bodies.append(pdus[6 : 6 + length])
        pdus = pdus[6 + length :]
    (received,) = assembled(*bodies)
    assert (received.context_id, received.command, received.message_id) == (3, 0x0020, 9)
    assert (received.sop_class_uid, received.content) == ("1.2.840.10008.1.1", content)


def pdus(*bodies: bytes, most: int) -> int:
    """Return how many PDUs with *bodies* are read, head and body in turn, before the connection is cut."""
    stream = b"".join(struct.pack(">BBI", 4, 0, len(body)) + body for body in bodies)
    position = 0

    def receive(count: int) -> bytearray:
        nonlocal position
        position += count
        return bytearray(stream[position - count : position])

    read = bounded(receive, most)
    for done, body in enumerate(bodies):
        try:
            read(6)
            read(len(body))
        except ConnectionError:
            return done
    return len(bodies)


def test_fragments_that_never_end_are_cut_off() -> None:
    assert pdus(*[item(0x00, bytes(98))] * 50, most=1000) == 10


def test_fragments_within_one_pdu_count_together() -> None:
    assert pdus(item(0x00, bytes(600)) + item(0x00, bytes(600)), most=1000) == 0


def test_objects_one_after_the_other_are_no_long_one() -> None:
    object_ = [item(0x03, bytes(98)), *[item(0x00, bytes(98))] * 8, item(0x02, bytes(98))]

    assert pdus(*object_ * 20, most=1000) == 200
