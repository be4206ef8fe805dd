"""The language over HTTP: its schema, text into JSON and words, what may come next."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from p2d.audit.log import AuditLog
from p2d.flows.research.cohort import CohortDesk
from p2d.flows.research.disclosure import Disclosure, Shield
from p2d.flows.research.saved_cohorts import SavedCohorts
from p2d.flows.research.search_line import SearchLine
from p2d.testing.app_client import AppClient
from p2d.testing.warehouse_rows import Row, batch, patient_psn, small_study, uid
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.upkeep.upkeep import Upkeep
from p2d.web.research.access import Role
from p2d.web.research.app import create_app

SECRETS = {role: f"{role}-zq81mX0pLw4vT9sKd7" for role in Role}
P1: Row = {"patient": patient_psn(1), "sex": "F", "birth_year": 1950}
LVEF: Row = {"patient": patient_psn(1), "source_row": "1", "attribute": "LVEF", "number": 30.0, "unit": "%"}
PATIENTS: list[Row] = [P1, *({"patient": patient_psn(n), "sex": "F"} for n in range(2, 8))]
FACTS: list[Row] = [
    LVEF,
    *(
        {"patient": patient_psn(n), "source_row": str(10 + n), "attribute": "ICD10", "code": code}
        for n, code in [(1, "I99.9"), *((n, "I21.0") for n in range(2, 8))]
    ),
]
LETTER: Row = {"patient": patient_psn(1), "document": uid(900), "kind": "discharge_letter", "text": "NYHA IV"}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[AppClient]:
    warehouse = DuckDbWarehouse(None)
    warehouse.load(batch({**small_study(), "patient": PATIENTS, "fact": FACTS, "document": [LETTER]}))
    Upkeep(warehouse).refresh(everything=True)
    audit = AuditLog(tmp_path / "audit.jsonl")
    shield = Shield(b"a secret of the test's own", memory=tmp_path / "answered")
    desk = CohortDesk(
        warehouse,
        audit,
        disclosure=Disclosure(shield, frozenset({str(Role.RESEARCHER)})),
        saved=SavedCohorts(warehouse.saved, audit),
    )
    yield AppClient(create_app(warehouse, desk, SECRETS))
    warehouse.close()


def post(client: AppClient, path: str, body: object, role: Role = Role.RESEARCHER) -> Any:
    return client.post(f"/cohorts/{path}", json=body, headers={"Authorization": f"Bearer {SECRETS[role]}"})


def test_the_schema_is_served_and_admits_what_parse_returns(client: AppClient) -> None:
    answer = client.get("/cohorts/schema", headers={"Authorization": f"Bearer {SECRETS[Role.OPERATOR]}"})
    query = post(client, "parse", {"text": "LVEF < 45 and discharge_letter contains NYHA"}).json()["query"]

    assert answer.headers["content-type"] == "application/schema+json"
    Draft202012Validator(answer.json()).validate(query)


def test_text_becomes_json_text_and_placed_words(client: AppClient) -> None:
    line = (
        "LVEF < 45 [%] and discharge_letter ~ NYHA and (Modality = CT and StudyDescription contains thorax)"
    )

    said = post(client, "parse", {"text": line}).json()

    assert said["query"]["where"]["all"][1] == {"document": "discharge_letter", "regex": "NYHA"}
    assert said["text"].splitlines()[:2] == ["LVEF < 45 [%]", "and document discharge_letter ~ NYHA"]
    assert "- in one and the same series all of this:" in said["words"]["en"].splitlines()
    assert "- in ein und derselben Serie alles davon:" in said["words"]["de"].splitlines()
    assert post(client, "parse", {"query": said["query"]}).json() == said


@pytest.mark.parametrize(
    ("body", "field", "remedy"),
    [
        ({"text": "LVF < 45"}, "line 1, column 1", "LVEF"),
        ({"text": "LVEF < 45 [ml]"}, "line 1, column 11", "%"),
        ({"text": "LVEF <"}, "line 1, column 7", "quotes"),
        ({"query": {"version": 2, "where": {"attribute": "LVF", "less": 3}}}, "where.attribute", "LVEF"),
        ({}, "text", "one of them"),
    ],
)
def test_a_mistake_comes_with_its_place_and_the_way_out(
    client: AppClient, body: object, field: str, remedy: str
) -> None:
    answer = post(client, "parse", body)

    assert answer.status_code == 422
    assert answer.json()["field"] == field
    assert remedy in answer.text


def test_the_search_line_is_completed_from_the_catalogue(client: AppClient) -> None:
    offered = post(client, "complete", {"text": "LVEF < 45 and dis", "cursor": 17}).json()["completions"]

    assert offered[0] == {"text": "discharge_letter", "kind": "document", "start": 14}


def test_the_loader_has_no_search_line(client: AppClient) -> None:
    assert post(client, "complete", {"text": "", "cursor": 0}, Role.LOADER).status_code == 403


def completed(client: AppClient, text: str, role: Role = Role.APPROVED) -> list[tuple[str, str]]:
    found = post(client, "complete", {"text": text, "cursor": len(text)}, role).json()["completions"]
    return [(one["text"], one["kind"]) for one in found]


def test_common_values_are_offered_and_rare_ones_are_not(client: AppClient) -> None:
    offered = completed(client, "ICD10 = I")

    assert ("I21.0", "value") in offered  # of six patients
    assert not any(text.startswith("I99") for text, _ in offered)  # of one


def test_who_sees_numbers_only_is_offered_no_values(client: AppClient) -> None:
    assert not [text for text, kind in completed(client, "ICD10 = I", Role.RESEARCHER) if kind == "value"]
    assert ("ICD10", "attribute") in completed(client, "ICD", Role.RESEARCHER)


def save(client: AppClient, name: str, role: Role, *, shared: bool) -> None:
    body = {
        "name": name,
        "query": {"version": 2, "where": {"attribute": "LVEF", "less": 45}},
        "shared": shared,
    }
    answer = client.post("/cohorts/saved", json=body, headers={"Authorization": f"Bearer {SECRETS[role]}"})
    assert answer.status_code < 300, answer.text


def test_saved_cohorts_are_offered_to_those_who_may_name_them(client: AppClient) -> None:
    save(client, "heart failure", Role.APPROVED, shared=True)
    save(client, "heart mine", Role.APPROVED, shared=False)

    assert completed(client, "cohort hea") == [
        ('"heart failure"', "cohort"),
        ('"heart mine"', "cohort"),
    ]
    assert completed(client, "cohort hea", Role.OPERATOR) == [('"heart failure"', "cohort")]
    said = post(client, "parse", {"text": 'cohort "heart failure" and LVEF < 30'}, Role.OPERATOR)
    assert said.json()["query"]["where"]["all"][0] == {"cohort": "heart failure"}


def test_values_are_looked_up_for_the_place_at_the_cursor_only() -> None:
    warehouse = DuckDbWarehouse(None)
    warehouse.load(batch({"patient": PATIENTS, "fact": FACTS}))
    asked: list[str] = []

    def values(name: str) -> tuple[str, ...]:
        asked.append(name)
        return ("I21.0",)

    line = SearchLine(warehouse.catalogue(), values)
    line.read_text("ICD10 in (I21.0, I21.1, I21.2) and LVEF < 45")
    assert asked == []
    offered = line.complete("ICD10 = I21.0 and ICD10 in (I21.1, I", 36)

    assert asked == ["ICD10"]
    assert "I21.0" in [one.text.strip('"') for one in offered]
    warehouse.close()
