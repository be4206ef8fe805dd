"""Incremental sync over REST: begin one, see what the last one came to; operators only."""

from datetime import date
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from p2d.flows.gateway.sync.counts import SyncCounts
from p2d.flows.gateway.sync.options import SyncOptions
from p2d.model.level import Choice, Scope
from p2d.model.request import parse_modalities
from p2d.web.gateway.guard import web_of

router = APIRouter(tags=["bulk runs"])
_RUN: Final = "R20261122-081500-1a2b3c4d"


class SyncBody(BaseModel):
    """The studies of all patients on some days; an operator's request, in true dates."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    first: date = Field(description="First StudyDate, a true date.")
    last: date = Field(description="Last StudyDate.")
    modalities: list[str] = Field([], description="Only these; empty: all.")
    scope: Scope = Scope.BASIC
    choice: Choice = Choice.ALL
    admit_unknown: bool = Field(False, description="Give patients unknown to the warehouse pseudonyms.")


SyncIn = Annotated[
    SyncBody,
    Body(openapi_examples={"week": {"value": {"first": "2026-11-20", "last": "2026-11-26"}}}),
]


def _answers(example: object, status: int = 200) -> dict[int | str, dict[str, Any]]:
    return {status: {"content": {"application/json": {"example": example}}}}


@router.post(
    "/sync",
    status_code=202,
    summary="Extract what is new or changed in the archives, mark what is gone",
    responses=_answers({"running": True}, 202),
)
def start_sync(request: Request, body: SyncIn) -> JSONResponse:
    """Begin a sync in the background; refused while another is under way."""
    web = web_of(request)
    caller = web.guard.operator(request)
    modalities = parse_modalities(body.modalities, "modalities")
    options = SyncOptions(
        body.first, body.last, modalities, body.scope, body.choice, admit_unknown=body.admit_unknown
    )
    web.syncs.start(options, caller)
    return JSONResponse({"running": True}, status_code=202, headers={"Location": "/sync"})


@router.get(
    "/sync",
    summary="What the last sync that was started here came to",
    responses=_answers(
        {
            "running": False,
            "error": "",
            "counts": SyncCounts(studies=41, new=3, changed=1, same=30, studies_unknown=7).as_json(),
            "run_id": _RUN,
            "complete": True,
        }
    ),
)
def read_sync(request: Request) -> JSONResponse:
    """Return whether it is under way, and its numbers when it has ended."""
    web = web_of(request)
    web.guard.operator(request)
    last = web.syncs.last
    return JSONResponse(
        {
            "running": web.syncs.is_running,
            "error": web.syncs.error,
            "counts": None if last is None else last.counts.as_json(),
            "run_id": "" if last is None or last.run is None else last.run.run_id,
            "complete": last is not None and last.is_complete,
        }
    )
