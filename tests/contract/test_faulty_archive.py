"""The scripted archive without a script is a good archive: what fails under a script fails because of it."""

from collections.abc import Iterator

import pytest

from p2d.pacs.lean.connector import LeanArchive
from p2d.pacs.port import Pacs
from p2d.settings.gateway import Archive
from p2d.testing.datasets import three_patients
from p2d.testing.faulty_archive import FaultyArchive
from p2d.testing.installation import free_ports
from p2d.testing.pacs_contract import PacsContract


@pytest.fixture(scope="module", params=["get", "move"])
def faultless(request: pytest.FixtureRequest) -> Iterator[LeanArchive]:
    store_port = free_ports(1)[0]
    with FaultyArchive(three_patients().listed, peers={"P2D": ("127.0.0.1", store_port)}) as server:
        settings = Archive.model_validate(
            {
                "host": server.host,
                "port": server.port,
                "called_ae_title": server.ae_title,
                "retrieve": request.param,
                "store_port": store_port,
                "answer_seconds": 10,
            }
        )
        with LeanArchive(settings) as archive:
            yield archive


class TestFaultless(PacsContract):
    @pytest.fixture
    def pacs(self, faultless: LeanArchive) -> Pacs:
        return faultless
