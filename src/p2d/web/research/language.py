"""The cohort language itself over HTTP: its schema, and the search line. No patient is counted here."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from p2d.flows.research.cohort import Asker
from p2d.flows.research.search_line import SearchLine, search_line
from p2d.model.errors import InvalidRequest
from p2d.warehouse.query.as_json import query_json
from p2d.warehouse.query.json_schema import schema_text
from p2d.warehouse.upkeep.upkeep import Upkeep
from p2d.web.research.access import PEOPLE, admit, research_of

router = APIRouter(prefix="/cohorts", tags=["cohorts"])
Person = Annotated[Asker, Depends(admit(*PEOPLE))]
_EXAMPLE = "LVEF < 45 and same series (Modality = CT and StudyDescription contains thorax)"


class Written(BaseModel):
    """A query, as text or as JSON."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    text: str | None = Field(None, examples=[_EXAMPLE])
    query: dict[str, Any] | None = None


class Line(BaseModel):
    """The search line with its cursor, in characters from its beginning."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    text: str = Field(max_length=10_000, examples=["LVEF < 45 and mod"])
    cursor: int = Field(ge=0, examples=[17])


@router.get("/schema", summary="The JSON Schema of the language")
def schema(asker: Person) -> Response:  # noqa: ARG001 - admits people only
    """Return the schema (draft 2020-12) of the newest version of the language."""
    return Response(schema_text(), media_type="application/schema+json")


@router.post("/parse", summary="A query as text or JSON, in JSON, text and words")
def parse(request: Request, asker: Person, written: Written) -> dict[str, object]:
    """Check a query against the catalogue and say what it asks, German and English; nothing is counted."""
    line = _line(request, asker)
    if (written.text is None) == (written.query is None):
        raise InvalidRequest("text", "and query are both there or both missing", "send one of them")
    reading = line.read_json(written.query) if written.text is None else line.read_text(written.text)
    return {"query": query_json(reading.query), "text": reading.text, "words": reading.words}


@router.post("/complete", summary="What may come next in the search line")
def complete(request: Request, asker: Person, line: Line) -> dict[str, object]:
    """Offer names, values, operators and keywords; each replaces the text from ``start`` to the cursor."""
    found = _line(request, asker).complete(line.text, line.cursor)
    return {"completions": [asdict(completion) for completion in found]}


def _line(request: Request, asker: Asker) -> SearchLine:
    research = research_of(request)
    return search_line(research.desk, asker, Upkeep(research.warehouse).common_values)
