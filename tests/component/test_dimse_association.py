"""Associations that we request, against a scripted peer: nothing is lost, confused or waited for."""

import itertools
import multiprocessing
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from p2d.dimse import pdu
from p2d.dimse.association import Association
from p2d.dimse.command import Command, Operation
from p2d.dimse.identifiers import Row, encoded
from p2d.dimse.messages import Message
from p2d.dimse.messages import encoded as encoded_message
from p2d.dimse.negotiation import Peer, Proposal
from p2d.dimse.pdu import AssociateAccept, AssociateReject, ContextResult
from p2d.dimse.services import FIND, GET, IMPLICIT, VERIFICATION
from p2d.dimse.user_information import AsynchronousWindow, ExtendedNegotiation, RoleSelection
from p2d.dimse.wire import Wire, connect
from p2d.model.errors import Misconfigured, P2DError, ProtocolViolation, Unavailable
from p2d.testing.responder import Conversation, Responder, accepting
from p2d.testing.waiting import until

CT = "1.2.840.10008.5.1.4.1.1.2"
QUERY = Proposal(
    ((FIND[0], (IMPLICIT,)), (VERIFICATION, (IMPLICIT,))),
    extended=(ExtendedNegotiation(FIND[0], b"\x01"),),
    window=AsynchronousWindow(4, 1),
)


def peer(port: int, **more: float) -> Peer:
    return Peer("127.0.0.1", port, "ARCHIVE", "P2D", **{"answer_seconds": 5.0, **more})  # type: ignore[arg-type] # seconds


@contextmanager
def associated(responder: Responder, **more: float) -> Iterator[Association]:
    association = Association(peer(responder.port, **more), QUERY)
    try:
        yield association
    finally:
        association.release()


def rows_of(message: Message) -> int:
    """Return how many rows the query in *message* asks for: its StudyID."""
    return int(message.content[-4:])


def question(rows: int) -> bytes:
    return encoded("STUDY", {"00100020": "P-1", "00200010": f"{rows:04}"})


def find_response(message: Message, status: int, **more: int) -> Command:
    fields = {"responds_to": message.command.message_id, "status": status, **more}
    return Command(Operation.C_FIND_RSP, sop_class_uid=FIND[0], **fields)  # type: ignore[arg-type] # numbers


def answer_rows(conversation: Conversation, message: Message) -> None:
    for number in range(rows_of(message)):
        row = encoded("STUDY", {"00100020": "P-1", "0020000D": f"1.2.{message.command.message_id}.{number}"})
        conversation.send(message.context, find_response(message, 0xFF00), row)
    conversation.send(message.context, find_response(message, 0))


def uids(rows: list[Row]) -> list[str]:
    return [row["0020000D"].text for row in rows]


def test_half_a_word_of_the_peer_holds_nobody_up_who_looks_whether_the_association_is_ready() -> None:
    looked: list[bool] = []
    wires: list[Wire] = []

    def respond(conversation: Conversation, message: Message) -> None:
        wires.append(conversation.wire)
        answer_rows(conversation, message)

    with Responder(respond) as responder, associated(responder, answer_seconds=60.0) as association:
        association.find(association.context(FIND[0]), question(1))
        wires[0].send(b"\x05")  # the begin of A-RELEASE-RQ
        until(lambda: select.select([association._wire._plain], [], [], 0)[0])
        looking = threading.Thread(target=lambda: looked.append(association.is_ready), daemon=True)
        looking.start()
        looking.join(5)
        assert looked == [False]
        responder.drop()


def when(claim: Callable[[], object], work: Callable[[], None]) -> threading.Thread:
    """Do *work* in another thread once *claim* holds."""

    def run() -> None:
        until(claim)
        work()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_every_row_of_a_query_comes_and_the_association_serves_the_next() -> None:
    with Responder(answer_rows) as responder, associated(responder) as association:
        context = association.context(*FIND)

        counts = [len(association.find(context, question(rows))) for rows in (3, 0, 500, 1)]

        assert counts == [3, 0, 500, 1]
        assert association.is_ready
    assert responder.releases == 1


