"""A probe against archives whose ways are known: what it finds is what they do, and it costs what it says."""

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from pynetdicom.service_class import QueryRetrieveServiceClass

from p2d.dimse.command import Command, Operation
from p2d.dimse.messages import Message
from p2d.dimse.negotiation import Peer
from p2d.dimse.services import FIND
from p2d.model.errors import InvalidRequest, Misconfigured
from p2d.model.identified import PatientId
from p2d.model.level import Level
from p2d.pacs.dicomweb.connector import DicomWebArchive
from p2d.pacs.lean.connector import LeanArchive, store_scp
from p2d.pacs.lists import LIST_LENGTH
from p2d.pacs.port import Query
from p2d.pacs.probe.asking import Asking, Bill, query_proposal
from p2d.pacs.probe.document import as_toml, write
from p2d.pacs.probe.known import Known
from p2d.pacs.probe.moving import Mover
from p2d.pacs.probe.probe import Effort, Probe, Probed
from p2d.pacs.probe.web import WebProbe
from p2d.settings.archive_profile import ArchiveProfile, Web
from p2d.settings.file import read_settings
from p2d.settings.gateway import Archive, WebArchive
from p2d.testing.archive import DimseArchiveServer
from p2d.testing.datasets import three_patients
from p2d.testing.dicomweb_server import DicomWebServer
from p2d.testing.hospital import generate
from p2d.testing.installation import free_ports
from p2d.testing.responder import Conversation, Responder

PATIENTS = [PatientId("P-9"), PatientId("P-1"), PatientId("P-2")]


@pytest.fixture
def store_port() -> int:
    return free_ports(1)[0]


@pytest.fixture
def server(store_port: int) -> Iterator[DimseArchiveServer]:
    with DimseArchiveServer(three_patients(), peers={"P2D": ("127.0.0.1", store_port)}) as archive:
        yield archive


def probe(server: DimseArchiveServer, effort: Effort = Effort()) -> Probed:  # noqa: B008 - frozen
    peer = Peer("127.0.0.1", server.port, "ARCHIVE", "P2D", answer_seconds=5)
    return Probe("main", peer, effort=effort).run(PATIENTS)


def test_a_capable_archive_is_described_as_one(server: DimseArchiveServer) -> None:
    profile = probe(server).profile

    assert (profile.find.relational_series, profile.find.relational_instance) == (True, True)
    assert profile.retrieve.get
    assert profile.retrieve.list_length == LIST_LENGTH  # 12 were tried, and no list failed
    assert (profile.retrieve.series, profile.retrieve.study) == (True, True)
    assert not profile.retrieve.move
    assert profile.measured.associations == 4
    assert profile.measured.find_seconds is not None
    assert set(profile.measured.finds_per_second) == {"1", "2", "4"}


def test_lists_that_leave_something_out_bound_the_length_of_lists(server: DimseArchiveServer) -> None:
    server.faults.skips_in_lists = frozenset(one["SOPInstanceUID"] for one in three_patients().listed)

    retrieve = probe(server).profile.retrieve

    assert (retrieve.get, retrieve.list_length) == (True, 1)


def test_an_archive_that_ignores_the_patient_is_not_called_relational(server: DimseArchiveServer) -> None:
    server.faults.ignores_patient = True

    probed = probe(server)

    assert not probed.profile.find.relational_instance
    assert any("rows of other patients" in remark for remark in probed.remarks)
    assert not any(one.value in remark for remark in probed.remarks for one in PATIENTS)


def test_c_move_is_tried_where_a_port_is_ours(server: DimseArchiveServer, store_port: int) -> None:
    settings = Archive.model_validate(
        {"host": "127.0.0.1", "port": server.port, "called_ae_title": "ARCHIVE", "store_port": store_port}
    )
    peer = Peer("127.0.0.1", server.port, "ARCHIVE", "P2D", answer_seconds=5)

    def mover(known: Known, bill: Bill) -> Mover:
        del known
        return Mover(peer, bill, lambda: store_scp(settings, None))

    probed = Probe("main", peer, mover, Effort(images=60, associations=1)).run(PATIENTS)

    assert (probed.profile.retrieve.get, probed.profile.retrieve.move) == (True, True)
    assert any("C-MOVE: lists of up to" in remark for remark in probed.remarks)
    socket.create_server(("127.0.0.1", store_port)).close()


def test_objects_with_nested_and_private_elements_are_probed_too() -> None:
    hospital = generate(3, 1, 30)
    with DimseArchiveServer(hospital, peers={}) as server:
        peer = Peer("127.0.0.1", server.port, "ARCHIVE", "P2D", answer_seconds=5)
        effort = Effort(images=40, associations=1)
        patients = [PatientId(one.patient_id) for one in hospital.patients]
        probed = Probe("main", peer, effort=effort).run(patients)

    assert probed.profile.retrieve.get
    assert any("attributes of a whole header" in remark for remark in probed.remarks)


def test_what_it_cost_is_counted(server: DimseArchiveServer) -> None:
    bill = probe(server).bill

    assert bill.images <= 2 * Effort().images
    assert (bill.queries > 10, bill.associations > 4, bill.octets > 0) == (True, True, True)


