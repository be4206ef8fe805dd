"""The completeness ledger over REST: lines, what never arrived or does not fit, a signed summary."""

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from p2d.jobs.completeness import COLUMNS, as_csv, rows
from p2d.jobs.register import Finding, Inconsistency, as_table
from p2d.jobs.summary import signed, summary_of
from p2d.web.gateway.guard import web_of
from p2d.web.gateway.streams import ClosedStream, json_list

router = APIRouter(tags=["bulk runs"])
Output = Literal["json", "csv"]
_CSV: Final = "text/csv; charset=utf-8"
_LINE: Final = dict.fromkeys(COLUMNS, 0) | {
    "patient": "0123456789ABCDEF0",
    "study": "2.25.1",
    "series": "2.25.2",
    "withheld_reasons": "burned-in text: 2",
    "adds_up": True,
}
_FOUND: Final = Finding(
    Inconsistency.COUNT_DISAGREES, "0123456789ABCDEF0", "2.25.1", "2.25.2", times=3
).as_json()


@router.get(
    "/runs/{run_id}/ledger",
    summary="Every series of a run: expected, received, released, withheld, missing",
    response_model=None,
    responses={200: {"content": {"application/json": {"example": [_LINE]}, "text/csv": {}}}},
)
def read_ledger(request: Request, run_id: str, output: Output = "json") -> ClosedStream:
    """Return the lines of a run, streamed."""
    web = web_of(request)
    web.guard.operator(request)
    web.gateway.ledger.request_of(run_id)
    lines = web.gateway.ledger.lines_and_retries(run_id)
    if output == "csv":
        return ClosedStream(as_csv(lines), _CSV)
    return ClosedStream(json_list(rows(lines)), "application/json")


@router.get(
    "/runs/{run_id}/inconsistencies",
    summary="What does not fit together, in pseudonyms",
    response_model=None,
    responses={200: {"content": {"application/json": {"example": [_FOUND]}, "text/csv": {}}}},
)
def read_inconsistencies(
    request: Request,
    run_id: str,
    kind: Annotated[Inconsistency | None, Query(description="only this kind")] = None,
    patient: Annotated[str, Query(description="only this patient (pseudonym)", max_length=64)] = "",
    output: Output = "json",
) -> ClosedStream:
    """Return the inconsistency register of a run, streamed."""
    web = web_of(request)
    web.guard.operator(request)
    found = web.gateway.ledger.findings(run_id, str(kind or ""), patient)
    return _findings(found, output)


@router.get(
    "/runs/{run_id}/missing",
    summary="Instances that the archive lists but did not send",
    response_model=None,
    responses={200: {"content": {"application/json": {}, "text/csv": {}}}},
)
def read_missing(request: Request, run_id: str, output: Output = "json") -> ClosedStream:
    """Return the instances of a run that never arrived, by pseudonym, streamed."""
    web = web_of(request)
    web.guard.operator(request)
    found = web.gateway.ledger.findings(run_id, str(Inconsistency.NEVER_ARRIVED))
    return _findings(found, output)


def _findings(found: Iterator[Finding], output: Output) -> ClosedStream:
    if output == "csv":
        return ClosedStream(as_table(found), _CSV)
    return ClosedStream(json_list(one.as_json() for one in found), "application/json")


@router.get("/runs/{run_id}/summary", summary="The summary of a run, signed where a key is set")
def read_summary(request: Request, run_id: str) -> JSONResponse:
    """Return numbers and verdict counted anew from all rows; signed with Ed25519 where a key is set."""
    web = web_of(request)
    web.guard.operator(request)
    report, key = web.gateway.ledger.report(run_id, recount=True), web.gateway.signing_key
    return JSONResponse({"summary": summary_of(report)} if key is None else signed(report, key))
