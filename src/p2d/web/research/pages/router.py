"""The pages' addresses: sign in by link, cohort, patients, series, previews proxied to the gateway."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Annotated, Final, Literal, cast

from fastapi import APIRouter, Body, Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask

from p2d.flows.research.cohort import Asker
from p2d.flows.research.viewing import Archive, CohortAnswer, Cohorts, Viewing
from p2d.model.errors import NotFound, P2DError, Refused
from p2d.web.problems import problem_of
from p2d.web.research.access import Role
from p2d.web.research.leaving import ASKER
from p2d.web.research.pages.forms import read_form, read_query, write_query
from p2d.web.research.pages.rendering import STATIC, PageRoute, page
from p2d.web.research.pages.sessions import LONGEST_SECONDS, TOKEN_SECONDS, Grant, PageSession, PageSessions

COOKIE: Final = "p2d_page"
LONGEST_LINE: Final = 10_000
"""Characters of the search line."""

_PER_PAGE: Final = 50
_SEE_OTHER: Final = HTTPStatus.SEE_OTHER

router = APIRouter(route_class=PageRoute, include_in_schema=False)
token_router = APIRouter(tags=["pages"])


@dataclass(frozen=True, slots=True)
class Pages:
    """What the pages work with.

    ``admit_operator`` takes a secret and the address it came from and raises Refused unless it is the
    operator's; ``check_query`` raises InvalidRequest on a malformed query; ``record`` notes an event (a word)
    and its user in the audit; ``archive`` is the gateway's client or None; ``example`` stands in the empty
    form; ``rows`` bounds the preview of a result.
    """

    cohorts: Cohorts = field(repr=False)
    archive: Archive | None = field(repr=False)
    admit_operator: Callable[[str, str], None] = field(repr=False)
    check_query: Callable[[Mapping[str, object]], object] = field(repr=False)
    record: Callable[[str, str], None] = field(repr=False)
    example: Mapping[str, object] = field(repr=False)
    rows: int = 10
    sessions: PageSessions = field(default_factory=PageSessions, repr=False)


def install_pages(app: FastAPI, pages: Pages) -> None:
    """Add the pages to *app*."""
    app.state.pages = pages
    app.include_router(token_router)
    app.include_router(router)


class TokenBody(BaseModel):
    """Who may open the pages, and with which query they begin."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    user: str = Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")
    role: Literal["researcher"] = "researcher"
    images: bool = Field(True, description="Whether previews are approved; lists only otherwise.")
    query: dict[str, object] | None = Field(None, description="Cohort query to begin with.")


class LineBody(BaseModel):
    """A search line and its cursor, in characters from its beginning."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    line: str = Field(max_length=LONGEST_LINE)
    cursor: int = Field(ge=0)


class TokenAnswer(BaseModel):
    """A token, shown this once: open ``path`` on this server within its life."""

    token: str
    path: str
    expires_in_seconds: int


@token_router.post("/page-tokens", status_code=201, summary="Make a link that opens the start page once")
def issue_token(
    request: Request,
    body: Annotated[TokenBody, Body(openapi_examples={"researcher": {"value": {"user": "ada"}}})],
) -> TokenAnswer:
    """Return a one-time token; the operator's secret is sent as bearer."""
    pages = pages_of(request)
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret:
        raise Refused("Authorization", "carries no bearer secret", "send: Authorization: Bearer <secret>")
    pages.admit_operator(secret, request.client.host if request.client else "unknown")
    if body.query is not None:
        pages.check_query(body.query)
    text = "" if body.query is None else write_query(body.query)
    pages.record("page.link", body.user)
    token = pages.sessions.issue(Grant(body.user, body.images, text))
    return TokenAnswer(token=token, path=f"/?token={token}", expires_in_seconds=int(TOKEN_SECONDS))


def pages_of(request: Request) -> Pages:
    """Return what ``install_pages`` put beside the application."""
    return cast("Pages", request.app.state.pages)


def signed_in(request: Request) -> PageSession:
    """Return the session of the browser's cookie.

    Raises:
        SignedOut: there is none.

    """
    return pages_of(request).sessions.find(request.cookies.get(COOKIE, ""))


def sent_form(
    session: Annotated[PageSession, Depends(signed_in)], form: Annotated[dict[str, str], Depends(read_form)]
) -> dict[str, str]:
    """Return the form that a signed-in browser sent from our own page."""
    session.require_form_token(form.get("form_token", ""))
    return form


Signed = Annotated[PageSession, Depends(signed_in)]
Form = Annotated[dict[str, str], Depends(sent_form)]


