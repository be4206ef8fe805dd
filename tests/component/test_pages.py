import asyncio
import json
import re
from collections.abc import Mapping
from datetime import date
from html import unescape

import httpx
import pytest
from fastapi import FastAPI

from p2d.flows.research.viewing import CohortAnswer, SeriesEntry, StudyEntry, parse_studies
from p2d.model.errors import InvalidRequest, Refused
from p2d.testing.viewing import ArchiveFake, CohortsFake
from p2d.warehouse.query.as_json import query_json
from p2d.warehouse.query.examples import PAPER
from p2d.warehouse.query.parse import parse
from p2d.warehouse.query.text_form.grammar import parse_text
from p2d.web.problems import install_problem_handlers
from p2d.web.research.pages.forms import read_query, write_query
from p2d.web.research.pages.rendering import cell
from p2d.web.research.pages.router import COOKIE, Pages, install_pages
from p2d.web.research.pages.sessions import Grant, PageSessions

ADA, BOB, EVE = "P0000000000000001X", "P0000000000000002X", "P0000000000000003X"
SECRET = "operator-secret-of-this-test"
ATTACK = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"
QUERY = json.dumps({"version": 1, "where": {"attribute": "Modality", "equals": "CT"}})
SERIES_OF_ADA = f"/patients/{ADA}/studies/2.25.1/series/2.25.11"


def listed(study: str, series: str, description: str) -> dict[str, object]:
    entry = {"series": series, "Modality": "CT", "SeriesNumber": "3", "SeriesDescription": description}
    return {
        "patient": ADA,
        "studies": [
            {"study": study, "StudyDate": "20200217", "StudyDescription": description, "series": [entry]}
        ],
    }


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Site:
    """The pages in process, with one browser's cookies."""

    def __init__(self, *, archive: bool = True) -> None:
        own = StudyEntry(
            "2.25.1", "2020-02-17", "Own list", (SeriesEntry("2.25.11", "CT", "3", "", "", "9"),)
        )
        answer = CohortAnswer(
            {"Patients": 2, "Images": 21234},
            ("patient", "LVEF", "StudyDescription", "StudyDate"),
            [(ADA, 38.0, ATTACK, date(2020, 2, 17)), (BOB, None, "", None)],
            2,
            (ADA, BOB),
        )
        self.clock = Clock()
        self.recorded: list[tuple[str, str]] = []
        self.cohorts = CohortsFake(answer, {ADA: [own]})
        self.archive = ArchiveFake(
            {ADA: listed("2.25.1", "2.25.11", ATTACK), BOB: listed("2.25.2", "2.25.22", "Thorax")},
            {"2.25.22": "modality"},
        )
        self.sessions = PageSessions(self.clock)
        self.app = FastAPI()
        install_problem_handlers(self.app)
        pages = Pages(
            cohorts=self.cohorts,
            archive=self.archive if archive else None,
            admit_operator=self._admit,
            check_query=parse,
            record=lambda action, user: self.recorded.append((action, user)),
            example=PAPER,
            sessions=self.sessions,
        )
        install_pages(self.app, pages)
        self.cookies = httpx.Cookies()

    @staticmethod
    def _admit(secret: str, source: str) -> None:
        if secret != SECRET:
            raise Refused("Authorization", "the secret is missing or wrong")

    def ask(self, method: str, path: str, **more: object) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://127.0.0.1", cookies=self.cookies
            ) as client:
                answer = await client.request(method, path, **more)  # type: ignore[arg-type]  # httpx types each keyword
                self.cookies = client.cookies
                return answer

        return asyncio.run(once())

    def get(self, path: str) -> httpx.Response:
        return self.ask("GET", path)

    def post(self, path: str, fields: Mapping[str, str]) -> httpx.Response:
        return self.ask("POST", path, data=fields)

    def sign_in(self, *, images: bool = True) -> "Site":
        self.get(f"/?token={self.sessions.issue(Grant('ada', images))}")
        return self

    def form_token(self) -> str:
        found = re.search(r'name="form_token" value="([^"]+)"', self.get("/").text)
        assert found
        return found[1]

    def run(self, query: str = QUERY) -> httpx.Response:
        return self.post("/cohort", {"form_token": self.form_token(), "query": query})


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def opened(site: Site) -> Site:
    site.sign_in().run()
    return site


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_a_link_needs_the_operators_secret(site: Site) -> None:
    without = site.ask("POST", "/page-tokens", json={"user": "ada"})
    wrong = site.ask("POST", "/page-tokens", json={"user": "ada"}, headers=bearer("wrong"))
    right = site.ask("POST", "/page-tokens", json={"user": "ada"}, headers=bearer(SECRET))

    assert (without.status_code, wrong.status_code, right.status_code) == (403, 403, 201)
    assert len(right.json()["token"]) >= 43
    assert right.json()["expires_in_seconds"] == 600


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"user": ""},
        {"user": "a\nb"},
        {"user": "ada", "role": "operator"},
        {"user": "ada", "more": 1},
        {"user": "ada", "query": {"version": 9}},
    ],
)
def test_a_malformed_link_request_is_refused(site: Site, body: dict[str, object]) -> None:
    answer = site.ask("POST", "/page-tokens", json=body, headers=bearer(SECRET))

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_link_signs_in_and_leaves_the_token_behind(site: Site) -> None:
    token = site.ask("POST", "/page-tokens", json={"user": "ada"}, headers=bearer(SECRET)).json()["token"]

    answer = site.get(f"/?token={token}")

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert answer.headers["referrer-policy"] == "no-referrer"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert token.lower() not in cookie
    assert "Signed in as" in site.get("/").text


