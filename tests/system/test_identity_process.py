"""The identity process as an operator starts it, and its table under kill -9 and a full disk."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2d.identity.http import HttpIdentity
from p2d.identity.keys import Keys, create_key_file, read_key_file
from p2d.identity.port import Domain
from p2d.identity.table import IdentityTable
from p2d.model.errors import Unavailable
from p2d.model.identified import PatientId
from p2d.model.ids import Pseudonym
from p2d.testing.identity import TEST_KEY
from p2d.testing.installation import free_ports

pytestmark = pytest.mark.system

SECRET = "Xk2-97fQzLmW0aYtBnR5c-E8"
SETTINGS = """
[identity]
port = {port}
state_dir = "."
database = "identity.db"
key_file = "identity.key"

[[clients]]
name = "gateway"
secret = "gateway.token"
rights = ["patient:create", "patient:resolve", "uid:derive", "patient:date_shift"]
"""

_CREATE_FOR_EVER = """
import sys
from pathlib import Path
from p2d.identity.keys import Keys
from p2d.identity.port import Domain
from p2d.identity.table import IdentityTable
from p2d.model.identified import PatientId
from p2d.testing.identity import TEST_KEY
table = IdentityTable(Path(sys.argv[1]), Keys(TEST_KEY, 1))
number = int(sys.argv[2])
while True:
    ids = [f"{number + i}" for i in range(50)]
    made = table.pseudonymise(Domain.PATIENT, [PatientId(text) for text in ids], create=True)
    print(*(f"{text}={psn}" for text, psn in zip(ids, made)), flush=True)
    number += 50
"""

_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from p2d.identity.keys import Keys
from p2d.identity.port import Domain
from p2d.identity.table import IdentityTable
from p2d.model.errors import Unavailable
from p2d.model.identified import PatientId
from p2d.testing.identity import TEST_KEY
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])
table = IdentityTable(path, Keys(TEST_KEY, 1))
few, many = [PatientId("1")], [PatientId(f"KANARI{i}") for i in range(5000)]
table.pseudonymise(Domain.PATIENT, few, create=True)
size = path.with_name(path.name + "-wal").stat().st_size + 10_000
resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
try:
    table.pseudonymise(Domain.PATIENT, many, create=True)
except Unavailable as error:
    print("refused", error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
found = table.pseudonymise(Domain.PATIENT, many, create=False)
print(len([psn for psn in found if isinstance(psn, str)]))
print(len([psn for psn in table.pseudonymise(Domain.PATIENT, many, create=True) if isinstance(psn, str)]))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (port,) = free_ports(1)
    create_key_file(tmp_path / "identity.key")
    secret = tmp_path / "gateway.token"
    secret.write_text(SECRET)
    secret.chmod(0o400)
    (tmp_path / "identity.toml").write_text(SETTINGS.format(port=port))
    (tmp_path / "url").write_text(f"http://127.0.0.1:{port}")
    return tmp_path


@pytest.fixture
def process(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "p2d", "serve", "identity", "--settings", str(folder / "identity.toml")]
    with (folder / "output.log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    yield child
    child.kill()
    child.wait()


def pairs(line: str) -> dict[str, str]:
    return {text: psn for text, _, psn in (pair.partition("=") for pair in line.split())}


def connected(folder: Path) -> HttpIdentity:
    identity = HttpIdentity((folder / "url").read_text(), SECRET, 10)
    deadline = time.monotonic() + 60
    while True:
        try:
            identity.ping()
        except Unavailable:
            assert time.monotonic() < deadline, "identity did not start"
            time.sleep(0.05)
        else:
            return identity


@pytest.mark.usefixtures("process")
def test_the_process_answers_and_its_files_hold_no_identifier(folder: Path) -> None:
    identity = connected(folder)
    patients = [PatientId(f"KANARI-{i}") for i in range(100)]

    made = identity.pseudonymise(Domain.PATIENT, patients, create=True)
    back = identity.resolve(Domain.PATIENT, [psn for psn in made if isinstance(psn, Pseudonym)])
    identity.derive(["1.3.6.1.4.1.99999.77"])
    identity.close()

    content = b"".join(path.read_bytes() for path in folder.iterdir())
    assert back == patients
    assert b"KANARI" not in content
    assert b"1.3.6.1.4.1.99999.77" not in content
    assert (folder / "output.log").read_bytes() == b""


def test_the_process_ends_when_told_to_and_leaves_no_core(
    folder: Path, process: subprocess.Popen[bytes]
) -> None:
    connected(folder).close()
    limits = Path(f"/proc/{process.pid}/limits").read_text()

    process.send_signal(signal.SIGTERM)
    process.wait(20)

    (core,) = [line.split() for line in limits.splitlines() if line.startswith("Max core file size")]
    assert core[4:6] == ["0", "0"]


def test_pseudonyms_given_out_before_kill_9_are_known_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "identity.db"
    given: dict[str, str] = {}

    for turn in range(5):
        command = [sys.executable, "-c", _CREATE_FOR_EVER, str(path), str(len(given))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _ in range(3 + 2 * turn):
                given.update(pairs(child.stdout.readline()))
            os.kill(child.pid, signal.SIGKILL)
            for line in child.stdout:
                if line.endswith("\n"):
                    given.update(pairs(line))

    table = IdentityTable(path, Keys(TEST_KEY, 1))
    found = table.resolve(Domain.PATIENT, [Pseudonym(psn) for psn in given.values()])
    table.close()
    with sqlite3.connect(path) as raw:
        state = raw.execute("PRAGMA integrity_check").fetchone()
    raw.close()
    assert len(set(given.values())) == len(given) >= 50 * 35
    assert found == [PatientId(text) for text in given]
    assert state == ("ok",)


def test_a_full_disk_adds_nothing_and_is_survived(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _FULL_DISK, str(tmp_path / "identity.db")]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[0].startswith("refused identity database")
    assert done.stdout.splitlines()[1:] == ["0", "5000"]
    assert "KANARI" not in done.stdout + done.stderr


def test_two_key_files_of_two_installations_give_different_pseudonyms(tmp_path: Path) -> None:
    made = []

    for name in ("a", "b"):
        create_key_file(tmp_path / f"{name}.key")
        keys = read_key_file(tmp_path / f"{name}.key")
        table = IdentityTable(tmp_path / f"{name}.db", keys)
        made.append(table.pseudonymise(Domain.PATIENT, [PatientId("4711")], create=True))
        table.close()

    assert made[0] != made[1]
