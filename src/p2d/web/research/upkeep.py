"""``/catalogue``, ``/promotions``, ``/upkeep``: what the warehouse holds in words, and its care."""

from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from p2d.flows.research.cohort import Asker
from p2d.model.errors import NotFound
from p2d.warehouse.catalogue.labels import Labels
from p2d.warehouse.catalogue.tree import detail, search, tree, without_numbers
from p2d.warehouse.upkeep.upkeep import Upkeep
from p2d.web.research.access import PEOPLE, Role, admit, research_of

Person = Annotated[Asker, Depends(admit(*PEOPLE))]
Operator = Annotated[Asker, Depends(admit(Role.OPERATOR))]
Kind = Literal["fact", "header", "column", "document"]
_Keyword = Annotated[str, Field(max_length=64)]


class _Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    keyword: _Keyword
    level: Literal["study", "series", "instance"]


class _Patients(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    patients: list[Annotated[str, Field(max_length=128)]] = Field(min_length=1, max_length=10_000)


def upkeep_router(upkeep: Upkeep, labels: Labels) -> APIRouter:
    """Return the endpoints over *upkeep*; changes are the operator's and audited."""
    router = APIRouter(tags=["upkeep"])
    _add_catalogue(router, upkeep, labels)
    _add_promotions(router, upkeep)
    _add_orders(router, upkeep)
    return router


def _add_catalogue(router: APIRouter, upkeep: Upkeep, labels: Labels) -> None:
    def shown(request: Request, asker: Asker, made: dict[str, object]) -> dict[str, object]:
        return dict(without_numbers(made)) if research_of(request).desk.is_shielded(asker) else made

    @router.get("/catalogue", summary="The tree of attributes, or those that words find")
    def catalogue(request: Request, asker: Person, words: str = "") -> dict[str, object]:
        entries = upkeep.entries()
        made: dict[str, object] = {"tree": tree(labels, entries)}
        if words:
            made = {"found": search(labels, entries, words)}
        return shown(request, asker, made)

    @router.get("/catalogue/{kind}/{name}", summary="Counts, distribution and codes of one attribute")
    def one(request: Request, asker: Person, kind: Kind, name: str) -> dict[str, object]:
        for entry in upkeep.entries():
            if (entry.kind, entry.name) == (kind, name):
                return shown(request, asker, detail(labels, entry))
        raise NotFound("name", "is not in the catalogue", "GET /catalogue lists what is")


def _add_promotions(router: APIRouter, upkeep: Upkeep) -> None:
    @router.get("/promotions", summary="Extended attributes that are columns, by level")
    def promotions(asker: Person) -> dict[str, dict[str, str]]:  # noqa: ARG001 - as above
        return upkeep.promotions()

    @router.post("/promotions", summary="Make extended attributes columns, all or none (operator)")
    def promote(request: Request, asker: Operator, wanted: list[_Wanted]) -> dict[str, object]:
        subject = {"role": asker.role, "promote": [one.keyword for one in wanted]}
        audit = research_of(request).desk.audit
        with audit.query(action="promote", user=asker.user, session="", subject=subject) as entry:
            done = upkeep.promote([(one.keyword, one.level) for one in wanted])
            entry.outcome(promoted=len(done))
        return {"promotions": [asdict(one) for one in done]}

    @router.delete("/promotions/{keyword}", summary="Take a promoted column away (operator)")
    def demote(request: Request, asker: Operator, keyword: str) -> dict[str, object]:
        audit = research_of(request).desk.audit
        subject = {"role": asker.role}
        with audit.query(action="demote", user=asker.user, session="", subject=subject) as entry:
            upkeep.demote(keyword)
            entry.outcome(demoted=keyword)
        return {"demoted": keyword}


def _add_orders(router: APIRouter, upkeep: Upkeep) -> None:
    @router.get("/upkeep/check", summary="Does the store fit together? (operator)")
    def check(asker: Operator) -> dict[str, object]:  # noqa: ARG001 - admits the operator only
        return {"inconsistencies": upkeep.inconsistencies()}

    @router.post("/upkeep/arrange", summary="Bring every table in the order of queries (operator)")
    def arrange(asker: Operator) -> dict[str, object]:  # noqa: ARG001 - as above
        return {"rewritten": upkeep.arrange()}

    @router.post("/upkeep/refresh", summary="Count the whole catalogue anew (operator)")
    def refresh(asker: Operator) -> dict[str, object]:  # noqa: ARG001 - as above
        return {"attributes": upkeep.refresh(everything=True)}

    @router.post("/upkeep/terms", summary="Index the words of all documents anew (operator)")
    def terms(asker: Operator) -> dict[str, object]:  # noqa: ARG001 - as above
        upkeep.rebuild_terms()
        return {"terms": "rebuilt"}

    @router.post("/erasures", summary="Delete every row of patients (operator)")
    def erase(request: Request, asker: Operator, body: Annotated[_Patients, Body()]) -> dict[str, object]:
        subject = {"role": asker.role, "patients": len(body.patients)}
        audit = research_of(request).desk.audit
        with audit.query(action="erase", user=asker.user, session="", subject=subject) as entry:
            gone = upkeep.erase(body.patients)
            entry.outcome(erased=gone)
        return {"erased": gone, "left": 0}
