"""DICOMweb archives that misbehave: what is short, foreign or cut off is never taken as whole."""

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2d.model.errors import Misconfigured, ProtocolViolation, Unavailable
from p2d.model.identified import IdentifiedHeader, PatientId
from p2d.model.level import Level
from p2d.pacs.dicomweb import search
from p2d.pacs.dicomweb.connector import DicomWebArchive
from p2d.pacs.port import Query, RetrieveCounts
from p2d.settings.archive_profile import ArchiveProfile
from p2d.settings.gateway import WebArchive
from p2d.testing.datasets import held_ct, three_patients
from p2d.testing.dicomweb_server import DicomWebServer
from p2d.testing.odd_http import OddHttpServer

P3 = PatientId("P-3")
JSON = "application/dicom+json"
LEADING_ELSEWHERE = (
    b'[{"0020000D": {"vr": "UI", "Value": ["../1"]}, "00100020": {"vr": "LO", "Value": ["P-3"]}}]'
)


@pytest.fixture
def server() -> Iterator[DicomWebServer]:
    with DicomWebServer(three_patients()) as server:
        yield server


@pytest.fixture
def pacs(server: DicomWebServer) -> Iterator[DicomWebArchive]:
    with connected(server.url) as archive:
        yield archive


def connected(url: str, page: int = 1000, **more: object) -> DicomWebArchive:
    settings = {"connector": "dicomweb", "url": url, "answer_seconds": 5, **more}
    return DicomWebArchive(WebArchive.model_validate(settings), page=page)


def found(
    pacs: DicomWebArchive, patient: str = "P-3", level: Level = Level.INSTANCE
) -> list[IdentifiedHeader]:
    return list(pacs.find(Query(level, PatientId(patient))))


@pytest.mark.parametrize("says_so", [False, True], ids=["silently", "with a warning"])
@pytest.mark.parametrize("most", [1, 3, 10, 20])
def test_pages_that_the_server_cuts_short_are_read_on(
    server: DicomWebServer, pacs: DicomWebArchive, most: int, says_so: bool
) -> None:
    server.faults.most_rows, server.faults.says_so = most, says_so

    for _ in range(3):
        assert len(found(pacs)) == 20
        assert len(found(pacs, "P-1")) == 22


def test_once_a_long_page_was_seen_a_short_one_needs_no_second_look(
    server: DicomWebServer, pacs: DicomWebArchive
) -> None:
    found(pacs, "P-1", Level.SERIES)
    server.requests.clear()

    found(pacs, "P-2", Level.STUDY)

    assert len(server.requests) == 1


def test_a_server_that_ignores_offset_cannot_be_trusted_with_a_cut_page(
    server: DicomWebServer, pacs: DicomWebArchive
) -> None:
    server.faults.most_rows, server.faults.ignores_offset = 5, True

    with pytest.raises(ProtocolViolation, match="offset"):
        found(pacs, "P-1")


def test_answers_that_shift_between_pages_are_asked_for_again(server: DicomWebServer) -> None:
    server.faults.shifts_pages = True

    with connected(server.url, page=8) as pacs, pytest.raises(Unavailable, match="changed"):
        found(pacs)


def test_rows_of_another_patient_fail_the_query(server: DicomWebServer, pacs: DicomWebArchive) -> None:
    server.faults.ignores_patient = True

    with pytest.raises(ProtocolViolation) as caught:
        found(pacs)

    assert "P-1" not in str(caught.value)


@pytest.mark.parametrize("patient", ["A&limit=9", "a=b#c", "1+1 %41", "Ä/..;x", "a,b"])
def test_a_patient_id_reaches_the_archive_as_it_is(
    server: DicomWebServer, pacs: DicomWebArchive, patient: str
) -> None:
    server.index.add(
        held_ct(PatientID=patient, StudyInstanceUID="1.2", SeriesInstanceUID="1.2.3", SOPInstanceUID="1.2.4")
    )

    assert [one.patient_id for one in found(pacs, patient)] == [patient]


def test_more_rows_than_the_cap_fail_the_query(
    pacs: DicomWebArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_ROWS", 5)

    with pytest.raises(ProtocolViolation):
        found(pacs)


def test_more_octets_than_the_cap_fail_the_query(
    pacs: DicomWebArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_BYTES", 1000)

    with pytest.raises(ProtocolViolation, match="MiB"):
        found(pacs)


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, Misconfigured), (403, Misconfigured), (429, Unavailable), (503, Unavailable), (500, Unavailable),
     (404, ProtocolViolation), (400, ProtocolViolation), (201, ProtocolViolation)],
)  # fmt: skip
def test_a_status_says_whether_another_attempt_helps(
    server: DicomWebServer, pacs: DicomWebArchive, status: int, error: type[Exception]
) -> None:
    server.faults.status = status

    with pytest.raises(error):
        found(pacs)
    with pytest.raises(error):
        pacs.echo()


