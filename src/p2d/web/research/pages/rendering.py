"""Templates as answers, and the headers that keep a page to its own origin; everything is escaped."""

from collections.abc import Callable, Coroutine
from datetime import date
from http import HTTPStatus
from importlib import resources
from typing import Any, Final

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined

from p2d.model.errors import P2DError
from p2d.web.research.pages.sessions import SignedOut

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_TYPES: Final = {
    "p2d.css": "text/css",
    "p2d.svg": "image/svg+xml",
    "previews.js": "text/javascript",
    "search.js": "text/javascript",
}
STATIC: Final = {
    name: ((resources.files("p2d.web.research.pages") / "static" / name).read_bytes(), media_type)
    for name, media_type in _TYPES.items()
}


def cell(value: object) -> str:
    """Return *value* as it stands in a table: numbers without a needless fraction, dates as YYYY-MM-DD.

    Several values are parted by semicolons.
    """
    if isinstance(value, tuple):
        return "; ".join(map(cell, value)) or cell(None)
    if value is None or value == "":
        return "\N{EM DASH}"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


_TEMPLATES: Final = Environment(
    loader=PackageLoader("p2d.web.research.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["cell"] = cell


def page(template: str, status: int = HTTPStatus.OK, **values: Any) -> HTMLResponse:
    """Return *template* filled with *values*."""
    return HTMLResponse(_TEMPLATES.get_template(template).render(values), status_code=status)


def error_page(error: P2DError) -> HTMLResponse:
    """Return *error* as a page; without a session, the page that says how to get one."""
    if isinstance(error, SignedOut):
        answer = page("signed_out.html", error.status, session=None)
        answer.headers["WWW-Authenticate"] = 'P2D-Link realm="P2D"'
        return answer
    return page("error.html", error.status, session=None, error=error)


class PageRoute(APIRoute):
    """A route for browsers: errors are pages, and every answer carries ``HEADERS``."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the route with errors caught and headers set."""
        inner = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                response = await inner(request)
            except P2DError as error:
                response = error_page(error)
            except RequestValidationError:
                response = page("malformed.html", HTTPStatus.UNPROCESSABLE_ENTITY, session=None)
            response.headers.update(HEADERS)
            return response

        return answer
