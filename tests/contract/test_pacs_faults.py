"""An archive that misbehaves: nothing is taken as whole, and nothing foreign is let in."""

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from pydicom.uid import RLELossless

from p2d.model.errors import InvalidRequest, Misconfigured, ProtocolViolation, Unavailable
from p2d.model.identified import PatientId
from p2d.model.level import Level
from p2d.pacs.lean.connector import LeanArchive
from p2d.pacs.port import Pacs, Query, RetrieveCounts
from p2d.pacs.pynetdicom.connector import DimseArchive
from p2d.settings.gateway import Archive
from p2d.testing.archive import DimseArchiveServer, held
from p2d.testing.datasets import ct, held_ct, three_patients
from p2d.testing.holdings import ListedHoldings
from p2d.testing.installation import free_ports
from p2d.testing.pacs_contract import PATIENTS, expected, found

STRAY = held_ct(PatientID="P-9", SOPInstanceUID="1.2.3.99")


@pytest.fixture
def store_port() -> int:
    return free_ports(1)[0]


@pytest.fixture
def server(store_port: int) -> Iterator[DimseArchiveServer]:
    peers = {"P2D": ("127.0.0.1", store_port)}
    with DimseArchiveServer(three_patients(), peers=peers, callers=["P2D"]) as archive:
        yield archive


Connected = Callable[..., DimseArchive | LeanArchive]


@pytest.fixture(params=[LeanArchive, DimseArchive], ids=["lean", "pynetdicom"])
def connector(request: pytest.FixtureRequest) -> type[DimseArchive | LeanArchive]:
    kind: type[DimseArchive | LeanArchive] = request.param
    return kind


@pytest.fixture
def connected(
    connector: type[DimseArchive | LeanArchive], server: DimseArchiveServer, store_port: int
) -> Connected:
    return partial(_connected, connector, server, store_port)


def _connected(
    connector: type[DimseArchive | LeanArchive],
    server: DimseArchiveServer,
    store_port: int,
    **settings: object,
) -> DimseArchive | LeanArchive:
    return connector(
        Archive.model_validate(
            {
                "host": "127.0.0.1",
                "port": server.port,
                "called_ae_title": "ARCHIVE",
                "store_port": store_port,
                "connect_seconds": 2,
                "answer_seconds": 2,
                **settings,
            }
        )
    )


@pytest.fixture
def pacs(connected: Connected) -> Iterator[Pacs]:
    with connected() as archive:
        yield archive


@pytest.mark.parametrize("after", [0, 1, 5])
def test_an_abort_amid_the_answers_is_no_answer(server: DimseArchiveServer, pacs: Pacs, after: int) -> None:
    server.faults.abort_after = after
    taken: list[object] = []

    with pytest.raises(Unavailable, match="before its final answer"):
        taken.extend(pacs.find(Query(Level.STUDY, PatientId("P-1"))))

    assert taken == []


def test_the_archive_is_asked_again_after_an_abort(server: DimseArchiveServer, pacs: Pacs) -> None:
    server.faults.abort_after = 1
    with pytest.raises(Unavailable):
        found(pacs, Level.INSTANCE, "P-1")
    server.faults.abort_after = None

    headers = found(pacs, Level.INSTANCE, "P-1")

    assert {one.sop_instance_uid for one in headers} == expected("SOPInstanceUID", "P-1")


def test_an_archive_that_hangs_is_left_in_time(server: DimseArchiveServer, pacs: Pacs) -> None:
    server.faults.hangs = True
    started = time.monotonic()

    with pytest.raises(Unavailable, match="no answer in time"):
        found(pacs, Level.STUDY, "P-1")

    assert time.monotonic() - started < 4


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (0xA700, Unavailable),
        (0xC001, Unavailable),
        (0xFE00, ProtocolViolation),
        (0xA900, ProtocolViolation),
    ],
)
def test_a_final_status_other_than_success_is_an_error(
    server: DimseArchiveServer, pacs: Pacs, status: int, error: type[Exception]
) -> None:
    server.faults.final_status = status

    with pytest.raises(error, match=f"0x{status:04X}"):
        found(pacs, Level.STUDY, "P-1")