def test_links_and_sign_ins_are_recorded(site: Site) -> None:
    path = site.ask("POST", "/page-tokens", json={"user": "ada"}, headers=bearer(SECRET)).json()["path"]

    site.get(path)

    assert site.recorded == [("page.link", "ada"), ("page.sign_in", "ada")]


def test_a_link_works_once(site: Site) -> None:
    token = site.sessions.issue(Grant("ada"))
    site.get(f"/?token={token}")
    site.cookies.clear()

    again = site.get(f"/?token={token}")

    assert again.status_code == 403
    assert token not in again.text
    assert COOKIE not in site.cookies


def test_a_link_dies_after_ten_minutes(site: Site) -> None:
    token = site.sessions.issue(Grant("ada"))
    site.clock.now += 600

    assert site.get(f"/?token={token}").status_code == 403


def test_a_link_with_a_query_shows_its_result_at_once(site: Site) -> None:
    body = {"user": "ada", "query": json.loads(QUERY)}
    path = site.ask("POST", "/page-tokens", json=body, headers=bearer(SECRET)).json()["path"]

    site.get(path)

    assert site.cohorts.asked == [("ada", json.loads(QUERY))]
    assert "21,234" in site.get("/").text


@pytest.mark.parametrize("path", ["/", "/patients", f"/patients/{ADA}", SERIES_OF_ADA])
def test_without_a_session_a_page_says_how_to_get_one(site: Site, path: str) -> None:
    answer = site.get(path)

    assert answer.status_code == 401
    assert "link that works once" in answer.text
    assert "www-authenticate" in answer.headers


def test_a_preview_without_a_session_is_refused(site: Site) -> None:
    assert site.get(f"{SERIES_OF_ADA}/preview.jpg").status_code == 401


def test_an_idle_session_ends(opened: Site) -> None:
    opened.clock.now += 899
    assert opened.get("/").status_code == 200

    opened.clock.now += 900

    assert opened.get("/").status_code == 401


def test_a_session_in_use_ends_after_eight_hours(opened: Site) -> None:
    for _ in range(47):
        opened.clock.now += 600
        assert opened.get("/").status_code == 200

    opened.clock.now += 600

    assert opened.get("/").status_code == 401


def test_the_form_begins_with_the_papers_example(site: Site) -> None:
    text = unescape(site.sign_in().get("/").text)

    shown = text[text.index(">", text.index("<textarea")) + 1 : text.index("</textarea>")]
    assert json.loads(shown) == PAPER


def test_a_cohort_shows_counts_and_its_patients(opened: Site) -> None:
    text = opened.get("/").text

    assert "21,234" in text
    assert f'href="/patients/{ADA}"' in text
    assert "2020-02-17" in text
    assert opened.cohorts.asked == [("ada", json.loads(QUERY))]


@pytest.mark.parametrize(
    "query", ["", "{", "[]", "NaN", '{"a": Infinity}', "[" * 90_000, '{"version": 1}', "9" * 5000]
)
def test_a_wrong_query_comes_back_with_the_reason(site: Site, query: str) -> None:
    answer = site.sign_in().run(query)

    assert answer.status_code == 422
    assert "The query was not run." in answer.text
    assert 'aria-invalid="true"' in answer.text


