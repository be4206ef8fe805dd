"""Orders to bulk runs over REST: stop, pause, resume, cancel, priority, retry; operators only, recorded."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from p2d.flows.gateway.run_orders import RunOrders
from p2d.web.gateway.guard import web_of

router = APIRouter(tags=["bulk runs"])
_RUN = "R20261122-081500-1a2b3c4d"


def _answers(**content: object) -> dict[int | str, dict[str, Any]]:
    return {202: {"content": {"application/json": {"example": {"run_id": _RUN, **content}}}}}


class PriorityBody(BaseModel):
    """A run's place among the open ones."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    priority: int = Field(ge=-100, le=100, description="The higher goes first; 0 unless ordered otherwise.")


PriorityIn = Annotated[
    PriorityBody,
    Body(openapi_examples={"urgent": {"value": {"priority": 50}}, "last": {"value": {"priority": -10}}}),
]


@router.post(
    "/runs/{run_id}/stop",
    status_code=202,
    summary="Stop after the current patient",
    responses=_answers(state="stopping"),
)
def stop_run(request: Request, run_id: str) -> JSONResponse:
    """Ask the run to stop; what is extracted is loaded, the rest stays pending."""
    _orders(request).stop(run_id)
    return JSONResponse({"run_id": run_id, "state": "stopping"}, status_code=202)


@router.post(
    "/runs/{run_id}/pause",
    status_code=202,
    summary="Keep workers from a run until it is resumed",
    responses=_answers(state="paused"),
)
def pause_run(request: Request, run_id: str) -> JSONResponse:
    """Pause the run: workers finish the patient at hand and take no other of it."""
    _orders(request).pause(run_id)
    return _state(request, run_id)


@router.post(
    "/runs/{run_id}/resume",
    status_code=202,
    summary="Go on with a stopped, paused or killed run",
    responses=_answers(state="running"),
)
def resume_run(request: Request, run_id: str) -> JSONResponse:
    """Work the run's pending patients: here, or by ``p2d worker`` where the ledger is in PostgreSQL."""
    orders = _orders(request)
    orders.resume(run_id)
    web_of(request).runner.resume(run_id, orders.caller)
    return JSONResponse({"run_id": run_id, "state": "running"}, status_code=202)


@router.post(
    "/runs/{run_id}/cancel",
    status_code=202,
    summary="End a run for good",
    responses=_answers(state="cancelled"),
)
def cancel_run(request: Request, run_id: str) -> JSONResponse:
    """Cancel the run: what is loaded stays loaded, nothing more of it is worked."""
    _orders(request).cancel(run_id)
    return _state(request, run_id)


@router.put(
    "/runs/{run_id}/priority",
    status_code=202,
    summary="Let a run go before or after others",
    responses=_answers(state="running", priority=50),
)
def prioritise_run(request: Request, run_id: str, body: PriorityIn) -> JSONResponse:
    """Give the run a priority; workers heed it with the next patients they take."""
    _orders(request).prioritise(run_id, body.priority)
    return _state(request, run_id, priority=body.priority)


@router.post(
    "/runs/{run_id}/retry",
    status_code=202,
    summary="Try again the patients that were given up",
    responses=_answers(state="open", patients=3),
)
def retry_run(request: Request, run_id: str) -> JSONResponse:
    """Put the run's parked patients, and no others, back to pending and work them."""
    orders = _orders(request)
    patients = orders.retry(run_id)
    if patients:
        web_of(request).runner.resume(run_id, orders.caller)
    return _state(request, run_id, patients=patients)


def _orders(request: Request) -> RunOrders:
    web = web_of(request)
    return RunOrders(web.gateway, web.guard.operator(request))


def _state(request: Request, run_id: str, **more: object) -> JSONResponse:
    state = web_of(request).gateway.ledger.state(run_id)
    return JSONResponse({"run_id": run_id, "state": state, **more}, status_code=202)