def test_answers_without_end_are_a_violation(pacs: Pacs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2d.pacs.pynetdicom.find.MOST_ROWS", 5)
    monkeypatch.setattr("p2d.dimse.association.MOST_ROWS", 5)

    with pytest.raises(ProtocolViolation, match="more than 5 rows"):
        found(pacs, Level.INSTANCE, "P-2")


def test_answers_of_any_length_are_a_violation(pacs: Pacs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2d.pacs.pynetdicom.find.MOST_ROW_BYTES", 1000)
    monkeypatch.setattr("p2d.dimse.association.MOST_ROW_BYTES", 1000)

    with pytest.raises(ProtocolViolation, match="MiB"):
        found(pacs, Level.INSTANCE, "P-2")


@pytest.mark.parametrize("level", list(Level))
def test_rows_of_other_patients_are_a_violation_that_names_none(
    server: DimseArchiveServer, pacs: Pacs, level: Level
) -> None:
    server.faults.adds_foreign_rows = True

    with pytest.raises(ProtocolViolation, match=r"row\(s\) of another patient") as caught:
        found(pacs, level, "P-1")

    assert not any(patient in str(caught.value) for patient in PATIENTS)


def test_an_archive_that_ignores_the_patient_is_asked_level_by_level(
    server: DimseArchiveServer, pacs: Pacs
) -> None:
    server.faults.ignores_patient = True

    headers = found(pacs, Level.INSTANCE, "P-1")

    assert {one.sop_instance_uid for one in headers} == expected("SOPInstanceUID", "P-1")
    assert not pacs.abilities().relational


def test_relational_by_settings_still_refuses_foreign_rows(
    server: DimseArchiveServer, connected: Connected
) -> None:
    server.faults.ignores_patient = True

    with connected(query="relational") as pacs, pytest.raises(ProtocolViolation):
        found(pacs, Level.INSTANCE, "P-1")


@pytest.mark.parametrize("setting", ["calling_ae_title", "called_ae_title"])
def test_an_unknown_ae_title_is_for_the_operator(
    server: DimseArchiveServer, connected: Connected, setting: str
) -> None:
    with connected(**{setting: "STRANGER"}) as pacs:
        with pytest.raises(Misconfigured, match="register AE title"):
            pacs.echo()
        with pytest.raises(Misconfigured):
            found(pacs, Level.STUDY, "P-1")


def test_a_dead_port_is_unavailable(server: DimseArchiveServer, connected: Connected) -> None:
    with connected(port=free_ports(1)[0]) as pacs, pytest.raises(Unavailable):
        pacs.echo()


def test_a_wildcard_never_reaches_the_archive(server: DimseArchiveServer, pacs: Pacs) -> None:
    with pytest.raises(InvalidRequest):
        pacs.find(Query(Level.STUDY, PatientId("P-*")))

    assert server.queries == 0


@pytest.mark.parametrize("retrieve", ["get", "move"])
def test_objects_nobody_asked_for_are_refused_and_repeated_ones_counted(
    server: DimseArchiveServer, connected: Connected, retrieve: str
) -> None:
    server.faults.sends_also = (STRAY,)
    server.faults.sends_twice = True
    counts = RetrieveCounts()

    with connected(retrieve=retrieve) as pacs:
        headers = found(pacs, Level.INSTANCE, "P-2")
        arrived = [one.header.sop_instance_uid for one in pacs.retrieve(PatientId("P-2"), headers, counts)]

    assert sorted(arrived) == sorted(expected("SOPInstanceUID", "P-2"))
    assert counts.duplicates == 18
    assert counts.refused == 2  # once for each series


@pytest.mark.parametrize("retrieve", ["get", "move"])
def test_success_without_objects_is_a_gap(
    server: DimseArchiveServer, connected: Connected, retrieve: str
) -> None:
    server.faults.sends_nothing = True

    with connected(retrieve=retrieve) as pacs:
        arrived = list(pacs.retrieve(PatientId("P-2"), found(pacs, Level.INSTANCE, "P-2")[:3]))

    assert arrived == []


@pytest.mark.parametrize("retrieve", ["get", "move"])
def test_what_a_list_left_out_is_asked_for_alone(
    server: DimseArchiveServer, connected: Connected, retrieve: str
) -> None:
    with connected(retrieve=retrieve) as pacs:
        headers = found(pacs, Level.INSTANCE, "P-2")
        server.faults.skips_in_lists = frozenset(one.sop_instance_uid for one in headers[:2])

        arrived = list(pacs.retrieve(PatientId("P-2"), headers))

    assert len(arrived) == len(headers)


def test_an_unknown_destination_is_for_the_operator(server: DimseArchiveServer, connected: Connected) -> None:
    server.peers.clear()

    with connected(retrieve="move") as pacs:
        headers = found(pacs, Level.INSTANCE, "P-2")
        with pytest.raises(Misconfigured, match="destination"):
            list(pacs.retrieve(PatientId("P-2"), headers))


def test_our_store_is_shut_when_nothing_is_retrieved(
    server: DimseArchiveServer, connected: Connected
) -> None:
    with connected(retrieve="move") as pacs:
        headers = found(pacs, Level.INSTANCE, "P-2")
        list(pacs.retrieve(PatientId("P-2"), headers[:1]))
        again = list(pacs.retrieve(PatientId("P-2"), headers[:1]))
        count = threading.active_count()

    assert len(again) == 1
    assert count < 12


def _spin(until: float) -> None:
    while time.monotonic() < until:
        pass


def test_no_row_is_lost_under_load(server: DimseArchiveServer, connected: Connected) -> None:
    series = next(
        one for one in three_patients().listed if one["PatientID"] == "P-2" and one["Modality"] == "CT"
    )
    query = Query(
        Level.INSTANCE,
        PatientId("P-2"),
        study_instance_uid=series["StudyInstanceUID"],
        series_instance_uid=series["SeriesInstanceUID"],
    )
    context = multiprocessing.get_context("spawn")
    busy = [context.Process(target=_spin, args=(time.monotonic() + 8,), daemon=True) for _ in range(2)]
    for process in busy:
        process.start()

    try:
        with connected(query="hierarchical", answer_seconds=10) as pacs:
            rows = [len(list(pacs.find(query))) for _ in range(100)]  # 300 C-FINDs
    finally:
        for process in busy:
            process.kill()
            process.join()

    assert rows == [8] * 100


def test_threads_share_one_archive(server: DimseArchiveServer, pacs: Pacs) -> None:
    found(pacs, Level.INSTANCE, "P-1")
    answers: dict[str, set[str]] = {}

    def ask(patient: str) -> None:
        for _ in range(5):
            answers[patient] = {one.sop_instance_uid for one in found(pacs, Level.INSTANCE, patient)}

    threads = [threading.Thread(target=ask, args=(patient,)) for patient in PATIENTS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == {patient: expected("SOPInstanceUID", patient) for patient in PATIENTS}


@pytest.mark.parametrize("retrieve", ["get", "move"])
def test_retrieves_run_side_by_side_and_each_gets_its_own(connected: Connected, retrieve: str) -> None:
    arrived: dict[int, list[str]] = {}
    patients = [*PATIENTS, *PATIENTS]  # each patient twice at a time: their objects are awaited twice

    with connected(retrieve=retrieve, answer_seconds=20) as pacs:
        headers = {patient: found(pacs, Level.INSTANCE, patient) for patient in PATIENTS}

        def fetch(number: int) -> None:
            patient = patients[number]
            some = pacs.retrieve(PatientId(patient), headers[patient])
            arrived[number] = sorted(one.header.sop_instance_uid for one in some)

        threads = [threading.Thread(target=fetch, args=(number,)) for number in range(len(patients))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert arrived == {
        number: sorted(expected("SOPInstanceUID", patient)) for number, patient in enumerate(patients)
    }


@pytest.mark.parametrize("retrieve", ["get", "move"])
def test_compressed_pixels_arrive_as_they_are_stored(
    connector: type[DimseArchive | LeanArchive], store_port: int, retrieve: str
) -> None:
    compressed = ct()
    compressed.compress(RLELossless, generate_instance_uid=False)
    holdings = ListedHoldings((held(compressed),))
    peers = {"P2D": ("127.0.0.1", store_port)}

    with (
        DimseArchiveServer(holdings, peers=peers) as server,
        _connected(connector, server, store_port, retrieve=retrieve) as pacs,
    ):
        (arrived,) = pacs.retrieve(PatientId("P-1"), found(pacs, Level.INSTANCE, "P-1"))

    assert arrived.transfer_syntax_uid == RLELossless