def test_a_wrong_query_leaves_no_cohort_behind(opened: Site) -> None:
    opened.run("{}")

    assert opened.get(f"/patients/{ADA}").status_code == 404
    assert "21,234" not in opened.get("/").text


def test_a_form_without_the_sessions_token_is_refused(site: Site) -> None:
    site.sign_in()
    token = site.form_token()

    answers = [
        site.post("/cohort", {"query": QUERY}),
        site.post("/cohort", {"query": QUERY, "form_token": "x" * len(token)}),
        site.post("/cohort", {"query": QUERY, "form_token": "ä"}),
        site.post("/sign-out", {"form_token": ""}),
    ]

    assert [answer.status_code for answer in answers] == [403] * 4
    assert site.cohorts.asked == []
    assert site.get("/").status_code == 200


def test_a_form_of_another_type_or_size_is_refused(site: Site) -> None:
    site.sign_in()

    answers = [
        site.ask("POST", "/cohort", json={"query": QUERY}),
        site.ask("POST", "/cohort", files={"query": b"x"}),
        site.post("/cohort", {"query": "x" * 600_000}),
        site.post("/cohort", {str(number): "" for number in range(30)}),
    ]

    assert [answer.status_code for answer in answers] == [422] * 4


def test_a_patient_of_the_cohort_is_listed_from_the_archive(opened: Site) -> None:
    text = opened.get(f"/patients/{BOB}").text

    assert "Thorax" in text
    assert "2020-02-17" in text
    assert 'src="/patients/P0000000000000002X/studies/2.25.2/series/2.25.22/preview.jpg"' in text
    assert opened.archive.opened == [("ada", "researcher", (ADA, BOB), True)]


def test_texts_of_the_archive_and_the_warehouse_are_shown_as_text(opened: Site) -> None:
    pages = [opened.get(path).text for path in ("/", f"/patients/{ADA}", SERIES_OF_ADA)]

    assert [ATTACK in unescape(page) for page in pages] == [True] * 3
    assert ["<script>alert" in page or "<img src=x" in page for page in pages] == [False] * 3


def test_a_query_and_a_user_name_are_shown_as_text(site: Site) -> None:
    site.get(f"/?token={site.sessions.issue(Grant(ATTACK))}")

    answer = site.run(f'{{"</textarea>{ATTACK}"')

    assert ATTACK in unescape(answer.text)
    assert "<script>alert" not in answer.text


@pytest.mark.parametrize("patient", [EVE, "unknown", "%2e%2e", "P*", "<b>"])
def test_a_patient_outside_the_cohort_answers_like_an_unknown_one(opened: Site, patient: str) -> None:
    known = opened.get("/patients/nobody")
    asked = len(opened.archive.opened)

    answer = opened.get(f"/patients/{patient}")
    picture = opened.get(f"/patients/{patient}/studies/2.25.1/series/2.25.11/preview.jpg")

    assert (answer.status_code, picture.status_code) == (404, 404)
    assert answer.text == known.text
    assert len(opened.archive.opened) == asked


def test_a_series_is_shown_under_its_own_patient_only(opened: Site) -> None:
    answer = opened.get(f"/patients/{BOB}/studies/2.25.1/series/2.25.11/preview.jpg")

    assert answer.status_code == 404
    assert opened.archive.rendered_series == []


def test_a_preview_is_the_gateways_jpeg(opened: Site) -> None:
    answer = opened.get(f"{SERIES_OF_ADA}/preview.jpg")

    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content == opened.archive.picture


def test_a_series_page_asks_the_gateway_for_its_image_once(opened: Site) -> None:
    page = opened.get(SERIES_OF_ADA)
    opened.get(f"{SERIES_OF_ADA}/preview.jpg")

    assert f'src="{SERIES_OF_ADA}/preview.jpg"' in page.text
    assert opened.archive.rendered_series == ["2.25.1/2.25.11"]


def test_a_withheld_image_gives_its_reason(opened: Site) -> None:
    path = f"/patients/{BOB}/studies/2.25.2/series/2.25.22"

    picture = opened.get(f"{path}/preview.jpg")
    page = opened.get(path)

    assert picture.status_code == 403
    assert picture.json()["detail"] == "series: its image is withheld: modality"
    assert page.status_code == 200
    assert "its image is withheld: modality" in page.text
    assert "<img" not in page.text