@pytest.mark.parametrize(
    "where",
    [
        "http://127.0.0.1:1/dicom-web/studies",
        "https://127.0.0.1/",
        "//elsewhere/",
        "http://[",
        "file:///etc/passwd",
    ],
)
def test_a_redirect_to_another_origin_is_not_followed(
    server: DicomWebServer, pacs: DicomWebArchive, where: str
) -> None:
    server.faults.redirects_to = where

    with pytest.raises(ProtocolViolation):
        found(pacs)

    assert len(server.requests) == 1


def test_redirects_on_the_spot_end(server: DicomWebServer, pacs: DicomWebArchive) -> None:
    server.faults.redirects_to = "/dicom-web/studies"

    with pytest.raises(ProtocolViolation, match="without end"):
        found(pacs)


@pytest.mark.parametrize(
    ("media_type", "body", "banner"),
    [
        ("text/html", b"<html>", b""),
        (JSON, b"[{", b""),
        (JSON, b"[1]", b""),
        (JSON, b'[{"0020000D": {"vr": "UI", "Value": [{}]}}]', b""),
        (JSON, LEADING_ELSEWHERE, b""),
        ("(" * 1000, b"[]", b""),
        (JSON, b"[]", b"nonsense\r\n\r\n"),
        (JSON, b"[]", b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n[]"),
    ],
    ids=[
        "html",
        "no end",
        "no objects",
        "no value",
        "UID leads elsewhere",
        "nested type",
        "no HTTP",
        "encoded",
    ],
)
def test_an_answer_that_is_none_fails_the_query(media_type: str, body: bytes, banner: bytes) -> None:
    odd = OddHttpServer(200, media_type, body, banner=banner)
    with odd, connected(odd.url) as pacs, pytest.raises(ProtocolViolation):
        found(pacs)


def test_an_answer_that_ends_too_early_is_worth_another_attempt() -> None:
    odd = OddHttpServer(200, "application/dicom+json", b"[", claimed_length=10)
    with odd, connected(odd.url) as pacs, pytest.raises(Unavailable):
        found(pacs)


def test_a_slow_drip_is_no_answer() -> None:
    odd = OddHttpServer(200, "application/dicom+json", b" " * 500 + b"[]", drip_seconds=0.01)
    with odd, connected(odd.url, answer_seconds=0.3) as pacs, pytest.raises(Unavailable, match="slowly"):
        found(pacs)


def test_nobody_there_is_unavailable() -> None:
    with connected("http://127.0.0.1:1") as pacs, pytest.raises(Unavailable):
        pacs.echo()


def test_objects_nobody_asked_for_are_refused_and_counted(
    server: DicomWebServer, pacs: DicomWebArchive
) -> None:
    headers = found(pacs)
    server.faults.sends_also = (held_ct(SOPInstanceUID="1.2.3", PatientID="P-9"), three_patients().listed[-1])
    counts = RetrieveCounts()

    arrived = list(pacs.retrieve(P3, headers, counts))

    assert len(arrived) == 20
    assert counts.refused >= 1
    assert counts.duplicates >= 1
    assert all(one.header.patient_id == "P-3" for one in arrived)


def test_far_more_objects_than_asked_for_end_the_retrieve(
    server: DicomWebServer, pacs: DicomWebArchive
) -> None:
    headers = found(pacs)[:1]
    server.faults.sends_also = tuple(held_ct(SOPInstanceUID=f"1.2.{n}") for n in range(30))

    with pytest.raises(ProtocolViolation, match="far more"):
        list(pacs.retrieve(P3, headers))


def test_what_a_series_leaves_out_is_asked_for_by_itself(
    server: DicomWebServer, pacs: DicomWebArchive
) -> None:
    headers = found(pacs)
    server.faults.skips_in_series = frozenset({headers[0].sop_instance_uid, headers[7].sop_instance_uid})
    server.requests.clear()

    arrived = list(pacs.retrieve(P3, headers))

    assert len(arrived) == 20
    assert len(server.requests) == 3 + 2  # the three series, then each alone


def test_without_counts_objects_are_asked_for_one_by_one(
    server: DicomWebServer, pacs: DicomWebArchive
) -> None:
    server.faults.counts = False
    headers = found(pacs)
    server.requests.clear()

    assert len(list(pacs.retrieve(P3, headers))) == 20
    assert len(server.requests) == 20


@pytest.mark.parametrize("after", [0, 100, 1500, 4000])
def test_a_body_cut_off_yields_whole_objects_only_and_then_an_error(
    server: DicomWebServer, pacs: DicomWebArchive, after: int
) -> None:
    headers = found(pacs)
    server.faults.cut_after = after
    arrived: list[int] = []
    arriving = pacs.retrieve(P3, headers)

    with pytest.raises(Unavailable):
        arrived.extend(len(one.content) for one in arriving)

    assert len(arrived) < 5
    assert len(set(arrived)) <= 1


def test_an_object_beyond_the_cap_ends_the_retrieve(server: DicomWebServer) -> None:
    large = held_ct(
        PatientID="P-9",
        StudyInstanceUID="1.2",
        SeriesInstanceUID="1.2.3",
        SOPInstanceUID="1.2.3.4",
        TextValue="x" * (1 << 20),
    )
    server.index.add(large)
    with connected(server.url, object_mib=1) as pacs:
        headers = found(pacs, "P-9")

        with pytest.raises(ProtocolViolation, match="longer"):
            list(pacs.retrieve(PatientId("P-9"), headers))


def test_an_archive_without_headers_alone_is_asked_for_whole_objects_and_it_is_noted(
    server: DicomWebServer, pacs: DicomWebArchive
) -> None:
    headers = found(pacs)
    server.faults.has_metadata = False
    counts = RetrieveCounts()
    assert pacs.abilities().headers_alone

    arrived = list(pacs.retrieve(P3, headers, counts, pixels=False))

    assert len(arrived) == 20
    assert all(one.is_cut and b"\xe0\x7f\x10\x00" not in one.content[:] for one in arrived)
    assert len(counts.notes) == 1
    assert not pacs.abilities().headers_alone


def test_headers_whose_text_is_kept_elsewhere_are_taken_from_whole_objects(
    server: DicomWebServer, pacs: DicomWebArchive
) -> None:
    headers = found(pacs)
    server.faults.keeps_text_elsewhere = True
    counts = RetrieveCounts()

    arrived = list(pacs.retrieve(P3, headers, counts, pixels=False))

    assert len(arrived) == 20
    assert all(b"CT head" in one.content[:] for one in arrived)
    assert counts.notes


def test_a_probed_archive_without_metadata_is_not_asked_for_it(server: DicomWebServer) -> None:
    settings = WebArchive.model_validate({"connector": "dicomweb", "url": server.url})
    with DicomWebArchive(settings, ArchiveProfile(archive="main")) as pacs:
        list(pacs.retrieve(P3, found(pacs), pixels=False))

    assert not [one for one in server.requests if "metadata" in one]


def test_an_archive_that_refuses_any_syntax_chooses_one_and_it_is_noted(
    server: DicomWebServer, pacs: DicomWebArchive
) -> None:
    headers = found(pacs)
    server.faults.chooses_syntax = True
    counts = RetrieveCounts()

    assert len(list(pacs.retrieve(P3, headers, counts))) == 20
    assert len(counts.notes) == 1


def test_a_stop_wakes_a_retrieve_that_waits(server: DicomWebServer, pacs: DicomWebArchive) -> None:
    headers = found(pacs)
    server.faults.hangs = True
    ended: list[BaseException] = []

    def take() -> None:
        try:
            list(pacs.retrieve(P3, headers))
        except Unavailable as error:
            ended.append(error)

    asked = len(server.requests)
    thread = threading.Thread(target=take)
    thread.start()
    while len(server.requests) == asked:
        time.sleep(0.01)
    begin = time.monotonic()
    pacs.stop()
    thread.join(10)

    assert time.monotonic() - begin < 4  # less than answer_seconds
    assert "stopped" in str(ended[0])
    pacs.resume()
    server.faults.hangs = False
    assert len(found(pacs)) == 20


@pytest.mark.parametrize(
    ("user", "authorization"),
    [(None, "Bearer hush-hush-token"), ("ann", "Basic YW5uOmh1c2gtaHVzaC10b2tlbg==")],
)
def test_a_secret_is_sent_as_its_kind_demands(tmp_path: Path, user: str | None, authorization: str) -> None:
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("hush-hush-token\n")
    with DicomWebServer(three_patients(), authorization=authorization) as server:
        with connected(server.url, user=user, secret=secret) as pacs:
            pacs.echo()
        with connected(server.url) as pacs, pytest.raises(Misconfigured):
            pacs.echo()


def test_no_log_and_no_error_holds_an_identifier(
    server: DicomWebServer, pacs: DicomWebArchive, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        found(pacs)
        server.faults.status = 400
        with pytest.raises(ProtocolViolation) as caught:
            found(pacs)

    assert [one.name for one in caplog.records if "P-3" in one.getMessage() or "http" in one.name] == []
    assert "P-3" not in repr(caught.value)
