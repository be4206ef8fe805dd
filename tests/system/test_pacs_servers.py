"""The archive port's promises, kept to real archives: DIMSE to Orthanc and dcmqrscp, DICOMweb to Orthanc."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from p2d.model.level import Level
from p2d.pacs.dicomweb.connector import DicomWebArchive
from p2d.pacs.lean.connector import LeanArchive
from p2d.pacs.port import Pacs
from p2d.pacs.pynetdicom.connector import DimseArchive
from p2d.pacs.several import SeveralArchives
from p2d.settings.gateway import Archive, WebArchive
from p2d.testing.datasets import three_patients
from p2d.testing.installation import free_ports
from p2d.testing.pacs_contract import PacsContract, found
from p2d.testing.servers import RunningArchive, dcmqrscp, orthanc, store

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def store_port() -> int:
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def orthanc_server(tmp_path_factory: pytest.TempPathFactory, store_port: int) -> Iterator[RunningArchive]:
    with orthanc(tmp_path_factory.mktemp("orthanc"), store_port=store_port) as archive:
        store(archive, (one.render() for one in three_patients().listed))
        yield archive


@pytest.fixture(scope="module")
def dcmqrscp_server(tmp_path_factory: pytest.TempPathFactory, store_port: int) -> Iterator[RunningArchive]:
    with dcmqrscp(tmp_path_factory.mktemp("dcmqrscp"), store_port=store_port) as archive:
        store(archive, (one.render() for one in three_patients().listed))
        yield archive


CONNECTORS: dict[str, type[LeanArchive | DimseArchive]] = {"lean": LeanArchive, "pynetdicom": DimseArchive}
WAYS = [f"{connector}-{retrieve}" for connector in CONNECTORS for retrieve in ("get", "move")]


def connected(server: RunningArchive, way: str, store_port: int) -> DimseArchive | LeanArchive:
    connector, retrieve = way.split("-")
    return CONNECTORS[connector](
        Archive.model_validate(
            {
                "host": server.host,
                "port": server.port,
                "called_ae_title": server.ae_title,
                "retrieve": retrieve,
                "store_port": store_port,
                "answer_seconds": 20,
            }
        )
    )


class ServerContract(PacsContract):
    def test_relational_queries_are_proved(self, pacs: Pacs) -> None:
        found(pacs, Level.INSTANCE, "P-1")

        assert pacs.abilities().relational


@pytest.mark.parametrize("way", WAYS)
class TestOrthanc(ServerContract):
    @pytest.fixture
    def pacs(self, orthanc_server: RunningArchive, way: str, store_port: int) -> Iterator[Pacs]:
        with connected(orthanc_server, way, store_port) as archive:
            yield archive


@pytest.mark.parametrize("way", WAYS)
class TestDcmqrscp(ServerContract):
    @pytest.fixture
    def pacs(self, dcmqrscp_server: RunningArchive, way: str, store_port: int) -> Iterator[Pacs]:
        with connected(dcmqrscp_server, way, store_port) as archive:
            yield archive


def web(server: RunningArchive, folder: Path, headers: str, name: str = "web") -> DicomWebArchive:
    secret = folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text(server.password)
    settings = {
        "connector": "dicomweb",
        "name": name,
        "url": f"http://{server.host}:{server.http_port}/dicom-web",
        "user": server.user,
        "secret": secret,
        "headers": headers,
        "answer_seconds": 20,
    }
    return DicomWebArchive(WebArchive.model_validate(settings), page=6)


@pytest.mark.parametrize("headers", ["metadata", "whole"])
class TestOrthancWeb(PacsContract):
    @pytest.fixture
    def pacs(self, orthanc_server: RunningArchive, headers: str, tmp_path: Path) -> Iterator[Pacs]:
        with web(orthanc_server, tmp_path, headers) as archive:
            yield archive


class TestTwoServersAsOne(PacsContract):
    """Both hold everything; the preferred one is asked over DIMSE, the other over DICOMweb."""

    @pytest.fixture
    def pacs(
        self, dcmqrscp_server: RunningArchive, orthanc_server: RunningArchive, store_port: int, tmp_path: Path
    ) -> Iterator[Pacs]:
        with (
            connected(dcmqrscp_server, "lean-get", store_port) as first,
            web(orthanc_server, tmp_path, "whole") as second,
        ):
            yield SeveralArchives([first, second])

    def test_every_image_has_two_sources(self, pacs: Pacs) -> None:
        assert {one.archives for one in found(pacs, Level.INSTANCE, "P-1")} == {("main", "web")}
