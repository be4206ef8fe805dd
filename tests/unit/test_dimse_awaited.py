"""What a retrieve waits for, and objects on their way to it: none is lost between two threads."""

import threading

import pytest

from p2d.dimse.awaited import Arrived, Awaited, Limits
from p2d.dimse.command import Command, Operation
from p2d.dimse.delivery import Delivery
from p2d.dimse.pdu import Context
from p2d.dimse.services import EXPLICIT
from p2d.dimse.spool import TooManyBytes
from p2d.testing.datasets import CT_IMAGE_STORAGE, ct
from p2d.testing.sender import content_of

CONTEXT = Context(1, CT_IMAGE_STORAGE, EXPLICIT)


def received(awaited: Awaited, delivery: Delivery, uid: str) -> int:
    """Receive the object *uid* as a connection's thread does; return the status of its C-STORE."""
    command = Command(Operation.C_STORE_RQ, sop_class_uid=CT_IMAGE_STORAGE, sop_instance_uid=uid)
    writer = awaited.writer(CONTEXT, command, delivery.put)
    writer.write(memoryview(content_of(ct(SOPInstanceUID=uid))), True)
    return writer.status


def test_an_object_counts_as_arrived_only_once_it_can_be_taken() -> None:
    awaited = Awaited(["1.2.1", "1.2.2"])
    delivery = Delivery(awaited, ahead_bytes=10, room_seconds=10)
    received(awaited, delivery, "1.2.1")
    second = threading.Thread(target=received, args=(awaited, delivery, "1.2.2"))  # waits for room
    second.start()

    found = delivery.rest(10)
    second.join()

    assert [one.sop_instance_uid for one in found] == ["1.2.1", "1.2.2"]
    assert awaited.is_complete


def test_an_object_on_its_way_when_the_retrieve_ends_stays_missing() -> None:
    awaited = Awaited(["1.2.1", "1.2.2"])
    delivery = Delivery(awaited, ahead_bytes=10, room_seconds=10)
    statuses: list[int] = []
    received(awaited, delivery, "1.2.1")
    second = threading.Thread(target=lambda: statuses.append(received(awaited, delivery, "1.2.2")))
    second.start()

    delivery.close()
    second.join()

    assert statuses == [0xA900]
    assert awaited.missing == ["1.2.2"]


def test_nobody_waits_once_all_have_arrived() -> None:
    awaited = Awaited(["1.2.1"])
    delivery = Delivery(awaited)
    received(awaited, delivery, "1.2.1")

    assert isinstance(delivery.take(60), Arrived)
    assert delivery.take(60) is None
    assert delivery.rest(60) == []


@pytest.mark.parametrize("uid", ["", "1.2.x", "../1.2", "1" * 65])
def test_a_uid_is_digits_and_dots(uid: str) -> None:
    awaited = Awaited([uid])
    command = Command(Operation.C_STORE_RQ, sop_class_uid=CT_IMAGE_STORAGE, sop_instance_uid=uid)

    assert awaited.writer(CONTEXT, command).status == 0x0117


def test_octets_of_objects_that_are_refused_count_for_their_retrieve() -> None:
    awaited = Awaited(["1.2.1"], limits=Limits(retrieve_bytes=1000))
    command = Command(Operation.C_STORE_RQ, sop_class_uid=CT_IMAGE_STORAGE, sop_instance_uid="1.2.9")
    writer = awaited.writer(CONTEXT, command)
    writer.write(memoryview(b"x" * 900), False)

    assert awaited.octets == 900
    with pytest.raises(TooManyBytes):
        writer.write(memoryview(b"x" * 200), True)


def test_no_value_shows_in_a_representation() -> None:
    one = Arrived("1.2.840.99", CT_IMAGE_STORAGE, EXPLICIT, b"secret")

    assert "1.2.840.99" not in repr(one)
    assert "secret" not in repr(one)