def test_an_effort_bounds_images_and_associations(server: DimseArchiveServer) -> None:
    probed = probe(server, Effort(images=3, associations=1))

    assert probed.profile.measured.associations == 1
    assert any("lists of up to 1 tried" in remark for remark in probed.remarks)
    assert probed.profile.retrieve.list_length == 1


def test_the_file_reads_back_as_the_profile_and_is_replaced_whole(
    server: DimseArchiveServer, tmp_path: Path
) -> None:
    probed = probe(server)
    path = tmp_path / "main.profile.toml"
    write(probed, path)
    write(probed, path)

    assert read_settings(path, ArchiveProfile) == probed.profile
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    assert not any(one.value in as_toml(probed) for one in PATIENTS)


def test_patients_without_images_or_with_too_many_end_the_probe(server: DimseArchiveServer) -> None:
    peer = Peer("127.0.0.1", server.port, "ARCHIVE", "P2D", answer_seconds=5)

    with pytest.raises(InvalidRequest, match="names no patient"):
        Probe("main", peer).run([PatientId("P-9")])
    with pytest.raises(InvalidRequest, match="names no patient"):
        Probe("main", peer, effort=Effort(patient_images=2)).run([PatientId("P-1")])


@pytest.mark.parametrize(
    ("said", "kept"),
    [("ISO_IR 100", {"ISO_IR 100"}), ("\\ISO 2022 IR 87", {"\\ISO 2022 IR 87"}), ("DOE^JANE", set())],
)
def test_no_word_of_an_archive_but_a_defined_term_is_kept_as_a_character_set(
    said: str, kept: set[str]
) -> None:
    value = said.encode().ljust(len(said) + len(said) % 2)
    row = struct.pack("<HHI", 0x0008, 0x0005, len(value)) + value

    def respond(conversation: Conversation, message: Message) -> None:
        for status, content in ((0xFF00, row), (0, b"")):
            command = Command(Operation.C_FIND_RSP, responds_to=message.command.message_id, status=status)
            conversation.send(message.context, command, content)

    with Responder(respond) as responder:
        asking = Asking(
            Peer("127.0.0.1", responder.port, "ARCHIVE", "P2D"), query_proposal(relational=False), Bill()
        )
        answer = asking.find(FIND[1], "STUDY", {"0020000D": ""}, 10)
        asking.close()

    assert answer.character_sets == kept


def test_a_folder_that_cannot_be_written_is_said(server: DimseArchiveServer) -> None:
    with pytest.raises(Misconfigured, match="cannot be written"):
        write(probe(server), Path("/proc/main.profile.toml"))


@pytest.fixture
def web() -> Iterator[DicomWebServer]:
    with DicomWebServer(three_patients()) as server:
        yield server


def web_probe(server: DicomWebServer) -> WebProbe:
    settings = WebArchive.model_validate({"connector": "dicomweb", "url": server.url})
    return WebProbe("main", lambda: DicomWebArchive(settings))


def test_a_web_archive_is_probed_for_headers_alone_and_whole_objects(web: DicomWebServer) -> None:
    probed = web_probe(web).run(PATIENTS)

    assert probed.profile.web == Web(qido=True, wado_metadata=True, wado=True)
    assert (probed.bill.images, probed.bill.retrieves) == (2 * 22, 2)
    assert probed.profile.measured.find_seconds is not None
    assert not any(one.value in as_toml(probed) for one in PATIENTS)


def test_a_web_archive_without_metadata_is_described_as_one(web: DicomWebServer) -> None:
    web.faults.has_metadata = False

    probed = web_probe(web).run(PATIENTS)

    assert probed.profile.web == Web(qido=True, wado_metadata=False, wado=True)


def test_a_web_archive_without_the_patients_ends_the_probe(web: DicomWebServer) -> None:
    with pytest.raises(InvalidRequest, match="names no patient"):
        web_probe(web).run([PatientId("P-9")])


@pytest.mark.parametrize("keeps", [False, True])
def test_retrieval_without_bulk_data_is_used_where_an_archive_has_it_and_does_it(
    monkeypatch: pytest.MonkeyPatch, *, keeps: bool
) -> None:
    if keeps:
        monkeypatch.setattr(QueryRetrieveServiceClass, "_BULK_DATA_KEYWORDS", [])  # what it takes out itself
    hospital = generate(3, 1, 30)
    patients = [PatientId(one.patient_id) for one in hospital.patients]
    with DimseArchiveServer(hospital, without_bulk_data=True) as server:
        peer = Peer("127.0.0.1", server.port, "ARCHIVE", "P2D", answer_seconds=5)
        profile = Probe("main", peer, effort=Effort(images=40, associations=1)).run(patients).profile
        settings = {"host": "127.0.0.1", "port": server.port, "called_ae_title": "ARCHIVE"}
        with LeanArchive(Archive.model_validate(settings), profile) as pacs:
            headers = list(pacs.find(Query(Level.INSTANCE, patients[0])))
            arrived = list(pacs.retrieve(patients[0], headers, pixels=False))

    assert profile.retrieve.without_bulk_data is not keeps
    assert {one.header.sop_instance_uid for one in arrived} == {one.sop_instance_uid for one in headers}
    assert not any(b"\xe0\x7f\x10\x00" in bytes(one.content) for one in arrived)  # Pixel Data
