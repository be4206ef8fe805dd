"""Bad input at the real edges: one message with field and way out, its code, a record, nothing half-done."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from p2d.access.assertion import sign
from p2d.cli.app import cli
from p2d.clinical.native import COLUMNS
from p2d.identity.http import HttpIdentity
from p2d.identity.port import Domain
from p2d.jobs.ledger import Ledger
from p2d.main import gateway as gateway_root
from p2d.main.roots import roots
from p2d.model.identified import PatientId
from p2d.model.ids import check_character
from p2d.testing.app_client import AppClient
from p2d.testing.archive import DimseArchiveServer, Faults
from p2d.testing.datasets import three_patients
from p2d.testing.installation import ArchiveAddress, Installation, free_ports, install
from p2d.testing.processes import Processes
from p2d.testing.warehouse_rows import batch, patient_psn
from p2d.warehouse.wire import MEDIA_TYPE, encode

pytestmark = pytest.mark.system
BODY = "0000000000000000"
UNKNOWN = f"P{BODY}{check_character(f'P{BODY}')}"
CANARY = "Kanarienvogel"


@dataclass(frozen=True)
class Site:
    installation: Installation
    archive: DimseArchiveServer
    patients: dict[str, str] = field(repr=False)
    session: dict[str, str] = field(repr=False)

    def settings(self, name: str, **pacs: object) -> Path:
        """Return gateway settings beside the real ones with other values in [pacs]."""
        source = self.installation.settings("gateway")
        lines = source.read_text().splitlines()
        for key, value in pacs.items():
            at = next(n for n, line in enumerate(lines) if line.startswith(f"{key} ") and n > _pacs(lines))
            lines[at] = f"{key} = {json.dumps(value)}"
        target = source.with_name(f"{name}.toml")
        target.write_text("\n".join(lines))
        return target

    def records(self, process: str = "gateway") -> list[dict[str, Any]]:
        path = self.installation.folder / process / "audit.jsonl"
        if not path.exists():  # nothing was asked yet
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def audit_text(self) -> str:
        folder = self.installation.folder
        return "".join(path.read_text(encoding="utf-8") for path in folder.glob("*/audit.jsonl"))

    def state(self) -> tuple[object, ...]:
        """What a bad request must leave as it was: warehouse, runs, questions to the archive."""
        headers = {"Authorization": f"Bearer {self.installation.secret('researcher')}"}
        url = f"{self.installation.url('warehouse')}/cohorts/count"
        query = {"version": 1, "where": {"attribute": "Modality", "equals": "CT"}}
        counts = httpx.post(url, json=query, headers=headers, trust_env=False).json()
        ledger = Ledger(self.installation.folder / "gateway" / "ledger.sqlite")
        try:
            return counts, ledger.runs(), self.archive.queries
        finally:
            ledger.close()

    def operator(self) -> dict[str, str]:
        assertion = sign(self.installation.private_key, "olga", "operator")
        return {"Authorization": f"Bearer {self.installation.secret('operator')}", "P2D-Assertion": assertion}

    def query(self, body: object, headers: dict[str, str] | None = None) -> httpx.Response:
        url = f"{self.installation.url('gateway')}/query"
        return httpx.post(url, json=body, headers=headers or self.session, timeout=60, trust_env=False)


def _pacs(lines: list[str]) -> int:
    return lines.index("[pacs]")


def p2d(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "p2d", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def opened_session(
    ask: Callable[..., httpx.Response], made: Installation, patients: list[str]
) -> dict[str, str]:
    service = {"Authorization": f"Bearer {made.secret('service')}"}
    body = {"assertion": sign(made.private_key, "rita", "researcher"), "patients": patients, "images": True}
    answer = ask("/sessions", json=body, headers=service)
    return {**service, "P2D-Session": answer.json()["key"]}


def _without_patience(path: Path) -> None:
    """Ask an archive that fails again and again, and give patients up at once: tests are not to wait."""
    text = path.read_text(encoding="utf-8")
    text = text.replace(
        "[pacs.governor.limits]", "[pacs.governor]\nfailures = 100\n\n[pacs.governor.limits]", 1
    )
    path.write_text(f"{text}\n[jobs]\noutage_seconds = 0\n", encoding="utf-8")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("bad-input")
    with DimseArchiveServer(three_patients(), callers=["P2D"]) as archive:
        made = install(folder / "p2d", ArchiveAddress(archive.port, archive.ae_title))
        _without_patience(made.settings("gateway"))
        with Processes(made):
            identity = HttpIdentity(made.url("identity"), made.secret("identity-client"), 60)
            ids = ["P-1", "P-2", "P-3"]
            found = identity.pseudonymise(Domain.PATIENT, [PatientId(one) for one in ids], create=True)
            identity.close()
            patients = dict(zip(ids, map(str, found), strict=True))

            def ask(path: str, **more: Any) -> httpx.Response:
                return httpx.post(made.url("gateway") + path, trust_env=False, timeout=60, **more)

            session = opened_session(ask, made, [patients["P-1"], UNKNOWN])
            yield Site(made, archive, patients, session)


@pytest.fixture(autouse=True)
def _faultless(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "site" in request.fixturenames:
        request.getfixturevalue("site").archive.faults = Faults()


# Settings: the process does not start ------------------------------------------------------------------


@pytest.fixture
def made(tmp_path: Path) -> Installation:
    return install(tmp_path / "p2d", ArchiveAddress(free_ports(1)[0], "ARCHIVE"))


def edited(made: Installation, process: str, old: str, new: str) -> None:
    path = made.settings(process)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


BAD_SETTINGS = {
    "unknown setting": (
        "gateway",
        "[pacs]\n",
        f'[pacs]\nsurprise = "{CANARY}"\n',
        "pacs.surprise",
        "remove it",
    ),
    "unknown table": ("warehouse", "[warehouse]\n", f"[{CANARY}x]\n[warehouse]\n", f"{CANARY}x", "remove it"),
    "unknown right": ("identity", '"uid:derive"', f'"uid:{CANARY}"', "clients.0.rights", "known: accession"),
    "unknown modality": (
        "gateway",
        'deny = ["US"]',
        f'deny = ["{CANARY}"]',
        "images.deny",
        "PS3.3 C.7.3.1.1.1",
    ),
    "malformed AE title": (
        "gateway",
        'called_ae_title = "ARCHIVE"',
        f'called_ae_title = "{CANARY}-too-long"',
        "pacs.called_ae_title",
        "1 to 16 printable ASCII",
    ),
    "port out of range": ("gateway", "[pacs]\n", "[pacs]\nstore_port = 99999\n", "pacs.store_port", "65535"),
    "no TOML": ("identity", "[identity]", f"[identity {CANARY}", "identity.toml", "correct the file"),
}


def started(command: str, process: str, made: Installation) -> Result:
    """Run ``p2d serve`` or ``p2d check`` in this process: it ends before it serves or asks anybody."""
    arguments = ["serve", process] if command == "serve" else ["check"]
    arguments += ["--settings", str(made.settings(process))]
    return CliRunner().invoke(cli, arguments, obj=roots())


@pytest.mark.parametrize("command", ["serve", "check"])
@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_a_wrong_setting_stops_the_start(made: Installation, case: str, command: str) -> None:
    process, old, new, name, way_out = BAD_SETTINGS[case]
    edited(made, process, old, new)
    before = sorted(made.folder.rglob("*"))

    ended = started(command, process, made)

    assert ended.exit_code == 3
    assert name in ended.stderr
    assert way_out in ended.stdout + ended.stderr
    assert CANARY not in (ended.stdout + ended.stderr).replace(f"{CANARY}x", "")
    assert "Traceback" not in ended.stderr
    assert sorted(made.folder.rglob("*")) == before


SECRETS = [
    ("gateway", "service", "gateway.service_secret"),
    ("gateway", "operator", "gateway.operator_secret"),
    ("gateway", "loader", "warehouse.secret"),
    ("gateway", "identity-client", "identity.secret"),
    ("warehouse", "researcher", "warehouse.researcher_secret"),
    ("warehouse", "service", "gateway.service_secret"),
    ("identity", "identity-client", "clients.gateway"),
]


@pytest.mark.parametrize("command", ["serve", "check"])
@pytest.mark.parametrize(("process", "secret", "name"), SECRETS)
def test_a_weak_secret_stops_the_start(
    made: Installation, process: str, secret: str, name: str, command: str
) -> None:
    (made.folder / "secrets" / secret).write_text("changeme-Kanarienvogel-changeme")
    before = sorted(made.folder.rglob("*"))

    ended = started(command, process, made)

    assert ended.exit_code == 3
    assert f"{name}: the secret in" in ended.stderr
    assert "weak or a default" in ended.stderr
    assert "openssl rand" in ended.stderr
    assert CANARY not in ended.stdout + ended.stderr
    assert sorted(made.folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("content", "mode", "problem"),
    [
        ("password", 0o600, "weak"),
        ("a" * 60, 0o600, "weak"),
        ("", 0o600, "weak"),
        (None, 0o644, "open to others"),
    ],
)
def test_every_kind_of_unfit_secret_is_told(
    made: Installation, content: str | None, mode: int, problem: str
) -> None:
    path = made.folder / "secrets" / "service"
    if content is not None:
        path.write_text(content)
    path.chmod(mode)

    ended = started("serve", "gateway", made)

    assert ended.exit_code == 3
    assert problem in ended.stderr
    assert "Way out: " in ended.stderr


# Requests over REST ------------------------------------------------------------------------------------


def identifier(**values: str) -> dict[str, object]:
    return {"identifiers": [{"kind": "patient", "pseudonym": "@P-1", **values}]}


REQUESTS: dict[str, tuple[dict[str, object], int, str, str]] = {
    "wildcard": (identifier(pseudonym=f"{CANARY}*"), 422, "identifiers[0].pseudonym", "exactly as"),
    "empty pseudonym": (identifier(pseudonym=""), 422, "identifiers[0].pseudonym", "exactly as"),
    "real identifier": (identifier(pseudonym=CANARY), 422, "identifiers[0].pseudonym", "send pseudonyms"),
    "empty list": ({"identifiers": []}, 422, "identifiers", "at least one"),
    "malformed date": (identifier(start=f"{CANARY}1"), 422, "identifiers[0].start", "YYYY-MM-DD"),
    "no such day": (identifier(end="2019-02-30"), 422, "identifiers[0].end", "YYYY-MM-DD"),
    "inverted frame": (
        identifier(start="2020-02-01", end="2020-01-01"), 422, "identifiers[0].end", "swap start and end"
    ),
    "true calendar": (
        identifier(start="2020-01-01", calendar="true"), 403, "identifiers[0].calendar", "shifted"
    ),
    "unknown kind": (identifier(kind=CANARY), 422, "identifiers[0].kind", "accession"),
    "unknown modality": ({**identifier(), "modalities": ["CT", CANARY]}, 422, "modalities", "such as CT"),
    "unknown attribute": ({**identifier(), "attributes": [CANARY]}, 422, "attributes", "PS3.6"),
    "unknown choice": ({**identifier(), "choice": CANARY}, 422, "choice", "middle"),
    "unknown field": ({**identifier(), "patience": CANARY}, 422, "patience", "known fields"),
}  # fmt: skip
SESSION_ONLY: dict[str, tuple[dict[str, object], int, str, str]] = {
    "unknown pseudonym": (identifier(pseudonym=UNKNOWN), 404, "identifiers[0]", "open a session"),
    "outside the session": (identifier(pseudonym="@P-2"), 404, "identifiers[0]", "open a session"),
    "denied modality": (
        {**identifier(), "modalities": ["US"], "output": "jpeg"}, 403, "modalities", "ask for their metadata"
    ),
    "unknown attribute of images": (
        {**identifier(), "attributes": [CANARY], "output": "dicom"}, 422, "attributes", "PS3.6"
    ),
}  # fmt: skip


def body_of(site: Site, change: dict[str, object]) -> Any:
    text = json.dumps(change)
    for patient, pseudonym in site.patients.items():
        text = text.replace(f'"@{patient}"', f'"{pseudonym}"')
    return json.loads(text)


def told_well(answer: httpx.Response, status: int, name: str, way_out: str) -> None:
    problem = answer.json()
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["field"] == name
    assert problem["detail"].startswith(f"{name}: ")
    assert way_out in problem["remedy"]
    assert CANARY not in answer.text


@pytest.mark.parametrize("case", [*REQUESTS, *SESSION_ONLY])
def test_a_bad_query_is_told_recorded_and_without_effect(site: Site, case: str) -> None:
    change, status, name, way_out = {**REQUESTS, **SESSION_ONLY}[case]
    before, recorded = site.state(), len(site.records())

    answer = site.query(body_of(site, change))

    told_well(answer, status, name, way_out)
    new = site.records()[recorded:]
    assert new
    assert new[-1].get("error") or new[-1]["action"] == "refused"
    assert CANARY not in site.audit_text()
    assert site.state() == before


@pytest.mark.parametrize("case", REQUESTS)
def test_a_bad_bulk_request_opens_no_run(site: Site, case: str) -> None:
    change, status, name, way_out = REQUESTS[case]
    before, recorded = site.state(), len(site.records())

    answer = site.query({"type": "bulk", **body_of(site, change)}, site.operator())

    told_well(answer, status, name, way_out)
    (record,) = site.records()[recorded:]
    assert (record["action"], record["subject"]["family"]) == (
        "refused",
        {422: "InvalidRequest", 403: "Refused"}[status],
    )
    assert CANARY not in site.audit_text()
    assert site.state() == before


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"pseudonym": f"{CANARY}*"}, "identifiers[0].pseudonym"),
        ({}, "identifiers"),
        ({"pseudonym": UNKNOWN, "start": CANARY}, "identifiers[0].start"),
        ({"pseudonym": UNKNOWN, "modality": CANARY}, "modalities"),
        ({"pseudonym": UNKNOWN, "attribute": CANARY}, "attributes"),
    ],
)
def test_the_same_is_told_of_parameters_in_the_address(
    site: Site, parameters: dict[str, str], name: str
) -> None:
    url = f"{site.installation.url('gateway')}/query"
    before, recorded = site.state(), len(site.records())

    answer = httpx.get(url, params=parameters, headers=site.session, trust_env=False)

    told_well(answer, 422, name, "")
    assert len(site.records()) == recorded + 1
    assert site.state() == before


def test_unknown_and_outside_are_word_for_word_the_same(site: Site) -> None:
    texts = {
        site.query(body_of(site, identifier(pseudonym=pseudonym))).text
        for pseudonym in (UNKNOWN, patient_psn(7), "@P-2")
    }

    assert len(texts) == 1


@pytest.mark.parametrize("patients", [[], [CANARY], [f"{CANARY}*"]])
def test_a_session_needs_pseudonyms(site: Site, patients: list[str]) -> None:
    service = {"Authorization": f"Bearer {site.installation.secret('service')}"}
    assertion = sign(site.installation.private_key, "rita", "researcher")
    url = f"{site.installation.url('gateway')}/sessions"
    recorded = len(site.records())

    answer = httpx.post(
        url, json={"assertion": assertion, "patients": patients}, headers=service, trust_env=False
    )

    assert answer.status_code == 422
    assert "patients" in answer.json()["field"]
    assert answer.json()["remedy"]
    assert CANARY not in answer.text
    assert site.records()[recorded]["action"] == "refused"
    assert CANARY not in site.audit_text()


# The archive -------------------------------------------------------------------------------------------


@contextmanager
def other_gateway(site: Site, folder: Path, **pacs: object) -> Iterator[tuple[AppClient, Path]]:
    """Return a gateway in this process whose archive is another, with a state folder of its own."""
    path = site.settings(folder.name, **pacs)
    settings = gateway_root.read(path)
    listener = settings.gateway.model_copy(update={"state_dir": folder})
    app = gateway_root.build(settings.model_copy(update={"gateway": listener}))
    try:
        yield AppClient(app), folder / "audit.jsonl"
    finally:
        gateway = app.state.web.gateway
        for peer in (gateway, gateway.identity, gateway.warehouse):
            peer.close()


@pytest.mark.parametrize("output", ["json", "dicom"])
@pytest.mark.parametrize(
    ("pacs", "status", "family", "way_out"),
    [
        ({"port": 0}, 503, "Unavailable", "pacs"),
        ({"calling_ae_title": "STRANGER"}, 500, "Misconfigured", "register AE title"),
        ({"called_ae_title": "STRANGER"}, 500, "Misconfigured", "register AE title"),
    ],
    ids=["unreachable", "calling AE title", "called AE title"],
)
def test_an_archive_that_does_not_take_us_is_told_recorded_and_gives_nothing(
    site: Site, tmp_path: Path, pacs: dict[str, object], status: int, family: str, way_out: str, output: str
) -> None:
    changed = {key: value or free_ports(1)[0] for key, value in pacs.items()}
    with other_gateway(site, tmp_path, **changed) as (client, audit):
        session = opened_session(client.post, site.installation, [site.patients["P-1"]])

        answer = client.post(
            "/query", json=body_of(site, {**identifier(), "output": output}), headers=session
        )

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert way_out in answer.text
    assert answer.json()["remedy"]
    last = json.loads(audit.read_text(encoding="utf-8").splitlines()[-1])
    assert (last["kind"], last["error"]) == ("outcome", family)


@pytest.mark.parametrize("output", ["json", "csv", "dicom", "jpeg"])
@pytest.mark.parametrize("after", [0, 1, 5])
def test_an_archive_that_aborts_amid_its_answer_gives_no_part_of_it(
    site: Site, after: int, output: str
) -> None:
    site.archive.faults = Faults(abort_after=after)
    recorded = len(site.records())

    answer = site.query(body_of(site, {**identifier(), "output": output}))

    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert (answer.json()["title"], bool(answer.json()["remedy"])) == ("Unavailable", True)
    intent, outcome = site.records()[recorded:]
    assert (intent["kind"], outcome["kind"], outcome["error"]) == ("intent", "outcome", "Unavailable")


def extracted(site: Site, folder: Path, settings: Path) -> subprocess.CompletedProcess[str]:
    listed = folder / "list.csv"
    listed.write_text(f"pseudonym\n{site.patients['P-1']}\n")
    return p2d("extract", listed, "--settings", settings, "--choice", "all")


def test_a_bulk_run_on_an_archive_that_aborts_loads_nothing_and_says_so(site: Site, tmp_path: Path) -> None:
    site.archive.faults = Faults(abort_after=3)
    before = site.state()

    ended = extracted(site, tmp_path, site.installation.settings("gateway"))

    assert ended.returncode == 7, ended.stderr
    assert "given up: Unavailable" in ended.stdout
    assert "not complete" in ended.stdout
    assert site.state()[0] == before[0]
    outcome = site.records()[-1]
    assert (outcome["action"], outcome["kind"], outcome["counts"]["state"]) == (
        "bulk",
        "outcome",
        "incomplete",
    )


def test_a_bulk_run_on_an_archive_that_is_away_says_so(site: Site, tmp_path: Path) -> None:
    before = site.state()

    ended = extracted(site, tmp_path, site.settings("away", port=free_ports(1)[0]))

    assert ended.returncode == 7, ended.stderr
    assert "given up: Unavailable" in ended.stdout
    assert site.state()[0] == before[0]


def test_a_bulk_run_on_an_archive_that_does_not_know_us_is_for_the_operator(
    site: Site, tmp_path: Path
) -> None:
    before, recorded = site.state(), len(site.records())

    ended = extracted(site, tmp_path, site.settings("stranger", calling_ae_title="STRANGER"))

    assert ended.returncode == 3, ended.stderr
    assert "Way out: " in ended.stderr
    assert "register AE title" in ended.stderr
    assert site.state()[0] == before[0]
    assert site.records()[recorded:][-1]["error"] == "Misconfigured"


@pytest.mark.parametrize(
    ("pacs", "code", "word"),
    [({"port": 0}, 5, "archive ARCHIVE"), ({"calling_ae_title": "STRANGER"}, 3, "register AE title")],
)
def test_check_tells_which_peer_fails(site: Site, pacs: dict[str, object], code: int, word: str) -> None:
    changed = {key: value or free_ports(1)[0] for key, value in pacs.items()}

    ended = p2d("check", "--settings", site.settings("checked", **changed))

    assert ended.returncode == code
    assert "FAILED" in ended.stdout
    assert word in ended.stdout
    assert "way out" in ended.stdout


# List files and commands -------------------------------------------------------------------------------

LISTS = {
    "wildcard": (f"pseudonym\n{CANARY}*\n", "line 2.pseudonym", "exactly as the warehouse"),
    "empty": ("pseudonym\n", "list file", "one row for each"),
    "no column": (f"{CANARY}\nx\n", "list file", "columns: kind,pseudonym"),
    "malformed date": (f"pseudonym,start\n{UNKNOWN},{CANARY}\n", "line 2.start", "YYYY-MM-DD"),
    "inverted frame": (
        f"pseudonym,start,end\n{UNKNOWN},2020-02-01,2020-01-01\n", "line 2.end", "swap start and end"
    ),
    "unknown kind": (f"kind,pseudonym\n{CANARY},{UNKNOWN}\n", "line 2.kind", "accession"),
    "real identifier": (f"pseudonym\n{CANARY}\n", "identifiers[0].pseudonym", "send pseudonyms"),
    "other kind": ("kind,pseudonym\nstudy,2.25.1\n", "identifiers.kind", "bulk runs take patients"),
}  # fmt: skip


@pytest.mark.parametrize("case", LISTS)
def test_a_bad_list_file_stops_the_extraction_before_it_begins(site: Site, tmp_path: Path, case: str) -> None:
    text, name, way_out = LISTS[case]
    listed = tmp_path / "list.csv"
    listed.write_text(text)
    before = site.state()

    ended = p2d("extract", listed, "--settings", site.installation.settings("gateway"))

    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith(f"Invalid request: {name}: ")
    assert way_out in ended.stderr
    assert CANARY not in ended.stdout + ended.stderr + site.audit_text()
    assert site.state() == before


@pytest.mark.parametrize(
    ("options", "code", "name"),
    [
        (["--attribute", CANARY], 2, "attributes"),
        (["--modality", CANARY], 2, "--modality"),
        ([], 4, "identifiers[0]"),
    ],
    ids=["unknown attribute", "unknown modality", "unknown pseudonym"],
)
def test_a_bad_query_from_the_command_line_ends_with_its_code(
    site: Site, tmp_path: Path, options: list[str], code: int, name: str
) -> None:
    listed, target = tmp_path / "list.csv", tmp_path / "answer.csv"
    listed.write_text(f"pseudonym\n{UNKNOWN}\n")

    ended = p2d(
        "query", listed, "--settings", site.installation.settings("warehouse"), "--to", target, *options
    )

    assert ended.returncode == code, ended.stderr
    assert f": {name}: " in ended.stderr
    assert "Way out: " in ended.stderr
    assert CANARY not in ended.stdout + ended.stderr + site.audit_text()
    assert not target.exists()


def test_an_unknown_patient_is_a_number_of_the_bulk_report(site: Site, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text(f"pseudonym\n{UNKNOWN}\n")

    ended = p2d("extract", listed, "--settings", site.installation.settings("gateway"))

    assert ended.returncode == 0, ended.stderr
    assert "unresolved: NotFound" in ended.stdout


# The warehouse -----------------------------------------------------------------------------------------

ROWS: dict[str, tuple[str, dict[str, object]]] = {
    "patient.patient": ("patient", {"patient": CANARY, "sex": "F", "birth_year": 1950}),
    "study.study": (
        "study", {"patient": patient_psn(1), "study": f"1.2.{len(CANARY)}", "archive": "main"}
    ),
    "study.accession": (
        "study",
        {"patient": patient_psn(1), "study": "2.25.1", "archive": "main", "accession": CANARY},
    ),
    "case.case": ("case", {"patient": patient_psn(1), "case": CANARY}),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_a_batch_with_something_else_than_pseudonyms_is_refused_whole(site: Site, name: str) -> None:
    table, row = ROWS[name]
    good = {"patient": [{"patient": patient_psn(1), "sex": "F", "birth_year": 1950}]}
    rows = {**good, table: [*good.get(table, []), row]}
    headers = {
        "Authorization": f"Bearer {site.installation.secret('loader')}",
        "Content-Type": MEDIA_TYPE,
    }
    before = site.state()
    recorded = len(site.records("warehouse"))

    answer = httpx.post(
        f"{site.installation.url('warehouse')}/load",
        content=encode(batch(rows, source="clinical" if table in {"patient", "case"} else "basic")),
        headers=headers,
        trust_env=False,
    )

    told_well(answer, 422, name, "p2d identity pseudonymise")
    intent, outcome = site.records("warehouse")[recorded:]
    assert (intent["action"], outcome["error"]) == ("load", "InvalidRequest")
    assert CANARY not in site.audit_text()
    assert site.state() == before


def test_clinical_files_with_something_else_than_pseudonyms_are_set_aside(site: Site, tmp_path: Path) -> None:
    for name, columns in COLUMNS.items():
        (tmp_path / f"{name}.csv").write_text(",".join(columns) + "\n")
    header = (tmp_path / "patient.csv").read_text()
    (tmp_path / "patient.csv").write_text(header + f"{CANARY},F,1950\n")
    before = site.state()

    ended = p2d("load", tmp_path, "--settings", site.installation.settings("warehouse"))

    assert ended.returncode == 7, ended.stderr
    assert "set aside: patient.csv row 1 field patient" in ended.stderr
    assert "Way out: correct them at their source" in ended.stderr
    assert CANARY not in ended.stdout + ended.stderr + site.audit_text()
    assert site.state() == before


@pytest.mark.parametrize(
    ("where", "name"),
    [
        ({"attribute": CANARY, "exists": True}, "where.attribute"),
        ({"attribute": "StudyDate", "from": CANARY}, "where"),
        ({}, "where"),
    ],
)
def test_a_bad_cohort_query_is_told_and_recorded(site: Site, where: dict[str, object], name: str) -> None:
    headers = {"Authorization": f"Bearer {site.installation.secret('researcher')}"}
    recorded = len(site.records("warehouse"))

    answer = httpx.post(
        f"{site.installation.url('warehouse')}/cohorts/count",
        json={"version": 1, "where": where},
        headers=headers,
        trust_env=False,
    )

    assert answer.status_code == 422
    assert answer.json()["field"].startswith(name)
    assert answer.json()["remedy"]
    assert CANARY not in site.audit_text()
    last = site.records("warehouse")[recorded:][-1]
    assert last.get("error") == "InvalidRequest" or last["subject"]["family"] == "InvalidRequest"
