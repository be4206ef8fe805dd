"""An archive that sends any bytes at all: our client answers with rows, objects or an error of its own."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p2d.dimse import pdu
from p2d.dimse.association import Association
from p2d.dimse.awaited import Arrived, Awaited, Limits, ObjectWriter
from p2d.dimse.command import Command, Operation
from p2d.dimse.identifiers import encoded
from p2d.dimse.messages import Message
from p2d.dimse.messages import encoded as encoded_message
from p2d.dimse.negotiation import Peer, Proposal
from p2d.dimse.pdu import AssociateAccept, ContextResult
from p2d.dimse.services import EXPLICIT, FIND, GET, IMPLICIT
from p2d.dimse.user_information import RoleSelection, UserInformation
from p2d.model.errors import P2DError
from p2d.testing.datasets import CT_IMAGE_STORAGE, ct
from p2d.testing.sender import content_of

UID = "1.2.826.0.1.3680043.8.498.77.1"
PROPOSAL = Proposal(((FIND[0], (IMPLICIT,)), (GET[0], (IMPLICIT,)), (CT_IMAGE_STORAGE, (EXPLICIT,))))


def good() -> bytes:
    """Return what a good archive sends: its acceptance, two rows, an object, and how both requests end."""
    results = (ContextResult(1, 0, IMPLICIT), ContextResult(3, 0, IMPLICIT), ContextResult(5, 0, EXPLICIT))
    user = UserInformation(16_384, roles=(RoleSelection(CT_IMAGE_STORAGE, scu=False, scp=True),))
    row = encoded("STUDY", {"00100020": "P-1", "0020000D": "1.2.3", "00080061": "CT\\MR"})
    find = Command(Operation.C_FIND_RSP, responds_to=1, status=0xFF00, sop_class_uid=FIND[0])
    stored = Command(
        Operation.C_STORE_RQ, message_id=7, sop_class_uid=CT_IMAGE_STORAGE, sop_instance_uid=UID, priority=0
    )
    messages = [
        (1, replace(find, has_data_set=True), row),
        (1, replace(find, has_data_set=True), row),
        (1, replace(find, status=0), b""),
        (5, replace(stored, has_data_set=True), content_of(ct(SOPInstanceUID=UID))),
        (3, Command(Operation.C_GET_RSP, responds_to=2, status=0, completed=1), b""),
    ]
    pieces = [piece for one in messages for piece in encoded_message(*one, 300)]
    return pdu.encode(AssociateAccept("ARCHIVE", "P2D", results, user)) + b"".join(pieces)


class Sender:
    """Sends ``content`` to whoever connects, takes what comes, and closes."""

    def __init__(self) -> None:
        self.content = b""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listening.accept()
            except OSError:
                return
            with plain, suppress(OSError):
                plain.sendall(self.content)
                plain.shutdown(socket.SHUT_WR)
                while plain.recv(65_536):
                    pass

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


@pytest.fixture(scope="module")
def sender() -> Iterator[Sender]:
    one = Sender()
    yield one
    one.close()


def asked(port: int) -> tuple[int, list[Arrived]]:
    """Ask for rows, then for an object; return how many rows and which objects came."""
    association = Association(Peer("127.0.0.1", port, "ARCHIVE", "P2D", 5, 5, 16_384), PROPOSAL)
    awaited = Awaited([UID], limits=Limits(object_bytes=1 << 16))

    def sink(context: pdu.Context, command: Command) -> ObjectWriter | None:
        return awaited.writer(context, command) if command.operation == Operation.C_STORE_RQ else None

    def stored(message: Message) -> tuple[int, Arrived | None]:
        writer = message.writer
        return (writer.status, writer.arrived) if isinstance(writer, ObjectWriter) else (0xA900, None)

    try:
        rows = association.find(association.context(FIND[0]), encoded("STUDY", {"00100020": "P-1"}))
        association.sink = sink
        identifier = encoded("IMAGE", {"00080018": UID})
        return len(rows), list(association.get(association.context(GET[0]), identifier, stored))
    finally:
        association.drop()


def test_a_good_archive_is_understood(sender: Sender) -> None:
    sender.content = good()

    rows, objects = asked(sender.port)

    assert (rows, [one.sop_instance_uid for one in objects]) == (2, [UID])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_spoiled_archive_brings_whole_objects_or_an_error_of_ours(
    sender: Sender, data: st.DataObject
) -> None:
    content = bytearray(good())
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    sender.content = bytes(content[: data.draw(st.integers(0, len(content)))])

    try:
        _, objects = asked(sender.port)
    except P2DError as error:
        message = str(error)
    else:
        message = ""
        assert all(one.sop_instance_uid == UID for one in objects)
    assert UID not in message
    assert "P-1" not in message


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=400))
def test_any_bytes_of_an_archive_are_an_error_of_ours(sender: Sender, content: bytes) -> None:
    sender.content = content

    with pytest.raises(P2DError):
        asked(sender.port)
