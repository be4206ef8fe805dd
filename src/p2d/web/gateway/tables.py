"""Metadata answers: CSV as a plain table, JSON with the rows, the ledger's sums and its notes."""

from fastapi.responses import JSONResponse, Response, StreamingResponse

from p2d.export.table import csv_chunks, rows
from p2d.flows.gateway.adhoc import Answer, totals
from p2d.model.level import Output
from p2d.model.request import Request


def metadata_response(request: Request, answer: Answer) -> Response:
    """Return *answer* in the output that *request* names; the ledger's sums are also response headers."""
    columns, table = rows(answer.headers, request.level, request.attributes)
    sums = totals(answer.lines)
    if request.output is Output.CSV:
        headers = {f"P2D-{name.title()}": str(value) for name, value in sums.items()}
        return StreamingResponse(
            csv_chunks(columns, table), media_type="text/csv; charset=utf-8", headers=headers
        )
    return JSONResponse(
        {"columns": list(columns), "rows": list(table), "ledger": sums, "notes": answer.notes}
    )
