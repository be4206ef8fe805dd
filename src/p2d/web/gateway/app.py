"""The gateway's REST interface: pseudonyms in, de-identified data out. Pages are not served here."""

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.middleware.base import RequestResponseEndpoint

from p2d.audit.refusals import record_refusal
from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.runner import BulkRunner
from p2d.flows.gateway.sync.runner import SyncRunner
from p2d.model.errors import P2DError
from p2d.web.gateway import archives, browse, ledger, orders, query, reviews, runs, sessions, syncs
from p2d.web.gateway.guard import Guard, Web
from p2d.web.problems import install_problem_handlers, problem

_DESCRIPTION = """
Query a picture archive by pseudonyms. Every call carries the warehouse's service secret
(`Authorization: Bearer …`). Researcher's queries also carry a session key (`P2D-Session`), limited to the
patients of a warehouse query; bulk runs carry the operator's secret and a signed assertion
(`P2D-Assertion`); release reviews an officer's secret and assertion. Errors are RFC 9457 problem documents.
"""
_MAX_BODY = 16 * 1024 * 1024


def create_app(gateway: Gateway, guard: Guard) -> FastAPI:
    """Return the gateway's application; the caller runs it on one loopback or internal address."""
    app = FastAPI(title="P2D gateway", description=_DESCRIPTION, version="1", docs_url=None, redoc_url=None)
    app.state.web = Web(gateway, guard, BulkRunner(gateway), SyncRunner(gateway))
    install_problem_handlers(app, lambda request, error: _recorded(gateway, request, error))
    app.include_router(sessions.router)
    app.include_router(query.router)
    app.include_router(browse.router)
    app.include_router(runs.router)
    app.include_router(ledger.router)
    app.include_router(orders.router)
    app.include_router(syncs.router)
    app.include_router(reviews.router)
    app.include_router(archives.router)

    @app.middleware("http")
    async def limits(request: Request, call_next: RequestResponseEndpoint) -> Response:
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > _MAX_BODY or "transfer-encoding" in request.headers:
            return problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "Too large",
                "the body is larger than 16 MiB or of unknown length",
            )
        response = await call_next(request)
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    @app.get("/health", tags=["operation"], summary="Is the process up?")
    def health() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    return app


def _recorded(gateway: Gateway, request: Request, error: P2DError) -> None:
    """Record a refusal that no query's record covers, by the endpoint's template and the error's family."""
    route = request.scope.get("route")
    action = str(getattr(route, "path", "unknown"))
    record_refusal(gateway.audit, error, action=f"{request.method} {action}")
