"""Open and close sessions: the patients of one warehouse query, for one user, for a while."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from p2d.access.roles import Role
from p2d.flows.gateway.forms import check_patients
from p2d.model.errors import Refused
from p2d.model.ids import Pseudonym
from p2d.model.request import parse_modalities
from p2d.web.gateway.guard import web_of

router = APIRouter(tags=["sessions"])


class SessionBody(BaseModel):
    """What a session is limited to."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    assertion: str = Field(description="Who asks: a JWT (EdDSA) signed by the warehouse, at most 60 s old.")
    patients: list[str] = Field(min_length=1, max_length=100_000, description="Patient pseudonyms.")
    images: bool = Field(False, description="Whether images are approved; metadata only otherwise.")
    allow: list[str] = Field([], description="Modalities allowed; empty: all that the site allows.")
    deny: list[str] = Field([], description="Modalities denied on top of the site's.")
    hours: float | None = Field(
        None, gt=0, le=24, description="Life of the session; the site's limit at most."
    )


class SessionAnswer(BaseModel):
    """The new session; its key is shown this once."""

    session_id: str
    key: str
    expires_at: str


_EXAMPLE = {"assertion": "eyJ…", "patients": ["P0123456789ABCDEFX"], "images": True, "deny": ["MG"]}


@router.post("/sessions", status_code=201, summary="Open a session for the patients of a query")
def open_session(
    request: Request, body: Annotated[SessionBody, Body(openapi_examples={"images": {"value": _EXAMPLE}})]
) -> SessionAnswer:
    """Open a session; its key goes into ``P2D-Session`` of every query."""
    web = web_of(request)
    web.guard.service(request)
    caller = web.guard.caller(body.assertion)
    if caller.role not in {Role.RESEARCHER, Role.OPERATOR}:
        raise Refused("assertion", "its role opens no sessions", "sign in as researcher")
    patients = [Pseudonym.parse(text, f"patients[{i}]") for i, text in enumerate(body.patients)]
    check_patients(patients, web.gateway.patient_form)
    hours = min(body.hours or web.guard.session_hours, web.guard.session_hours)
    subject = {"patients": len(patients), "images": body.images}
    with web.gateway.audit.query(action="session", user=caller.user, session="", subject=subject) as entry:
        key, session = web.gateway.sessions.open(
            caller,
            patients,
            modalities_allowed=parse_modalities(body.allow, "allow"),
            modalities_denied=parse_modalities(body.deny, "deny"),
            images=body.images,
            hours=hours,
            idle_minutes=web.guard.session_idle_minutes,
        )
        entry.outcome(session=session.session_id)
    return SessionAnswer(session_id=session.session_id, key=key, expires_at=session.expires_at.isoformat())


@router.delete("/sessions/{session_id}", status_code=204, summary="End a session")
def close_session(request: Request, session_id: str) -> Response:
    """End the session whose key is sent; its key opens nothing from now on."""
    web = web_of(request)
    session = web.guard.session(request)
    if session.session_id != session_id:
        raise Refused("session_id", "is not the session of the key sent", "end your own session only")
    web.gateway.sessions.close(session_id)
    web.gateway.audit.record("session closed", user=session.user, session=session_id)
    return Response(status_code=204)
