"""Canaries in archive and clinical input are found nowhere outside the hospital's own systems.

A whole run: clinical load, bulk in every scope, session, metadata, images, bad requests. Then every
artefact is searched: databases with their write-ahead files, logs, audit, exports, names, output, answers.
"""

import json
from collections.abc import Iterator

import httpx
import pytest

from p2d.flows.research.download import download
from p2d.model.errors import P2DError
from p2d.model.ids import Pseudonym
from p2d.model.level import Choice, Kind, Output, Scope
from p2d.model.request import Request, Target
from p2d.testing.canaries import Searcher
from p2d.testing.hospital import generate
from p2d.testing.site import Site, hospital_archive, running_site

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("privacy")
    hospital = generate(14, seed=3, max_images=40, canary=True)
    with (
        hospital_archive(folder / "archive", patients=14, seed=3, max_images=40, canary=True) as address,
        running_site(folder, hospital, address) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def searcher(site: Site) -> Searcher:
    return Searcher(site.hospital.canaries())


@pytest.fixture(scope="module")
def answers(site: Site) -> list[bytes]:
    """Run everything once and return all that came back over HTTP and on the command line."""
    seen: list[bytes] = []
    for choice, scope in (("first", "basic"), ("all", "basic"), ("all", "extended")):
        ended = site.extract(choice, scope)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        seen += [ended.stdout.encode(), ended.stderr.encode()]
    client = site.client
    session = client.open_session("rita", "researcher", site.patients, images=True)
    for output in (Output.CSV, Output.JSON):
        for scope in Scope:
            request = Request(site.targets, choice=Choice.FIRST, scope=scope, output=output)
            seen.append(client.metadata(session, request))
    for output in (Output.DICOM, Output.JPEG):
        download(client, session, Request(site.targets, output=output), site.folder / "export" / output)
    for patient in site.patients:
        studies = client.studies(session, patient)
        seen.append(json.dumps(studies, ensure_ascii=False).encode())
    seen += _bad_requests(site)
    return seen


def _bad_requests(site: Site) -> list[bytes]:
    """Send true identifiers where pseudonyms are due; nothing that comes back may repeat them."""
    seen: list[bytes] = []
    client = site.client
    session = client.open_session("rita", "researcher", site.patients, images=True)
    patient = site.hospital.patients[0]
    study = patient.studies[0]
    wrong = [patient.patient_id, patient.name, study.accession_number, study.study_instance_uid, "*"]
    for value in wrong:
        for kind in Kind:
            try:
                seen.append(client.metadata(session, Request((Target(kind, Pseudonym(value)),))))
            except P2DError as error:
                seen.append(str(error).encode())
    for process in ("gateway", "warehouse", "identity"):
        for value in wrong:
            answer = httpx.get(
                f"{site.installation.url(process)}/query",
                params={"pseudonym": value, "output": value},
                headers={"Authorization": f"Bearer {value.encode().hex()}"},
                trust_env=False,
            )
            seen.append(answer.content)
    return seen


def test_no_answer_holds_a_canary(answers: list[bytes], searcher: Searcher) -> None:
    found = [
        finding
        for number, answer in enumerate(answers)
        for finding in searcher.scan_bytes(answer, f"answer {number}")
    ]

    assert found == []


@pytest.mark.parametrize("part", ["p2d", "clinical", "patients.csv", "export"])
def test_no_file_holds_a_canary(site: Site, answers: list[bytes], searcher: Searcher, part: str) -> None:
    found = searcher.scan([site.folder / part])

    assert found == []


def test_the_hospital_side_does_hold_them(site: Site, searcher: Searcher) -> None:
    assert searcher.scan([site.folder / "hospital"])


@pytest.mark.parametrize("place", ["p2d/gateway/gateway.log", "p2d/planted.csv", "export/planted.txt"])
def test_a_planted_canary_is_found(site: Site, answers: list[bytes], searcher: Searcher, place: str) -> None:
    path = site.folder / place
    before = path.read_bytes() if path.exists() else None
    path.write_bytes((before or b"") + site.hospital.canaries()[0].encode("utf-16-le"))

    found = searcher.scan([path])

    if before is None:
        path.unlink()
    else:
        path.write_bytes(before)
    assert found
