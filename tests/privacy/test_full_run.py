"""Canaries in archive and clinical input are found nowhere outside the hospital's own systems.

A whole run: clinical load, bulk in every scope, session, metadata, images, bad requests. Then every
artefact is searched: databases with their write-ahead files, logs, audit, exports, names, output, answers.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any, Final

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
from p2d.warehouse.query.examples import PAPER

pytestmark = pytest.mark.system

MASTER: Final = hashlib.sha256(b"the key of a whole run").digest()
"""Fixed: among the digits of new derived UIDs a birth date stood by chance once in a hundred runs or so."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("privacy")
    (folder / "tmp").mkdir()
    hospital = generate(14, seed=3, max_images=40, canary=True)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TMPDIR", str(folder / "tmp"))  # what a process leaves there is an artefact, too
        with (
            hospital_archive(folder / "archive", patients=14, seed=3, max_images=40, canary=True) as address,
            running_site(folder, hospital, address, master=MASTER) as running,
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
    seen += _commands(site)
    seen += _warehouse_answers(site)
    return seen


def _commands(site: Site) -> list[bytes]:
    """Run the commands that print, one of them on a list of true identifiers."""
    installation, patients = site.installation, site.list_file
    gateway, warehouse = (str(installation.settings(name)) for name in ("gateway", "warehouse"))
    true_ids = site.folder / "hospital" / "list.csv"
    true_ids.write_text("pseudonym\n" + "\n".join(p.patient_id for p in site.hospital.patients) + "\n")
    query = site.folder / "export" / "query.json"
    query.write_text(json.dumps(PAPER), encoding="utf-8")
    run = site.ledger().runs()[-1]
    audit = str(installation.folder / "gateway" / "audit.jsonl")
    pseudonymised = site.folder / "clinical-again"
    commands: list[tuple[int, tuple[object, ...]]] = [
        (0, ("check", "--settings", gateway)),
        (0, ("runs", "--settings", gateway)),
        (0, ("runs", run, "--settings", gateway, "--json")),
        (0, ("audit", "verify", audit)),
        (0, ("audit", "show", audit, "--last", 1000)),
        (0, ("identity", "pseudonymise", site.folder / "hospital", pseudonymised, "--settings", gateway)),
        (0, ("load", pseudonymised, "--settings", warehouse)),
        (0, ("cohort", "table", query, "--settings", warehouse)),
        (0, ("query", patients, "--settings", warehouse, "--level", "patient", "--scope", "extended")),
        (
            0,
            (
                "images",
                patients,
                "--settings",
                warehouse,
                "--to",
                site.folder / "export" / "command",
                "--zip",
            ),
        ),
        (2, ("extract", true_ids, "--settings", gateway)),
        (2, ("query", true_ids, "--settings", warehouse)),
        (2, ("load", site.folder / "hospital", "--settings", warehouse)),
    ]
    seen: list[bytes] = []
    for code, arguments in commands:
        ended = site.command(*map(str, arguments))
        assert ended.returncode == code, (arguments[0], ended.returncode)
        seen += [ended.stdout.encode(), ended.stderr.encode()]
    return seen


def _warehouse_answers(site: Site) -> list[bytes]:
    """Ask the warehouse's own interface and pages as a researcher does."""
    installation = site.installation
    seen: list[bytes] = []
    with httpx.Client(base_url=installation.url("warehouse"), trust_env=False, timeout=60) as client:

        def ask(role: str, method: str, path: str, **more: Any) -> httpx.Response:
            headers = {"Authorization": f"Bearer {installation.secret(role)}"}
            answer = client.request(method, path, headers=headers, **more)
            assert answer.is_success, path
            seen.append(answer.content)
            return answer

        for question in ("count", "preview", "table", "patients"):
            ask("researcher", "POST", f"/cohorts/{question}", json=PAPER)
        ask("researcher", "GET", "/attributes")
        ask("operator", "GET", "/patient-list")
        for patient in site.patients:
            ask("researcher", "GET", f"/patients/{patient}/studies")
        link = ask("operator", "POST", "/page-tokens", json={"user": "rita", "query": PAPER}).json()["path"]
        page = client.get(link, follow_redirects=True)
        seen.append(page.content)
        addresses = sorted(set(re.findall(r'href="(/[^"#]+)"', page.text)))
        seen += [client.get(address, follow_redirects=True).content for address in addresses]
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


@pytest.mark.parametrize("part", ["p2d", "clinical", "clinical-again", "patients.csv", "export", "tmp"])
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
