"""What fails inside a process shows by type and place, never by a text that could hold an identifier."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from p2d.testing.installation import free_ports
from p2d.testing.processes import Process

pytestmark = pytest.mark.system
CANARY = "Kanarienvogel"
LOGGING = """
import logging, sys, threading, warnings
from p2d.main.process import quiet_logs

canary = sys.argv[1]
quiet_logs()

def broken(*_):
    try:
        raise KeyError(canary)
    except KeyError as error:
        raise ValueError(canary) from error

class Broken:
    __del__ = broken

log = logging.getLogger("uvicorn.error")
try:
    broken()
except ValueError:
    log.exception("Exception in ASGI application")
thread = threading.Thread(target=broken, name=canary)
thread.start()
thread.join()
Broken()
log.error("%d items", canary)
warnings.warn(canary)
for library in ("pydicom", "pynetdicom.acse", "httpx", "httpcore.connection"):
    logging.getLogger(library).error(canary)
logging.getLogger("p2d").info(canary)
"""
SERVING = """
import sys
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from p2d.main.process import serve_app
from p2d.web.problems import install_problem_handlers

app = FastAPI()
install_problem_handlers(app)

@app.get("/health")
def health() -> dict[str, str]:
    return {}

@app.get("/fails")
def fails() -> None:
    raise ValueError(sys.argv[1])

@app.get("/stops")
def stops() -> StreamingResponse:
    def parts():
        yield b"begun"
        raise ValueError(sys.argv[1])
    return StreamingResponse(parts())

serve_app(app, "127.0.0.1", int(sys.argv[2]), "port")
"""


def test_logs_name_type_and_place_of_an_error_and_nothing_of_its_text() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LOGGING, CANARY], capture_output=True, text=True, check=False, timeout=60
    )

    assert ended.returncode == 0, ended.stderr
    assert "ERROR uvicorn.error: Exception in ASGI application" in ended.stderr
    assert ended.stderr.count("ValueError at ") == 3  # logged, in a thread, not raised
    assert CANARY not in ended.stdout + ended.stderr


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Process]]:
    (port,) = free_ports(1)
    process = Process("server", [sys.executable, "-c", SERVING, CANARY, str(port)], tmp_path / "log")
    try:
        process.wait_for(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.stop()


def test_a_fault_in_an_endpoint_is_a_problem_without_its_text(served: tuple[str, Process]) -> None:
    url, process = served

    answer = httpx.get(f"{url}/fails", params={"patient": CANARY}, trust_env=False)

    assert answer.status_code == 500
    assert answer.json() == {
        "type": "about:blank",
        "title": "Internal error",
        "status": 500,
        "detail": "the request failed; nothing was released",
    }
    process.stop()  # the log is written after the answer
    assert "ValueError at " in process.log.read_text()
    assert CANARY not in process.log.read_text()


def test_a_fault_amid_an_answer_breaks_it_off_and_shows_no_text(served: tuple[str, Process]) -> None:
    url, process = served

    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{url}/stops", trust_env=False)

    process.stop()  # the log is written after the answer
    assert "ValueError at " in process.log.read_text()
    assert CANARY not in process.log.read_text()


@pytest.mark.parametrize("arguments", [["check"], ["extract", "list.csv"]])
def test_a_fault_in_a_command_shows_no_text_either(tmp_path: Path, arguments: list[str]) -> None:
    probe = f"""
import sys
from p2d.cli.app import cli
from p2d.main import roots

def broken(*_):
    raise ValueError({CANARY!r})

roots._late = lambda *_: broken
cli(sys.argv[1:], obj=roots.roots(), prog_name="p2d")
"""
    (tmp_path / "list.csv").write_text("pseudonym\nP1\n")

    ended = subprocess.run(
        [sys.executable, "-c", probe, *arguments, "--settings", "x.toml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ended.returncode == 1
    assert ended.stderr.startswith("Fault in P2D: ValueError at ")
    assert "Way out: " in ended.stderr
    assert CANARY not in ended.stdout + ended.stderr