def test_a_link_without_images_shows_lists_alone(site: Site) -> None:
    site.sign_in(images=False).run()

    listing = site.get(f"/patients/{ADA}")
    picture = site.get(f"{SERIES_OF_ADA}/preview.jpg")

    assert "<img" not in listing.text
    assert picture.status_code == 403
    assert site.archive.opened == [("ada", "researcher", (ADA, BOB), False)]
    assert site.archive.rendered_series == []


def test_a_silent_gateway_leaves_the_warehouses_own_list(opened: Site) -> None:
    opened.archive.is_up = False

    text = opened.get(f"/patients/{ADA}").text

    assert "The archive could not be asked" in text
    assert "gateway does not answer (ConnectError)" in text
    assert "Own list" in text
    assert "<img" not in text
    assert opened.cohorts.listed == [("ada", ADA)]


def test_without_a_gateway_the_list_is_the_warehouses_own() -> None:
    site = Site(archive=False).sign_in()
    site.run()

    text = site.get(f"/patients/{ADA}").text

    assert "gateway is not configured" in text
    assert "Own list" in text


@pytest.mark.parametrize(
    "odd", [{}, {"studies": 1}, {"studies": [1]}, {"studies": [{"series": [{"Modality": []}]}]}]
)
def test_an_odd_answer_of_the_gateway_leaves_the_warehouses_own_list(
    opened: Site, odd: dict[str, object]
) -> None:
    opened.archive.lists = {ADA: odd}

    assert "answered with a list of another form" in opened.get(f"/patients/{ADA}").text


def test_a_gateway_session_that_ended_is_opened_anew(opened: Site) -> None:
    opened.get(f"/patients/{ADA}")
    opened.archive.end_sessions()

    answer = opened.get(f"{SERIES_OF_ADA}/preview.jpg")

    assert answer.status_code == 200
    assert len(opened.archive.opened) == 2


def test_a_new_cohort_ends_the_gateway_session_of_the_old_one(opened: Site) -> None:
    opened.get(f"/patients/{ADA}")

    opened.run()

    assert opened.archive.live_sessions == 0


def test_no_secret_of_the_gateway_reaches_the_browser(opened: Site) -> None:
    answers = [opened.get(path) for path in (f"/patients/{ADA}", SERIES_OF_ADA, "/")]

    assert ["key-1" in answer.text + str(answer.headers) for answer in answers] == [False] * 3


def test_signing_out_ends_the_session_here_and_at_the_gateway(opened: Site) -> None:
    opened.get(f"/patients/{ADA}")
    kept = opened.cookies[COOKIE]

    answer = opened.post("/sign-out", {"form_token": opened.form_token()})
    opened.cookies.set(COOKIE, kept)

    assert answer.status_code == 303
    assert opened.get("/").status_code == 401
    assert opened.archive.live_sessions == 0


@pytest.mark.parametrize(
    "path",
    [
        "/",
        f"/patients/{ADA}",
        f"{SERIES_OF_ADA}/preview.jpg",
        "/static/p2d.css",
        "/patients/none",
        "/?token=x",
    ],
)
def test_every_answer_keeps_the_browser_to_this_origin(opened: Site, path: str) -> None:
    headers = opened.get(path).headers

    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"


def test_pages_hold_no_inline_script_style_or_foreign_address(opened: Site) -> None:
    pages = [opened.get(path).text for path in ("/", "/patients", f"/patients/{BOB}", SERIES_OF_ADA)]

    for page in pages:
        assert re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|<[^>]+\son\w+=|javascript:", page) is None
        assert re.search(r'(src|href|action)="(?!/|#)', page) is None


def test_long_cohorts_are_listed_in_pages(site: Site) -> None:
    everyone = tuple(f"P{number:04d}" for number in range(120))
    site.cohorts.answer = CohortAnswer({}, ("patient",), [(p,) for p in everyone], 120, everyone)
    site.sign_in().run()

    first, last = site.get("/patients"), site.get("/patients?page=3")

    assert "page 1 of 3" in first.text
    assert first.text.count('href="/patients/P') == 50
    assert last.text.count('href="/patients/P') == 20
    assert [site.get(f"/patients?page={n}").status_code for n in ("4", "0", "x")] == [404, 422, 422]


def test_static_files_are_the_packaged_ones_alone(site: Site) -> None:
    assert site.get("/static/p2d.css").headers["content-type"].startswith("text/css")
    assert site.get("/static/previews.js").headers["content-type"].startswith("text/javascript")
    assert site.get("/static/router.py").status_code == 404