def test_what_we_propose_is_what_the_peer_hears() -> None:
    with Responder(answer_rows) as responder, associated(responder) as association:
        (request,) = responder.requests

        assert (request.called_ae_title, request.calling_ae_title) == ("ARCHIVE", "P2D")
        assert request.user.extended == (ExtendedNegotiation(FIND[0], b"\x01"),)
        assert association.extended == {FIND[0]: b"\x01"}
        assert association.window == 1


@pytest.mark.parametrize("window", [1, 3])
def test_queries_are_outstanding_as_far_as_the_peer_grants_and_answers_find_their_own(window: int) -> None:
    waiting: list[tuple[Conversation, Message]] = []
    most = [0]

    def hold(conversation: Conversation, message: Message) -> None:
        waiting.append((conversation, message))
        most[0] = max(most[0], len(waiting))
        if len(waiting) == window:  # the latest first, their rows in turn
            both = [(c, m, number) for number in range(2) for c, m in reversed(waiting)]
            for c, m, number in both:
                row = encoded("STUDY", {"00100020": "P-1", "0020000D": f"1.2.{rows_of(m)}.{number}"})
                c.send(m.context, find_response(m, 0xFF00), row)
            for c, m in waiting:
                c.send(m.context, find_response(m, 0))
            waiting.clear()

    accept = accepting(window=AsynchronousWindow(window, 1))
    with Responder(hold, accept) as responder, associated(responder) as association:
        found = association.finds(association.context(*FIND), [question(rows) for rows in range(6)])

    assert [uids(rows) for rows in found] == [[f"1.2.{n}.0", f"1.2.{n}.1"] for n in range(6)]
    assert most == [window]


@pytest.mark.parametrize(
    "wrong",
    [{"responds_to": 999}, {"sop_class_uid": "1.2.3"}, {"operation": Operation.C_GET_RSP}, {"status": None}],
)
def test_a_message_that_answers_no_request_of_ours_is_a_violation(wrong: dict[str, object]) -> None:
    def respond(conversation: Conversation, message: Message) -> None:
        fields = {
            "operation": Operation.C_FIND_RSP, "sop_class_uid": FIND[0], "status": 0,
            "responds_to": message.command.message_id, **wrong,
        }  # fmt: skip
        conversation.send(message.context, Command(**fields))  # type: ignore[arg-type] # fields of the table

    with Responder(respond) as responder, associated(responder) as association:
        with pytest.raises(ProtocolViolation, match="answers no request"):
            association.find(association.context(*FIND), question(1))

        assert not association.is_ready


def test_an_echo_is_answered_or_an_error() -> None:
    def respond(conversation: Conversation, message: Message) -> None:
        status = 0 if len(responder.messages) == 1 else 0x0122
        response = Command(
            Operation.C_ECHO_RSP,
            responds_to=message.command.message_id,
            status=status,
            sop_class_uid=VERIFICATION,
        )
        conversation.send(message.context, response)

    with Responder(respond) as responder, associated(responder) as association:
        association.echo(association.context(VERIFICATION))
        with pytest.raises(ProtocolViolation, match="0x0122"):
            association.echo(association.context(VERIFICATION))


@pytest.mark.parametrize(
    ("reject", "error"),
    [(AssociateReject(1, 1, 3), Misconfigured), (AssociateReject(2, 3, 2), Unavailable)],
)
def test_a_rejection_is_for_the_operator_or_for_later(
    reject: AssociateReject, error: type[Exception]
) -> None:
    with Responder(answer_rows, lambda _request: reject) as responder, pytest.raises(error, match="rejects"):
        Association(peer(responder.port), QUERY)


def test_a_peer_that_offers_nothing_of_use_is_for_the_operator() -> None:
    with Responder(answer_rows, accepting("1.2.3")) as responder:
        with pytest.raises(Misconfigured, match="none of the services"):
            Association(peer(responder.port), QUERY)

        until(lambda: responder.aborts == 1)


