"""The start page in a real browser, over the real warehouse; the gateway is an in-memory one."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

import httpx
import pyarrow as pa
import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, BrowserContext, Page

from p2d.audit.log import AuditLog, verify
from p2d.flows.research.cohort import CohortDesk
from p2d.main.warehouse_pages import add_pages
from p2d.model.ids import check_character
from p2d.testing.browser import chromium, is_painted, pale_texts, structure_faults
from p2d.testing.serving import serving
from p2d.testing.viewing import ArchiveFake
from p2d.warehouse.batch import SCHEMAS, Batch
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.upkeep.upkeep import Upkeep
from p2d.web.research.access import Role
from p2d.web.research.app import create_app

pytestmark = pytest.mark.system

SECRETS = {role: f"secret-of-the-{role}-for-this-test" for role in Role}
BODIES = [f"P{number:016d}" for number in range(1, 13)]
PATIENTS = [body + check_character(body) for body in BODIES]
ADA = PATIENTS[0]
ATTACK = "CT Thorax <script>window.attacked=1</script><img src=x onerror='window.attacked=1'>"
QUERY = '{"version": 1, "where": {"attribute": "Modality", "equals": "CT"}, "columns": ["StudyDescription"]}'
STUDY, CT, US = "2.25.1001", "2.25.2001", "2.25.2002"
PREVIEW = f"/patients/{ADA}/studies/{STUDY}/series/{CT}/preview.jpg"


def held_batch() -> Batch:
    """Return twelve patients, each with one CT study of one series; the study's description is an attack."""
    patients = [{"patient": patient, "sex": "F", "birth_year": 1950} for patient in PATIENTS]
    studies = [
        {
            "archive": "main",
            "patient": patient,
            "study": f"2.25.{1001 + number}",
            "StudyDate": date(2020, 2, 17),
            "StudyDescription": ATTACK,
        }
        for number, patient in enumerate(PATIENTS)
    ]
    series = [
        {
            "patient": patient,
            "study": f"2.25.{1001 + number}",
            "series": f"2.25.{3001 + number}",
            "Modality": "CT",
            "SeriesNumber": 2,
            "SeriesDescription": "Known to the warehouse",
            "NumberOfSeriesRelatedInstances": 7,
        }
        for number, patient in enumerate(PATIENTS)
    ]
    rows = {"patient": patients, "study": studies, "series": series}
    tables = {name: pa.Table.from_pylist(listed, schema=SCHEMAS[name]) for name, listed in rows.items()}
    return Batch("first", "basic", "R1", tables)


def archive() -> ArchiveFake:
    """Return a gateway that lists a CT and a withheld ultrasound series of the first patient."""
    series = [
        {"series": CT, "Modality": "CT", "SeriesNumber": "2", "SeriesDescription": ATTACK},
        {"series": US, "Modality": "US", "SeriesNumber": "3", "SeriesDescription": "Herz"},
    ]
    study = {"study": STUDY, "StudyDate": "20200217", "StudyDescription": ATTACK, "series": series}
    return ArchiveFake({ADA: {"patient": ADA, "studies": [study]}}, {US: "modality"})


@dataclass
class Site:
    """A running warehouse with its pages."""

    origin: str
    archive: ArchiveFake
    audit: Path

    def link(self, **more: object) -> str:
        """Return a new one-time link to the start page."""
        answer = httpx.post(
            f"{self.origin}/page-tokens",
            json={"user": "ada", **more},
            headers={"Authorization": f"Bearer {SECRETS[Role.OPERATOR]}"},
            trust_env=False,
        )
        assert answer.status_code == 201, answer.text
        return f"{self.origin}{answer.json()['path']}"


@dataclass
class Visit:
    """A browser's page and what it asked for, said on its console and tried to pop up."""

    page: Page
    addresses: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    @classmethod
    def begin(cls, context: BrowserContext) -> "Visit":
        """Open a page of *context* and listen."""
        visit = cls(context.new_page())
        visit.page.on("request", lambda request: visit.addresses.append(request.url))
        visit.page.on("console", lambda message: visit.messages.append(message.text))
        visit.page.on("dialog", lambda dialog: visit.messages.append(f"dialog: {dialog.message}"))
        return visit

    def press(self, name: str, role: Literal["button", "link"] = "link") -> None:
        """Press a link or button and wait for the page it leads to."""
        with self.page.expect_navigation(wait_until="load"):
            self.page.get_by_role(role, name=name).click()

    def run_query(self, text: str = QUERY) -> None:
        """Fill the form and send it."""
        self.page.get_by_label("Query (JSON)").fill(text)
        self.press("Run query", "button")

    def open_patient(self, patient: str = ADA) -> None:
        """Follow the patient's link in the result."""
        self.press(patient)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    warehouse = DuckDbWarehouse(None)
    warehouse.load(held_batch())
    Upkeep(warehouse).refresh(everything=True)
    desk = CohortDesk(warehouse, AuditLog(tmp_path / "audit.jsonl"))
    gateway = archive()
    app = create_app(warehouse, desk, SECRETS)
    add_pages(app, gateway)
    with serving(app) as origin:
        yield Site(origin, gateway, tmp_path / "audit.jsonl")
    warehouse.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Visit]:
    with browser.new_context() as context:
        yield Visit.begin(context)


