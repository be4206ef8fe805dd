"""What the warehouse holds: attributes to ask for, patients, and the studies of one patient."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse

from p2d.flows.research.cohort import Asker
from p2d.model.errors import NotFound
from p2d.model.ids import Pseudonym
from p2d.warehouse.query.attributes import TYPED, Attribute
from p2d.web.research.access import PEOPLE, Role, admit, research_of

router = APIRouter(tags=["catalogue"])
Person = Annotated[Asker, Depends(admit(*PEOPLE))]
Operator = Annotated[Asker, Depends(admit(Role.OPERATOR))]


@router.get("/attributes", summary="Attributes and kinds of document that a query may name")
def attributes(request: Request, asker: Person) -> dict[str, object]:  # noqa: ARG001 - admits people only
    """List every attribute with its source, level, type of values and units."""
    catalogue = research_of(request).warehouse.catalogue()
    listed = {**catalogue.headers, **catalogue.facts, **TYPED}
    return {
        "attributes": [_json(listed[name]) for name in sorted(listed)],
        "documents": sorted(catalogue.documents),
    }


@router.get("/patient-list", summary="All patients of the warehouse (operator)")
def patients(request: Request, asker: Operator) -> dict[str, object]:
    """Return every pseudonym: the list that a bulk run over all patients starts from."""
    research = research_of(request)
    audit = research.desk.audit
    subject = {"role": asker.role}
    with audit.query(action="patients", user=asker.user, session="", subject=subject) as entry:
        found = research.warehouse.patients()
        entry.outcome(patients=len(found))
    return {"patients": [str(patient) for patient in found], "total": len(found)}


@router.get("/patients/{patient}/studies", summary="Studies and series known of a patient")
def studies(request: Request, asker: Person, patient: str) -> JSONResponse:
    """List what was extracted, without asking the archive; 404 for a patient without studies."""
    research = research_of(request)
    research.desk.check_patients(asker)
    pseudonym = Pseudonym.parse(patient, "patient")
    subject = {"role": asker.role, "patient": str(pseudonym)}
    audit = research.desk.audit
    with audit.query(action="studies", user=asker.user, session="", subject=subject) as entry:
        found = research.warehouse.studies_of(pseudonym)
        if not found:
            raise NotFound("patient", "has no study in the warehouse", "take a pseudonym from a cohort")
        entry.outcome(studies=len(found))
    return JSONResponse(jsonable_encoder({"patient": pseudonym, "studies": [asdict(s) for s in found]}))


def _json(attribute: Attribute) -> dict[str, object]:
    return {
        "name": attribute.name,
        "source": str(attribute.source),
        "level": str(attribute.frame),
        "values": str(attribute.type) if attribute.source == "column" else _kinds(attribute),
        "units": sorted(attribute.units - {""}),
    }


def _kinds(attribute: Attribute) -> str:
    return "number" if attribute.has_number else "text"
