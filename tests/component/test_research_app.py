"""The warehouse's REST interface: who may do what, and what mistakes look like."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlglot import parse_one

from p2d.audit.log import AuditLog
from p2d.flows.research.cohort import CohortDesk
from p2d.testing.app_client import AppClient
from p2d.testing.waiting import until
from p2d.testing.warehouse_rows import Row, batch, patient_psn, small_study
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.query.examples import PAPER
from p2d.warehouse.query.nodes import Query
from p2d.warehouse.query.results import Counts
from p2d.warehouse.wire import MEDIA_TYPE, encode
from p2d.web.research.access import Role
from p2d.web.research.app import create_app

SECRETS = {role: f"{role}-zq81mX0pLw4vT9sKd7" for role in Role}
CT: dict[str, Any] = {"version": 1, "where": {"attribute": "Modality", "equals": "CT"}}
P1: Row = {"patient": patient_psn(1), "sex": "F", "birth_year": 1950}


@dataclass(frozen=True)
class Site:
    client: AppClient
    audit: Path

    def post(self, role: Role, path: str, body: object) -> Any:
        return self.client.post(path, json=body, headers=bearer(role))

    def get(self, role: Role, path: str) -> Any:
        return self.client.get(path, headers=bearer(role))

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.audit.read_text().splitlines()]


def bearer(role: Role) -> dict[str, str]:
    return {"Authorization": f"Bearer {SECRETS[role]}"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    warehouse = DuckDbWarehouse(None)
    warehouse.load(batch({**small_study(), "patient": [P1, {"patient": patient_psn(2)}]}))
    desk = CohortDesk(warehouse, AuditLog(tmp_path / "audit.jsonl"), rows_per_preview=1)
    yield Site(AppClient(create_app(warehouse, desk, SECRETS)), tmp_path / "audit.jsonl")
    warehouse.close()


@pytest.mark.parametrize("role", [Role.RESEARCHER, Role.OPERATOR])
def test_people_may_count_preview_and_list(site: Site, role: Role) -> None:
    counts = site.post(role, "/cohorts/count", CT).json()
    preview = site.post(role, "/cohorts/preview", {**CT, "level": "instance"}).json()
    patients = site.post(role, "/cohorts/patients", CT).json()

    assert counts["patients"] == 1
    assert counts["all_patients"] == 2
    assert (len(preview["rows"]), preview["total"]) == (1, 2)
    assert patients == {"patients": [patient_psn(1)], "total": 1}


def test_the_table_comes_as_json_and_csv(site: Site) -> None:
    query = {**CT, "columns": ["sex", {"attribute": "StudyDescription", "reduce": "count"}]}

    as_json = site.post(Role.RESEARCHER, "/cohorts/table", query).json()
    as_csv = site.post(Role.RESEARCHER, "/cohorts/table?format=csv", query)

    row = {"patient": patient_psn(1), "sex": "F", "StudyDescription (count)": 1}
    assert as_json == {"columns": list(row), "rows": [row], "total": 1}
    assert as_csv.text.splitlines() == ["patient,sex,StudyDescription (count)", f"{patient_psn(1)},F,1"]


def test_attrition_widening_facets_and_reasons_come_for_a_query(site: Site) -> None:
    query = {"version": 2, "where": {"all": [CT["where"], {"attribute": "sex", "equals": "F"}]}}
    facet = {"by": ["Modality", {"attribute": "birth_year", "by": "number", "width": 10}], "level": "series"}

    steps = site.post(Role.OPERATOR, "/cohorts/attrition", query).json()["steps"]
    frames = site.post(Role.OPERATOR, "/cohorts/widen", query).json()["frames"]
    cells = site.post(Role.OPERATOR, "/cohorts/facets", {"query": query, "facet": facet}).json()["cells"]
    asked = {"query": query, "patients": [patient_psn(1)]}
    reasons = site.post(Role.OPERATOR, "/cohorts/reasons", asked).json()["reasons"]

    assert [(step["places"], step["together"]) for step in steps] == [
        (["where.all[0]"], 1),
        (["where.all[1]"], 1),
    ]
    assert frames[0]["patients"] == {"series": 1, "study": 1, "case": 0, "patient": 1}
    assert cells == [{"labels": ["CT", 1950.0], "number": 1}]
    assert [(reason["place"], reason["value"]) for reason in reasons] == [
        ("where.all[0]", "CT"),
        ("where.all[1]", "F"),
    ]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"query": CT, "facet": {"by": []}}, "facet.by"),
        ({"query": CT, "facet": {"by": [{"attribute": "Rows", "by": "decade"}]}}, "facet.by[0].by"),
        ({"query": CT, "facet": {"by": [{"attribute": "Rows", "by": "number"}]}}, "facet.by[0].width"),
        ({"query": CT, "facet": {"by": ["Nothing"]}}, "facet.attribute"),
        ({"query": CT}, "facet"),
    ],
)
def test_a_mistaken_facet_names_its_place(site: Site, body: dict[str, Any], field: str) -> None:
    answer = site.post(Role.OPERATOR, "/cohorts/facets", body)

    assert (answer.status_code, answer.json()["field"]) == (422, field)


@pytest.mark.parametrize(
    ("role", "method", "path"),
    [
        (Role.LOADER, "POST", "/cohorts/count"),
        (Role.LOADER, "POST", "/cohorts/preview"),
        (Role.LOADER, "POST", "/cohorts/table"),
        (Role.LOADER, "POST", "/cohorts/patients"),
        (Role.LOADER, "GET", "/attributes"),
        (Role.LOADER, "GET", f"/patients/{patient_psn(1)}/studies"),
        (Role.RESEARCHER, "POST", "/load"),
        (Role.RESEARCHER, "GET", "/receipts/b1"),
        (Role.RESEARCHER, "GET", "/patient-list"),
        (Role.OPERATOR, "POST", "/load"),
    ],
)
def test_other_roles_are_refused(site: Site, role: Role, method: str, path: str) -> None:
    answer = site.client.request(method, path, json=CT if method == "POST" else None, headers=bearer(role))

    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic YTpi"}])
def test_without_a_right_secret_nothing_answers_but_health(site: Site, headers: dict[str, str]) -> None:
    for path in ("/attributes", "/patient-list", "/receipts/b1"):  # a fourth failure would lock out
        assert site.client.get(path, headers=headers).status_code == 403
    assert site.client.get("/health", headers=headers).status_code == 200


def test_guessing_is_locked_out(site: Site) -> None:
    for _ in range(5):
        answer = site.client.get("/attributes", headers={"Authorization": "Bearer guess"})

    assert "too many" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"version": 1, "where": {"attribute": "Modalty", "equals": "CT"}}, "where.attribute"),
        ({"version": 3}, "version"),
        ([1, 2], "body"),
    ],
)
def test_a_mistake_is_a_problem_document_with_field_and_way_out(site: Site, body: object, field: str) -> None:
    answer = site.post(Role.RESEARCHER, "/cohorts/count", body)

    assert answer.status_code == 422
    assert answer.json()["field"] == field
    assert answer.json()["remedy"]


def test_what_was_typed_is_neither_echoed_nor_recorded(site: Site) -> None:
    typed = {"version": 1, "where": {"attribute": "Modality", "contains": "Mustermann"}}

    site.post(Role.RESEARCHER, "/cohorts/count", typed)
    answer = site.post(Role.RESEARCHER, "/cohorts/count", {"version": 1, "where": "Mustermann"})

    assert "Mustermann" not in answer.text
    assert "Mustermann" not in site.audit.read_text()


def test_every_question_leaves_intent_and_outcome(site: Site) -> None:
    site.post(Role.RESEARCHER, "/cohorts/count", CT)
    site.get(Role.OPERATOR, "/patient-list")
    content = encode(batch(small_study(3, 900), "b9"))
    site.client.post("/load", content=content, headers={**bearer(Role.LOADER), "Content-Type": MEDIA_TYPE})

    records = site.records()

    assert [(r["action"], r["kind"]) for r in records] == [
        (action, kind) for action in ("cohort.count", "patients", "load") for kind in ("intent", "outcome")
    ]
    assert [r["user"] for r in records[::2]] == ["researcher", "operator", "loader"]
    assert records[1]["counts"] == {"patients": 1, "studies": 1, "series": 1}


def test_a_large_body_is_refused_unread(site: Site) -> None:
    answer = site.client.post(
        "/cohorts/count", content=b" " * (1024 * 1024 + 1), headers=bearer(Role.RESEARCHER)
    )

    assert answer.status_code == 413


def test_a_patients_studies_come_without_asking_the_archive(site: Site) -> None:
    answer = site.get(Role.RESEARCHER, f"/patients/{patient_psn(1)}/studies").json()

    (study,) = answer["studies"]
    assert (study["description"], study["link_method"]) == ("CT Thorax nativ", "none")
    assert study["series"][0]["instances"] == 2


@pytest.mark.parametrize("patient", [patient_psn(2), patient_psn(77)])
def test_unknown_and_empty_patients_answer_alike(site: Site, patient: str) -> None:
    assert site.get(Role.RESEARCHER, f"/patients/{patient}/studies").status_code == 404


def test_the_catalogue_names_levels_and_kinds(site: Site) -> None:
    listed = site.get(Role.RESEARCHER, "/attributes").json()

    by_name = {entry["name"]: entry for entry in listed["attributes"]}
    assert by_name["Modality"]["level"] == "series"
    assert by_name["StudyDate"]["values"] == "date"


def test_openapi_shows_the_papers_query(site: Site) -> None:
    described = site.client.get("/openapi.json").json()

    body = described["paths"]["/cohorts/count"]["post"]["requestBody"]["content"]["application/json"]
    assert body["examples"]["paper"]["value"] == PAPER


class Slow(DuckDbWarehouse):
    """Takes minutes to count."""

    def count(self, query: Query) -> Counts:
        with self.session() as session:
            slow = "SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b"
            session.rows(parse_one(slow, dialect="duckdb"), {})
        return super().count(query)


def test_a_question_is_cancelled_by_the_name_it_was_sent_with(tmp_path: Path) -> None:
    warehouse = Slow(None, query_seconds=300)
    desk = CohortDesk(warehouse, AuditLog(tmp_path / "audit.jsonl"))
    site = Site(AppClient(create_app(warehouse, desk, SECRETS)), tmp_path / "audit.jsonl")
    answers: list[Any] = []

    def ask() -> None:
        headers = {**bearer(Role.RESEARCHER), "P2D-Question": "7f9c"}
        answers.append(site.client.post("/cohorts/count", json=CT, headers=headers))

    # made before anybody asks: pydantic silences warnings while it reads the endpoints, for all threads
    other = AppClient(create_app(warehouse, desk, SECRETS))
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()

    def is_cancelled() -> bool:
        path = "/cohorts/questions/7f9c"
        assert other.request("DELETE", path, headers=bearer(Role.OPERATOR)).status_code == 404
        return bool(other.request("DELETE", path, headers=bearer(Role.RESEARCHER)).status_code == 200)

    until(is_cancelled)
    asking.join(10)

    (answer,) = answers
    assert answer.status_code == 503
    assert "was cancelled" in answer.text
    warehouse.close()


def test_a_name_that_is_none_is_refused(site: Site) -> None:
    headers = {**bearer(Role.RESEARCHER), "P2D-Question": "a b"}

    answer = site.client.post("/cohorts/count", json=CT, headers=headers)

    assert (answer.status_code, answer.json()["field"]) == (422, "P2D-Question")
