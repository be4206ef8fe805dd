"""``/exports``: the warehouse's content for other systems, ordered by the operator."""

from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from p2d.flows.research.cohort import Asker
from p2d.flows.research.exporting import Export, ExportDesk, Order
from p2d.web.research.access import Role, admit

Operator = Annotated[Asker, Depends(admit(Role.OPERATOR))]


class OrderBody(BaseModel):
    """What is exported, and where to: a folder's name or a database's."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    form: Literal["eav", "omop", "i2b2", "fhir", "parquet", "csv"] = Field(examples=["omop"])
    to: str = Field("", max_length=32, examples=["omop-research"])
    database: str = Field("", max_length=32)
    files: Literal["csv", "parquet"] = "csv"
    instances: bool = False
    parts: int = Field(1, ge=1, le=1024)


def exports_router(desk: ExportDesk) -> APIRouter:
    """Return the endpoints over *desk*."""
    router = APIRouter(prefix="/exports", tags=["exchange"])

    @router.post("", status_code=202, summary="Order an export (operator)")
    def start(asker: Operator, order: OrderBody) -> dict[str, object]:
        """Begin an export in the background; one runs at a time, 503 while another does."""
        return _json(desk.start(Order(**order.model_dump()), asker))

    @router.get("/{export}", summary="How an export stands (operator)")
    def state(asker: Operator, export: str) -> dict[str, object]:  # noqa: ARG001 - admits the operator only
        """Tell running, done with the rows of each table, or failed with the reason; 404 after a restart."""
        return _json(desk.state(export))

    return router


def _json(export: Export) -> dict[str, object]:
    error = export.error
    return {
        "export": export.export,
        **asdict(export.order),
        "state": export.state,
        "rows": export.rows,
        "tables": dict(export.tables),
        "shown": export.shown,
        "error": {"field": error.field, "problem": error.problem, "remedy": error.remedy} if error else None,
    }