def test_a_context_that_nobody_proposed_is_a_violation() -> None:
    def accept(request: pdu.AssociateRequest) -> AssociateAccept:
        results = (ContextResult(1, 0, "1.2.840.10008.1.2.2"), ContextResult(3, 0, IMPLICIT))
        return AssociateAccept(request.called_ae_title, request.calling_ae_title, results)

    with Responder(answer_rows, accept) as responder, pytest.raises(ProtocolViolation, match="not proposed"):
        Association(peer(responder.port), QUERY)


def test_a_cancel_from_another_thread_reaches_the_peer_while_the_owner_waits() -> None:
    asked: list[Message] = []

    def respond(conversation: Conversation, message: Message) -> None:
        if message.command.operation == Operation.C_CANCEL_RQ:
            assert message.command.responds_to == asked[0].command.message_id
            conversation.send(asked[0].context, find_response(asked[0], 0xFE00))
            return
        asked.append(message)

    with Responder(respond) as responder, associated(responder) as association:
        cancelling = when(lambda: asked, association.cancel)
        with pytest.raises(P2DError, match="0xFE00"):
            association.find(association.context(*FIND), question(1))
        cancelling.join()


def test_an_abort_from_another_thread_frees_the_owner_at_once() -> None:
    started = time.monotonic()
    with Responder(lambda _conversation, _message: None) as responder:
        association = Association(peer(responder.port, answer_seconds=30.0), QUERY)
        aborting = when(lambda: responder.messages, association.abort)
        with pytest.raises(Unavailable):
            association.find(association.context(*FIND), question(1))
        aborting.join()

        until(lambda: responder.aborts == 1)
    assert time.monotonic() - started < 10


def test_rows_that_never_end_do_not_buy_a_request_time() -> None:
    def respond(conversation: Conversation, message: Message) -> None:
        row = encoded("STUDY", {"00100020": "P-1", "0020000D": "1.2.3"})
        with suppress(P2DError):  # until the association is aborted
            while True:
                conversation.send(message.context, find_response(message, 0xFF00), row)
                threading.Event().wait(0.01)

    with Responder(respond) as responder:
        association = Association(peer(responder.port, request_seconds=0.3), QUERY)
        begin = time.monotonic()
        with pytest.raises(Unavailable, match=r"no final response after 0\.3 s"):
            association.find(association.context(FIND[0]), question(1))

        assert time.monotonic() - begin < 3  # less than answer_seconds
        assert not association.is_ready


def test_objects_that_never_end_do_not_buy_a_request_time() -> None:
    proposal = Proposal(
        ((GET[0], (IMPLICIT,)), (CT, (IMPLICIT,))), roles=(RoleSelection(CT, scu=False, scp=True),)
    )
    numbers = itertools.count(1)

    def respond(conversation: Conversation, message: Message) -> None:
        if message.command.operation in {Operation.C_GET_RQ, Operation.C_STORE_RSP}:
            uid = f"1.2.{next(numbers)}"
            store = Command(
                Operation.C_STORE_RQ, message_id=7, sop_class_uid=CT, sop_instance_uid=uid, has_data_set=True
            )
            threading.Event().wait(0.01)
            conversation.send(conversation.context(CT), store, encoded("IMAGE", {"00080018": uid}))

    with Responder(respond) as responder:
        association = Association(peer(responder.port, request_seconds=0.5), proposal)
        stored = association.get(
            association.context(GET[0]), encoded("STUDY", {"0020000D": "1.2"}), lambda _: (0, True)
        )
        with pytest.raises(Unavailable, match="no final response"):
            for _ in stored:
                pass

        assert next(numbers) > 3  # objects came all the time
        assert not association.is_ready


