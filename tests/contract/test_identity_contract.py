import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from p2d.identity.http import HttpIdentity
from p2d.identity.keys import Keys
from p2d.identity.port import Domain, Identity
from p2d.identity.service import IdentityService
from p2d.identity.table import IdentityTable
from p2d.model.errors import ProtocolViolation, Refused, Unavailable
from p2d.model.identified import PatientId
from p2d.model.ids import Pseudonym
from p2d.testing.identity import TEST_KEY, MemoryIdentity
from p2d.testing.identity_contract import IdentityContract
from p2d.testing.odd_http import OddHttpServer
from p2d.web.identity.app import ClientSecret, create_app

ALL_RIGHTS = frozenset(
    {f"{domain}:{action}" for domain in Domain for action in ("resolve", "pseudonymise", "create")}
    | {"uid:derive", "patient:date_shift"}
)
GATEWAY = "Xk2-gateway-97fQzLmW0aYt"
READER = "Rd7-reader-31hVbNcU5eJo"
NOBODY = "Nb5-nobody-64kTgPsE8iRw"


class Switchboard:
    """One running server for all tests, with each test's own application behind it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.app: FastAPI | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)


@pytest.fixture(scope="module")
def switchboard() -> Iterator[Switchboard]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else 40 ms an answer
        board = Switchboard(f"http://127.0.0.1:{listener.getsockname()[1]}")
        config = uvicorn.Config(board, log_level="error", access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield board
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def table(tmp_path: Path) -> Iterator[IdentityTable]:
    own = IdentityTable(tmp_path / "identity.db", Keys(TEST_KEY, 1))
    yield own
    own.close()


@pytest.fixture
def url(table: IdentityTable, switchboard: Switchboard) -> str:
    clients = [
        ClientSecret.of("gateway", GATEWAY, ALL_RIGHTS),
        ClientSecret.of("reader", READER, frozenset({"patient:pseudonymise"})),
    ]
    switchboard.app = create_app(IdentityService(table), clients)
    return switchboard.url


@contextmanager
def client(url: str, secret: str = GATEWAY, timeout: float = 30.0) -> Iterator[HttpIdentity]:
    identity = HttpIdentity(url, secret, timeout)
    try:
        yield identity
    finally:
        identity.close()


class TestMemoryIdentity(IdentityContract):
    @pytest.fixture
    def identity(self) -> Identity:
        return MemoryIdentity()


class TestIdentityTable(IdentityContract):
    @pytest.fixture
    def identity(self, table: IdentityTable) -> Identity:
        return table


class TestHttpIdentity(IdentityContract):
    @pytest.fixture
    def identity(self, url: str) -> Iterator[Identity]:
        with client(url) as identity:
            yield identity


def test_a_wrong_secret_is_refused(url: str) -> None:
    with client(url, NOBODY) as identity, pytest.raises(Refused, match="secret"):
        identity.ping()


def test_a_client_may_do_only_what_its_rights_name(url: str) -> None:
    psn = Pseudonym("PSN-1")

    with client(url, READER) as identity:
        identity.pseudonymise(Domain.PATIENT, [PatientId("1")], create=False)

        with pytest.raises(Refused, match="right"):
            identity.resolve(Domain.PATIENT, [psn])
        with pytest.raises(Refused, match="right"):
            identity.pseudonymise(Domain.PATIENT, [PatientId("1")], create=True)
        with pytest.raises(Refused, match="right"):
            identity.derive(["1.2.3"])
        with pytest.raises(Refused, match="right"):
            identity.date_shift([psn])


def test_a_dead_peer_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with client(f"http://127.0.0.1:{port}") as identity, pytest.raises(Unavailable):
        identity.ping()


def test_a_silent_peer_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"

        with client(address, timeout=0.2) as identity, pytest.raises(Unavailable):
            identity.ping()


NDJSON = "application/x-ndjson"
P1 = '{"i":0,"status":"value","value":"PSN-1"}\n'
P2 = '{"i":1,"status":"value","value":"PSN-2"}\n'
ODD_ANSWERS = {
    "HTML": ("text/html", "<html>log in</html>"),
    "HTML called NDJSON": (NDJSON, "<html>\n</html>\n"),
    "JSON": ("application/json", "[]"),
    "empty": (NDJSON, ""),
    "short": (NDJSON, P1),
    "long": (NDJSON, P1 + P2 + P2),
    "swapped": (NDJSON, P2 + P1),
    "no index": (NDJSON, P1 + '{"status":"value","value":"PSN-2"}'),
    "index of another type": (NDJSON, P1 + '{"i":true,"status":"value","value":"PSN-2"}'),
    "no status": (NDJSON, P1 + '{"i":1,"value":"PSN-2"}'),
    "unknown status": (NDJSON, P1 + '{"i":1,"status":"anonymised"}'),
    "empty object": (NDJSON, P1 + "{}"),
    "null": (NDJSON, P1 + "null"),
    "number": (NDJSON, P1 + '{"i":1,"status":"value","value":17}'),
    "no value": (NDJSON, P1 + '{"i":1,"status":"value"}'),
    "empty value": (NDJSON, P1 + '{"i":1,"status":"value","value":""}'),
    "sentinel": (NDJSON, P1 + '{"i":1,"status":"value","value":"*** PSEUDONYM NOT FOUND ***"}'),
    "pass-through": (NDJSON, P1 + '{"i":1,"status":"value","value":"KANARI2"}'),
    "one pseudonym for two": (NDJSON, P1 + '{"i":1,"status":"value","value":"PSN-1"}'),
    "not UTF-8": (NDJSON, P1 + '{"i":1,"status":"\udcff"}'),
    "deep nesting": (NDJSON, P1 + "[" * 100_000),
}


@pytest.mark.parametrize("name", ODD_ANSWERS)
def test_odd_answers_are_violations_that_show_no_identifier(name: str) -> None:
    media_type, body = ODD_ANSWERS[name]
    asked = [PatientId("KANARI1"), PatientId("KANARI2")]

    with (
        OddHttpServer(200, media_type, body.encode("utf-8", "surrogateescape")) as server,
        client(server.url) as identity,
        pytest.raises(ProtocolViolation) as caught,
    ):
        identity.pseudonymise(Domain.PATIENT, asked, create=True)

    assert "KANARI" not in f"{caught.value!r}"
    assert b"KANARI" not in server.request_lines


@pytest.mark.parametrize(
    "value",
    ['""', '"*"', '"*** VALUE NOT FOUND ***"', '"PSN-1"', '" 4711"', "null", '"a\\\\b"', '"a\\nb"'],
)
def test_odd_identifiers_are_violations(value: str) -> None:
    body = f'{{"i":0,"status":"value","value":{value}}}\n'.encode()

    with (
        OddHttpServer(200, NDJSON, body) as server,
        client(server.url) as identity,
        pytest.raises(ProtocolViolation),
    ):
        identity.resolve(Domain.PATIENT, [Pseudonym("PSN-1")])


@pytest.mark.parametrize("value", ["0", "1", "-3651", '"-3"', "-1.5", "true", "null"])
def test_odd_date_shifts_are_violations(value: str) -> None:
    body = f'{{"i":0,"status":"value","value":{value}}}\n'.encode()

    with (
        OddHttpServer(200, NDJSON, body) as server,
        client(server.url) as identity,
        pytest.raises(ProtocolViolation),
    ):
        identity.date_shift([Pseudonym("PSN-1")])


@pytest.mark.parametrize("value", ['"1.2.3"', '"2.25.x"', '""', "null", '"1.2.840.10008.1.1"'])
def test_odd_derived_uids_are_violations(value: str) -> None:
    body = f'{{"i":0,"status":"value","value":{value}}}\n'.encode()

    with (
        OddHttpServer(200, NDJSON, body) as server,
        client(server.url) as identity,
        pytest.raises(ProtocolViolation),
    ):
        identity.derive(["1.2.3"])


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, ProtocolViolation),
        (401, Refused),
        (403, Refused),
        (404, ProtocolViolation),
        (413, ProtocolViolation),
        (429, Unavailable),
        (500, ProtocolViolation),
        (502, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
    ],
)
def test_a_status_means_its_family(status: int, error: type[Exception]) -> None:
    with (
        OddHttpServer(status, "text/html", b"<html>") as server,
        client(server.url) as identity,
        pytest.raises(error),
    ):
        identity.ping()


def test_a_peer_that_dies_in_mid_answer_is_unavailable() -> None:
    with (
        OddHttpServer(200, NDJSON, P1.encode(), claimed_length=1000) as server,
        client(server.url) as identity,
        pytest.raises(Unavailable),
    ):
        identity.pseudonymise(Domain.PATIENT, [PatientId("1")], create=True)


def test_a_peer_that_does_not_speak_http_is_a_violation() -> None:
    with (
        OddHttpServer(200, "", b"", banner=b"SSH-2.0-OpenSSH_9.2\r\n\r\n") as server,
        client(server.url) as identity,
        pytest.raises(ProtocolViolation),
    ):
        identity.ping()


def test_a_peer_that_drips_is_unavailable_in_time() -> None:
    body = P1.encode() * 1000

    with (
        OddHttpServer(200, NDJSON, body, drip_seconds=0.002) as server,
        client(server.url, timeout=0.5) as identity,
        pytest.raises(Unavailable),
    ):
        identity.pseudonymise(Domain.PATIENT, [PatientId("1")], create=True)


def test_long_items_are_split_by_size_too(url: str) -> None:
    sources = [f"document:{i:04}{chr(0x20AC) * 1000}" for i in range(3000)]

    with client(url) as identity:
        derived = identity.derive(sources)

    assert list(derived) == sources
