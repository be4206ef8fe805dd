"""The load on the archives over REST, the kill switch, and metrics for Prometheus."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from p2d.flows.gateway.archive_orders import ArchiveOrders
from p2d.model.errors import Unavailable
from p2d.pacs.governor.metrics import MEDIA_TYPE, rendered
from p2d.pacs.governor.port import Governor, Load
from p2d.pacs.governor.wire import load_out
from p2d.web.gateway.guard import Web, web_of

router = APIRouter(tags=["archives"])
_RATE: Final = {
    "last_minute": 118.0,
    "last_15_minutes": 1630.0,
    "cap_per_minute": 1200.0,
    "share_of_cap": 0.0983,
}
_CLASSES: Final = {"interactive": 0, "export": 0, "bulk": 2}
_EXAMPLE: Final = {
    "archive": "main",
    "stopped": "",
    "factor": 1.0,
    "rates": {"queries": _RATE},
    "associations": {"in_use": _CLASSES, "allowed": 3, "cap": 3},
    "waiting": _CLASSES,
    "breakers": {"echo": "closed", "find": "closed", "retrieve": "closed"},
    "windows": {"bulk": {"open": True, "changes_at": "2026-11-26T06:30:00+01:00"}},
    "totals": {"bulk": {"queries": 5120.0}},
}


def _answers(example: object, status: int = 200) -> dict[int | str, dict[str, Any]]:
    return {status: {"content": {"application/json": {"example": example}}}}


@router.get("/archives", summary="What P2D asks of each archive now", responses=_answers([_EXAMPLE]))
def list_archives(request: Request) -> JSONResponse:
    """Return the load of each archive: rates and their caps, associations, breakers, windows, kill switch."""
    return JSONResponse([load_out(load) for load in _orders(request).loads()])


@router.post(
    "/archives/{name}/stop",
    status_code=202,
    summary="Stop all work on an archive, within 5 seconds and until it is resumed",
    responses=_answers({"archive": "main", "state": "stopped"}, 202),
)
def stop_archive(request: Request, name: str) -> JSONResponse:
    """Set the kill switch: nothing new is asked in any process, what runs is cancelled."""
    _orders(request).stop(name)
    return JSONResponse({"archive": name, "state": "stopped"}, status_code=202)


@router.post(
    "/archives/{name}/resume",
    status_code=202,
    summary="Let an archive be asked again",
    responses=_answers({"archive": "main", "state": "running"}, 202),
)
def resume_archive(request: Request, name: str) -> JSONResponse:
    """Release the kill switch; a stop file made by hand has to be removed by hand first."""
    _orders(request).resume(name)
    return JSONResponse({"archive": name, "state": "running"}, status_code=202)


@router.get(
    "/metrics",
    summary="The same for Prometheus; needs the token of [metrics]",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"example": 'p2d_archive_stopped{archive="main"} 0\n'}}}},
)
def metrics(request: Request) -> Response:
    """Return the loads in Prometheus text form, with archives' names as the only names in it."""
    web = web_of(request)
    web.guard.metrics(request)
    loads: list[Load] = []
    unreachable: list[str] = []
    for name, governor in _governors(web).items():
        try:
            loads.append(governor.load())
        except Unavailable:
            unreachable.append(name)
    return Response(rendered(loads, unreachable), media_type=MEDIA_TYPE)


def _orders(request: Request) -> ArchiveOrders:
    web = web_of(request)
    caller = web.guard.operator(request)
    return ArchiveOrders(_governors(web), web.gateway.audit, caller.user)


def _governors(web: Web) -> Mapping[str, Governor]:
    return web.gateway.archives.governors if web.gateway.archives else {}