def test_the_time_of_a_request_begins_anew_with_each() -> None:
    with Responder(answer_rows) as responder, associated(responder, request_seconds=0.4) as association:
        context = association.context(FIND[0])
        begin = time.monotonic()
        while time.monotonic() - begin < 0.6:
            assert len(association.find(context, question(2))) == 2


def test_an_association_that_the_peer_has_left_is_not_ready() -> None:
    with Responder(answer_rows) as responder, associated(responder) as association:
        assert association.is_ready

        responder.drop()

        until(lambda: not association.is_ready)


@contextmanager
def bare() -> Iterator[tuple[Wire, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        plain = connect("127.0.0.1", listening.getsockname()[1], 5)
        theirs, _ = listening.accept()
        wire = Wire(plain, longest_pdu=100_000, pdu_seconds=0.6)
        with theirs:
            try:
                yield wire, theirs
            finally:
                wire.close()


def test_a_pdu_that_trickles_does_not_buy_itself_time() -> None:
    with bare() as (wire, theirs):
        ended = threading.Event()

        def trickle() -> None:
            with suppress(OSError):
                theirs.sendall(b"\x04\0\0\0\x20\0")
                while not ended.wait(0.05):
                    theirs.sendall(b"x")

        sending = threading.Thread(target=trickle)
        sending.start()
        started = time.monotonic()
        with pytest.raises(Unavailable, match="whole in time"):
            wire.read(5)
        ended.set()
        sending.join()

        assert time.monotonic() - started < 3


def test_a_pdu_that_is_too_long_is_refused_before_it_is_read() -> None:
    with bare() as (wire, theirs):
        theirs.sendall(b"\x04\0" + (100_001).to_bytes(4, "big") + b"x" * 50_000)

        with pytest.raises(ProtocolViolation, match="longer than allowed"):
            wire.read(5)

        assert len(wire._buffer) < 100_000


def test_pdus_of_all_sizes_come_whole_and_in_order() -> None:
    with bare() as (wire, theirs):
        sizes = [0, 1, 70_000, 5, 100_000, 99_999, 65_530, 65_536, 3, 100_000, 20]
        whole = b"".join(
            b"\x04\0" + size.to_bytes(4, "big") + bytes([place]) * size for place, size in enumerate(sizes)
        )
        sending = threading.Thread(target=theirs.sendall, args=(whole,))
        sending.start()
        got = []
        for _ in sizes:
            received = wire.read(5)
            assert received is not None
            got.append(bytes(received.body))
        sending.join()

        assert got == [bytes([place]) * size for place, size in enumerate(sizes)]
        assert len(wire._buffer) < 200_000


def test_nothing_within_the_time_given_is_none() -> None:
    with bare() as (wire, _):
        assert wire.read(0) is None
        assert wire.read(0.05) is None
        assert wire.is_quiet


def _spin() -> None:
    while True:
        pass


def test_no_row_is_lost_and_none_gained_in_ten_thousand_queries_under_load() -> None:
    replies = {
        rows: [encoded("STUDY", {"00100020": "P-1", "0020000D": f"1.2.{rows}.{n}"}) for n in range(rows)]
        for rows in range(4)
    }

    def respond(conversation: Conversation, message: Message) -> None:
        pending = replace(find_response(message, 0xFF00), has_data_set=True)
        pieces = []
        for row in replies[rows_of(message)]:
            pieces += encoded_message(message.context.context_id, pending, row, 16_384)
        conversation.wire.send(*pieces)
        conversation.send(message.context, find_response(message, 0))

    context = multiprocessing.get_context("spawn")
    busy = [context.Process(target=_spin, daemon=True) for _ in range(3)]
    for process in busy:
        process.start()
    try:
        with Responder(respond) as responder, associated(responder) as association:
            service = association.context(*FIND)
            wrong = sum(
                uids(association.find(service, question(rows))) != [f"1.2.{rows}.{n}" for n in range(rows)]
                for rows in (number % 4 for number in range(10_000))
            )
    finally:
        for process in busy:
            process.kill()
            process.join()

    assert wrong == 0