def test_a_query_of_one_session_is_not_seen_in_another(opened: Site) -> None:
    opened.cookies.clear()
    opened.sign_in()

    assert opened.get(f"/patients/{ADA}").status_code == 404
    assert "21,234" not in opened.get("/").text


@pytest.mark.parametrize("query", [PAPER, {}, [], {"a": [{"b": "ä" * 99}, []]}])
def test_a_written_query_is_read_back_and_fits_the_form(query: object) -> None:
    text = write_query(query)

    assert json.loads(text) == query
    assert len(text.splitlines()) <= 20


def test_studies_are_listed_by_day_and_series_by_number() -> None:
    days = ["", "20200217", "20191103"]
    numbers = ["10", "", "9", "x", "9" * 5000]
    series = [{"series": f"2.25.{i}", "SeriesNumber": number} for i, number in enumerate(numbers)]
    studies = [{"study": f"2.25.{i}", "StudyDate": day, "series": series} for i, day in enumerate(days)]

    listed = parse_studies({"studies": studies})

    assert [study.day for study in listed] == ["2019-11-03", "2020-02-17", ""]
    assert [entry.number for entry in listed[0].series] == ["9", "10", "", "9" * 5000, "x"]


def test_a_query_error_names_the_line() -> None:
    with pytest.raises(InvalidRequest, match="line 2"):
        read_query('{"version": 1,\n oops}')


def search(site: Site, line: str) -> httpx.Response:
    return site.post("/search", {"form_token": site.form_token(), "line": line})


def test_a_search_line_runs_and_is_shown_as_json_and_in_words(site: Site) -> None:
    answer = search(site.sign_in(), "Modality = CT and LVEF < 45")
    text = unescape(site.get("/").text)

    assert (answer.status_code, answer.headers["location"]) == (303, "/#result")
    (user, query), *others = site.cohorts.asked
    assert (user, others) == ("ada", [])
    assert query["where"] == {
        "all": [{"attribute": "Modality", "equals": "CT"}, {"attribute": "LVEF", "less": 45}]
    }
    assert 'value="Modality = CT and LVEF < 45"' in text
    assert '{"attribute": "LVEF", "less": 45}' in text
    assert "LVEF is less than 45" in text
    assert "LVEF ist kleiner als 45" in text


def test_a_query_in_json_is_shown_as_a_search_line(opened: Site) -> None:
    assert 'name="line" type="text" value="Modality = CT' in unescape(opened.get("/").text)


def test_a_wrong_search_line_comes_back_with_its_place(opened: Site) -> None:
    answer = search(opened, "Modality =")
    text = unescape(answer.text)

    assert answer.status_code == 422
    assert "line 1, column 11" in text
    assert 'value="Modality ="' in text
    assert "Result" not in text
    assert opened.get("/patients").status_code == 404


def test_a_search_line_needs_the_form_token(site: Site) -> None:
    answer = site.sign_in().post("/search", {"line": "Modality = CT"})

    assert answer.status_code == 403
    assert site.cohorts.asked == []


def test_the_search_line_is_completed_for_those_signed_in_only(site: Site) -> None:
    body = {"line": "Modality = C", "cursor": 12}
    before = site.ask("POST", "/complete", json=body)
    after = site.sign_in().ask("POST", "/complete", json=body)

    assert before.status_code == 401
    assert after.json() == {"offered": [{"text": "CT", "kind": "value", "start": 11}]}


@pytest.mark.parametrize("body", [{}, {"line": "a"}, {"line": "a" * 10_001, "cursor": 0}, {"line": 1}])
def test_a_malformed_completion_is_refused(site: Site, body: dict[str, object]) -> None:
    assert site.sign_in().ask("POST", "/complete", json=body).status_code == 422


def test_a_long_query_in_json_is_one_line_that_reads_as_the_same(opened: Site) -> None:
    opened.run(json.dumps(PAPER))
    shown = re.search(r'name="line" type="text" value="([^"]*)"', opened.get("/").text)

    assert shown
    line = unescape(shown[1])
    assert "\n" not in line
    assert len(line) > 100
    assert query_json(parse_text(line))["where"] == PAPER["where"]


def test_several_values_of_a_cell_are_shown_as_values() -> None:
    assert cell((45.0, date(2020, 1, 1), "a")) == "45; 2020-01-01; a"
    assert cell(()) == "\N{EM DASH}"
