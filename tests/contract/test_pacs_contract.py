"""The archive port's promises, kept in memory and over DIMSE to the test archive."""

from collections.abc import Iterator

import pytest

from p2d.model.level import Level
from p2d.pacs.lean.connector import LeanArchive
from p2d.pacs.port import Pacs
from p2d.pacs.pynetdicom.connector import DimseArchive
from p2d.settings.gateway import Archive
from p2d.testing.archive import DimseArchiveServer
from p2d.testing.datasets import three_patients
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
