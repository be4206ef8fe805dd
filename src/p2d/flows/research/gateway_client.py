"""The research side's client of the gateway: sessions, metadata, images, previews; pseudonyms both ways."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import httpx

from p2d.access.assertion import sign
from p2d.model.errors import (
    Incomplete,
    InvalidRequest,
    NotFound,
    P2DError,
    ProtocolViolation,
    Refused,
    Unavailable,
)
from p2d.model.level import Kind
from p2d.model.request import Request, Target

_FAMILIES: Final[dict[int, type[P2DError]]] = {
    401: Refused,
    403: Refused,
    404: NotFound,
    422: InvalidRequest,
    502: ProtocolViolation,
    503: Unavailable,
}
_CHUNK: Final = 1 << 16


class HeldForReview(Incomplete):
    """Images wait at the gateway, until *expires*, for an officer's decision; none has left."""

    def __init__(self, hold: str, expires: str, images: int) -> None:
        self.hold = hold
        super().__init__(
            "images",
            f"{images} wait for a release review as {hold} until {expires}",
            f"once an officer has decided: p2d review fetch {hold} --settings FILE --to FOLDER",
        )


@dataclass(frozen=True, slots=True)
class SessionKey:
    """A session at the gateway: its id and the key that opens it (shown once by the gateway)."""

    session_id: str
    key: str = field(repr=False)
    expires_at: str


@dataclass(frozen=True, slots=True)
class GatewayClient:
    """Talks to one gateway with the warehouse's service secret; signs who asks.

    ``private_key`` is the warehouse's Ed25519 key (PEM) for assertions about its users.
    """

    http: httpx.Client = field(repr=False)
    private_key: bytes = field(repr=False)

    @classmethod
    def connect(cls, url: str, service_secret: str, private_key: bytes, timeout: float) -> "GatewayClient":
        """Return a client of the gateway at *url*."""
        headers = {"Authorization": f"Bearer {service_secret}"}
        return cls(httpx.Client(base_url=url, headers=headers, timeout=timeout, trust_env=False), private_key)

    def close(self) -> None:
        """Close the connections; sessions at the gateway stay open."""
        self.http.close()

    def open_session(
        self, user: str, role: str, patients: Sequence[str], *, images: bool, hours: float | None = None
    ) -> SessionKey:
        """Open a session for *patients* in the name of *user*.

        Raises:
            Refused: the gateway does not accept the secret, the assertion or the role.
            InvalidRequest: an empty list or a malformed pseudonym.
            Unavailable: the gateway is silent.

        """
        body: dict[str, object] = {
            "assertion": sign(self.private_key, user, role),
            "patients": list(patients),
            "images": images,
        }
        if hours is not None:
            body["hours"] = hours
        answer = self.call("POST", "/sessions", json=body).json()
        return SessionKey(answer["session_id"], answer["key"], answer["expires_at"])

    def close_session(self, session: SessionKey) -> None:
        """End *session* at the gateway."""
        self.call("DELETE", f"/sessions/{session.session_id}", headers=_key(session))

    def metadata(self, session: SessionKey, request: Request) -> bytes:
        """Return the CSV or JSON that *request* asks for."""
        return self.call("POST", "/query", json=request.as_json(), headers=_key(session)).content

    @contextmanager
    def images(self, session: SessionKey, request: Request) -> Iterator[Iterator[bytes]]:
        """Open the ZIP stream of *request*; its blocks are at most 64 KiB.

        Raises:
            HeldForReview: the images wait for a release review; nothing came.

        """
        with self.streamed("POST", "/query", json=request.as_json(), headers=_key(session)) as blocks:
            yield blocks

    @contextmanager
    def streamed(self, method: str, path: str, **more: object) -> Iterator[Iterator[bytes]]:
        """Open the answer to one request as blocks of at most 64 KiB.

        Raises:
            HeldForReview: the images wait for a release review; nothing came.
            P2DError: as ``call``.

        """
        with (
            self._translated(),
            self.http.stream(method, path, **more) as response,  # type: ignore[arg-type]  # as below
        ):
            if response.is_error:
                response.read()
                raise _error(response)
            if response.status_code == HTTPStatus.ACCEPTED:
                response.read()
                raise _held(response)
            yield response.iter_bytes(_CHUNK)

    def studies(self, session: SessionKey, patient: str) -> dict[str, object]:
        """Return the studies and series of *patient* as the archive lists them now."""
        answer = self.call("GET", "/studies", params={"patient": patient}, headers=_key(session)).json()
        if not isinstance(answer, dict):
            raise ProtocolViolation("gateway", "did not answer with an object")
        return answer

    def rendered(self, session: SessionKey, study: str, series: str) -> bytes:
        """Return the middle image of a series as JPEG."""
        path = f"/studies/{study}/series/{series}/rendered"
        return self.call("GET", path, headers=_key(session)).content

    def start_bulk(self, operator_secret: str, user: str, request: Request) -> str:
        """Start a bulk run in the name of operator *user* and return its id."""
        headers = self._operator(operator_secret, user)
        answer = self.call("POST", "/query", json={"type": "bulk", **request.as_json()}, headers=headers)
        return str(answer.json()["run_id"])

    def run(self, operator_secret: str, user: str, run_id: str) -> dict[str, object]:
        """Return progress and, once it ended, the report of a bulk run."""
        answer = self.call("GET", f"/runs/{run_id}", headers=self._operator(operator_secret, user)).json()
        if not isinstance(answer, dict):
            raise ProtocolViolation("gateway", "did not answer with an object")
        return answer

    def _operator(self, secret: str, user: str) -> dict[str, str]:
        assertion = sign(self.private_key, user, "operator")
        return {"Authorization": f"Bearer {secret}", "P2D-Assertion": assertion}

    def call(self, method: str, path: str, **more: object) -> httpx.Response:
        """Return the answer to one request; *more* is what httpx takes.

        Raises:
            P2DError: of the family that the answer names.
            Unavailable: the gateway is silent.

        """
        with self._translated():
            response = self.http.request(method, path, **more)  # type: ignore[arg-type]  # httpx types each keyword
        if response.is_error:
            raise _error(response)
        return response

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            raise Unavailable(
                "gateway", f"does not answer ({type(error).__name__})", "check that it runs: p2d check"
            ) from None