@router.get("/")
def start(request: Request, token: str | None = None) -> Response:
    """Show the cohort page; with a token, sign in first and come back without it."""
    if token is None:
        return _start(request, signed_in(request))
    pages = pages_of(request)
    key, session = pages.sessions.exchange(token)
    pages.record("page.sign_in", session.grant.user)
    answer = RedirectResponse("/", _SEE_OTHER)
    answer.set_cookie(
        COOKIE,
        key,
        max_age=int(LONGEST_SECONDS),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    if session.query:
        _run(pages, session)
    return answer


@router.post("/cohort")
def run_cohort(request: Request, session: Signed, form: Form) -> Response:
    """Run the query of the form; a wrong one comes back with the reason."""
    old = session.viewing
    session.query = form.get("query", "")
    error = _run(pages_of(request), session, _named(request, session))
    answer = _start(request, session, error) if error else RedirectResponse("/#result", _SEE_OTHER)
    answer.background = BackgroundTask(old.close) if old else None
    return answer


@router.post("/search")
def run_line(request: Request, session: Signed, form: Form) -> Response:
    """Run the query of the search line; a wrong one comes back with the place and the reason."""
    old = session.viewing
    session.line = form.get("line", "").strip()
    error = _run_line(pages_of(request), session, _named(request, session))
    answer = _start(request, session, error, "line") if error else RedirectResponse("/#result", _SEE_OTHER)
    answer.background = BackgroundTask(old.close) if old else None
    return answer


@router.post("/complete")
def complete(request: Request, session: Signed, sent: LineBody) -> Response:
    """Offer what may come next at the cursor of the search line."""
    try:
        found = pages_of(request).cohorts.complete(session.grant.user, sent.line, sent.cursor)
    except P2DError as error:
        return problem_of(error)
    return JSONResponse({"offered": [asdict(one) for one in found]})


@router.get("/patients")
def patients(session: Signed, number: Annotated[int, Query(alias="page", ge=1)] = 1) -> Response:
    """List all patients of the cohort, fifty a page."""
    found = _viewing(session).patients
    last = max(1, -(-len(found) // _PER_PAGE))
    if number > last:
        raise NotFound("page", "does not exist", "go back to the first page of the list")
    shown = found[(number - 1) * _PER_PAGE : number * _PER_PAGE]
    return page("patients.html", session=session, shown=shown, total=len(found), number=number, last=last)


@router.get("/patients/{patient}")
def patient_page(session: Signed, patient: str) -> Response:
    """List studies and series of one patient of the cohort."""
    listing = _viewing(session).listing(patient)
    return page("patient.html", session=session, patient=patient, listing=listing)


@router.get("/patients/{patient}/studies/{study}/series/{series}")
def series_page(session: Signed, patient: str, study: str, series: str) -> Response:
    """Show the middle image of a series, or say why it is not shown."""
    viewing = _viewing(session)
    study_entry, entry = viewing.series(patient, study, series)
    reason = ""
    try:
        viewing.preview(patient, study, series)
    except P2DError as error:
        reason = error.problem
    return page(
        "series.html", session=session, patient=patient, study=study_entry, series=entry, reason=reason
    )


@router.get("/patients/{patient}/studies/{study}/series/{series}/preview.jpg")
def preview(session: Signed, patient: str, study: str, series: str) -> Response:
    """Return the middle image of a series as JPEG, or a problem document that says why not."""
    try:
        return Response(_viewing(session).preview(patient, study, series), media_type="image/jpeg")
    except P2DError as error:
        return problem_of(error)


@router.post("/sign-out")
def sign_out(request: Request, session: Signed, _: Form) -> Response:
    """End the session here and at the gateway."""
    pages_of(request).sessions.end(request.cookies.get(COOKIE, ""))
    viewing, session.viewing, session.answer = session.viewing, None, None
    answer = RedirectResponse("/", _SEE_OTHER, background=BackgroundTask(viewing.close) if viewing else None)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


@router.get("/static/{name}")
def static(name: str) -> Response:
    """Return a style sheet, script or icon of the pages."""
    if name not in STATIC:
        raise NotFound("file", "does not exist", "go to the start page")
    content, media_type = STATIC[name]
    return Response(content, media_type=media_type)


def _start(
    request: Request, session: PageSession, error: P2DError | None = None, wrong: str = "query"
) -> Response:
    """Show the cohort page; *error* is about the form field *wrong*."""
    text = session.query or write_query(pages_of(request).example)
    status = HTTPStatus.OK if error is None else error.status
    answer = session.answer if error is None else None
    errors = {} if error is None else {wrong: error}
    return page("start.html", status, session=session, query=text, answer=answer, errors=errors)


def _named(request: Request, session: PageSession) -> str:
    """Give the question of *request* a name, by which it ends where the browser leaves; return it."""
    asker = Asker(session.grant.user, str(Role.APPROVED), secrets.token_hex(16))
    setattr(request.state, ASKER, asker)
    return asker.question


def _run(pages: Pages, session: PageSession, question: str = "") -> P2DError | None:
    """Run the session's query; return why it failed, or None. A failed one leaves no cohort behind."""
    session.answer = session.viewing = None
    session.line, session.words = "", {}
    try:
        query = read_query(session.query)
        answer = pages.cohorts.run(session.grant.user, query, pages.rows, question)
        read = pages.cohorts.read(session.grant.user, query)
    except P2DError as error:
        return error
    session.line, session.words = read.line, read.words
    session.answer, session.viewing = answer, _view(pages, session.grant, answer)
    return None


def _run_line(pages: Pages, session: PageSession, question: str) -> P2DError | None:
    """Run the session's search line as ``_run`` runs its query, which becomes the same in JSON."""
    session.answer = session.viewing = None
    session.words = {}
    try:
        read = pages.cohorts.read(session.grant.user, session.line)
        answer = pages.cohorts.run(session.grant.user, read.query, pages.rows, question)
    except P2DError as error:
        return error
    session.query, session.words = write_query(read.query), read.words
    session.answer, session.viewing = answer, _view(pages, session.grant, answer)
    return None


def _view(pages: Pages, grant: Grant, answer: CohortAnswer) -> Viewing:
    own_list = partial(pages.cohorts.studies_of, grant.user)
    return Viewing(grant.user, answer.patients, pages.archive, own_list, grant.images)


def _viewing(session: PageSession) -> Viewing:
    if session.viewing is None:
        raise NotFound("patient", "is not in the cohort of this session", "choose one from the list")
    return session.viewing