@pytest.fixture
def signed_in(visit: Visit, site: Site) -> Visit:
    visit.page.goto(site.link())
    return visit


def focused(page: Page) -> dict[str, Any]:
    """Return what has the focus: its name, tag, and whether one can see that it has."""
    found = page.evaluate(
        """() => {
          const here = document.activeElement;
          const style = getComputedStyle(here), box = here.getBoundingClientRect();
          const hasOutline = style.outlineStyle !== "none" && style.outlineWidth !== "0px";
          return {
            tag: here.tagName, text: (here.textContent || "").trim().slice(0, 40), id: here.id,
            visible: box.width > 0 && box.right > 0 && hasOutline,
          };
        }"""
    )
    assert isinstance(found, dict)
    return found


def test_from_the_link_to_the_image(signed_in: Visit, site: Site) -> None:
    page = signed_in.page
    assert page.url == f"{site.origin}/"

    signed_in.run_query()
    assert page.locator(".counts div", has_text="Patients").locator("dd").inner_text() == "12"
    signed_in.open_patient()
    assert is_painted(page.locator(f'img[src="{PREVIEW}"]'))
    signed_in.press("Series 2")

    assert is_painted(page.get_by_role("img", name="Middle image of the series"))


def offered(page: Page) -> list[str]:
    """Wait until something is offered in the search line and return the texts."""
    page.locator("#line-offers li").first.wait_for()
    return page.locator("#line-offers li bdi").all_inner_texts()


def test_the_search_line_offers_what_may_come_next(signed_in: Visit) -> None:
    page, line = signed_in.page, signed_in.page.get_by_role("combobox", name="Search line")

    line.press_sequentially("modal")
    assert "Modality" in offered(page)
    assert line.get_attribute("aria-expanded") == "true"
    while page.locator('#line-offers li[aria-selected="true"] bdi').all_inner_texts() != ["Modality"]:
        line.press("ArrowDown")
    assert page.locator('[role="option"][aria-selected="true"]').get_attribute("id") == line.get_attribute(
        "aria-activedescendant"
    )
    line.press("Enter")
    assert line.input_value() == "Modality "

    line.press_sequentially("= ")
    page.locator("#line-offers li bdi", has_text="CT").click()
    assert line.input_value() == "Modality = CT "
    line.press("Escape")
    with page.expect_navigation(wait_until="load"):
        line.press("Enter")

    assert page.locator(".counts div", has_text="Patients").locator("dd").inner_text() == "12"
    assert "Modality is" in page.locator(".words pre[lang=en]").inner_text()
    assert signed_in.messages == []


def test_a_mistake_in_the_search_line_says_where(signed_in: Visit) -> None:
    page = signed_in.page

    page.get_by_role("combobox", name="Search line").fill("Modalty = CT")
    signed_in.press("Search", "button")

    assert "line 1, column 1" in page.get_by_role("alert").inner_text()
    assert "Modality" in page.get_by_role("alert").inner_text()
    assert page.get_by_role("combobox", name="Search line").input_value() == "Modalty = CT"


def test_a_withheld_series_says_why(signed_in: Visit) -> None:
    page = signed_in.page
    signed_in.run_query()
    signed_in.open_patient()

    item = page.get_by_role("listitem").filter(has_text="Herz")
    item.scroll_into_view_if_needed()
    item.get_by_text("Not shown: its image is withheld: modality").wait_for()
    assert item.locator("img").count() == 0
    signed_in.press("Series 3")

    assert "its image is withheld: modality" in page.get_by_role("status").inner_text()


def test_without_scripts_everything_can_be_reached(browser: Browser, site: Site) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        visit = Visit.begin(context)
        visit.page.goto(site.link())
        visit.run_query()
        visit.open_patient()
        visit.press("Series 3")

        assert "its image is withheld" in visit.page.get_by_role("status").inner_text()


def test_a_link_opens_one_browser_once(signed_in: Visit, browser: Browser, site: Site) -> None:
    link = site.link()
    with browser.new_context() as first, browser.new_context() as second:
        opened = first.new_page().goto(link)
        refused = second.new_page().goto(link)
        outside = second.new_page().goto(site.origin)

    assert opened is not None
    assert refused is not None
    assert outside is not None
    assert (opened.status, refused.status, outside.status) == (200, 403, 401)


def test_the_session_is_out_of_reach_of_scripts(signed_in: Visit) -> None:
    (cookie,) = signed_in.page.context.cookies()

    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    assert signed_in.page.evaluate("document.cookie") == ""
    assert "token" not in signed_in.page.evaluate("performance.getEntriesByType('navigation')[0].name")


