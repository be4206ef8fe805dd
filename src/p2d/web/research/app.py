"""The warehouse's REST interface: batches in, cohorts out. Everything it shows is pseudonymous.

``create_app`` takes what the composition root connected; pages are added as further routers.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.middleware.base import RequestResponseEndpoint

from p2d.access.service import Throttle
from p2d.audit.log import AuditLog
from p2d.audit.refusals import record_refusal
from p2d.flows.research.cohort import CohortDesk
from p2d.model.errors import P2DError
from p2d.warehouse.port import ResearchWarehouse
from p2d.warehouse.wire import Limits
from p2d.web.problems import install_problem_handlers, problem, problem_of
from p2d.web.research import catalogue, cohorts, language, load, saved
from p2d.web.research.access import Door, Research, Role, research_of, role_of
from p2d.web.research.leaving import CancelWhenLeft

_DESCRIPTION: Final = """
Load batches by receipt and ask for cohorts. Every call carries a secret (`Authorization: Bearer …`): the
loader's for `/load` and `/receipts`, the operator's or a researcher's for the rest; a researcher's shows
shielded numbers only, unless the settings say otherwise. Errors are RFC 9457 problem documents that name the
field and the way out. The query language: docs/reference/cohort-language.md.
"""
_MAX_BODY: Final = 1024 * 1024


def create_app(
    warehouse: ResearchWarehouse,
    desk: CohortDesk,
    secrets: Mapping[Role, str],
    routers: Sequence[APIRouter] = (),
) -> FastAPI:
    """Return the application over *warehouse*; *routers* are what the composition root adds to it.

    When the server stops, what was added to ``app.state.closing`` is called, last one first, and the
    warehouse is closed.
    """

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        for close in reversed(app.state.closing):
            close()

    app = FastAPI(
        title="P2D warehouse",
        description=_DESCRIPTION,
        version="1",
        lifespan=life,
        docs_url=None,
        redoc_url=None,
    )
    app.state.closing = [warehouse.close]
    app.state.research = Research(warehouse, desk, Door(secrets, Throttle()))
    install_problem_handlers(app, lambda request, error: _record(desk.audit, request, error))
    routes = (load.router, cohorts.router, language.router, saved.router, catalogue.router, *routers)
    for router in routes:
        app.include_router(router)
    app.middleware("http")(_limits)
    app.add_middleware(CancelWhenLeft, cancel=lambda asker: desk.questions.cancel(asker.question, asker.user))

    @app.get("/health", tags=["operation"], summary="Is the process up?")
    def health() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    return app


def _record(audit: AuditLog, request: Request, error: P2DError) -> None:
    """Record a refusal that no question's own record covers, by the endpoint and the error's family."""
    path = getattr(request.scope.get("route"), "path", "load")
    record_refusal(audit, error, action=f"{request.method} {path}")


async def _limits(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Refuse large bodies before they are read, unless the loader brings a batch."""
    length = request.headers.get("content-length", "0")
    is_sized = length.isdigit() and "transfer-encoding" not in request.headers
    is_load = request.method == "POST" and request.url.path == "/load"
    most = Limits().wire_bytes if is_load else _MAX_BODY
    if not is_sized or int(length) > most:
        detail = f"the body is larger than {most} bytes or of unknown length"
        return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Too large", detail, field="body")
    if is_load:
        try:
            is_loader = role_of(request) is Role.LOADER
        except P2DError as error:
            _record(research_of(request).desk.audit, request, error)
            return problem_of(error)
        if not is_loader:
            return problem(HTTPStatus.FORBIDDEN, "Refused", "Authorization: only the loader may do this")
    response = await call_next(request)
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response
