"""Catalogue, promotions and erasure over REST, and the commands that call them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

from p2d.audit.log import AuditLog
from p2d.cli.app import cli
from p2d.cli.roots import Roots
from p2d.flows.research.cohort import CohortDesk
from p2d.testing.app_client import AppClient
from p2d.testing.warehouse_rows import batch, patient_psn, small_study, uid
from p2d.warehouse.catalogue.labels import read_labels
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.upkeep.upkeep import Upkeep
from p2d.web.research.access import Role
from p2d.web.research.app import create_app
from p2d.web.research.upkeep import upkeep_router

SECRETS = {role: f"{role}-zq81mX0pLw4vT9sKd7" for role in Role}


@dataclass(frozen=True)
class Site:
    """The warehouse's application, called by the commands as over the network."""

    app: AppClient
    warehouse: DuckDbWarehouse

    def call(self, method: str, path: str, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {SECRETS[Role.OPERATOR]}"}
        response = self.app.request(method, path, headers=headers, **more)
        assert response.status_code == 200, response.text
        return response.json()

    @property
    def client(self) -> "Site":
        return self

    def open_cohorts(self, url: str, secret: str) -> "Site":
        return self


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    warehouse = DuckDbWarehouse(None)
    header = {"patient": patient_psn(1), "study": uid(100), "series": uid(101), "instance": uid(102)}
    element = {
        **header,
        "path": "00180060",
        "keyword": "KVP",
        "vr": "DS",
        "item": 0,
        "number": 120.0,
        "text": "120",
    }
    warehouse.load(batch({**small_study(), "header": [element]}, source="extended"))
    desk = CohortDesk(warehouse, AuditLog(tmp_path / "audit.jsonl"), rows_per_preview=1)
    app = create_app(warehouse, desk, SECRETS, (upkeep_router(Upkeep(warehouse), read_labels()),))
    yield Site(AppClient(app), warehouse)
    warehouse.close()


def run(site: Site, tmp_path: Path, *words: str) -> Result:
    secret = tmp_path / "operator"
    secret.write_text("operator-zq81mX0pLw4vT9sKd7-and-long-enough\n")
    secret.chmod(0o400)
    where = ["--url", "http://warehouse", "--secret", str(secret)]
    return CliRunner().invoke(cli, ["warehouse", *words, *where], obj=cast("Roots", site))


def test_the_catalogue_shows_tree_search_and_detail(site: Site) -> None:
    top = site.call("GET", "/catalogue")["tree"]
    found = site.call("GET", "/catalogue?words=röhrenspannung")["found"]
    one = site.call("GET", "/catalogue/header/KVP")

    assert [node["branch"] for node in top] == ["imaging"]
    assert [entry["name"] for entry in found] == ["KVP"]
    assert one["dicom"] == {
        "keyword": "KVP",
        "tag": "(0018,0060)",
        "vr": "DS",
        "name": "KVP",
        "level": "instance",
        "paths": [],
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/promotions"), ("POST", "/erasures"), ("GET", "/upkeep/check"), ("POST", "/upkeep/arrange")],
)
def test_only_the_operator_may_change_the_store(site: Site, method: str, path: str) -> None:
    for role in (Role.RESEARCHER, Role.LOADER):
        headers = {"Authorization": f"Bearer {SECRETS[role]}"}

        assert site.app.request(method, path, headers=headers, json=[]).status_code == 403


def test_attributes_are_promoted_and_demoted_by_command(site: Site, tmp_path: Path) -> None:
    promoted = run(site, tmp_path, "promote", "--mii")
    listed = site.call("GET", "/promotions")
    demoted = run(site, tmp_path, "demote", "KVP")

    assert "KVP (number, series): 1 filled" in promoted.output
    assert listed["series"]["KVP"] == "number"
    assert demoted.exit_code == 0
    assert "KVP" not in site.call("GET", "/promotions")["series"]


def test_a_patient_is_erased_by_command(site: Site, tmp_path: Path) -> None:
    erased = run(site, tmp_path, "erase", patient_psn(1), "--yes")

    assert erased.exit_code == 0, erased.output
    assert "0 rows of these patients are left" in erased.output
    assert site.warehouse.counts()["patient"] == 0


def test_the_check_says_what_does_not_fit_and_ends_incomplete(site: Site, tmp_path: Path) -> None:
    whole = run(site, tmp_path, "check")
    with site.warehouse.writing() as cursor:
        cursor.execute("DELETE FROM study")
    broken = run(site, tmp_path, "check")

    assert whole.output == "The store fits together.\n"
    assert broken.exit_code == 7
    assert "series.study_key leads to a row of study" in broken.output


def test_tables_are_arranged_and_the_catalogue_counted_by_command(site: Site, tmp_path: Path) -> None:
    assert "series: was in order" in run(site, tmp_path, "arrange").output
    assert "attributes counted" in run(site, tmp_path, "refresh").output
