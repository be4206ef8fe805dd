"""The archive port's promises, kept in memory, over DIMSE and DICOMweb to test archives, and by a folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmwrite

from p2d.model.level import Level
from p2d.pacs.dicomweb.connector import DicomWebArchive
from p2d.pacs.folder.connector import FolderArchive
from p2d.pacs.lean.connector import LeanArchive
from p2d.pacs.port import Pacs
from p2d.pacs.pynetdicom.connector import DimseArchive
from p2d.pacs.several import SeveralArchives
from p2d.settings import gateway
from p2d.settings.gateway import Archive
from p2d.testing.archive import DimseArchiveServer
from p2d.testing.datasets import three_patients
from p2d.testing.dicomweb_server import DicomWebServer
from p2d.testing.installation import free_ports
from p2d.testing.memory_pacs import MemoryPacs
from p2d.testing.pacs_contract import PacsContract, found


class TestMemory(PacsContract):
    @pytest.fixture
    def pacs(self) -> Pacs:
        return MemoryPacs(three_patients().instances())


CONNECTORS: dict[str, type[LeanArchive | DimseArchive]] = {"lean": LeanArchive, "pynetdicom": DimseArchive}


@pytest.fixture(
    scope="module",
    params=[
        f"{connector}-{way}"
        for connector in CONNECTORS
        for way in ("get-prove", "move-prove", "get-hierarchical")
    ],
)
def dimse(request: pytest.FixtureRequest) -> Iterator[Pacs]:
    connector, retrieve, query = request.param.split("-")
    store_port = free_ports(1)[0]
    with DimseArchiveServer(three_patients(), peers={"P2D": ("127.0.0.1", store_port)}) as server:
        settings = Archive.model_validate(
            {
                "host": "127.0.0.1",
                "port": server.port,
                "called_ae_title": "ARCHIVE",
                "retrieve": retrieve,
                "query": query,
                "store_port": store_port,
                "answer_seconds": 10,
            }
        )
        with CONNECTORS[connector](settings) as archive:
            yield archive


class TestDimse(PacsContract):
    @pytest.fixture
    def pacs(self, dimse: Pacs) -> Pacs:
        return dimse

    def test_relational_queries_are_used_only_where_proved(
        self, pacs: Pacs, request: pytest.FixtureRequest
    ) -> None:
        found(pacs, Level.INSTANCE, "P-1")

        assert pacs.abilities().relational is ("prove" in request.node.callspec.id)


@pytest.fixture(scope="module", params=["metadata", "whole"])
def dicomweb(request: pytest.FixtureRequest) -> Iterator[DicomWebArchive]:
    with DicomWebServer(three_patients()) as server:
        settings = gateway.WebArchive.model_validate(
            {"connector": "dicomweb", "url": server.url, "headers": request.param, "answer_seconds": 10}
        )
        with DicomWebArchive(settings, page=7) as archive:
            yield archive


class TestDicomWeb(PacsContract):
    @pytest.fixture
    def pacs(self, dicomweb: DicomWebArchive) -> Pacs:
        return dicomweb


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FolderArchive]:
    path = write_folder(tmp_path_factory.mktemp("folder"))
    settings = gateway.FolderArchive.model_validate({"connector": "folder", "folder": path})
    with FolderArchive(settings) as archive:
        yield archive


def write_folder(path: Path) -> Path:
    for number, one in enumerate(three_patients().listed):
        dcmwrite(path / f"IM{number:04}", one.render(), enforce_file_format=True)
    return path


class TestSeveral(PacsContract):
    """Two archives that share most instances; each lacks some."""

    @pytest.fixture
    def pacs(self) -> Pacs:
        listed = three_patients().listed
        first = [one for number, one in enumerate(listed) if number % 5]
        second = [one for number, one in enumerate(listed) if number % 5 != 1]
        return SeveralArchives([MemoryPacs(first, name="old"), MemoryPacs(second, name="new")])


class TestFolder(PacsContract):
    @pytest.fixture
    def pacs(self, folder: FolderArchive) -> Pacs:
        return folder
