"""``/load`` and ``/receipts``: what the gateway and ``p2d load`` bring."""

from typing import Annotated, Final

from fastapi import APIRouter, Body, Depends, Request

from p2d.audit.refusals import marked
from p2d.flows.research.cohort import Asker
from p2d.model.errors import NotFound
from p2d.warehouse.batch import Receipt
from p2d.warehouse.quarantine import OnBadRows
from p2d.warehouse.wire import MEDIA_TYPE, decode
from p2d.web.research.access import Role, admit, research_of

router = APIRouter(tags=["load"])
Loader = Annotated[Asker, Depends(admit(Role.LOADER))]
_RECEIPT: Final = {
    "batch_id": "20240301T101500-4f1a-0001",
    "digest": "33389384ec063ad204f5a4b647a07890ab9f55d63b73577d6e320df5313cb18f",
    "rows": {"study": 3, "series": 9, "instance": 120},
}
_ANSWER: Final[dict[int | str, dict[str, object]]] = {
    200: {"content": {"application/json": {"example": _RECEIPT}}}
}


@router.post("/load", summary="Commit a batch and its receipt, or nothing", responses=_ANSWER)
def load(
    request: Request,
    asker: Loader,
    content: Annotated[bytes, Body(media_type=MEDIA_TYPE)],
    on_bad_rows: OnBadRows = "refuse",
) -> dict[str, object]:
    """Take a batch in the form of ``p2d.warehouse.wire``; the same batch again gives the same receipt.

    With ``on_bad_rows=quarantine`` the bad rows of a clinical batch are set aside and the rest goes in.
    """
    research = research_of(request)
    subject = {"role": asker.role, "bytes": len(content)}
    audit = research.desk.audit
    with marked(), audit.query(action="load", user=asker.user, session="", subject=subject) as entry:
        batch = decode(content)
        receipt = research.warehouse.load(batch, on_bad_rows)
        entry.outcome(batch=receipt.batch_id, rows=dict(receipt.rows))
    return _json(receipt)


@router.get("/receipts/{batch_id}", summary="The receipt of a committed batch", responses=_ANSWER)
def receipt(request: Request, asker: Loader, batch_id: str) -> dict[str, object]:  # noqa: ARG001 - admits the loader only
    """Return the receipt; 404 where the batch was never committed."""
    found = research_of(request).warehouse.receipt(batch_id)
    if found is None:
        raise NotFound("batch_id", "was not committed here", "load the batch")
    return _json(found)


def _json(receipt: Receipt) -> dict[str, object]:
    return {"batch_id": receipt.batch_id, "digest": receipt.digest, "rows": dict(receipt.rows)}
