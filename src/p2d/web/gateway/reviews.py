"""Release reviews over REST: how held requests stand, contact sheets, decisions, and what was approved."""

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from p2d.export.held import Hold
from p2d.export.zip import stream_zip
from p2d.flows.gateway.review import Reviews
from p2d.model.review import Objection
from p2d.web.gateway.guard import web_of
from p2d.web.gateway.streams import ClosedStream, begun

router = APIRouter(tags=["release review"], prefix="/reviews")


class DecisionBody(BaseModel):
    """An officer's decision on a series, or on all that are pending."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    decision: Literal["approve", "reject"]
    reason: Objection | None = Field(None, description="Why; goes with a rejection only.")


_EXAMPLES = {
    "approve": {"value": {"decision": "approve"}},
    "reject": {"value": {"decision": "reject", "reason": "text in the image"}},
}
DecisionIn = Annotated[DecisionBody, Body(openapi_examples=_EXAMPLES)]


@router.get("", summary="Held requests: an officer's all, others' own")
def list_reviews(request: Request) -> JSONResponse:
    """List held requests with their sums."""
    web = web_of(request)
    holds = Reviews(web.gateway).listed(web.guard.reviewer(request))
    return JSONResponse([hold_json(hold) for hold in holds])


@router.get("/{hold}", summary="How a held request stands")
def read_review(request: Request, hold: str) -> JSONResponse:
    """Return the series of a held request with their decisions."""
    web = web_of(request)
    return JSONResponse(hold_json(Reviews(web.gateway).find(hold, web.guard.reviewer(request))))


@router.get(
    "/{hold}/series/{series}/sheet",
    summary="Contact sheet of a held series as JPEG, for officers",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}},
)
def read_sheet(request: Request, hold: str, series: str) -> Response:
    """Draw up to 24 images of a held series, what was masked outlined."""
    web = web_of(request)
    caller = web.guard.reviewer(request)
    return Response(Reviews(web.gateway).sheet(hold, series, caller), media_type="image/jpeg")


@router.post("/{hold}/decision", summary="Approve or reject all series that are pending, for officers")
def decide_all(request: Request, hold: str, body: DecisionIn) -> JSONResponse:
    """Decide on every series that is pending."""
    return _decide(request, hold, [], body)


@router.post("/{hold}/series/{series}/decision", summary="Approve or reject a series, for officers")
def decide_series(request: Request, hold: str, series: str, body: DecisionIn) -> JSONResponse:
    """Decide on one series."""
    return _decide(request, hold, [series], body)


@router.get(
    "/{hold}/files",
    summary="The approved images as ZIP",
    response_class=Response,
    responses={200: {"content": {"application/zip": {}}}},
)
def read_files(request: Request, hold: str) -> Response:
    """Stream what was approved, with both lists, the report and the ledger."""
    web = web_of(request)
    members = Reviews(web.gateway).release(hold, web.guard.reviewer(request))
    headers = {"Content-Disposition": 'attachment; filename="p2d-images.zip"'}
    return ClosedStream(stream_zip(begun(members)), "application/zip", headers=headers)


def _decide(request: Request, hold: str, series: list[str], body: DecisionBody) -> JSONResponse:
    web = web_of(request)
    caller = web.guard.reviewer(request)
    decided = Reviews(web.gateway).decide(
        hold, series, caller, body.reason, approve=body.decision == "approve"
    )
    return JSONResponse(hold_json(decided))


def held_response(steps: Iterator[Hold | None]) -> Response:
    """Answer 202 with the hold that *steps* end in.

    JSON allows blanks before a value: one goes out for each image that is held, so that nobody takes a long
    work for a dead peer. When it fails half way the answer ends without its object.
    """
    ready = begun(steps)

    def body() -> Iterator[str]:
        with contextlib.closing(ready):
            for step in ready:
                yield " " if step is None else json.dumps(hold_json(step))

    return ClosedStream(body(), "application/json", status_code=202)


def hold_json(hold: Hold) -> dict[str, object]:
    """Return *hold* as its answer says it: pseudonyms, counts and decisions."""
    series = []
    for uid, decision in hold.decisions.items():
        files = hold.of_series(uid)
        line = files[0].line
        series.append(
            {
                "patient": line["patient"],
                "study": line["study"],
                "series": uid,
                "modality": line["Modality"],
                "images": len(files),
                "masked": sum(bool(file.picture.boxes) for file in files),
                "standing": str(decision.standing),
                "reason": str(decision.objection or ""),
                "by": decision.by,
            }
        )
    return {
        "hold": hold.hold_id,
        "user": hold.user,
        "output": hold.account["output"],
        "made": _instant(hold.made_at),
        "expires": _instant(hold.expires_at),
        "withheld": len(hold.account["withheld"]),
        "series": series,
    }


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