def test_nothing_is_asked_of_another_origin(signed_in: Visit, site: Site) -> None:
    signed_in.run_query()
    signed_in.open_patient()
    signed_in.page.wait_for_load_state("networkidle")
    signed_in.page.goto(f"{site.origin}/patients")

    assert [address for address in signed_in.addresses if not address.startswith(f"{site.origin}/")] == []
    assert any("preview.jpg" in address for address in signed_in.addresses)
    assert any("previews.js" in address for address in signed_in.addresses)


def test_texts_of_the_archive_stay_texts(signed_in: Visit) -> None:
    page = signed_in.page

    signed_in.run_query()
    shown = [page.locator("table").inner_text()]
    signed_in.open_patient()
    shown.append(page.locator("main").inner_text())
    attacked = page.evaluate("window.attacked")

    assert [ATTACK in text for text in shown] == [True, True]
    assert attacked is None
    assert [m for m in signed_in.messages if "Content Security Policy" in m or m.startswith("dialog")] == []


def test_other_sites_can_neither_frame_the_page_nor_send_its_form(
    signed_in: Visit, site: Site, browser: Browser
) -> None:
    other = FastAPI()
    with serving(other) as origin:
        page = signed_in.page.context.new_page()
        page.goto(f"{origin}/openapi.json")
        page.set_content(
            f'<iframe src="{site.origin}/"></iframe>'
            f'<form method="post" action="{site.origin}/sign-out"><button>Win a prize</button></form>'
        )
        with page.expect_navigation() as sent:
            page.get_by_role("button").click()

    assert sent.value is not None
    assert sent.value.status in {401, 403}
    assert signed_in.page.goto(site.origin).status == 200  # type: ignore[union-attr]  # a navigation answers


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_every_page_is_accessible(browser: Browser, site: Site, scheme: Any, width: int) -> None:
    found: dict[str, list[str]] = {}

    with browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800}) as context:
        visit = Visit.begin(context)

        def look(name: str) -> None:
            found[name] = structure_faults(visit.page) + pale_texts(visit.page)

        visit.page.goto(site.origin)
        look("signed out")
        visit.page.goto(site.link())
        visit.run_query("{")
        look("error")
        visit.run_query()
        look("cohort")
        visit.press("All patients of this cohort (12)")
        look("patients")
        visit.open_patient()
        visit.page.get_by_text("Not shown: its image").wait_for()
        look("patient")
        visit.press("Series 3")
        look("series withheld")
        visit.page.go_back()
        visit.press("Series 2")
        look("series")
        visit.page.goto(f"{site.origin}/patients/none")
        look("not found")

    assert {name: faults for name, faults in found.items() if faults} == {}
    assert len(found) == 8


def test_the_checks_of_accessibility_find_what_is_wrong(browser: Browser) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.set_content("<h3>x</h3><input name=a><img src=''><p style='color:#aaa'>pale</p><table><tr><th>")

        faults = structure_faults(page)
        pale = pale_texts(page)

    expected = ["no language", "no title", "0 h1", "h3 follows h0", "no label: a", "an image without alt"]
    assert set(expected) <= set(faults)
    assert pale == ["2.32: pale"]


def test_the_keyboard_reaches_everything_and_the_focus_is_seen(signed_in: Visit, site: Site) -> None:
    page = signed_in.page
    seen: list[dict[str, Any]] = []

    def tab_to(wanted: str) -> None:
        for _ in range(20):
            page.keyboard.press("Tab")
            seen.append(focused(page))
            if wanted in {seen[-1]["id"], seen[-1]["text"]}:
                return

    tab_to("query")
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(QUERY)
    tab_to("Run query")
    with page.expect_navigation(url=f"{site.origin}/#result"):
        page.keyboard.press("Enter")
    tab_to(ADA)
    with page.expect_navigation(url=f"{site.origin}/patients/{ADA}"):
        page.keyboard.press("Enter")

    assert next(here for here in seen if here["tag"] != "BODY")["text"] == "Skip to content"
    # the body has the focus while it goes round through the browser's own controls
    assert [here["text"] for here in seen if not here["visible"] and here["tag"] != "BODY"] == []
    assert "Sign out" in [here["text"] for here in seen]


def test_a_silent_gateway_leaves_the_warehouses_own_list(signed_in: Visit, site: Site) -> None:
    signed_in.run_query()
    site.archive.is_up = False

    signed_in.open_patient()

    text = signed_in.page.locator("main").inner_text()
    assert "The archive could not be asked (gateway does not answer" in text
    assert "Known to the warehouse" in text
    assert signed_in.page.locator("img").count() == 0


def test_what_was_seen_is_audited_and_signing_out_ends_it(signed_in: Visit, site: Site) -> None:
    signed_in.run_query()
    signed_in.open_patient()
    signed_in.press("Sign out", "button")

    assert "You are not signed in" in signed_in.page.locator("h1").inner_text()
    assert site.archive.live_sessions == 0
    written = site.audit.read_text(encoding="utf-8")
    assert verify(site.audit).is_good
    for action in ("page.link", "page.sign_in", "cohort.count", "cohort.patients"):
        assert f'"action":"{action}"' in written
