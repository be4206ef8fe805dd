"""Whatever way headers come from an archive, the same rows leave for the warehouse."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmwrite

from p2d.flows.gateway.bulk import BulkExtractor
from p2d.model.level import Choice, Scope
from p2d.model.request import Request
from p2d.pacs.dicomweb.connector import DicomWebArchive
from p2d.pacs.folder.connector import FolderArchive
from p2d.pacs.port import Pacs
from p2d.settings import gateway
from p2d.testing.datasets import three_patients
from p2d.testing.dicomweb_server import DicomWebServer
from p2d.testing.gateway_stages import OPERATOR, gateway_stages

_ENCODING = {"00080005"}  # JSON is in UTF-8, whatever the object was written in


@pytest.fixture(params=["metadata", "whole", "folder"])
def pacs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pacs]:
    with ExitStack() as stack:
        if request.param == "folder":
            for number, one in enumerate(three_patients().listed):
                dcmwrite(tmp_path / f"{number}.dcm", one.render(), enforce_file_format=True)
            settings = gateway.FolderArchive.model_validate({"connector": "folder", "folder": tmp_path})
            yield stack.enter_context(closing(FolderArchive(settings)))
        else:
            server = stack.enter_context(DicomWebServer(three_patients()))
            web = {"connector": "dicomweb", "url": server.url, "headers": request.param}
            yield stack.enter_context(closing(DicomWebArchive(gateway.WebArchive.model_validate(web))))


def rows(folder: Path, pacs: Pacs | None, choice: Choice) -> dict[str, list[tuple[object, ...]]]:
    folder.mkdir()
    stages = gateway_stages(folder, three_patients().listed)
    request = Request(
        tuple(stages.target(patient) for patient in ("P-1", "P-2", "P-3")),
        choice=choice,
        scope=Scope.EXTENDED,
    )
    extractor = BulkExtractor(replace(stages.gateway, pacs=pacs or stages.pacs))
    report = extractor.run(extractor.open(request, OPERATOR), OPERATOR)

    assert report.state == "completed"
    return {
        name: sorted(
            tuple(map(str, row.values()))
            for row in stages.warehouse.rows(name)
            if row.get("path") not in _ENCODING
        )
        for name in ("study", "series", "instance", "header")
    }


@pytest.mark.parametrize("choice", [Choice.FIRST, Choice.ALL])
def test_the_same_rows_are_loaded_as_from_whole_objects(pacs: Pacs, tmp_path: Path, choice: Choice) -> None:
    found, true = rows(tmp_path / "found", pacs, choice), rows(tmp_path / "true", None, choice)

    for name in ("study", "series", "instance"):
        assert found[name] == true[name]
    # what is not there cannot be listed: metadata and cut objects have no pixel data
    without_pixels = [row for row in true["header"] if row[4] != "7FE00010"]
    assert [row for row in found["header"] if row[4] != "7FE00010"] == without_pixels
