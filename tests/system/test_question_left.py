"""Who closes the connection cancels the question, on a real server."""

import json
import re
import threading
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
from sqlglot import parse_one

from p2d.audit.log import AuditLog
from p2d.flows.research.cohort import CohortDesk
from p2d.main.warehouse_pages import add_pages
from p2d.model.errors import Unavailable
from p2d.testing.serving import serving
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.query.nodes import Query
from p2d.warehouse.query.results import Counts
from p2d.web.research.access import Role
from p2d.web.research.app import create_app

pytestmark = pytest.mark.system

SECRETS = {role: f"secret-of-the-{role}-for-this-test" for role in Role}
QUERY = {"version": 2, "where": {"all": []}}


class Slow(DuckDbWarehouse):
    """Takes minutes to count, and tells how that ended."""

    def __init__(self) -> None:
        super().__init__(None, query_seconds=300)
        self.began, self.ended = threading.Event(), threading.Event()
        self.problem = ""

    def count(self, query: Query) -> Counts:
        self.began.set()
        try:
            with self.session() as session:
                slow = "SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b"
                session.rows(parse_one(slow, dialect="duckdb"), {})
        except Unavailable as error:
            self.problem = error.problem
            raise
        finally:
            self.ended.set()
        return super().count(query)


def ask(origin: str, what: str) -> HTTPConnection:
    """Send *what* is asked about the query to *origin* and return the connection its answer comes on."""
    connection = HTTPConnection(urlsplit(origin).netloc, timeout=30)
    headers = {"Authorization": f"Bearer {SECRETS[Role.OPERATOR]}", "Content-Type": "application/json"}
    connection.request("POST", f"/cohorts/{what}", json.dumps(QUERY), headers)
    return connection


def test_a_question_ends_when_its_asker_closes_the_connection(tmp_path: Path) -> None:
    warehouse = Slow()
    app = create_app(warehouse, CohortDesk(warehouse, AuditLog(tmp_path / "audit.jsonl")), SECRETS)
    with serving(app) as origin:
        connection = ask(origin, "count")
        assert warehouse.began.wait(30)

        connection.close()

        assert warehouse.ended.wait(30)
    assert warehouse.problem == "was cancelled"


def test_a_question_of_the_start_page_ends_when_the_browser_leaves(tmp_path: Path) -> None:
    warehouse = Slow()
    app = create_app(warehouse, CohortDesk(warehouse, AuditLog(tmp_path / "audit.jsonl")), SECRETS)
    add_pages(app, None)
    with serving(app) as origin, httpx.Client(base_url=origin, follow_redirects=True) as browser:
        secret = {"Authorization": f"Bearer {SECRETS[Role.OPERATOR]}"}
        link = browser.post("/page-tokens", json={"user": "ada"}, headers=secret).json()["path"]
        token = re.search(r'name="form_token" value="([^"]+)"', browser.get(link).text)
        assert token is not None
        form = urlencode({"form_token": token[1], "query": json.dumps(QUERY)})
        headers = {"Cookie": f"p2d_page={browser.cookies['p2d_page']}"}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = HTTPConnection(urlsplit(origin).netloc, timeout=30)
        connection.request("POST", "/cohort", form, headers)
        assert warehouse.began.wait(30)

        connection.close()

        assert warehouse.ended.wait(30)
    assert warehouse.problem == "was cancelled"


def test_a_question_is_answered_while_its_asker_waits(tmp_path: Path) -> None:
    warehouse = Slow()
    app = create_app(warehouse, CohortDesk(warehouse, AuditLog(tmp_path / "audit.jsonl")), SECRETS)
    with serving(app) as origin:
        connection = ask(origin, "patients")
        answer = connection.getresponse()
        content = json.load(answer)
        connection.close()

    assert answer.status == 200
    assert content["total"] == 0
