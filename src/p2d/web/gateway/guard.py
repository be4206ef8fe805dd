"""Who is calling: the warehouse by its secret, a user by a signed assertion, a session by its key.

Secrets and keys travel in headers only, never in an address.
"""

from dataclasses import dataclass, field
from typing import Final, cast

from fastapi import Request

from p2d.access.assertion import Assertions
from p2d.access.caller import Caller
from p2d.access.check import check_bulk
from p2d.access.roles import Role
from p2d.access.service import Gatekeeper
from p2d.access.sessions import Session
from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.runner import BulkRunner
from p2d.flows.gateway.sync.runner import SyncRunner
from p2d.model.errors import NotFound, Refused

_SESSION: Final = "P2D-Session"
_ASSERTION: Final = "P2D-Assertion"


@dataclass(frozen=True, slots=True)
class Guard:
    """Checks what a request carries; each method raises Refused, always with the same words for a cause."""

    service_secret: Gatekeeper = field(repr=False)
    operator_secret: Gatekeeper = field(repr=False)
    assertions: Assertions = field(repr=False)
    session_hours: float = 8.0
    session_idle_minutes: float = 15.0
    officer_secret: Gatekeeper | None = field(default=None, repr=False)
    metrics_token: Gatekeeper | None = field(default=None, repr=False)

    def service(self, request: Request) -> None:
        """Require the warehouse's service secret."""
        self.service_secret.admit(_bearer(request), _source(request))

    def session(self, request: Request) -> Session:
        """Require the service secret and a session key, and return the session."""
        self.service(request)
        return web_of(request).gateway.sessions.find(request.headers.get(_SESSION, ""))

    def operator(self, request: Request) -> Caller:
        """Require the operator's secret and an assertion with the role operator."""
        self.operator_secret.admit(_bearer(request), _source(request))
        caller = self.caller(request.headers.get(_ASSERTION, ""))
        check_bulk(caller)
        return caller

    def reviewer(self, request: Request) -> Caller:
        """Require an assertion; of an officer the officers' secret besides, of others the service secret."""
        caller = self.caller(request.headers.get(_ASSERTION, ""))
        if caller.role is not Role.OFFICER:
            self.service(request)
            return caller
        if self.officer_secret is None:
            raise Refused("role", "this gateway knows no officers", "set review.officer_secret")
        self.officer_secret.admit(_bearer(request), _source(request))
        return caller

    def metrics(self, request: Request) -> None:
        """Require the token of who collects metrics."""
        if self.metrics_token is None:
            raise NotFound("metrics", "are not served", "set metrics.token")
        self.metrics_token.admit(_bearer(request), _source(request))

    def caller(self, assertion: str) -> Caller:
        """Return who an assertion of the warehouse names."""
        return self.assertions.verify(assertion)


@dataclass(frozen=True, slots=True)
class Web:
    """What the endpoints work with, kept in ``app.state.web``."""

    gateway: Gateway
    guard: Guard
    runner: BulkRunner = field(repr=False)
    syncs: SyncRunner = field(repr=False)


def web_of(request: Request) -> Web:
    """Return what ``create_app`` put beside the application."""
    return cast("Web", request.app.state.web)


def _bearer(request: Request) -> str:
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret:
        raise Refused("Authorization", "carries no bearer secret", "send: Authorization: Bearer <secret>")
    return secret


def _source(request: Request) -> str:
    return request.client.host if request.client else "unknown"
