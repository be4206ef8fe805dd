import asyncio
import json
from collections.abc import Mapping

import httpx
import pytest
from fastapi import FastAPI

from p2d.identity.service import IdentityService
from p2d.testing.identity import MemoryIdentity
from p2d.web.identity.app import ClientSecret, create_app

SECRET = "Xk2-gateway-97fQzLmW0aYt"
RIGHTS = frozenset({"patient:create", "patient:resolve", "case:create", "uid:derive", "patient:date_shift"})
NO_HEADERS: Mapping[str, str] = {}
BEARER = {"Authorization": f"Bearer {SECRET}"}


class Http:
    """Asks the application without a socket."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def get(self, path: str, headers: Mapping[str, str] = NO_HEADERS) -> httpx.Response:
        return self._ask("GET", path, headers, b"")

    def post(
        self, path: str, content: str | bytes = b"", headers: Mapping[str, str] = NO_HEADERS
    ) -> httpx.Response:
        return self._ask("POST", path, headers, content)

    def _ask(
        self, method: str, path: str, headers: Mapping[str, str], content: str | bytes
    ) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://identity") as client:
                return await client.request(method, path, headers=dict(headers), content=content)

        return asyncio.run(ask())


@pytest.fixture
def http() -> Http:
    clients = [ClientSecret.of("gateway", SECRET, RIGHTS)]
    return Http(create_app(IdentityService(MemoryIdentity()), clients))


def test_health_needs_no_secret_and_tells_no_version(http: Http) -> None:
    answer = http.get("/health")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/", "/v1", "/v1/patient/resolve"])
def test_nothing_else_answers_a_get(http: Http, path: str) -> None:
    assert http.get(path).status_code in {404, 405}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Basic {SECRET}"},
        {"Authorization": SECRET},
        {"Authorization": f"Bearer {SECRET}x"},
        {"Authorization": f"Bearer {SECRET[:-1]}"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/patient/resolve", "/v1/nothing/at-all"])
def test_a_wrong_secret_is_answered_401_whatever_is_asked(
    http: Http, headers: dict[str, str], path: str
) -> None:
    answer = http.post(path, content=b"not even JSON", headers=headers)

    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_ping_accepts_a_right_secret(http: Http) -> None:
    assert http.get("/v1/ping", headers=BEARER).json() == {"status": "ok"}
    assert http.get("/v1/ping").status_code == 401


def test_a_missing_right_is_a_403_problem(http: Http) -> None:
    answer = http.post("/v1/study/resolve", content=b'{"i":0,"pseudonym":"2.25.1"}\n', headers=BEARER)

    assert answer.status_code == 403
    assert "study:resolve" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/v1/series/resolve", "/v1/patient/derive", "/v1/uid/resolve", "/v1/x/y"])
def test_unknown_domains_and_actions_are_not_found(http: Http, path: str) -> None:
    assert http.post(path, headers=BEARER).status_code == 404


def test_each_line_is_answered_with_its_index_and_status(http: Http) -> None:
    lines = [{"i": 0, "value": "4711"}, {"i": 1, "value": "*"}, {"i": 2, "value": "4711"}]
    body = "\n".join(json.dumps(line) for line in lines)

    answer = http.post("/v1/patient/pseudonymise?create=true", content=body, headers=BEARER)

    items = [json.loads(line) for line in answer.text.splitlines()]
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert answer.headers["Cache-Control"] == "no-store"
    assert [item["i"] for item in items] == [0, 1, 2]
    assert [item["status"] for item in items] == ["value", "invalid", "value"]
    assert items[0]["value"] == items[2]["value"]


def test_no_lines_are_no_answers(http: Http) -> None:
    answer = http.post("/v1/patient/resolve", content=b"", headers=BEARER)

    assert (answer.status_code, answer.text) == (200, "")


@pytest.mark.parametrize(
    "line",
    [
        b"KANARI",
        b'"KANARI"',
        b'{"i":1,"value":"KANARI',
        b'{"i":2,"value":"KANARI"}',
        b'{"i":"1","value":"KANARI"}',
        b'{"value":"KANARI"}',
        b'{"i":1,"values":"KANARI"}',
        b'{"i":1,"value":["KANARI"]}',
        b'{"i":1,"value":"KANARI\xff"}',
        b"[" * 100_000,
        b"",
    ],
)
def test_a_malformed_line_is_named_by_number_and_never_echoed(http: Http, line: bytes) -> None:
    body = b'{"i":0,"value":"1"}\n' + line + b'\n{"i":2,"value":"2"}'

    answer = http.post("/v1/patient/pseudonymise?create=true", content=body, headers=BEARER)

    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["field"] == "line 2"
    assert "KANARI" not in answer.text


@pytest.mark.parametrize("start", ["2024-13-01", "gestern", 20240101, "2024-1-1"])
def test_a_malformed_date_of_a_stay_is_refused(http: Http, start: object) -> None:
    line = {"i": 0, "admission_id": "F1", "patient_id": "1", "start": start, "end": None}

    answer = http.post("/v1/case/pseudonymise?create=true", content=json.dumps(line), headers=BEARER)

    assert answer.status_code == 422


def test_more_than_10000_lines_are_too_many(http: Http) -> None:
    line = b'{"i":0,"value":"1"}\n'

    assert http.post("/v1/uid/derive", content=line * 10_001, headers=BEARER).status_code == 413


def test_more_than_16_mib_are_too_much(http: Http) -> None:
    body = b" " * (16 * 1024 * 1024 + 1)

    assert http.post("/v1/uid/derive", content=body, headers=BEARER).status_code == 413
