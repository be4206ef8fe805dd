"""The identity service over HTTP: NDJSON in, NDJSON out, each client by its secret and within its rights.

It authenticates before it reads a body, limits what it reads, and never echoes or logs an item. There are no
generated API pages: nothing but ``/health`` answers without a secret.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool

from p2d.identity.port import Domain, Failure
from p2d.identity.service import ClientView, IdentityService
from p2d.identity.wire import (
    MAX_BYTES,
    MAX_ITEMS,
    MEDIA_TYPE,
    VALUE,
    decode_identifier,
    decode_line,
    encode_identifier,
    encode_line,
    status_of,
    text_member,
)
from p2d.model.errors import InvalidRequest
from p2d.model.ids import Pseudonym
from p2d.web.problems import install_problem_handlers

_BODY_SECONDS: Final = 30.0
_Items = list[dict[str, object]]
_Answers = list[dict[str, object]]
_Verb = Callable[[ClientView, _Items], _Answers]


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A client of the service: its name, the SHA-256 of its secret, its rights (``domain:action``)."""

    name: str
    digest: bytes = field(repr=False)
    rights: frozenset[str]

    @classmethod
    def of(cls, name: str, secret: str, rights: frozenset[str]) -> "ClientSecret":
        """Return the client with the digest of *secret*."""
        return cls(name, hashlib.sha256(secret.encode()).digest(), rights)


def create_app(service: IdentityService, clients: Sequence[ClientSecret]) -> FastAPI:
    """Return the application: ``GET /health``, ``GET /v1/ping``, ``POST /v1/{domain}/{action}``."""
    app = FastAPI(title="P2D identity", openapi_url=None, docs_url=None, redoc_url=None)
    install_problem_handlers(app)

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/ping")
    def ping(request: Request) -> dict[str, str]:
        _client(service, clients, request).ping()
        return {"status": "ok"}

    @app.post("/v1/{domain}/{action}")
    async def ask(domain: str, action: str, request: Request) -> Response:
        client = _client(service, clients, request)
        verb = _verb(domain, action, create=request.query_params.get("create") == "true")
        content = await _body(request)

        def work() -> bytes:
            answers = verb(client, _items(content))
            return b"".join(encode_line({"i": i, **answer}) for i, answer in enumerate(answers))

        return Response(
            await run_in_threadpool(work), media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"}
        )

    return app


def _client(service: IdentityService, clients: Sequence[ClientSecret], request: Request) -> ClientView:
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    digest = hashlib.sha256(secret.strip().encode()).digest()
    found = [client for client in clients if hmac.compare_digest(client.digest, digest)]  # no early end
    if scheme.lower() != "bearer" or not found:
        raise HTTPException(HTTPStatus.UNAUTHORIZED, headers={"WWW-Authenticate": "Bearer"})
    return service.as_client(found[0].name, found[0].rights)


async def _body(request: Request) -> bytes:
    content = bytearray()
    lines = 0
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                content += chunk
                lines += chunk.count(b"\n")
                if len(content) > MAX_BYTES or lines > MAX_ITEMS:
                    raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    except TimeoutError:
        raise HTTPException(HTTPStatus.REQUEST_TIMEOUT) from None
    return bytes(content)


def _items(content: bytes) -> _Items:
    lines = content.removesuffix(b"\n").split(b"\n") if content else []
    if len(lines) > MAX_ITEMS:
        raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    items = []
    for i, line in enumerate(lines):
        with _naming(i):
            item = decode_line(line)
            if item.get("i") != i:
                raise ValueError("index out of order")
            items.append(item)
    return items


@contextmanager
def _naming(index: int) -> Iterator[None]:
    """Turn a malformed item into an error that names its line and nothing of it."""
    try:
        yield
    except ValueError:
        remedy = 'send one JSON object a line with "i" counting from 0 and the members of the domain'
        raise InvalidRequest(f"line {index + 1}", "is malformed", remedy) from None


def _verb(domain: str, action: str, *, create: bool) -> _Verb:
    if (domain, action) == ("uid", "derive"):
        return _derive
    if (domain, action) == (Domain.PATIENT, "date_shift"):
        return _date_shift
    if domain not in set(Domain) or action not in {"resolve", "pseudonymise"}:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    known = Domain(domain)
    if action == "resolve":
        return lambda client, items: _resolve(client, known, items)
    return lambda client, items: _pseudonymise(client, known, items, create=create)


def _resolve(client: ClientView, domain: Domain, items: _Items) -> _Answers:
    found = client.resolve(domain, [Pseudonym(text) for text in _texts(items, "pseudonym")])
    return [
        _failed(answer) if isinstance(answer, Failure) else {"status": VALUE, **encode_identifier(answer)}
        for answer in found
    ]


def _pseudonymise(client: ClientView, domain: Domain, items: _Items, *, create: bool) -> _Answers:
    identifiers = []
    for i, item in enumerate(items):
        with _naming(i):
            identifiers.append(decode_identifier(domain, item))
    found = client.pseudonymise(domain, identifiers, create=create)
    return [_failed(answer) if isinstance(answer, Failure) else _value(answer) for answer in found]


def _derive(client: ClientView, items: _Items) -> _Answers:
    uids = _texts(items, VALUE)
    derived = client.derive(uids)
    return [_value(derived[uid]) for uid in uids]


def _date_shift(client: ClientView, items: _Items) -> _Answers:
    return [_value(days) for days in client.date_shift([Pseudonym(t) for t in _texts(items, "pseudonym")])]


def _texts(items: _Items, name: str) -> list[str]:
    texts = []
    for i, item in enumerate(items):
        with _naming(i):
            texts.append(text_member(item, name))
    return texts


def _value(value: Pseudonym | str | int) -> dict[str, object]:
    return {"status": VALUE, VALUE: value}


def _failed(failure: Failure) -> dict[str, object]:
    return {"status": status_of(failure)}
