"""P2D and an archive over TLS in both directions: queries, C-GET, and C-MOVE to our Storage SCP."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydicom.filebase import DicomBytesIO

from p2d.model.errors import Misconfigured, Unavailable
from p2d.model.identified import PatientId
from p2d.model.level import Level
from p2d.pacs.lean.connector import LeanArchive
from p2d.pacs.port import Query
from p2d.settings.gateway import Archive
from p2d.testing.certificates import Authority, CertificateFiles
from p2d.testing.datasets import three_patients
from p2d.testing.installation import free_ports
from p2d.testing.servers import RunningArchive, orthanc

pytestmark = pytest.mark.system

PATIENT = PatientId("P-2")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def store_port() -> int:
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, store_port: int
) -> Iterator[RunningArchive]:
    own = authority.issue("orthanc", "orthanc.example")
    with orthanc(
        tmp_path_factory.mktemp("orthanc"), store_port=store_port, tls=(own, authority.certificate)
    ) as archive:
        load(archive)
        yield archive


def load(archive: RunningArchive) -> None:
    with httpx.Client(
        base_url=f"http://127.0.0.1:{archive.http_port}", auth=(archive.user, archive.password)
    ) as client:
        for one in three_patients().listed:
            if one.attributes["PatientID"] == PATIENT.value:
                content = DicomBytesIO()
                one.render().save_as(content, enforce_file_format=True)
                client.post("/instances", content=content.getvalue()).raise_for_status()


def connected(
    server: RunningArchive,
    authority: Authority,
    own: CertificateFiles,
    *,
    names: list[str],
    retrieve: str = "get",
    store_port: int | None = None,
) -> LeanArchive:
    files = {"certificate": own.certificate, "key": own.key, "authorities": authority.certificate}
    return LeanArchive(
        Archive.model_validate(
            {
                "host": server.host,
                "port": server.port,
                "called_ae_title": server.ae_title,
                "retrieve": retrieve,
                "store_port": store_port,
                "answer_seconds": 20,
                "tls": {**files, "names": names},
            }
        )
    )


@pytest.mark.parametrize("retrieve", ["get", "move"])
def test_a_patient_is_found_and_retrieved_over_tls(
    server: RunningArchive, authority: Authority, store_port: int, retrieve: str
) -> None:
    own = authority.issue("gateway", "gateway.example")
    with connected(
        server, authority, own, names=["orthanc.example"], retrieve=retrieve, store_port=store_port
    ) as archive:
        archive.echo()
        found = list(archive.find(Query(Level.INSTANCE, PATIENT)))
        arrived = list(archive.retrieve(PATIENT, found))

    assert len(found) == 18
    assert {one.header.sop_instance_uid for one in arrived} == {one.sop_instance_uid for one in found}


def test_an_archive_of_another_name_is_not_asked(server: RunningArchive, authority: Authority) -> None:
    own = authority.issue("gateway", "gateway.example")
    with connected(server, authority, own, names=["pacs.example"]) as archive, pytest.raises(Misconfigured):
        archive.echo()


def test_an_archive_that_does_not_take_our_certificate_is_said_to(
    server: RunningArchive, authority: Authority, tmp_path: Path
) -> None:
    own = Authority(tmp_path, "Somebody").issue("gateway", "gateway.example")
    refused = pytest.raises((Misconfigured, Unavailable), match=r"certificate|authority")
    with connected(server, authority, own, names=["orthanc.example"]) as archive, refused:
        archive.echo()
