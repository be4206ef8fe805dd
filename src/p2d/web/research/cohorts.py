"""``/cohorts``: the query language over HTTP. One body for all four questions."""

import io
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Body, Depends, Query, Request, Response
from fastapi.openapi.models import Example
from fastapi.responses import JSONResponse

from p2d.export.table import Cell, write_csv
from p2d.flows.research.cohort import Asker
from p2d.warehouse.query.examples import PAPER
from p2d.warehouse.query.results import ResultTable
from p2d.web.research.access import Role, admit, research_of

router = APIRouter(prefix="/cohorts", tags=["cohorts"])
Person = Annotated[Asker, Depends(admit(Role.RESEARCHER, Role.OPERATOR))]
_CT: dict[str, object] = {"version": 1, "where": {"attribute": "Modality", "equals": "CT"}}
_EXAMPLES: dict[str, Example] = {
    "paper": Example(summary="Heart failure, NYHA III or IV, CT of the thorax", value=PAPER),
    "modality": Example(summary="Patients with a CT series", value=_CT),
}
Asked = Annotated[dict[str, Any], Body(openapi_examples=_EXAMPLES)]


@router.post("/count", summary="How many patients, cases, studies, series, instances")
def count(request: Request, asker: Person, query: Asked) -> dict[str, int]:
    """Count; ``basic_patients`` and ``extended_patients`` say of how many patients headers were extracted."""
    return asdict(research_of(request).desk.count(query, asker))


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
    write_csv(stream, found.columns, (cast("dict[str, Cell]", row) for row in _rows(found)))
    name = {"Content-Disposition": 'attachment; filename="cohort.csv"'}
    return Response(stream.getvalue(), media_type="text/csv; charset=utf-8", headers=name)


@router.post("/patients", summary="The pseudonyms of the cohort's patients")
def patients(request: Request, asker: Person, query: Asked) -> dict[str, object]:
    """Return what a session at the gateway is opened for."""
    found = research_of(request).desk.patients(query, asker)
    return {"patients": [str(patient) for patient in found], "total": len(found)}


def _json(found: ResultTable) -> dict[str, object]:
    return {"columns": list(found.columns), "rows": _rows(found), "total": found.total}


def _rows(found: ResultTable) -> list[dict[str, object]]:
    return [
        {c: v.isoformat() if isinstance(v, date) else v for c, v in zip(found.columns, row, strict=True)}
        for row in found.rows
    ]
