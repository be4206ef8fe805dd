"""``/query``: metadata and images, GET and POST, bulk and ad hoc; one meaning for both methods."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Body, Query, Request
from fastapi.responses import JSONResponse, Response

from p2d.export.zip import stream_zip
from p2d.flows.gateway.adhoc import AdHoc
from p2d.flows.gateway.deid_report import ImageRun, profile_of
from p2d.flows.gateway.package import members_of
from p2d.flows.gateway.review import Reviews
from p2d.model.errors import InvalidRequest
from p2d.model.request import Request as ImagingRequest
from p2d.pacs.governor.port import WorkClass
from p2d.web.gateway.guard import Web, web_of
from p2d.web.gateway.reviews import held_response
from p2d.web.gateway.streams import ClosedStream, begun
from p2d.web.gateway.tables import metadata_response

router = APIRouter(tags=["query"])
_EXAMPLES = {
    "metadata": {
        "summary": "Series of two patients as CSV",
        "value": {
            "identifiers": [
                {"kind": "patient", "pseudonym": "P0123456789ABCDEFX"},
                {
                    "kind": "patient",
                    "pseudonym": "PFEDCBA9876543210Y",
                    "start": "2019-01-01",
                    "end": "2019-12-31",
                },
            ],
            "level": "series",
            "choice": "first",
            "output": "csv",
        },
    },
    "images": {
        "summary": "One series as JPEG in a ZIP",
        "value": {
            "identifiers": [{"kind": "series", "pseudonym": "2.25.1234", "study": "2.25.987"}],
            "output": "jpeg",
        },
    },
    "bulk": {
        "summary": "Bulk run, operators only",
        "value": {
            "type": "bulk",
            "identifiers": [{"kind": "patient", "pseudonym": "P0123456789ABCDEFX"}],
            "scope": "basic",
            "choice": "all",
        },
    },
}


@router.post("/query", summary="Query metadata or images, or start a bulk run", response_model=None)
def post_query(
    request: Request,
    body: Annotated[dict[str, object], Body(openapi_examples=_EXAMPLES)],
) -> Response:
    """Answer a query; the parameters are tabled in docs/reference/rest.md."""
    return _answer(request, body)


@router.get("/query", summary="The same with parameters in the address", response_model=None)
def get_query(  # noqa: PLR0913, PLR0917 - one argument a parameter of the address
    request: Request,
    pseudonym: Annotated[list[str], Query(description="Pseudonyms, all of one kind.")] = [],  # noqa: B006 - FastAPI copies
    kind: str = "patient",
    study: str | None = None,
    start: str | None = None,
    end: str | None = None,
    calendar: str | None = None,
    modality: Annotated[list[str], Query()] = [],  # noqa: B006 - FastAPI copies
    attribute: Annotated[list[str], Query()] = [],  # noqa: B006 - FastAPI copies
    choice: str = "all",
    scope: str = "basic",
    level: str = "instance",
    output: str = "json",
    type: str = "adhoc",  # noqa: A002 - the paper's own parameter
) -> Response:
    """Answer a query given as parameters; one kind and one time frame for all pseudonyms."""
    frame = {"study": study, "start": start, "end": end, "calendar": calendar}
    given = {name: value for name, value in frame.items() if value}
    body: dict[str, object] = {
        "type": type,
        "identifiers": [{"kind": kind, "pseudonym": text, **given} for text in pseudonym],
        "modalities": modality,
        "attributes": attribute,
        "choice": choice,
        "scope": scope,
        "level": level,
        "output": output,
    }
    return _answer(request, body)


def _answer(request: Request, body: Mapping[str, object]) -> Response:
    web = web_of(request)
    kind = body.get("type", "adhoc")
    rest = {name: value for name, value in body.items() if name != "type"}
    if kind == "bulk":
        caller = web.guard.operator(request)
        run_id = web.runner.start(ImagingRequest.parse(rest), caller)
        return JSONResponse({"run_id": run_id}, status_code=202, headers={"Location": f"/runs/{run_id}"})
    if kind != "adhoc":
        raise InvalidRequest("type", "is not one of the known values", "use adhoc or bulk")
    session = web.guard.session(request)
    query = ImagingRequest.parse(rest)
    if query.output.is_image:
        return _images(web, query, request)
    answer = AdHoc(web.gateway).metadata(query, session)
    return metadata_response(query, answer)


def _images(web: Web, query: ImagingRequest, request: Request) -> Response:
    session = web.guard.session(request)
    run = ImageRun()
    outcomes = AdHoc(web.gateway.for_work(WorkClass.EXPORT)).images(query, session, run)
    if web.gateway.profile.review:
        return held_response(Reviews(web.gateway).hold(outcomes, query.output, run))
    members = members_of(outcomes, query.output, web.gateway.renderer, run, profile_of(web.gateway))
    headers = {"Content-Disposition": 'attachment; filename="p2d-images.zip"'}
    return ClosedStream(stream_zip(begun(members)), "application/zip", headers=headers)
