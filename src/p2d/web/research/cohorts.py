"""``/cohorts``: the query language over HTTP. One body for all questions, beside what some ask of it."""

import io
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response
from fastapi.openapi.models import Example
from fastapi.responses import JSONResponse

from p2d.export.table import flat, write_csv
from p2d.flows.research.cohort import Asker
from p2d.warehouse.query.examples import PAPER
from p2d.warehouse.query.results import ResultTable
from p2d.web.research.access import PEOPLE, admit, research_of

router = APIRouter(prefix="/cohorts", tags=["cohorts"])
Person = Annotated[Asker, Depends(admit(*PEOPLE))]
_CT: dict[str, object] = {"version": 1, "where": {"attribute": "Modality", "equals": "CT"}}
_EXAMPLES: dict[str, Example] = {
    "paper": Example(summary="Heart failure, NYHA III or IV, CT of the thorax", value=PAPER),
    "modality": Example(summary="Patients with a CT series", value=_CT),
}
Asked = Annotated[dict[str, Any], Body(openapi_examples=_EXAMPLES)]
_FACETS: dict[str, Example] = {
    "manufacturers": Example(
        summary="Series by manufacturer and year",
        value={
            "query": _CT,
            "facet": {
                "by": [{"attribute": "Manufacturer"}, {"attribute": "StudyDate", "by": "year"}],
                "level": "series",
                "top": 20,
            },
        },
    ),
    "ages": Example(
        summary="Patients by decade of birth",
        value={"query": _CT, "facet": {"by": [{"attribute": "birth_year", "by": "number", "width": 10}]}},
    ),
}
_REASONS: dict[str, Example] = {
    "reasons": Example(summary="Why is this patient in?", value={"query": _CT, "patients": ["P2D-…"]})
}
AskedFacet = Annotated[dict[str, Any], Body(openapi_examples=_FACETS)]
AskedReasons = Annotated[dict[str, Any], Body(openapi_examples=_REASONS)]


@router.post("/count", summary="How many patients, cases, studies, series, instances")
def count(request: Request, asker: Person, query: Asked) -> dict[str, int | None]:
    """Count; ``basic_patients`` and ``extended_patients`` say of how many patients headers were extracted."""
    return research_of(request).desk.count(query, asker)


@router.post("/attrition", summary="How many patients each criterion leaves")
def attrition(request: Request, asker: Person, query: Asked) -> dict[str, object]:
    """Return for each part of the outermost ``all`` its patients alone, and together with those before it.

    Imaging criteria that are held together in one series or study are one step with several ``places``.
    """
    return {"steps": research_of(request).desk.attrition(query, asker)}


@router.post("/widen", summary="The count of each choice of frame for imaging criteria")
def widen(request: Request, asker: Person, query: Asked) -> dict[str, object]:
    """Return for each imaging frame, implicit or written, the patients if it were another one.

    `{"series": 3011, "study": 3011, "case": 6203, "patient": 6806}` says how much "in the same series"
    matters.
    """
    return {"frames": research_of(request).desk.widen(query, asker)}


@router.post("/facets", summary="How often values occur among what the query finds")
def facets(request: Request, asker: Person, asked: AskedFacet) -> dict[str, object]:
    """Count things of `level` by value, `year`, `month` or bins of a `number`, of one or two attributes.

    Things with several values count for each; `others` have one beyond the `top` cells, `missing` have none.
    """
    return research_of(request).desk.facet(asked, asker)


@router.post("/reasons", summary="Which values speak for some of the cohort's patients")
def reasons(request: Request, asker: Person, asked: AskedReasons) -> dict[str, object]:
    """Return for up to 100 patients the earliest ten values that fulfil each criterion, with their days."""
    found = research_of(request).desk.reasons(asked, asker)
    return {
        "reasons": [
            {
                "patient": str(reason.patient),
                "place": reason.place,
                "value": reason.value,
                "date": reason.day.isoformat() if reason.day else None,
            }
            for reason in found
        ]
    }


@router.post("/preview", summary="The first rows of the table")
def preview(request: Request, asker: Person, query: Asked) -> JSONResponse:
    """Return the first rows in order of pseudonyms and the number of all."""
    return JSONResponse(_json(research_of(request).desk.preview(query, asker)))


@router.post("/table", summary="The whole table as JSON or CSV")
def table(
    request: Request,
    asker: Person,
    query: Asked,
    output: Annotated[Literal["json", "csv"], Query(alias="format")] = "json",
) -> Response:
    """Return every row; a table of more than a million rows is refused, not cut off."""
    found = research_of(request).desk.table(query, asker)
    if output == "json":
        return JSONResponse(_json(found))
    stream = io.StringIO()
    write_csv(stream, found.columns, map(flat, _rows(found)))
    name = {"Content-Disposition": 'attachment; filename="cohort.csv"'}
    return Response(stream.getvalue(), media_type="text/csv; charset=utf-8", headers=name)


@router.post("/patients", summary="The pseudonyms of the cohort's patients")
def patients(request: Request, asker: Person, query: Asked) -> dict[str, object]:
    """Return what a session at the gateway is opened for."""
    found = research_of(request).desk.patients(query, asker)
    return {"patients": [str(patient) for patient in found], "total": len(found)}


@router.delete("/questions/{name}", summary="Cancel a question that is under way")
def cancel(request: Request, asker: Person, name: Annotated[str, Path(max_length=64)]) -> dict[str, str]:
    """End the question that was sent with `P2D-Question: NAME` by the same secret; it answers 503 then.

    404 where there is none of that name any more.
    """
    research_of(request).desk.cancel(name, asker)
    return {"cancelled": name}


def _json(found: ResultTable) -> dict[str, object]:
    return {"columns": list(found.columns), "rows": _rows(found), "total": found.total}


def _rows(found: ResultTable) -> list[dict[str, object]]:
    return [{c: _cell(v) for c, v in zip(found.columns, row, strict=True)} for row in found.rows]


def _cell(value: object) -> object:
    if isinstance(value, tuple):
        return [_cell(one) for one in value]
    return value.isoformat() if isinstance(value, date) else value
