"""What a viewer needs: a patient's studies and series, and a rendered preview of a series."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from p2d.export.jpeg import to_jpeg
from p2d.flows.gateway.adhoc import AdHoc
from p2d.model.errors import Refused
from p2d.model.header import text_of
from p2d.model.ids import Pseudonym
from p2d.model.released import ReleasedHeader, Withheld
from p2d.web.gateway.guard import web_of

router = APIRouter(tags=["browse"])
_STUDY = {"StudyDate": "00080020", "StudyDescription": "00081030", "AccessionNumber": "00080050"}
_SERIES = {
    "Modality": "00080060",
    "SeriesNumber": "00200011",
    "SeriesDescription": "0008103E",
    "BodyPartExamined": "00180015",
    "NumberOfSeriesRelatedInstances": "00201209",
}


@router.get("/studies", summary="Studies and series of a patient, as the archive lists them now")
def studies(request: Request, patient: str) -> JSONResponse:
    """List the studies and series of one patient of the session."""
    web = web_of(request)
    session = web.guard.session(request)
    headers = AdHoc(web.gateway).studies(Pseudonym.parse(patient, "patient"), session)
    return JSONResponse({"patient": patient, "studies": _tree(headers)})


@router.get(
    "/studies/{study}/series/{series}/rendered",
    summary="Middle image of a series as JPEG",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}},
)
def rendered(request: Request, study: str, series: str) -> Response:
    """Render the middle image; a withheld one is refused with its reason."""
    web = web_of(request)
    session = web.guard.session(request)
    outcome = AdHoc(web.gateway).preview(
        Pseudonym.parse(study, "study"), Pseudonym.parse(series, "series"), session
    )
    picture = outcome if isinstance(outcome, Withheld) else to_jpeg(outcome, web.gateway.renderer)
    if isinstance(picture, Withheld):
        raise Refused("series", f"its image is withheld: {picture.reason}", "its headers can be queried")
    return Response(picture.content, media_type="image/jpeg")


def _tree(headers: list[ReleasedHeader]) -> list[dict[str, object]]:
    listed: dict[str, dict[str, object]] = {}
    series: dict[str, list[dict[str, object]]] = {}
    for header in headers:
        listed.setdefault(header.study, {"study": header.study, **_texts(header, _STUDY)})
        series.setdefault(header.study, []).append({"series": header.series, **_texts(header, _SERIES)})
    return [{**study, "series": series[uid]} for uid, study in listed.items()]


def _texts(header: ReleasedHeader, attributes: dict[str, str]) -> dict[str, str]:
    return {keyword: text_of(header.elements, path) for keyword, path in attributes.items()}
