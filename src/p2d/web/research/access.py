"""Who may call the warehouse: bearer secrets, each with its role, compared in constant time."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, cast

from fastapi import Request

from p2d.access.service import Throttle
from p2d.flows.research.cohort import Asker, CohortDesk
from p2d.model.errors import InvalidRequest, Refused
from p2d.warehouse.port import ResearchWarehouse
from p2d.web.research.leaving import ASKER

_QUESTION: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Role(StrEnum):
    """What a secret admits to.

    A researcher sees shielded numbers only, unless the settings say otherwise; an approved one sees numbers
    as they are, and patients.
    """

    LOADER = "loader"
    OPERATOR = "operator"
    RESEARCHER = "researcher"
    APPROVED = "approved"


PEOPLE: Final = (Role.RESEARCHER, Role.APPROVED, Role.OPERATOR)
"""Who may ask for cohorts."""


class Door:
    """Knows the role of a secret; guessing is slowed down by address, the right secret never.

    So that nobody behind the same proxy can lock the others out.

    Secrets are long and random (``settings.file.read_secret`` sees to it), so a plain SHA-256 is kept.
    """

    def __init__(self, secrets: Mapping[Role, str], throttle: Throttle) -> None:
        self._digests = {role: _digest(secret) for role, secret in secrets.items()}
        self._throttle = throttle

    def role(self, secret: str, source: str) -> Role:
        """Return the role of *secret*, shown by *source* (an address).

        Raises:
            Refused: missing or wrong, or too many failures before.

        """
        shown, found = _digest(secret), None
        for role, known in self._digests.items():
            if hmac.compare_digest(shown, known):
                found = role
        if found is None:
            self._throttle.check(source)
            self._throttle.failed(source)
            raise Refused(
                "Authorization", "the secret is missing or wrong", "send: Authorization: Bearer SECRET"
            )
        self._throttle.succeeded(source)
        return found


@dataclass(frozen=True, slots=True)
class Research:
    """What the endpoints work with, kept in ``app.state.research``."""

    warehouse: ResearchWarehouse
    desk: CohortDesk
    door: Door = field(repr=False)


def research_of(request: Request) -> Research:
    """Return what ``create_app`` put beside the application."""
    return cast("Research", request.app.state.research)


def role_of(request: Request) -> Role:
    """Return the role that the request's bearer secret admits to.

    Raises:
        Refused: no secret, or a wrong one.

    """
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    source = request.client.host if request.client else "unknown"
    return research_of(request).door.role(secret if scheme.lower() == "bearer" else "", source)


def admit(*roles: Role) -> Callable[[Request], Asker]:
    """Return a dependency that lets only *roles* in and names the asker."""

    def check(request: Request) -> Asker:
        role = role_of(request)
        if role not in roles:
            raise Refused("Authorization", f"the role {role} may not do this", f"needed: {', '.join(roles)}")
        question = request.headers.get("p2d-question", "")
        if question and not _QUESTION.fullmatch(question):
            raise InvalidRequest(
                "P2D-Question",
                "is not 1 to 64 characters of A-Z a-z 0-9 . _ -",
                "send a random name, such as a UUID",
            )
        asker = Asker(user=str(role), role=str(role), question=question or secrets.token_hex(16))
        setattr(request.state, ASKER, asker)
        return asker

    return check


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
