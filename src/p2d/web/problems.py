"""Errors as RFC 9457 problem documents: one shape for all three processes, never echoing the input."""

from collections.abc import Callable, Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from p2d.model.errors import InvalidRequest, P2DError

OnRefusal = Callable[[Request, P2DError], None]
MEDIA_TYPE = "application/problem+json"


def problem(
    status: int,
    title: str,
    detail: str,
    *,
    field: str = "",
    remedy: str = "",
    headers: Mapping[str, str] = {},
) -> JSONResponse:
    """Return a problem document (RFC 9457 §3) with P2D's members ``field`` and ``remedy``."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    if field:
        body["field"] = field
    if remedy:
        body["remedy"] = remedy
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=dict(headers))


def problem_of(error: P2DError) -> JSONResponse:
    """Return *error* as a problem document with the status of its family."""
    headers = {"Retry-After": "10"} if error.status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    detail = f"{error.field}: {error.problem}"
    return problem(error.status, error.title, detail, field=error.field, remedy=error.remedy, headers=headers)


def install_problem_handlers(app: FastAPI, on_refusal: OnRefusal = lambda _, __: None) -> None:
    """Make *app* answer every error as a problem document.

    *on_refusal* is called with each request and the error of P2D's tree that it ended in, before the answer
    is sent; when it raises one itself, that one is answered.
    """

    def on_p2d(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, P2DError)  # noqa: S101 - narrows the handler's declared type
        try:
            on_refusal(request, error)
        except P2DError as other:
            return problem_of(other)
        return problem_of(error)

    def on_validation(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - narrows the handler's declared type
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        return on_p2d(request, InvalidRequest(field, first["msg"], "see /openapi.json for the parameters"))

    def on_http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101 - narrows the handler's declared type
        phrase = HTTPStatus(error.status_code).phrase
        return problem(error.status_code, phrase, phrase, headers=error.headers or {})

    def on_any(_: Request, __: Exception) -> JSONResponse:
        return problem(
            HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error", "the request failed; nothing was released"
        )

    app.add_exception_handler(P2DError, on_p2d)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_any)
