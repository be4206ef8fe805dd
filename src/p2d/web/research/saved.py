"""``/cohorts/saved``: cohorts under a name, to be used as ``{"cohort": name}`` in other queries."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request
from fastapi.openapi.models import Example

from p2d.flows.research.cohort import Asker
from p2d.flows.research.saved_cohorts import SavedCohorts
from p2d.model.errors import NotFound
from p2d.warehouse.saved import SavedCohort
from p2d.web.research.access import PEOPLE, admit, research_of

router = APIRouter(prefix="/cohorts/saved", tags=["saved cohorts"])
Person = Annotated[Asker, Depends(admit(*PEOPLE))]
_EXAMPLES: dict[str, Example] = {
    "query": Example(
        summary="A query under a name, for everybody",
        value={
            "name": "heart failure",
            "query": {"version": 2, "where": {"attribute": "ICD10", "under": "I50"}},
            "shared": True,
        },
    ),
    "list": Example(summary="A list of pseudonyms", value={"name": "pilot-1", "patients": ["P2D-…"]}),
}
Asked = Annotated[dict[str, Any], Body(openapi_examples=_EXAMPLES)]


@router.post("", summary="Save a query or a list of pseudonyms under a name")
def save(request: Request, asker: Person, cohort: Asked) -> dict[str, object]:
    """Keep it in place of what the asker called so before; ``shared`` lets others use it."""
    may_list = not research_of(request).desk.is_shielded(asker)
    return _json(_saved(request).save(cohort, asker.user, may_list=may_list), asker, with_size=may_list)


@router.get("", summary="Saved cohorts: one's own, and those others share")
def listed(request: Request, asker: Person) -> dict[str, object]:
    """List names and owners, and the sizes of lists to whom may see patients."""
    with_size = not research_of(request).desk.is_shielded(asker)
    found = _saved(request).listed(asker.user)
    return {"cohorts": [_json(cohort, asker, with_size=with_size) for cohort in found]}


@router.delete("/{name}", summary="Forget a saved cohort of one's own")
def delete(request: Request, asker: Person, name: str) -> dict[str, object]:
    """Forget it; 404 where the asker has none of that name."""
    _saved(request).delete(name, asker.user)
    return {"deleted": name}


def _saved(request: Request) -> SavedCohorts:
    saved = research_of(request).desk.saved
    if saved is None:
        raise NotFound("cohorts", "are not saved by this warehouse", "ask its operator")
    return saved


def _json(cohort: SavedCohort, asker: Asker, *, with_size: bool) -> dict[str, object]:
    return {
        "name": cohort.name,
        "is_mine": cohort.owner == asker.user,
        "owner": cohort.owner,
        "shared": cohort.is_shared,
        "kind": "list" if cohort.query is None else "query",
        "patients": cohort.size if cohort.query is None and with_size else None,
        "created_at": cohort.created_at.isoformat(timespec="seconds"),
    }
