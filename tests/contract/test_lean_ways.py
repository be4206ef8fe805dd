"""The lean connector takes the cheapest way its archive allows, and the next where that is refused."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from p2d.dimse.association import Association
from p2d.dimse.command import Command, Operation
from p2d.dimse.identifiers import answer
from p2d.dimse.messages import Message
from p2d.dimse.negotiation import Peer
from p2d.dimse.pdu import AssociateAccept, AssociateReject, AssociateRequest
from p2d.dimse.services import FIND, GET, GET_WITHOUT_BULK_DATA, MOVE, VERIFICATION
from p2d.model.errors import Misconfigured, P2DError, Unavailable
from p2d.model.header import Element
from p2d.model.identified import IdentifiedHeader, PatientId
from p2d.model.level import Level
from p2d.pacs.lean.connector import LeanArchive
from p2d.pacs.lean.pool import Pool
from p2d.pacs.lean.proposals import ECHO
from p2d.pacs.port import Query, RetrieveCounts
from p2d.settings.archive_profile import ArchiveProfile
from p2d.settings.gateway import Archive
from p2d.testing.archive import DimseArchiveServer
from p2d.testing.datasets import CT_IMAGE_STORAGE, ct, three_patients
from p2d.testing.installation import free_ports
from p2d.testing.responder import Conversation, Responder, accepting
from p2d.testing.sender import content_of, store, storing
from p2d.testing.waiting import until

PATIENT = PatientId("P-1")
MR = "1.2.840.10008.5.1.4.1.1.4"
UIDS = {"00100020": "patient", "0020000D": "study", "0020000E": "series", "00080018": "instance"}


@dataclass
class Shelf:
    """Holds two studies of two series of three instances; answers C-GET and C-MOVE by what *takes* says."""

    store_port: int = 0
    takes: Callable[[str, dict[str, str]], bool] = lambda _service, _keys: True
    asked: list[tuple[str, str, dict[str, int]]] = field(default_factory=list)
    status: int = 0
    is_slow: bool = False

    def headers(self, **more: str) -> list[IdentifiedHeader]:
        found = []
        for study in (1, 2):
            for series in (1, 2):
                for instance in (1, 2, 3):
                    texts = {
                        "00100020": "P-1",
                        "0020000D": f"1.2.{study}",
                        "0020000E": f"1.2.{study}.{series}",
                        "00080018": f"1.2.{study}.{series}.{instance}",
                        "00080016": CT_IMAGE_STORAGE,
                        "00201208": "6",
                        "00201209": "3",
                        **more,
                    }
                    elements = {
                        path: Element(path, "UI", (text,) if text else ()) for path, text in texts.items()
                    }
                    found.append(IdentifiedHeader(Level.INSTANCE, elements))
        return found

    def respond(self, conversation: Conversation, message: Message) -> None:
        operation = message.command.operation
        if operation not in {Operation.C_GET_RQ, Operation.C_MOVE_RQ}:
            return
        texts = {path: one.text for path, one in answer(message.content).items()}
        service = message.context.abstract_syntax
        counts = {UIDS[path]: len(text.split("\\")) for path, text in texts.items()}
        self.asked.append((service, "get" if operation == Operation.C_GET_RQ else "move", counts))
        chosen = [
            one.sop_instance_uid
            for one in self.headers()
            if all(one.elements[path].text in text.split("\\") for path, text in texts.items() if text)
        ]
        chosen = chosen if self.takes(service, texts) else []
        if operation == Operation.C_GET_RQ:
            for number, uid in enumerate(chosen, 1):
                self._send(conversation, number, uid, with_pixels=service != GET_WITHOUT_BULK_DATA)
        elif chosen:
            self._move(chosen)
        if self.is_slow:
            return
        response = Command(operation | 0x8000, responds_to=message.command.message_id, status=self.status)
        conversation.send(message.context, response)

    def _send(self, conversation: Conversation, number: int, uid: str, *, with_pixels: bool) -> None:
        dataset = ct(SOPInstanceUID=uid)
        if not with_pixels:
            del dataset.PixelData
        context = conversation.context(CT_IMAGE_STORAGE)
        command = Command(
            Operation.C_STORE_RQ,
            message_id=number,
            priority=0,
            sop_class_uid=CT_IMAGE_STORAGE,
            sop_instance_uid=uid,
        )
        conversation.send(context, command, content_of(dataset, context.transfer_syntax))

    def _move(self, uids: list[str]) -> None:
        with storing(Peer("127.0.0.1", self.store_port, "P2D", "ARCHIVE")) as association:
            for uid in uids:
                assert store(association, uid, content_of(ct(SOPInstanceUID=uid))) == 0


@contextmanager
def archive(
    shelf: Shelf,
    *services: str,
    profile: dict[str, object] | None = None,
    **settings: object,
) -> Iterator[tuple[LeanArchive, Responder]]:
    found = None
    if profile is not None:
        usual = {"get": True, "move": True, "list_length": 100}
        found = ArchiveProfile.model_validate({"archive": "main", "retrieve": {**usual, **profile}})
    accepted = (*services, VERIFICATION, CT_IMAGE_STORAGE) if services else ()
    with Responder(shelf.respond, accepting(*accepted)) as responder:
        stated = {
            "host": "127.0.0.1",
            "port": responder.port,
            "called_ae_title": "ARCHIVE",
            "answer_seconds": 5,
        }
        with LeanArchive(Archive.model_validate({**stated, **settings}), found) as pacs:
            yield pacs, responder


def fetched(pacs: LeanArchive, shelf: Shelf, **more: object) -> tuple[set[str], RetrieveCounts]:
    counts = RetrieveCounts()
    headers = shelf.headers()
    arrived = list(pacs.retrieve(PATIENT, headers, counts, **more))  # type: ignore[arg-type] # pixels
    assert len({one.header.sop_instance_uid for one in arrived}) == len(arrived)
    return {one.header.sop_instance_uid for one in arrived}, counts


ALL = {one.sop_instance_uid for one in Shelf().headers()}
LIST = {"patient": 1, "study": 1, "series": 1, "instance": 3}


@pytest.mark.parametrize(
    ("profile", "asked"),
    [
        (None, [LIST] * 4),
        ({}, [LIST] * 4),
        ({"list_length": 2}, [{**LIST, "instance": 2}, {**LIST, "instance": 1}] * 4),
        ({"lists_need_upper_keys": False}, [{"patient": 1, "instance": 12}]),
        ({"lists_need_upper_keys": False, "list_length": 8},
         [{"patient": 1, "instance": 8}, {"patient": 1, "instance": 4}]),
        ({"series": True}, [{"patient": 1, "study": 1, "series": 1}] * 4),
        ({"study": True, "series": True}, [{"patient": 1, "study": 1}] * 2),
    ],
)  # fmt: skip
def test_requests_name_as_much_as_the_archive_allows(
    profile: dict[str, object] | None, asked: list[dict[str, int]]
) -> None:
    shelf = Shelf()
    with archive(shelf, profile=profile) as (pacs, responder):
        arrived, counts = fetched(pacs, shelf)

    assert arrived == ALL
    assert [one for _, _, one in shelf.asked] == asked
    assert counts.notes == []
    assert len(responder.requests) == 1


@pytest.mark.parametrize(
    ("profile", "notes"),
    [
        ({"lists_need_upper_keys": False}, 1),
        ({"study": True}, 1),
        ({"lists_need_upper_keys": False, "list_length": 12}, 2),
    ],
)
def test_what_wide_requests_leave_out_is_asked_for_more_narrowly_and_told(
    profile: dict[str, object], notes: int
) -> None:
    def takes(_service: str, keys: dict[str, str]) -> bool:
        is_list = "\\" in keys.get("00080018", "")
        return "0020000E" in keys and "00080018" in keys and not (is_list and profile.get("list_length"))

    shelf = Shelf(takes=takes)
    with archive(shelf, profile=profile) as (pacs, _):
        arrived, counts = fetched(pacs, shelf)

    assert arrived == ALL
    assert len(counts.notes) == notes
    assert all("1.2" not in note and "P-1" not in note for note in counts.notes)


@pytest.mark.parametrize("refusal", ["context", "status"])
def test_an_archive_without_c_get_moves_to_our_store_and_is_not_asked_for_it_again(refusal: str) -> None:
    (store_port,) = free_ports(1)
    shelf = Shelf(store_port=store_port)
    services = (*FIND, *MOVE) if refusal == "context" else ()

    def respond(conversation: Conversation, message: Message) -> None:
        if message.command.operation == Operation.C_GET_RQ:
            shelf.asked.append((message.context.abstract_syntax, "get", {}))
            response = Command(Operation.C_GET_RSP, responds_to=message.command.message_id, status=0x0122)
            conversation.send(message.context, response)
            return
        shelf.respond(conversation, message)

    accepted = (*services, VERIFICATION, CT_IMAGE_STORAGE) if services else ()
    with Responder(respond, accepting(*accepted)) as responder:
        settings = Archive.model_validate(
            {
                "host": "127.0.0.1",
                "port": responder.port,
                "called_ae_title": "ARCHIVE",
                "store_port": store_port,
                "answer_seconds": 5,
            }
        )
        with LeanArchive(settings) as pacs:
            both = [fetched(pacs, shelf) for _ in range(2)]

            assert not pacs.abilities().get

    for arrived, counts in both:
        assert arrived == ALL
        assert "C-MOVE" in counts.notes[0]
    assert [kind for _, kind, _ in shelf.asked].count("get") == (1 if refusal == "status" else 0)


def test_without_a_port_for_our_store_it_is_for_the_operator() -> None:
    with archive(Shelf(), *FIND, *MOVE) as (pacs, _), pytest.raises(Misconfigured):
        list(pacs.retrieve(PATIENT, Shelf().headers()))


def test_headers_come_without_bulk_data_where_the_archive_does_so() -> None:
    shelf = Shelf()
    with archive(shelf, profile={"without_bulk_data": True}) as (pacs, responder):
        arrived = list(pacs.retrieve(PATIENT, shelf.headers(), pixels=False))
        whole = list(pacs.retrieve(PATIENT, shelf.headers()))

    assert {one.header.sop_instance_uid for one in arrived} == ALL
    assert all(one.is_cut for one in arrived)
    assert not any(one.is_cut for one in whole)
    assert [service for service, _, _ in shelf.asked] == [GET_WITHOUT_BULK_DATA, *[GET[0]] * 4]
    assert shelf.asked[0][2] == {"instance": 12}
    assert len(responder.requests) == 2


def test_headers_are_cut_on_arrival_where_bulk_data_cannot_be_left_out() -> None:
    shelf = Shelf()
    with archive(shelf, *FIND, *GET, *MOVE, profile={"without_bulk_data": True}) as (pacs, _):
        arrived, counts = fetched(pacs, shelf, pixels=False)
        again, later = fetched(pacs, shelf, pixels=False)

    assert arrived == again == ALL
    assert "without bulk data" in counts.notes[0]
    assert later.notes == []


def test_instances_of_unknown_class_come_by_trying_all_of_them() -> None:
    shelf = Shelf()
    with archive(shelf) as (pacs, responder):
        arrived = list(pacs.retrieve(PATIENT, shelf.headers(**{"00080016": ""})))

    assert {one.header.sop_instance_uid for one in arrived} == ALL
    proposed = [{one.abstract_syntax for one in request.contexts} for request in responder.requests]
    assert CT_IMAGE_STORAGE in proposed[0]
    assert all(len(request.contexts) <= 128 for request in responder.requests)


def test_classes_that_the_probed_patient_had_not_are_tried_too() -> None:
    shelf = Shelf()

    def respond(conversation: Conversation, message: Message) -> None:
        if CT_IMAGE_STORAGE in {one.abstract_syntax for one in conversation.request.contexts}:
            shelf.respond(conversation, message)
            return
        operation = Operation(message.command.operation | 0x8000)
        response = Command(operation, responds_to=message.command.message_id, status=0xB000)
        conversation.send(message.context, response)

    retrieve = {"get": True, "list_length": 100, "sop_classes": [MR]}
    profile = ArchiveProfile.model_validate({"archive": "main", "retrieve": retrieve})
    with Responder(respond) as responder:
        settings = {"host": "127.0.0.1", "port": responder.port, "called_ae_title": "ARCHIVE"}
        with LeanArchive(Archive.model_validate(settings), profile) as pacs:
            arrived = list(pacs.retrieve(PATIENT, shelf.headers(**{"00080016": ""})))

    assert {one.header.sop_instance_uid for one in arrived} == ALL


def test_no_context_offers_a_deflated_or_big_endian_syntax_and_each_compressed_one_stands_alone() -> None:
    shelf = Shelf()
    with archive(shelf) as (pacs, responder):
        fetched(pacs, shelf)
        (request,) = responder.requests

    contexts = [one.transfer_syntaxes for one in request.contexts if one.abstract_syntax == CT_IMAGE_STORAGE]
    syntaxes = [uid for one in contexts for uid in one]
    assert not {"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"} & set(syntaxes)
    assert len(contexts[0]) == 2
    assert all(len(one) == 1 for one in contexts[1:])
    assert {one.sop_class_uid for one in request.user.roles if one.scp} == {CT_IMAGE_STORAGE}


def test_an_association_that_went_stale_is_replaced_once_and_nobody_notices() -> None:
    shelf = Shelf()
    with archive(shelf) as (pacs, responder):
        first, _ = fetched(pacs, shelf)
        responder.drop()
        second, counts = fetched(pacs, shelf)

    assert first == second == ALL
    assert counts.notes == []
    assert len(responder.requests) == 2


def test_a_stop_is_heard_by_the_archive_as_a_cancel_then_as_an_abort() -> None:
    shelf = Shelf(is_slow=True)
    with archive(shelf) as (pacs, responder):
        arriving = pacs.retrieve(PATIENT, shelf.headers())
        for _ in range(3):
            next(arriving)

        pacs.stop()

        until(lambda: Operation.C_CANCEL_RQ in responder.messages and responder.aborts == 1)
        with pytest.raises(Unavailable):
            list(arriving)
        with pytest.raises(Unavailable, match="stopped"):
            pacs.echo()


def test_no_more_associations_are_open_than_allowed() -> None:
    shelf = Shelf(is_slow=True)
    with archive(shelf, associations=1, answer_seconds=0.1) as (pacs, _):
        arriving = pacs.retrieve(PATIENT, shelf.headers())
        next(arriving)
        with pytest.raises(P2DError, match="all 1 associations are in use"):
            pacs.echo()
        arriving.close()  # type: ignore[attr-defined] # a generator


def test_a_stop_ends_a_query_that_another_thread_waits_for() -> None:
    shelf = Shelf()  # it answers no query
    outcomes: list[BaseException] = []
    with archive(shelf, answer_seconds=60) as (pacs, responder):

        def ask() -> None:
            try:
                list(pacs.find(Query(Level.STUDY, PATIENT)))
            except P2DError as error:
                outcomes.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        until(lambda: Operation.C_FIND_RQ in responder.messages)
        started = time.monotonic()
        pacs.stop()
        asking.join()

        assert time.monotonic() - started < 5
        assert Operation.C_CANCEL_RQ in responder.messages
    (error,) = outcomes
    assert isinstance(error, Unavailable)
    assert "stopped" in str(error)


def test_an_association_serves_patients_whose_images_are_of_other_classes() -> None:
    shelf = Shelf()
    with archive(shelf) as (pacs, responder):
        for sop_class_uid in (CT_IMAGE_STORAGE, MR, CT_IMAGE_STORAGE, MR):
            assert len(list(pacs.retrieve(PATIENT, shelf.headers(**{"00080016": sop_class_uid})))) == 12

    assert len(responder.requests) == 2  # the second one proposed both


def test_an_archive_that_takes_no_role_for_c_get_and_brings_nothing_is_asked_to_move() -> None:
    (store_port,) = free_ports(1)
    shelf = Shelf(store_port=store_port, takes=lambda service, _keys: service in MOVE)

    def accept(request: AssociateRequest) -> AssociateAccept | AssociateReject:
        answer = accepting()(request)
        assert isinstance(answer, AssociateAccept)
        return replace(answer, user=replace(answer.user, roles=()))

    with Responder(shelf.respond, accept) as responder:
        stated = {
            "host": "127.0.0.1",
            "port": responder.port,
            "called_ae_title": "ARCHIVE",
            "answer_seconds": 5,
        }
        with LeanArchive(Archive.model_validate({**stated, "store_port": store_port})) as pacs:
            arrived, counts = fetched(pacs, shelf)

    assert arrived == ALL
    assert "C-MOVE" in counts.notes[0]
    assert [kind for _, kind, _ in shelf.asked].count("get") == 1


def test_associations_that_nobody_uses_are_released_after_a_while() -> None:
    shelf = Shelf()
    with Responder(shelf.respond) as responder:
        peer = Peer("127.0.0.1", responder.port, "ARCHIVE", "P2D")
        pool = Pool(lambda proposal: Association(peer, proposal), 2, 5.0, idle_seconds=0.2)
        with pool.lent(ECHO):
            pass
        assert responder.releases == 0

        until(lambda: responder.releases == 1)
        pool.close()


def test_a_profile_that_does_not_hold_is_told_and_the_patient_is_asked_level_by_level() -> None:
    with DimseArchiveServer(three_patients(), peers={}) as server:
        server.faults.ignores_patient = True
        settings = Archive.model_validate(
            {"host": "127.0.0.1", "port": server.port, "called_ae_title": "ARCHIVE", "answer_seconds": 10}
        )
        find = {"relational_series": True, "relational_instance": True}
        profile = ArchiveProfile.model_validate({"archive": "main", "find": find})
        with LeanArchive(settings, profile) as archive:
            query = Query(Level.INSTANCE, PATIENT)
            headers = list(archive.find(query))

    assert {one.patient_id for one in headers} == {"P-1"}
    assert len(headers) == 22
    (note,) = query.notes
    assert note.endswith("asked level by level")
