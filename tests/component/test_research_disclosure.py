"""What the REST interface shows to whom: shielded numbers to researchers, patients to approved ones."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from p2d.audit.log import AuditLog
from p2d.flows.research.cohort import CohortDesk
from p2d.flows.research.disclosure import Disclosure, Shield
from p2d.flows.research.saved_cohorts import SavedCohorts
from p2d.testing.app_client import AppClient
from p2d.testing.warehouse_rows import Row, batch, patient_psn, uid
from p2d.warehouse.catalogue.labels import read_labels
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.upkeep.upkeep import Upkeep
from p2d.web.research.access import Role
from p2d.web.research.app import create_app
from p2d.web.research.upkeep import upkeep_router

SECRETS = {role: f"{role}-zq81mX0pLw4vT9sKd7" for role in Role}
Json = dict[str, Any]
TARGET = patient_psn(7)


def asked(where: Json, **more: object) -> Json:
    return {"version": 2, "where": where, **more}


def rows() -> dict[str, list[Row]]:
    """Return 60 patients, born from 1950 to 1979; two of three have a CT with two series."""
    found: dict[str, list[Row]] = {"patient": [], "study": [], "series": []}
    for number in range(1, 61):
        patient = {"patient": patient_psn(number)}
        found["patient"].append({**patient, "sex": "MF"[number % 2], "birth_year": 1949 + (number + 1) // 2})
        if number % 3:
            study = {**patient, "study": uid(number)}
            found["study"].append({**study, "archive": "main", "ModalitiesInStudy": "CT"})
            found["series"] += [{**study, "series": uid(1000 * number + n), "Modality": "CT"} for n in (1, 2)]
    return found


@dataclass
class Site:
    client: AppClient
    audit: Path
    now: list[float] = field(default_factory=lambda: [0.0])

    def ask(self, role: Role, path: str, body: object) -> Any:
        return self.client.post(path, json=body, headers={"Authorization": f"Bearer {SECRETS[role]}"})

    def number(self, role: Role, where: Json, name: str = "patients") -> Any:
        return self.ask(role, "/cohorts/count", asked(where)).json()[name]

    def get(self, role: Role, path: str) -> Any:
        return self.client.get(path, headers={"Authorization": f"Bearer {SECRETS[role]}"})

    def delete(self, role: Role, path: str) -> Any:
        return self.client.request("DELETE", path, headers={"Authorization": f"Bearer {SECRETS[role]}"})


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    warehouse = DuckDbWarehouse(None)
    warehouse.load(batch(rows()))
    audit, now = AuditLog(tmp_path / "audit.jsonl"), [0.0]
    disclosure = Disclosure(
        Shield(b"a secret of the test's own", memory=tmp_path / "answered"),
        frozenset({str(Role.RESEARCHER)}),
        questions_per_day=30,
        clock=lambda: now[0],
    )
    desk = CohortDesk(warehouse, audit, disclosure=disclosure, saved=SavedCohorts(warehouse.saved, audit))
    app = create_app(warehouse, desk, SECRETS, (upkeep_router(Upkeep(warehouse), read_labels()),))
    yield Site(AppClient(app), tmp_path / "audit.jsonl", now)
    warehouse.close()


CT: Json = {"attribute": "Modality", "equals": "CT"}
WOMEN: Json = {"attribute": "sex", "equals": "F"}
ONE: Json = {"all": [{"attribute": "birth_year", "equals": 1953}, WOMEN]}


def test_researchers_see_rounded_numbers_and_others_true_ones(site: Site) -> None:
    shown = site.ask(Role.RESEARCHER, "/cohorts/count", asked(CT)).json()

    assert shown["patients"] in {35, 40, 45}
    assert shown["series"] % 10 == 0
    assert site.number(Role.APPROVED, CT) == site.number(Role.OPERATOR, CT) == 40
    assert site.number(Role.APPROVED, CT, "series") == 80


def test_few_patients_are_no_number(site: Site) -> None:
    assert site.number(Role.APPROVED, ONE) == 1
    assert site.number(Role.RESEARCHER, ONE) is None
    assert site.number(Role.RESEARCHER, {"all": [ONE, CT, {"none": [CT]}]}) is None


def test_equivalent_spellings_and_neighbours_have_one_answer(site: Site) -> None:
    spellings: list[Json] = [
        CT,
        {"all": [CT, {"attribute": "sex", "exists": True}]},
        {"none": [{"none": [CT]}]},
        {"any": [CT, {"all": [CT, WOMEN]}]},
        {"same": "study", "where": CT},
        {"all": [CT, {"none": [ONE]}]},
        {"any": [CT, ONE]},
    ]

    assert len({site.number(Role.RESEARCHER, where) for where in spellings}) == 1
    near = [json.loads(line) for line in site.audit.read_text().splitlines() if '"near"' in line]
    assert max(record["counts"]["near"] for record in near) >= 1


def test_attrition_facets_and_widening_are_shielded_alike(site: Site) -> None:
    both = asked({"all": [CT, WOMEN, {"attribute": "birth_year", "less": 1953}]})
    facet = {"query": asked(CT), "facet": {"by": [{"attribute": "birth_year"}], "top": 50}}
    decades = {**facet, "facet": {"by": [{"attribute": "birth_year", "by": "number", "width": 30}]}}

    steps = site.ask(Role.RESEARCHER, "/cohorts/attrition", both).json()["steps"]
    frames = site.ask(Role.RESEARCHER, "/cohorts/widen", asked(CT)).json()["frames"]
    years = site.ask(Role.RESEARCHER, "/cohorts/facets", facet).json()
    numbers = site.ask(Role.RESEARCHER, "/cohorts/facets", decades).json()

    assert {n for step in steps for n in (step["alone"], step["together"])} <= {None, *range(0, 65, 5)}
    assert steps[-1]["together"] is None
    assert set(frames[0]["patients"].values()) == {None, site.number(Role.RESEARCHER, CT)}  # no cases
    assert (years["cells"], years["hidden"]) == ([], None)
    assert numbers["total"] == site.number(Role.RESEARCHER, CT)
    assert all(cell["number"] % 5 == 0 for cell in numbers["cells"])
    assert len(site.ask(Role.APPROVED, "/cohorts/facets", facet).json()["cells"]) == 30


@pytest.mark.parametrize("path", ["preview", "table", "patients"])
def test_rows_and_pseudonyms_are_for_approved_researchers(site: Site, path: str) -> None:
    refused = site.ask(Role.RESEARCHER, f"/cohorts/{path}", asked(CT))

    assert refused.status_code == 403
    assert refused.json()["field"] == "role"
    assert site.ask(Role.APPROVED, f"/cohorts/{path}", asked(CT)).json()["total"] == 40
    assert site.get(Role.RESEARCHER, f"/patients/{TARGET}/studies").status_code == 403
    assert site.get(Role.APPROVED, f"/patients/{TARGET}/studies").status_code == 200


@pytest.mark.parametrize("path", ["/catalogue", "/catalogue?words=modality", "/catalogue/column/Modality"])
def test_the_catalogue_has_no_numbers_for_researchers(site: Site, path: str) -> None:
    shielded, true = (site.get(role, path) for role in (Role.RESEARCHER, Role.APPROVED))

    assert shielded.status_code == true.status_code == 200
    assert "Modality" in shielded.text
    assert '"patients":' in true.text
    assert not any(f'"{key}":' in shielded.text for key in ("patients", "facts", "numbers", "values"))


@pytest.mark.parametrize("path", ["/attributes", "/catalogue", "/cohorts/schema", "/cohorts/saved"])
@pytest.mark.parametrize("role", [Role.RESEARCHER, Role.APPROVED, Role.OPERATOR])
def test_everybody_who_asks_may_see_what_there_is_to_ask(site: Site, role: Role, path: str) -> None:
    assert site.get(role, path).status_code == 200
    assert site.get(Role.LOADER, path).status_code == 403


def test_researchers_cannot_ask_about_chosen_patients(site: Site) -> None:
    listed: Json = {"patients": [TARGET]}
    site.ask(Role.APPROVED, "/cohorts/saved", {"name": "one", **listed, "shared": True})

    for where in (listed, {"all": [CT, {"none": [listed]}]}, {"cohort": "one"}):
        answer = site.ask(Role.RESEARCHER, "/cohorts/count", asked(where))
        assert answer.status_code == 422
        assert TARGET not in answer.text
    assert site.ask(Role.RESEARCHER, "/cohorts/saved", {"name": "mine", **listed}).status_code == 422
    reasons = {"query": asked(CT), "patients": [TARGET]}
    assert site.ask(Role.RESEARCHER, "/cohorts/reasons", reasons).status_code == 403


def test_a_researcher_has_so_many_questions_a_day(site: Site) -> None:
    years = [asked({"attribute": "birth_year", "less": 1950 + n}) for n in range(31)]
    states = [site.ask(Role.RESEARCHER, "/cohorts/count", year).status_code for year in years]

    assert states == [200] * 30 + [403]
    assert site.ask(Role.RESEARCHER, "/cohorts/count", years[0]).status_code == 200
    assert site.ask(Role.APPROVED, "/cohorts/count", years[30]).status_code == 200
    site.now[0] = 86_400.0
    assert site.ask(Role.RESEARCHER, "/cohorts/count", years[30]).status_code == 200


def save(site: Site, role: Role, name: str, where: Json, **more: object) -> Any:
    return site.ask(role, "/cohorts/saved", {"name": name, "query": asked(where), **more})


def test_a_saved_cohort_is_a_criterion(site: Site) -> None:
    save(site, Role.APPROVED, "ct", CT)
    save(site, Role.APPROVED, "women with ct", {"all": [{"cohort": "ct"}, WOMEN]})
    site.ask(Role.APPROVED, "/cohorts/saved", {"name": "two", "patients": [TARGET, patient_psn(3)]})

    assert site.number(Role.APPROVED, {"cohort": "women with ct"}) == 20
    assert (
        site.number(Role.APPROVED, {"all": [{"cohort": "ct"}, {"none": [{"cohort": "women with ct"}]}]}) == 20
    )
    assert site.number(Role.APPROVED, {"all": [{"cohort": "two"}, CT]}) == 1
    assert site.number(Role.APPROVED, {"same": "series", "where": {"all": [CT, {"cohort": "two"}]}}) == 1


def test_cohorts_of_others_are_seen_when_shared(site: Site) -> None:
    save(site, Role.APPROVED, "ct", CT)
    hidden = site.ask(Role.OPERATOR, "/cohorts/count", asked({"cohort": "ct"}))
    save(site, Role.APPROVED, "ct", CT, shared=True)

    assert hidden.status_code == 422
    assert "nobody shares" in hidden.json()["detail"]
    assert site.number(Role.OPERATOR, {"cohort": "ct"}) == 40
    assert [c["is_mine"] for c in site.get(Role.OPERATOR, "/cohorts/saved").json()["cohorts"]] == [False]
    assert site.delete(Role.OPERATOR, "/cohorts/saved/ct").status_code == 404
    assert site.delete(Role.APPROVED, "/cohorts/saved/ct").status_code == 200
    assert site.get(Role.APPROVED, "/cohorts/saved").json() == {"cohorts": []}


def test_a_cohort_cannot_hold_itself(site: Site) -> None:
    save(site, Role.APPROVED, "a", CT)
    save(site, Role.APPROVED, "b", {"cohort": "a"})

    for name, where in (("a", {"cohort": "b"}), ("a", {"none": [{"cohort": "a"}]}), ("c", {"cohort": "d"})):
        refused = save(site, Role.APPROVED, name, where)
        assert refused.status_code == 422
        assert refused.json()["field"] == "where.cohort"
    assert site.number(Role.APPROVED, {"cohort": "b"}) == 40


def test_cohorts_inside_one_another_cannot_grow_without_end(site: Site) -> None:
    save(site, Role.APPROVED, "c0", {"all": [CT, WOMEN]})
    states = [
        save(site, Role.APPROVED, f"c{n + 1}", {"any": [{"cohort": f"c{n}"}] * 4}).status_code
        for n in range(7)
    ]

    assert states[0] == 200
    assert states[-1] == 422


def test_saving_is_audited_without_the_name(site: Site) -> None:
    save(site, Role.APPROVED, "Erika Mustermann", CT)
    site.delete(Role.APPROVED, "/cohorts/saved/Erika%20Mustermann")

    text = site.audit.read_text()
    assert "cohort.save" in text
    assert "cohort.delete" in text
    assert "Erika" not in text


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"name": "x"}, "body"),
        ({"name": "x", "query": asked(CT), "patients": [TARGET]}, "body"),
        ({"name": " x", "query": asked(CT)}, "name"),
        ({"name": "x", "query": asked({"attribute": "Modality"})}, "where"),
        ({"name": "x", "patients": []}, "where.patients"),
        ({"name": "x", "query": asked(CT), "shared": "yes"}, "body.shared"),
    ],
)
def test_malformed_cohorts_are_refused(site: Site, body: Json, place: str) -> None:
    refused = site.ask(Role.APPROVED, "/cohorts/saved", body)

    assert refused.status_code == 422
    assert refused.json()["field"].startswith(place)


@pytest.mark.parametrize("year", [1953, 2953])
def test_an_error_does_not_tell_whether_anybody_was_left(site: Site, year: int) -> None:
    somebody = {"attribute": "birth_year", "equals": year}
    wrong = {"attribute": "sex", "less": 5}

    answer = site.ask(Role.RESEARCHER, "/cohorts/count", asked({"all": [somebody, wrong]}))

    assert answer.status_code == 422
