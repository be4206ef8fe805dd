import asyncio
import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from p2d.identity.keys import create_key_file
from p2d.main.identity import AUDIT_FILE, build, read
from p2d.model.errors import Misconfigured

SECRET = "Xk2-97fQzLmW0aYtBnR5c-E8"
SETTINGS = """
[identity]
state_dir = "."
database = "identity.db"
key_file = "identity.key"

[[clients]]
name = "gateway"
secret = "gateway.token"
rights = ["patient:create", "patient:resolve"]
"""


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    create_key_file(tmp_path / "identity.key")
    secret = tmp_path / "gateway.token"
    secret.write_text(SECRET)
    secret.chmod(0o400)
    path = tmp_path / "identity.toml"
    path.write_text(SETTINGS)
    return path


async def ask(settings: Path, path: str, body: bytes) -> httpx.Response:
    transport = httpx.ASGITransport(build(read(settings)))
    headers = {"Authorization": f"Bearer {SECRET}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://identity") as client:
        return await client.post(path, content=body, headers=headers)


def test_every_call_is_recorded_without_an_identifier(settings: Path) -> None:
    answer = asyncio.run(
        ask(settings, "/v1/patient/pseudonymise?create=true", b'{"i":0,"value":"KANARI-4711"}\n')
    )

    journal = (settings.parent / AUDIT_FILE).read_text()
    intent, outcome = [json.loads(line) for line in journal.splitlines()]
    assert answer.status_code == 200
    assert (intent["kind"], intent["user"], intent["action"]) == ("intent", "gateway", "create")
    assert intent["subject"] == {"domain": "patient", "count": 1}
    assert (outcome["outcome"], outcome["counts"]) == ("ok", {"value": 1})
    assert "KANARI" not in journal
    assert answer.json()["value"] not in journal


def test_a_refused_call_is_recorded_as_such(settings: Path) -> None:
    answer = asyncio.run(ask(settings, "/v1/study/resolve", b'{"i":0,"pseudonym":"2.25.1"}\n'))

    journal = (settings.parent / AUDIT_FILE).read_text()
    assert answer.status_code == 403
    assert json.loads(journal.splitlines()[-1])["error"] == "Refused"


def test_a_weak_client_secret_stops_the_start(settings: Path) -> None:
    secret = settings.parent / "gateway.token"
    secret.chmod(0o600)
    secret.write_text("changeme")

    with pytest.raises(Misconfigured, match="weak") as caught:
        build(read(settings))

    assert "changeme" not in str(caught.value)


def test_two_clients_must_not_share_a_secret(settings: Path) -> None:
    second = SETTINGS.partition("[[clients]]")[2].replace('"gateway"', '"other"')
    settings.write_text(f"{SETTINGS}\n[[clients]]{second}")

    with pytest.raises(Misconfigured, match="share"):
        build(read(settings))


def test_a_missing_key_file_stops_the_start(settings: Path) -> None:
    (settings.parent / "identity.key").unlink()

    with pytest.raises(Misconfigured, match="p2d identity init"):
        build(read(settings))


def test_the_site_table_of_patients_is_connected(settings: Path) -> None:
    (settings.parent / "patients.csv").write_text("original,pseudonym\nKANARI-1,PSN-1\n")
    settings.write_text(f'{SETTINGS}\n[patient_table]\npath = "patients.csv"\n')

    body = b'{"i":0,"value":"KANARI-1"}\n{"i":1,"value":"KANARI-2"}\n'
    answer = asyncio.run(ask(settings, "/v1/patient/pseudonymise?create=true", body))

    items = [json.loads(line) for line in answer.text.splitlines()]
    assert [(item["status"], item.get("value")) for item in items] == [
        ("value", "PSN-1"),
        ("not_found", None),
    ]


def test_the_identity_process_loads_nothing_of_archive_or_warehouse() -> None:
    program = "import sys, p2d.main.identity; print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    loaded = {".".join(name.split(".")[:2]) for name in done.stdout.split()}
    assert "p2d.identity" in loaded
    assert not loaded & {
        "p2d.pacs",
        "p2d.warehouse",
        "p2d.deid",
        "pynetdicom",
        "pydicom",
        "duckdb",
        "pyarrow",
    }
