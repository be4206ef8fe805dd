"""Our Storage SCP over real sockets: what it keeps, what it refuses, and who cannot keep it from working."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest

from p2d.dimse.acceptor import Rules
from p2d.dimse.admission import Caps
from p2d.dimse.association import Association
from p2d.dimse.awaited import Awaited, Limits
from p2d.dimse.command import Command, Operation
from p2d.dimse.listener import Door, StoreScp
from p2d.dimse.negotiation import Peer, Proposal
from p2d.dimse.services import EXPLICIT, IMPLICIT, VERIFICATION
from p2d.model.errors import Misconfigured, Unavailable
from p2d.testing.datasets import CT_IMAGE_STORAGE, ct
from p2d.testing.sender import ARCHIVE, GATEWAY, RawSender, content_of, store, storing
from p2d.testing.waiting import until

UID = "1.2.826.0.1.3680043.8.498.77.9"
DEFLATED = "1.2.840.10008.1.2.1.99"
ABORT, REJECT = 7, 3
REQUEST_HEAD = b"\x01\0\0\0\xff\0"  # A-ASSOCIATE-RQ, 65,280 bytes to follow


def image(uid: str = UID, **keywords: object) -> bytes:
    return content_of(ct(SOPInstanceUID=uid, **keywords))


@contextmanager
def scp(
    *,
    caps: Caps | None = None,
    networks: tuple[str, ...] = (),
    idle_seconds: float = 10.0,
    pdu_seconds: float = 10.0,
) -> Iterator[StoreScp]:
    door = Door("127.0.0.1", 0, tuple(ip_network(one) for one in networks), caps or Caps())
    rules = Rules(GATEWAY, frozenset({ARCHIVE}), idle_seconds=idle_seconds, pdu_seconds=pdu_seconds)
    one = StoreScp(door, rules)
    one.start()
    try:
        yield one
    finally:
        one.stop()


def archive(one: StoreScp, *, calling: str = ARCHIVE, called: str = GATEWAY, seconds: float = 5.0) -> Peer:
    return Peer("127.0.0.1", one.port, called, calling, connect_seconds=seconds, answer_seconds=10.0)


def echoes(one: StoreScp, *, seconds: float = 5.0) -> None:
    with storing(archive(one, seconds=seconds)) as association:
        association.echo(association.context(VERIFICATION))


def without_end(send: Callable[[], None], *, pause: float = 0.0) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        send()
        time.sleep(pause)


def test_an_object_that_was_asked_for_arrives_as_it_was_sent() -> None:
    awaited = Awaited([UID])
    with scp() as one, one.expecting(awaited) as delivery, storing(archive(one)) as association:
        status = store(association, UID, image())
        arrived = delivery.take(5)

    assert status == 0
    assert arrived is not None
    assert (arrived.content, arrived.transfer_syntax_uid, arrived.is_cut) == (image(), EXPLICIT, False)
    assert awaited.is_complete


def test_pixel_data_are_dropped_on_arrival_where_nobody_wants_them() -> None:
    with scp() as one, one.expecting(Awaited([UID], pixels=False)) as delivery:
        with storing(archive(one)) as association:
            store(association, UID, image(PixelData=bytes(1 << 20)))
        arrived = delivery.take(5)

    assert arrived is not None
    assert arrived.content == content_of(ct(SOPInstanceUID=UID, PixelData=None))
    assert arrived.is_cut
    assert arrived.dropped_bytes > 1 << 20


def test_implicit_vr_is_taken_only_where_nothing_else_is_offered() -> None:
    with scp() as one:
        for offered, taken in (((IMPLICIT, EXPLICIT), EXPLICIT), ((IMPLICIT,), IMPLICIT)):
            with storing(archive(one), *offered) as association:
                assert association.context(CT_IMAGE_STORAGE).transfer_syntax == taken


def test_deflated_is_never_accepted() -> None:
    with scp() as one:
        with storing(archive(one), DEFLATED, EXPLICIT) as association:
            assert association.context(CT_IMAGE_STORAGE).transfer_syntax == EXPLICIT
        with storing(archive(one), DEFLATED) as association, pytest.raises(Misconfigured):
            association.context(CT_IMAGE_STORAGE)


@pytest.mark.parametrize("opened", [True, False])
def test_an_object_that_nobody_asked_for_is_refused_and_counted(*, opened: bool) -> None:
    awaited = Awaited(["1.2.3"])
    with scp() as one, ExitStack() as stack:
        if opened:
            stack.enter_context(one.expecting(awaited))
        with storing(archive(one)) as association:
            status = store(association, UID, image())

        assert status == 0x0124
        assert one.unasked == 1
        assert awaited.counts.refused == opened


@pytest.mark.parametrize("uid", ["../../evil", "/etc/passwd", "1.2\\1.3", "1" * 65, ""])
def test_a_uid_that_is_none_is_refused(uid: str) -> None:
    awaited = Awaited([UID])
    with scp() as one, one.expecting(awaited) as delivery, storing(archive(one)) as association:
        with pytest.raises(Unavailable) if len(uid) > 64 else ExitStack():
            assert store(association, uid, image()) in {0x0117, 0x0124}
        assert delivery.take(0) is None


@pytest.mark.parametrize(
    ("command", "dataset"),
    [
        ({}, {"SOPInstanceUID": "1.2.3"}),
        ({}, {"SOPInstanceUID": None}),
        ({}, {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}),
        ({}, {"PatientID": None}),
    ],
)
def test_a_data_set_that_is_not_what_its_command_says_is_refused(
    command: dict[str, str], dataset: dict[str, object]
) -> None:
    awaited = Awaited([UID])
    content = ct()
    content.SOPInstanceUID = UID
    for keyword, value in dataset.items():
        if value is None:
            del content[keyword]
        else:
            setattr(content, keyword, value)
    with scp() as one, one.expecting(awaited), storing(archive(one)) as association:
        status = store(association, UID, content_of(content), **command)

    assert status == 0xA900
    assert (awaited.counts.mismatched, awaited.missing) == (1, [UID])


def test_an_object_that_fails_the_check_of_its_retrieve_is_refused() -> None:
    awaited = Awaited([UID], check=lambda arrived: b"P-2" in arrived.content[:])
    with scp() as one, one.expecting(awaited), storing(archive(one)) as association:
        refused = store(association, UID, image(PatientID="P-1"))
        kept = store(association, UID, image(PatientID="P-2"))

    assert (refused, kept, awaited.counts.mismatched) == (0xA900, 0, 1)


def test_bytes_that_are_no_data_set_are_refused() -> None:
    awaited = Awaited([UID], pixels=False)
    with scp() as one, one.expecting(awaited), storing(archive(one)) as association:
        status = store(association, UID, b"no data set at all" * 10)

    assert (status, awaited.counts.unreadable) == (0xC000, 1)


def test_the_same_object_twice_is_kept_once_and_other_bytes_are_a_conflict() -> None:
    awaited = Awaited([UID, "1.2.3"])
    with scp() as one, one.expecting(awaited) as delivery, storing(archive(one)) as association:
        statuses = [store(association, UID, image(StudyID=study)) for study in ("1", "1", "2")]
        first = delivery.take(5)

    assert statuses == [0, 0, 0]
    assert first is not None
    assert (awaited.counts.duplicates, awaited.counts.conflicts) == (2, 1)


def test_what_comes_within_the_grace_is_kept_and_what_comes_later_refused() -> None:
    awaited = Awaited([UID, "1.2.3"])
    with scp() as one, storing(archive(one)) as association:
        with one.expecting(awaited) as delivery:
            store(association, UID, image())
            kept = delivery.rest(0.05)
        late = store(association, "1.2.3", image("1.2.3"))

    assert [arrived.sop_instance_uid for arrived in kept] == [UID]
    assert late == 0xA900


def test_an_object_whose_sending_is_aborted_is_not_kept() -> None:
    awaited = Awaited([UID], limits=Limits(in_memory_bytes=10))
    files = len(list(Path("/proc/self/fd").iterdir()))
    with scp() as one, one.expecting(awaited) as delivery:
        with RawSender(one.port) as sender:
            sender.associate()
            sender.begin(UID, image()[:200])
        until(lambda: not one.connections)

        assert delivery.take(0) is None
        assert awaited.missing == [UID]
    assert len(list(Path("/proc/self/fd").iterdir())) <= files


def test_associations_of_one_retrieve_may_run_at_once() -> None:
    uids = [f"{UID}.{number}" for number in range(12)]
    awaited = Awaited(uids)

    def send(part: list[str]) -> None:
        with storing(archive(one)) as association:
            for uid in part:
                assert store(association, uid, image(uid)) == 0

    with scp() as one, one.expecting(awaited) as delivery:
        threads = [threading.Thread(target=send, args=(uids[start::3],)) for start in range(3)]
        for thread in threads:
            thread.start()
        arrived = [delivery.take(5) for _ in uids]
        for thread in threads:
            thread.join()

    assert sorted(item.sop_instance_uid for item in arrived if item is not None) == sorted(uids)


def test_an_object_that_two_retrieves_await_goes_to_the_one_whose_move_it_names() -> None:
    with scp() as one, one.expecting(Awaited([UID])) as first, one.expecting(Awaited([UID])) as second:
        first.message_id, second.message_id = 7, 8
        with storing(archive(one)) as association:
            named: dict[str, str | int] = {"move_originator": GATEWAY, "move_originator_id": 8}
            store(association, UID, image(), **named)
            store(association, UID, image(), **named)

        assert second.awaited.is_complete
        assert first.awaited.is_complete  # the second one fits only here


def test_an_object_of_somebody_elses_move_is_refused() -> None:
    with scp() as one, one.expecting(Awaited([UID])), storing(archive(one)) as association:
        status = store(association, UID, image(), move_originator="OTHER", move_originator_id=1)

    assert status == 0x0124


def test_an_object_longer_than_allowed_ends_the_association() -> None:
    awaited = Awaited([UID], limits=Limits(object_bytes=1000))
    with scp() as one, one.expecting(awaited) as delivery, storing(archive(one)) as association:
        with pytest.raises(Unavailable):
            store(association, UID, image(PixelData=bytes(5000)))
        until(lambda: one.refusals)

        assert delivery.take(0) is None
        assert awaited.counts.overlong == 1
        assert "an object is longer than allowed" in next(iter(one.refusals))


@pytest.mark.parametrize("pixels", [True, False])
def test_a_retrieve_that_brings_more_than_allowed_ends_the_association(*, pixels: bool) -> None:
    uids = [f"{UID}.{number}" for number in range(3)]
    awaited = Awaited(uids, pixels=pixels, limits=Limits(retrieve_bytes=2 * len(image(f"{UID}.0"))))
    with scp() as one, one.expecting(awaited), storing(archive(one)) as association:
        for uid in uids[:2]:
            assert store(association, uid, image(uid)) == 0
        with pytest.raises(Unavailable):
            store(association, uids[2], image(uids[2]))

    assert awaited.missing == uids[2:]


def test_an_object_without_end_is_cut_off() -> None:
    awaited = Awaited([UID], limits=Limits(object_bytes=1 << 20))
    with scp() as one, one.expecting(awaited), RawSender(one.port) as sender:
        sender.associate()
        sender.begin(UID, image())
        with pytest.raises(ConnectionError):
            without_end(lambda: sender.more(b"\0" * 1000))


def test_a_header_without_end_is_refused_and_the_association_stays() -> None:
    awaited = Awaited([UID], pixels=False, limits=Limits(header_bytes=2000))
    with scp() as one, one.expecting(awaited), storing(archive(one)) as association:
        refused = store(association, UID, image(StudyComments="x" * 10_000))
        kept = store(association, UID, image())

    assert (refused, kept) == (0xC000, 0)


def test_no_room_is_answered_as_out_of_resources_and_the_object_is_taken_later(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    awaited = Awaited([UID], limits=Limits(in_memory_bytes=10, folder=folder))
    with scp() as one, one.expecting(awaited) as delivery, storing(archive(one)) as association:
        refused = store(association, UID, image())
        folder.mkdir()
        kept = store(association, UID, image())
        arrived = delivery.take(5)

    assert (refused, kept, awaited.counts.unkept) == (0xA700, 0, 1)
    assert arrived is not None
    assert arrived.content[:] == image()


@pytest.mark.parametrize(
    ("calling", "called"), [("SOMEBODY", GATEWAY), (ARCHIVE, "ELSE"), ("archive", GATEWAY)]
)
def test_another_ae_title_is_rejected_for_good(calling: str, called: str) -> None:
    with scp() as one:
        with pytest.raises(Misconfigured, match="rejects us"):
            Association(
                archive(one, calling=calling, called=called), Proposal(((VERIFICATION, (IMPLICIT,)),))
            )
        until(lambda: one.refusals)

        assert set(one.refusals) <= {"calling AE title", "called AE title"}


def test_another_address_is_turned_away_before_a_byte_is_read() -> None:
    with scp(networks=("127.0.0.2/32",)) as one:
        with RawSender(one.port) as stranger:
            assert stranger.pdu() == b""
        with RawSender(one.port, address="127.0.0.2") as peer:
            assert peer.associate()[0] == 2

        assert dict(one.refusals) == {"source address": 1}


def test_the_configured_archive_gets_its_echo_answered() -> None:
    with scp() as one:
        echoes(one)


def test_other_operations_are_not_recognized() -> None:
    with scp() as one, storing(archive(one)) as association:
        context = association.context(VERIFICATION)
        for content in (b"", b"\x08\0\x52\0\0\0\0\0"):
            association.send(context, Command(Operation.C_FIND_RQ), content)
            received = association.receive()

            assert received is not None
            assert association.response(Operation.C_FIND_RSP, received)[1] == 0x0211


@pytest.mark.parametrize("count", [10, 50])
def test_sockets_that_trickle_keep_nobody_out(count: int) -> None:
    stop = threading.Event()

    def trickle(sockets: list[RawSender]) -> None:
        while not stop.wait(0.05):
            for sender in sockets:
                try:
                    sender.socket.sendall(b"\0")
                except OSError:
                    continue

    with scp(caps=Caps(handshake_seconds=30)) as one, ExitStack() as stack:
        senders = [stack.enter_context(RawSender(one.port)) for _ in range(count)]
        for sender in senders:
            sender.socket.sendall(REQUEST_HEAD)
        thread = threading.Thread(target=trickle, args=(senders,))
        thread.start()
        try:
            until(lambda: one.connections >= min(count, 16))
            echoes(one, seconds=1.0)
        finally:
            stop.set()
            thread.join()


def test_a_handshake_that_trickles_ends_at_its_deadline() -> None:
    with scp(caps=Caps(handshake_seconds=0.3)) as one, RawSender(one.port) as sender:
        sender.socket.sendall(REQUEST_HEAD)
        with pytest.raises(ConnectionError):
            without_end(lambda: sender.socket.sendall(b"\0"), pause=0.02)
        until(lambda: one.refusals)
        assert set(one.refusals) <= {
            "no association in time",
            "pacs: a PDU did not arrive whole in time (try again later)",
        }


def test_a_pdu_that_trickles_ends_at_its_deadline() -> None:
    with scp(pdu_seconds=0.3) as one, RawSender(one.port) as sender:
        sender.associate()
        sender.socket.sendall(b"\x04\0\0\0\x10\0")
        with pytest.raises(ConnectionError):
            without_end(lambda: sender.socket.sendall(b"\0"), pause=0.02)


def test_an_association_that_falls_silent_is_aborted() -> None:
    with scp(idle_seconds=0.1) as one, RawSender(one.port) as sender:
        sender.associate()

        assert sender.pdu()[0] == ABORT
        assert sender.pdu() == b""


@pytest.mark.parametrize(
    "head",
    [
        b"\x04\0\0\0\x10\0",  # P-DATA of 4,096 bytes before any association
        b"\x04\0\xff\xff\xff\xff",
        b"\x01\0\x00\x01\x00\x01",  # A-ASSOCIATE-RQ of 65,537 bytes
        b"\x05\0\x00\x00\x00\x11",  # A-RELEASE-RQ of 17 bytes
        b"\x42\0\x00\x00\x00\x04",  # no PDU
        b"GET / HTTP/1.1\r\n",
    ],
)
def test_a_pdu_that_is_too_long_is_refused_by_its_head(head: bytes) -> None:
    with scp() as one, RawSender(one.port) as sender:
        sender.socket.sendall(head)

        assert sender.pdu()[:1] in {b"", b"\x07"}
        until(lambda: one.refusals)


def test_data_longer_than_negotiated_are_refused_by_their_head() -> None:
    with scp() as one, RawSender(one.port) as sender:
        sender.associate()
        sender.socket.sendall(b"\x04\0\xff\xff\xff\xff")

        assert sender.pdu()[0] == ABORT


def test_associations_have_a_quota_that_half_open_connections_do_not_use_up() -> None:
    with scp(caps=Caps(associations=2, waiting=3, waiting_per_address=3)) as one, ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(RawSender(one.port))
        first, second = (stack.enter_context(storing(archive(one))) for _ in range(2))
        with RawSender(one.port) as third:
            rejected = third.associate()

        assert rejected[0] == REJECT
        assert tuple(rejected[7:10]) == (2, 3, 2)  # transient, local limit exceeded
        first.release()
        until(lambda: one.connections < 5)
        second.echo(second.context(VERIFICATION))
        echoes(one)


def test_a_retrieve_that_takes_nothing_holds_the_archive_back() -> None:
    uids = [f"{UID}.{number}" for number in range(2)]
    awaited = Awaited(uids)
    with scp() as one, one.expecting(awaited) as delivery, storing(archive(one)) as association:
        delivery.limit(ahead_bytes=10, room_seconds=0.05)
        statuses = [store(association, uid, image(uid)) for uid in uids]
        taken = delivery.take(5)
        again = store(association, uids[1], image(uids[1]))

    assert statuses == [0, 0xA700]
    assert taken is not None
    assert (again, awaited.counts.unkept, awaited.missing) == (0, 1, [])


def test_a_port_in_use_is_named() -> None:
    with scp() as one:
        other = StoreScp(Door("127.0.0.1", one.port), Rules(GATEWAY, frozenset({ARCHIVE})))
        with pytest.raises(Misconfigured, match="store_port"):
            other.start()


def test_stopping_ends_associations_and_frees_the_port() -> None:
    with scp() as one:
        port = one.port
        with RawSender(port) as sender:
            sender.associate()
            one.stop()
            assert sender.pdu()[:1] in {b"", b"\x07"}
        again = StoreScp(Door("127.0.0.1", port), Rules(GATEWAY, frozenset({ARCHIVE})))
        again.start()
        again.stop()
