"""The research side's client of release reviews: how held requests stand, sheets, decisions, files."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from p2d.access.assertion import sign
from p2d.access.roles import Role
from p2d.flows.research.gateway_client import GatewayClient
from p2d.model.errors import InvalidRequest, ProtocolViolation
from p2d.model.ids import is_derived_uid
from p2d.model.review import Objection, Standing

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReviewClient:
    """Speaks for *user*: with the officers' secret as an officer, without as who asked for images."""

    gateway: GatewayClient
    user: str
    officer_secret: str | None = field(default=None, repr=False)

    def holds(self) -> list[JsonObject]:
        """Return the held requests that *user* may see.

        Raises:
            Refused: the secret or the role is not accepted.
            Unavailable: the gateway is silent.

        """
        answer = self.gateway.call("GET", "/reviews", headers=self._headers()).json()
        if not isinstance(answer, list):
            raise ProtocolViolation("gateway", "did not answer with a list")
        return answer

    def hold(self, hold: str) -> JsonObject:
        """Return one held request with its series.

        Raises:
            NotFound: unknown, expired or somebody else's.

        """
        return _object(self.gateway.call("GET", _path(hold), headers=self._headers()).json())

    def sheet(self, hold: str, series: str) -> bytes:
        """Return the contact sheet of a series as JPEG; for officers."""
        path = f"{_path(hold)}/series/{_uid(series)}/sheet"
        return self.gateway.call("GET", path, headers=self._headers()).content

    def decide(self, hold: str, series: str | None, objection: Objection | None = None) -> JsonObject:
        """Reject a series for *objection*, without one approve it; without *series* all that are pending.

        Raises:
            Refused: no officer, an own request, or decided already.

        """
        body = {"decision": "reject" if objection else "approve"} | (
            {"reason": str(objection)} if objection else {}
        )
        part = f"/series/{_uid(series)}" if series else ""
        answer = self.gateway.call(
            "POST", f"{_path(hold)}{part}/decision", json=body, headers=self._headers()
        )
        return _object(answer.json())

    def files(self, hold: str) -> AbstractContextManager[Iterator[bytes]]:
        """Open the ZIP stream of what was approved."""
        return self.gateway.streamed("GET", f"{_path(hold)}/files", headers=self._headers())

    def _headers(self) -> dict[str, str]:
        role = Role.RESEARCHER if self.officer_secret is None else Role.OFFICER
        headers = {"P2D-Assertion": sign(self.gateway.private_key, self.user, role)}
        return headers | (
            {"Authorization": f"Bearer {self.officer_secret}"} if self.officer_secret is not None else {}
        )


def pending(hold: JsonObject) -> int:
    """Return how many series of *hold* wait for a decision."""
    return sum(one.get("standing") == Standing.PENDING for one in hold.get("series", []))


def _path(hold: str) -> str:
    if not hold.isalnum() or not hold.isascii():
        raise InvalidRequest("HOLD", "is not the id of a held request", "p2d review list shows them")
    return f"/reviews/{hold}"


def _uid(series: str) -> str:
    if not is_derived_uid(series):
        raise InvalidRequest("SERIES", "is not a derived UID", "p2d review show lists them")
    return series


def _object(answer: object) -> JsonObject:
    if not isinstance(answer, dict):
        raise ProtocolViolation("gateway", "did not answer with an object")
    return answer
