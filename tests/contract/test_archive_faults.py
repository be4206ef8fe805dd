"""Faults of an archive, one by one, before every connector: no promise broken, nothing foreign let in.

Numbers are those of docs/reference/faults.md.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial

import pytest

from p2d.dimse.command import Command
from p2d.dimse.command import Operation as CommandOperation
from p2d.dimse.identifiers import encoded
from p2d.dimse.messages import Message
from p2d.model.errors import Misconfigured, P2DError, ProtocolViolation, Unavailable
from p2d.model.identified import IdentifiedInstance, PatientId
from p2d.model.level import Level
from p2d.pacs.lean.connector import LeanArchive
from p2d.pacs.port import Pacs, Query, RetrieveCounts
from p2d.pacs.pynetdicom.connector import DimseArchive
from p2d.settings.gateway import Archive
from p2d.testing.datasets import held_ct, three_patients
from p2d.testing.fault_proxy import FaultProxy, Path, until
from p2d.testing.faulty.script import (
    CALLED_AE_UNKNOWN,
    CALLING_AE_UNKNOWN,
    CONGESTED,
    LOCAL_LIMIT,
    Abort,
    Also,
    Behaviour,
    Cap,
    ClaimPdu,
    Damage,
    Damaged,
    DeflateBomb,
    EndlessFragments,
    Fault,
    ForeignRows,
    Giant,
    Hang,
    IgnoreKeys,
    Late,
    LoseRows,
    NoService,
    Omit,
    Operation,
    Pause,
    Reject,
    Reset,
    Restart,
    Status,
    Twice,
    Unsupported,
    When,
    once,
)
from p2d.testing.faulty_archive import FaultyArchive
from p2d.testing.holdings import HeldInstance
from p2d.testing.installation import free_ports
from p2d.testing.pacs_contract import PATIENTS, expected, found
from p2d.testing.responder import Conversation, Responder

FIND, RETRIEVE, ASSOCIATE = Operation.FIND, Operation.RETRIEVE, Operation.ASSOCIATE
P2 = PatientId("P-2")
UIDS_OF_P2 = expected("SOPInstanceUID", "P-2")
STRAY = held_ct(PatientID="P-9", SOPInstanceUID="1.2.3.99")
CONNECTORS: dict[str, Callable[[Archive], AbstractContextManager[Pacs]]] = {
    "lean": LeanArchive,
    "pynetdicom": DimseArchive,
}

Connect = Callable[..., AbstractContextManager[tuple[FaultyArchive, Pacs]]]


@contextmanager
def opened(
    connector: str,
    *script: Fault,
    held: Sequence[HeldInstance] = three_patients().listed,
    proxy: Path | None = None,
    **more: object,
) -> Iterator[tuple[FaultyArchive, Pacs]]:
    """Open a faulty archive and a connector to it, with *proxy* in between."""
    store_port = free_ports(1)[0]
    with (
        FaultyArchive(held, *script, peers={"P2D": ("127.0.0.1", store_port)}) as archive,
        FaultProxy((archive.host, archive.port), to_client=proxy or Path()) as between,
    ):
        settings = {
            "host": archive.host,
            "port": between.port if proxy else archive.port,
            "called_ae_title": archive.ae_title,
            "store_port": store_port,
            "connect_seconds": 1,
            "answer_seconds": 1,
            **more,
        }
        with CONNECTORS[connector](Archive.model_validate(settings)) as pacs:
            yield archive, pacs


@pytest.fixture(params=CONNECTORS)
def connect(request: pytest.FixtureRequest) -> Connect:
    """Return what opens an archive, for each connector."""
    return partial(opened, request.param)


@pytest.fixture(params=["lean-get", "lean-move", "pynetdicom-get"])
def fetch(request: pytest.FixtureRequest) -> Connect:
    """Return what opens an archive, for each way to retrieve; C-MOVE by pynetdicom takes seconds to start."""
    connector, way = request.param.split("-")
    return partial(opened, connector, retrieve=way)


@pytest.fixture(params=["lean-get", "lean-move", "pynetdicom-get", "pynetdicom-move"])
def fetch_all(request: pytest.FixtureRequest) -> Connect:
    """Return what opens an archive, for every way to retrieve."""
    connector, way = request.param.split("-")
    return partial(opened, connector, retrieve=way)


def always(operation: Operation, what: Behaviour, level: str = "") -> Fault:
    return Fault(When(operation, level), what)


def retrieved(
    pacs: Pacs, counts: RetrieveCounts | None = None, *, pixels: bool = True
) -> list[IdentifiedInstance]:
    headers = found(pacs, Level.INSTANCE, "P-2")
    return list(pacs.retrieve(P2, headers, counts, pixels=pixels))


def uids(arrived: Sequence[IdentifiedInstance]) -> list[str]:
    return sorted(one.header.sop_instance_uid for one in arrived)


def _taken(arriving: Iterator[IdentifiedInstance], kept: list[IdentifiedInstance]) -> bool:
    """Add what arrives to *kept*; return whether it ended in Unavailable."""
    try:
        for one in arriving:
            kept.append(one)  # noqa: PERF402 - what came before the error counts
    except Unavailable:
        return True
    return False


# 1-3: no association -----------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "archive.invalid", "archive..invalid"])
def test_an_archive_that_is_not_there_is_unavailable(connect: Connect, host: str) -> None:
    with connect(host=host, port=free_ports(1)[0]) as (_, pacs):
        with pytest.raises(Unavailable):
            pacs.echo()
        with pytest.raises(Unavailable):
            found(pacs, Level.STUDY, "P-1")


@pytest.mark.parametrize("rejection", [CALLED_AE_UNKNOWN, CALLING_AE_UNKNOWN])
def test_a_permanent_rejection_is_for_the_operator_and_is_not_tried_again(
    connect: Connect, rejection: Reject
) -> None:
    with connect(always(ASSOCIATE, rejection)) as (archive, pacs):
        with pytest.raises(Misconfigured, match="register AE title"):
            found(pacs, Level.STUDY, "P-1")

        assert archive.count(ASSOCIATE) == 1


@pytest.mark.parametrize("rejection", [CONGESTED, LOCAL_LIMIT])
def test_a_transient_rejection_is_worth_another_try_by_the_caller(
    connect: Connect, rejection: Reject
) -> None:
    with connect(Fault(once(ASSOCIATE), rejection)) as (archive, pacs):
        with pytest.raises(Unavailable):
            found(pacs, Level.STUDY, "P-1")
        first = archive.count(ASSOCIATE)

        assert len(found(pacs, Level.INSTANCE, "P-1")) == 22
        assert first == 1


def test_an_archive_without_the_service_is_for_the_operator(connect: Connect) -> None:
    with connect(always(ASSOCIATE, NoService())) as (_, pacs), pytest.raises(Misconfigured):
        found(pacs, Level.STUDY, "P-1")


@pytest.mark.parametrize("silence", [Hang(), Abort(), Reset()])
def test_an_association_that_is_not_answered_is_left_in_time(connect: Connect, silence: Behaviour) -> None:
    with connect(always(ASSOCIATE, silence)) as (_, pacs):
        started = time.monotonic()
        with pytest.raises(Unavailable):
            found(pacs, Level.STUDY, "P-1")

    assert time.monotonic() - started < 4


# 4, 5: C-FIND without its end --------------------------------------------------------------------------


@pytest.mark.parametrize("end", [Abort(0), Abort(5), Reset(5), Restart(5), Hang(0), Hang(5), Hang(22)])
@pytest.mark.parametrize("query", ["relational", "hierarchical"])
def test_rows_without_a_final_status_are_no_answer(connect: Connect, end: Behaviour, query: str) -> None:
    """Hang(22) loses the final response alone, after all rows.

    A kept association that ends before any answer may be replaced by another.
    """
    after = getattr(end, "after", 0)
    if query == "hierarchical" and after == 22:
        end = Hang(12)  # the rows of its first series
    taken: list[object] = []

    with connect(Fault(once(FIND, 1, "IMAGE"), end), query=query) as (archive, pacs):
        started = time.monotonic()
        with suppress(Unavailable):
            taken.extend(pacs.find(Query(Level.INSTANCE, PatientId("P-1"))))
        seconds = time.monotonic() - started

        assert len(taken) in ({0, 22} if after == 0 else {0})
        assert seconds < 3
        assert until(lambda: archive.is_listening)
        assert len(found(pacs, Level.INSTANCE, "P-1")) == 22


@pytest.mark.parametrize(
    "path", [Path(reset_after=3000), Path(swallow_after=3000), Path(close_after=3000)], ids=str
)
def test_a_connection_lost_amid_the_answers_is_no_answer(connect: Connect, path: Path) -> None:
    with connect(proxy=path) as (_, pacs), pytest.raises(Unavailable):
        found(pacs, Level.INSTANCE, "P-1")


def test_a_slow_connection_brings_all(connect: Connect) -> None:
    with connect(proxy=Path(delay_seconds=0.02, bytes_per_second=400_000)) as (_, pacs):
        assert len(found(pacs, Level.INSTANCE, "P-1")) == 22


# 6: answers cut short ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0, 0xA700, 0xC001, 0xFE00])
@pytest.mark.parametrize("query", ["prove", "relational"])
def test_instances_cut_short_are_asked_for_series_by_series(
    connect: Connect, status: int, query: str
) -> None:
    with connect(always(FIND, Cap(12, status), "IMAGE"), query=query) as (_, pacs):
        headers = found(pacs, Level.INSTANCE, "P-1")

    assert {one.sop_instance_uid for one in headers} == expected("SOPInstanceUID", "P-1")


@pytest.mark.parametrize("status", [0, 0xA700, 0xFE00])
def test_series_cut_short_are_asked_for_study_by_study(connect: Connect, status: int) -> None:
    with connect(always(FIND, Cap(2, status), "SERIES"), query="relational") as (_, pacs):
        series = found(pacs, Level.SERIES, "P-1")
        headers = found(pacs, Level.INSTANCE, "P-1")

    assert {one.series_instance_uid for one in series} == expected("SeriesInstanceUID", "P-1")
    assert {one.sop_instance_uid for one in headers} == expected("SOPInstanceUID", "P-1")


def _studies(count: int, undated: int = 0) -> list[HeldInstance]:
    return [
        held_ct(
            StudyInstanceUID=f"1.2.{n}",
            SeriesInstanceUID=f"1.2.{n}.1",
            SOPInstanceUID=f"1.2.{n}.1.1",
            StudyDate=f"20{n % 20:02}{n % 12 + 1:02}{n % 28 + 1:02}" if n > undated else "",
        )
        for n in range(1, count + 1)
    ]


@pytest.mark.parametrize(("rows", "status"), [(7, 0xFE00), (9, 0xA700), (50, 0)])
def test_studies_cut_short_are_asked_for_by_their_dates(connect: Connect, rows: int, status: int) -> None:
    """Fifty rows look like a limit, even where the archive does not say so."""
    with connect(always(FIND, Cap(rows, status), "STUDY"), held=_studies(60)) as (_, pacs):
        assert len(found(pacs, Level.STUDY, "P-1")) == 60


def test_exactly_so_many_studies_as_limits_have_are_found_once(connect: Connect) -> None:
    with connect(held=_studies(50)) as (archive, pacs):
        studies = [one.study_instance_uid for one in found(pacs, Level.STUDY, "P-1")]

        assert len(studies) == len(set(studies)) == 50
        assert archive.count(FIND, "STUDY") <= 10


def test_studies_that_no_date_finds_are_told_where_an_answer_was_cut(connect: Connect) -> None:
    script = always(FIND, Cap(7, 0xFE00), "STUDY")

    with connect(script, held=_studies(20, undated=10)) as (_, pacs), pytest.raises(ProtocolViolation):
        found(pacs, Level.STUDY, "P-1")


def test_a_series_that_is_cut_short_and_says_so_is_an_error(connect: Connect) -> None:
    with connect(always(FIND, Cap(5, 0xFE00), "IMAGE")) as (_, pacs), pytest.raises(P2DError, match="0xFE00"):
        found(pacs, Level.INSTANCE, "P-1")


def test_a_series_cut_short_in_silence_shows_by_its_count(connect: Connect) -> None:
    with connect(always(FIND, Cap(5), "IMAGE")) as (_, pacs):
        headers = found(pacs, Level.INSTANCE, "P-1")

    stated = {one.series_instance_uid: one.elements["00201209"].text for one in headers}
    assert sorted(stated.values()) == ["1", "12", "9"]
    assert len(headers) == 11


def test_a_row_that_got_lost_is_asked_for_again(connect: Connect) -> None:
    """Success over a row short, once, whatever lost it."""
    with connect(Fault(once(FIND, 1, "IMAGE"), LoseRows()), query="relational") as (_, pacs):
        assert len(found(pacs, Level.INSTANCE, "P-1")) == 22


# 7, 8: rows that are not as asked ----------------------------------------------------------------------


def test_a_warning_that_keys_are_not_supported_is_an_answer_without_them(connect: Connect) -> None:
    with connect(always(FIND, Unsupported(("NumberOfSeriesRelatedInstances", "BodyPartExamined")))) as (
        _,
        pacs,
    ):
        headers = found(pacs, Level.INSTANCE, "P-1")

    assert len(headers) == 22
    assert not {"00201209", "00180015"} & headers[0].elements.keys()


@pytest.mark.parametrize("what", [ForeignRows(1), IgnoreKeys(("PatientID",))])
@pytest.mark.parametrize("level", [Level.STUDY, Level.INSTANCE])
def test_rows_of_others_are_a_violation_that_names_nobody(
    connect: Connect, what: Behaviour, level: Level
) -> None:
    word = "IMAGE" if level is Level.INSTANCE else "STUDY"
    with connect(always(FIND, what, word), query="relational") as (_, pacs):
        with pytest.raises(ProtocolViolation) as caught:
            found(pacs, level, "P-1")

        assert not any(patient in str(caught.value) for patient in PATIENTS)


def test_an_archive_that_ignores_the_patient_below_study_level_is_asked_level_by_level(
    connect: Connect,
) -> None:
    with connect(always(FIND, IgnoreKeys(only_relational=True))) as (_, pacs):
        headers = found(pacs, Level.INSTANCE, "P-1")

        assert {one.sop_instance_uid for one in headers} == expected("SOPInstanceUID", "P-1")
        assert not pacs.abilities().relational


# 11-15: C-GET and C-MOVE that do not bring what they say ------------------------------------------------


def test_an_unknown_destination_is_for_the_operator(connect: Connect) -> None:
    with connect(retrieve="move") as (archive, pacs):
        archive.peers.clear()
        with pytest.raises(Misconfigured, match="destination"):
            retrieved(pacs)


def test_success_without_an_object_is_a_gap(fetch: Connect) -> None:
    with fetch(always(RETRIEVE, Omit())) as (archive, pacs):
        some = found(pacs, Level.INSTANCE, "P-2")[:3]
        assert list(pacs.retrieve(P2, some)) == []
        assert archive.count(RETRIEVE) == 1 + len(some)  # in a list, then each once by itself


@pytest.mark.parametrize("claimed", [True, False])
def test_what_a_list_left_out_is_asked_for_by_itself(fetch: Connect, claimed: bool) -> None:
    omit = Omit(2, claimed=claimed, in_lists=True)

    with fetch(always(RETRIEVE, omit)) as (archive, pacs):
        assert uids(retrieved(pacs)) == sorted(UIDS_OF_P2)
        assert archive.count(RETRIEVE) == 2 + 4


@pytest.mark.parametrize("status", [0xB000, 0xA702, 0xC002, 0xFE00])
def test_a_status_neither_proves_nor_spoils_what_arrived(fetch: Connect, status: int) -> None:
    with fetch(always(RETRIEVE, Status(status))) as (_, pacs):
        assert uids(retrieved(pacs)) == sorted(UIDS_OF_P2)


def test_objects_after_the_final_response_are_taken_within_a_grace_period(fetch_all: Connect) -> None:
    with fetch_all(always(RETRIEVE, Late(2, seconds=0.1)), answer_seconds=5) as (archive, pacs):
        assert uids(retrieved(pacs)) == sorted(UIDS_OF_P2)
        assert archive.count(RETRIEVE) == 2  # nothing had to be asked for again


def test_objects_after_the_grace_period_are_not_taken(fetch: Connect) -> None:
    """They are asked for again, by themselves; the late ones are refused or repeated."""
    script = Fault(once(RETRIEVE), Late(1, seconds=1.5))

    with fetch(script, answer_seconds=4) as (_, pacs):
        assert uids(retrieved(pacs)) == sorted(UIDS_OF_P2)


def test_a_retrieve_that_stalls_is_left_and_what_came_is_kept(fetch: Connect) -> None:
    kept: list[IdentifiedInstance] = []

    with fetch(always(RETRIEVE, Pause(2, after=2))) as (archive, pacs):
        headers = found(pacs, Level.INSTANCE, "P-2")
        started = time.monotonic()
        assert _taken(pacs.retrieve(P2, headers), kept)

        assert len(kept) == 2
        assert time.monotonic() - started < 4
        assert until(lambda: archive.open_connections <= 1)  # that of the queries is kept


@pytest.mark.parametrize("end", [Abort(2), Reset(2), Restart(2), Hang(2)])
def test_a_retrieve_that_is_cut_off_is_an_error_after_what_came(fetch: Connect, end: Behaviour) -> None:
    kept: list[IdentifiedInstance] = []

    with fetch(Fault(once(RETRIEVE), end)) as (archive, pacs):
        headers = found(pacs, Level.INSTANCE, "P-2")
        assert _taken(pacs.retrieve(P2, headers), kept)

        assert len(kept) == 2
        assert until(lambda: archive.is_listening)
        assert uids(list(pacs.retrieve(P2, headers))) == sorted(UIDS_OF_P2)


# 16-20: objects ----------------------------------------------------------------------------------------


def test_half_an_object_is_none(fetch: Connect) -> None:
    kept: list[IdentifiedInstance] = []

    with fetch(Fault(once(RETRIEVE), Abort(1, amid=True))) as (_, pacs):
        assert _taken(pacs.retrieve(P2, found(pacs, Level.INSTANCE, "P-2")), kept)
        assert len(kept) == 1


@pytest.mark.parametrize("changed", [False, True])
def test_an_instance_that_comes_twice_is_taken_once(fetch_all: Connect, changed: bool) -> None:
    counts = RetrieveCounts()

    with fetch_all(always(RETRIEVE, Twice(changed=changed)), answer_seconds=5) as (_, pacs):
        arrived = retrieved(pacs, counts)

    assert uids(arrived) == sorted(UIDS_OF_P2)
    assert counts.duplicates == len(UIDS_OF_P2)
    assert not any(b"changed since" in bytes(one.content) for one in arrived)
    assert [("18 instance" in note and "content" in note) for note in counts.notes] == [True] * changed


def test_what_nobody_asked_for_is_refused(fetch_all: Connect) -> None:
    other = next(one for one in three_patients().listed if one["PatientID"] == "P-1")
    counts = RetrieveCounts()

    with fetch_all(always(RETRIEVE, Also((STRAY, other))), answer_seconds=5) as (archive, pacs):
        assert uids(retrieved(pacs, counts)) == sorted(UIDS_OF_P2)
        refusals = [status for status in archive.statuses if status != 0]

    assert counts.refused == len(refusals) == 4  # both, after each of two series


BROKEN = (
    Damage.TRUNCATED, Damage.WRONG_SYNTAX, Damage.BAD_VR, Damage.UNDEFINED_LENGTH, Damage.DEEP_SEQUENCE,
    Damage.CHARACTER_SET, Damage.NOISE, Damage.OTHER_PATIENT, Damage.OTHER_STUDY, Damage.NO_PATIENT,
)  # fmt: skip


@pytest.mark.parametrize("pixels", [True, False])
@pytest.mark.parametrize("how", BROKEN)
def test_a_damaged_object_stops_no_other(connect: Connect, how: Damage, pixels: bool) -> None:
    """It is refused, or arrives for de-identification to withhold; it is not asked for without end."""
    counts = RetrieveCounts()

    with connect(always(RETRIEVE, Damaged(how)), retrieve="get") as (archive, pacs):
        arrived = retrieved(pacs, counts, pixels=pixels)

        assert len(arrived) == 18 or counts.refused or counts.notes
        assert archive.count(RETRIEVE) <= 4
        assert len(set(uids(arrived))) == len(arrived) >= 16


def test_an_object_that_names_another_instance_is_refused(fetch_all: Connect) -> None:
    counts = RetrieveCounts()
    script = Fault(When(RETRIEVE, last=2), Damaged(Damage.OTHER_UID))  # the lists; then they come as they are

    with fetch_all(script, answer_seconds=5) as (archive, pacs):
        assert uids(retrieved(pacs, counts)) == sorted(UIDS_OF_P2)
        assert counts.refused == 2
        assert archive.statuses.count(0xA900) == 2


# 22: sizes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("excess", [ClaimPdu(), EndlessFragments(1 << 25)])
def test_an_answer_without_measure_ends_the_association(connect: Connect, excess: Behaviour) -> None:
    with connect(Fault(once(FIND), excess), answer_seconds=5) as (archive, pacs):
        with pytest.raises((Unavailable, ProtocolViolation)):
            found(pacs, Level.STUDY, "P-1")

        assert until(lambda: archive.open_connections == 0)
        assert len(found(pacs, Level.INSTANCE, "P-1")) == 22


def test_an_object_with_a_pdu_beyond_what_was_offered_ends_the_association(fetch: Connect) -> None:
    with fetch(Fault(once(RETRIEVE), ClaimPdu()), answer_seconds=5) as (archive, pacs):
        headers = found(pacs, Level.INSTANCE, "P-2")
        with suppress(Unavailable, ProtocolViolation):  # by C-MOVE it is another association than ours
            list(pacs.retrieve(P2, headers))

        assert uids(list(pacs.retrieve(P2, headers))) == sorted(UIDS_OF_P2)
        assert archive.count(RETRIEVE) >= 2


@pytest.mark.parametrize("pixels", [True, False])
def test_a_giant_object_is_taken_or_cut_as_it_comes(fetch: Connect, pixels: bool) -> None:
    size = 24 << 20

    with fetch(Fault(once(RETRIEVE), Giant(size)), answer_seconds=10) as (_, pacs):
        header = found(pacs, Level.INSTANCE, "P-2")[0]
        (arrived,) = pacs.retrieve(P2, [header], pixels=pixels)

        length = len(arrived.content) - arrived.offset
        assert (length < 1 << 16) if arrived.is_cut else (size < length < size + (1 << 16))
        assert not (pixels and arrived.is_cut)


def test_deflated_objects_are_not_taken(fetch: Connect) -> None:
    """One of a megabyte may inflate to a gigabyte."""
    with fetch(always(RETRIEVE, DeflateBomb(1 << 20))) as (_, pacs):
        arrived = retrieved(pacs)

        assert all(one.transfer_syntax_uid != "1.2.840.10008.1.2.1.99" for one in arrived)
        assert all(len(one.content) < 1 << 16 for one in arrived)


@pytest.mark.parametrize("connector", CONNECTORS)
def test_rows_without_end_do_not_buy_a_query_time(connector: str) -> None:
    def respond(conversation: Conversation, message: Message) -> None:
        row = encoded("STUDY", {"00100020": "P-2", "0020000D": "1.2.3"})
        pending = Command(
            CommandOperation.C_FIND_RSP,
            responds_to=message.command.message_id,
            status=0xFF00,
            sop_class_uid=message.context.abstract_syntax,
        )
        with suppress(P2DError):  # until the association is aborted
            while True:
                conversation.send(message.context, pending, row)
                threading.Event().wait(0.01)

    with Responder(respond) as responder:
        settings = {
            "host": "127.0.0.1",
            "port": responder.port,
            "called_ae_title": "ARCHIVE",
            "answer_seconds": 20,
            "request_seconds": 0.5,
            "query": "hierarchical",
        }
        with (
            CONNECTORS[connector](Archive.model_validate(settings)) as pacs,
            pytest.raises(Unavailable, match="no final response"),
        ):
            list(pacs.find(Query(Level.STUDY, P2)))
