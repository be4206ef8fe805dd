"""Bulk runs over REST: which there are, how far they are, what they came to; operators only."""

from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from p2d.deid.report.page import page
from p2d.flows.gateway.deid_report import report_of_run
from p2d.web.gateway.guard import web_of

router = APIRouter(tags=["bulk runs"])


@router.get("/runs", summary="All runs of this gateway")
def list_runs(request: Request) -> JSONResponse:
    """List runs with their states."""
    web = web_of(request)
    web.guard.operator(request)
    ledger = web.gateway.ledger
    return JSONResponse([{"run_id": run, "state": ledger.state(run)} for run in ledger.runs()])


@router.get("/runs/{run_id}", summary="Progress and report of a run")
def read_run(request: Request, run_id: str) -> JSONResponse:
    """Return progress, whether it is being worked here, and the report as it stands."""
    web = web_of(request)
    web.guard.operator(request)
    progress = web.gateway.ledger.progress(run_id)
    return JSONResponse(
        {
            "run_id": run_id,
            "running": web.runner.is_running(run_id),
            "progress": progress.as_json(),
            "report": web.gateway.ledger.report(run_id).as_json(),
        }
    )


@router.get(
    "/runs/{run_id}/deidentification",
    summary="What de-identification did, as JSON or as a page to sign",
    response_model=None,
)
def read_deidentification(
    request: Request, run_id: str, output: Literal["json", "html"] = "json"
) -> Response:
    """Return the de-identification report of a run as its ledger stands."""
    web = web_of(request)
    web.guard.operator(request)
    made = report_of_run(web.gateway, run_id)
    if output == "html":
        return Response(page(made), media_type="text/html; charset=utf-8")
    return Response(made.content, media_type="application/json")
