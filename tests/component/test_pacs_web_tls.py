"""DICOMweb over TLS: whom we trust, and who we say we are."""

import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from p2d.model.errors import Misconfigured, Unavailable
from p2d.model.identified import PatientId
from p2d.model.level import Level
from p2d.pacs.dicomweb.connector import DicomWebArchive
from p2d.pacs.port import Query
from p2d.settings.gateway import WebArchive
from p2d.testing.certificates import Authority
from p2d.testing.datasets import three_patients
from p2d.testing.dicomweb_server import DicomWebServer


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours")


@pytest.fixture
def server(authority: Authority) -> Iterator[DicomWebServer]:
    files = authority.issue("pacs", "localhost")
    server = DicomWebServer(three_patients())
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.tls.load_cert_chain(files.certificate, files.key)
    server.tls.load_verify_locations(authority.certificate)
    with server:
        yield server


def echo(server: DicomWebServer, host: str = "localhost", **files: Path) -> None:
    url = server.url.replace("127.0.0.1", host)
    settings = {"connector": "dicomweb", "url": url, "answer_seconds": 5, **files}
    with DicomWebArchive(WebArchive.model_validate(settings)) as pacs:
        pacs.echo()


def test_an_archive_of_our_authority_is_trusted(server: DicomWebServer, authority: Authority) -> None:
    echo(server, ca_file=authority.certificate)


def test_an_archive_of_another_authority_or_name_is_not(
    server: DicomWebServer, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other")
    with pytest.raises(Misconfigured, match="not trusted"):
        echo(server, ca_file=other.certificate)
    with pytest.raises(Misconfigured, match="not trusted"):
        echo(server)
    with pytest.raises(Misconfigured, match="not trusted"):
        echo(server, "127.0.0.1", ca_file=authority.certificate)

    assert server.requests == []


def test_an_archive_that_asks_who_we_are_is_shown_our_certificate(
    server: DicomWebServer, authority: Authority
) -> None:
    server.tls.verify_mode = ssl.CERT_REQUIRED
    ours = authority.issue("p2d")

    echo(server, ca_file=authority.certificate, certificate=ours.certificate, key=ours.key)
    with pytest.raises(Misconfigured):
        echo(server, ca_file=authority.certificate)


def test_a_stop_wakes_whoever_waits_for_an_encrypted_answer(
    server: DicomWebServer, authority: Authority
) -> None:
    server.faults.hangs = True
    url = server.url.replace("127.0.0.1", "localhost")
    settings = {"connector": "dicomweb", "url": url, "ca_file": authority.certificate, "answer_seconds": 60}
    with DicomWebArchive(WebArchive.model_validate(settings)) as pacs:
        headers = list(pacs.find(Query(Level.INSTANCE, PatientId("P-3"))))
        asked = len(server.requests)
        ended: list[Unavailable] = []

        def take() -> None:
            try:
                list(pacs.retrieve(PatientId("P-3"), headers))
            except Unavailable as error:
                ended.append(error)

        thread = threading.Thread(target=take)
        thread.start()
        while len(server.requests) == asked:
            time.sleep(0.01)
        pacs.stop()
        thread.join(10)

    assert "stopped" in str(ended[0])


def test_files_that_are_none_are_named(server: DicomWebServer, authority: Authority, tmp_path: Path) -> None:
    ours, others = authority.issue("p2d"), authority.issue("other")
    (tmp_path / "text").write_text("text")
    encrypted = tmp_path / "encrypted.key"
    plain = load_pem_private_key(ours.key.read_bytes(), None)
    lock = BestAvailableEncryption(b"pass phrase")
    encrypted.write_bytes(plain.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock))

    wrong: tuple[tuple[str, dict[str, Path]], ...] = (
        ("pacs.ca_file", {"ca_file": tmp_path / "text"}),
        ("pacs.ca_file", {"ca_file": tmp_path / "nowhere"}),
        ("pacs.certificate", {"certificate": ours.certificate, "key": others.key}),
        ("pacs.certificate", {"certificate": tmp_path / "text", "key": ours.key}),
        ("pacs.certificate", {"certificate": ours.certificate, "key": encrypted}),
    )
    for field, files in wrong:
        with pytest.raises(Misconfigured, match=field):
            echo(server, "localhost", **files)