def _key(session: SessionKey) -> dict[str, str]:
    return {"P2D-Session": session.key}


def _held(response: httpx.Response) -> P2DError:
    try:
        body = response.json()
        return HeldForReview(
            str(body["hold"]), str(body["expires"]), sum(int(one["images"]) for one in body["series"])
        )
    except (ValueError, KeyError, TypeError):
        return ProtocolViolation("gateway", "the answer ended before it was whole", "try again")


def _error(response: httpx.Response) -> P2DError:
    family = _FAMILIES.get(response.status_code, ProtocolViolation)
    try:
        body = response.json()
        field_name, detail = str(body.get("field") or "gateway"), str(body.get("detail") or "")
        problem = detail.removeprefix(f"{field_name}: ")
        return family(
            field_name, problem or f"answered {response.status_code}", str(body.get("remedy") or "")
        )
    except (ValueError, AttributeError):
        return family("gateway", f"answered {response.status_code} without a problem document")


@contextmanager
def session_for(
    client: GatewayClient, user: str, targets: Sequence[Target], *, images: bool
) -> Iterator[SessionKey]:
    """Open a session for the patients that *targets* name and close it at the end.

    Raises:
        InvalidRequest: no target is a patient, so that the session would be empty.

    """
    patients = list(dict.fromkeys(str(t.pseudonym) for t in targets if t.kind is Kind.PATIENT))
    if not patients:
        raise InvalidRequest(
            "--patients", "is missing: the list names no patient", "give a list of the session's patients"
        )
    session = client.open_session(user, "researcher", patients, images=images)
    try:
        yield session
    finally:
        client.close_session(session)
