"""``p2d cohort`` and ``p2d load``: what they print, and how they end."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

from p2d.cli.app import cli
from p2d.cli.roots import Roots
from p2d.clinical.native import COLUMNS
from p2d.flows.research.cohort_client import Table
from p2d.testing.memory_warehouse import MemoryWarehouse
from p2d.testing.warehouse_rows import patient_psn
from p2d.warehouse.query.as_json import query_json
from p2d.warehouse.query.examples import PAPER
from p2d.warehouse.query.parse import parse
from p2d.warehouse.query.text_form.grammar import parse_text

SECRET = "zq81mX0pLw4vT9sKd7-Rb3nYh"
P1 = patient_psn(1)


class FakeCohorts:
    def __init__(self) -> None:
        self.asked: list[Mapping[str, object]] = []

    def count(self, query: Mapping[str, object]) -> dict[str, int]:
        self.asked.append(query)
        return {"patients": 1, "all_patients": 20_000}

    def table(self, query: Mapping[str, object]) -> Table:
        self.asked.append(query)
        return Table(("patient", "LVEF"), ({"patient": P1, "LVEF": 30.0},), 7)

    preview = table

    def parse(self, text: str) -> dict[str, object]:
        return query_json(parse_text(text))

    def patients(self, query: Mapping[str, object]) -> tuple[str, ...]:
        self.asked.append(query)
        return (P1,)

    def save(self, name: str, cohort: Mapping[str, object], *, shared: bool) -> None:
        self.asked.append({"name": name, **cohort, "shared": shared})

    def saved(self) -> tuple[Mapping[str, object], ...]:
        kept = {"name": "pilot-1", "owner": "approved", "shared": True, "kind": "list", "patients": 2}
        return ({**kept, "created_at": "2026-01-02T03:04:05"},)

    def delete(self, name: str) -> None:
        self.asked.append({"deleted": name})


class FakeRoots:
    def __init__(self) -> None:
        self.cohorts = FakeCohorts()
        self.warehouse = MemoryWarehouse()
        self.opened: list[tuple[str, str]] = []

    def open_cohorts(self, url: str, secret: str) -> FakeCohorts:
        self.opened.append((url, secret))
        return self.cohorts

    def open_loader(self, url: str, secret: str) -> MemoryWarehouse:
        self.opened.append((url, secret))
        return self.warehouse


@pytest.fixture
def roots() -> FakeRoots:
    return FakeRoots()


@pytest.fixture
def where(tmp_path: Path) -> list[str]:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    return ["--url", "http://127.0.0.1:9", "--secret", str(secret)]


@pytest.fixture
def query(tmp_path: Path) -> str:
    path = tmp_path / "query.json"
    path.write_text(json.dumps(PAPER))
    return str(path)


def run(roots: FakeRoots, *words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, words, obj=cast("Roots", roots), input=stdin)


def test_the_example_is_a_query_that_parses(roots: FakeRoots) -> None:
    answer = run(roots, "cohort", "--example")

    assert parse(json.loads(answer.output)) == parse(PAPER)


@pytest.mark.parametrize(
    ("command", "shown"),
    [("count", "20,000"), ("preview", "1 of 7 rows"), ("table", f"{P1},30.0"), ("patients", P1)],
)
def test_each_question_shows_its_answer(
    roots: FakeRoots, where: list[str], query: str, command: str, shown: str
) -> None:
    answer = run(roots, "cohort", command, query, *where)

    assert (answer.exit_code, shown in answer.output) == (0, True)
    assert roots.opened == [("http://127.0.0.1:9", SECRET)]
    assert roots.cohorts.asked == [query_json(parse(PAPER))]


def test_the_list_of_patients_is_a_list_file(roots: FakeRoots, where: list[str], query: str) -> None:
    answer = run(roots, "cohort", "patients", query, *where)

    assert answer.output.splitlines() == ["kind,pseudonym,study,start,end,calendar", f"patient,{P1},,,,"]


def test_a_query_comes_by_standard_input_too(roots: FakeRoots, where: list[str]) -> None:
    answer = run(roots, "cohort", "table", "-", "--format", "json", *where, stdin=json.dumps(PAPER))

    assert json.loads(answer.output) == [{"patient": P1, "LVEF": 30.0}]


def test_a_query_may_be_text(roots: FakeRoots, where: list[str]) -> None:
    answer = run(roots, "cohort", "count", "-", *where, stdin="LVEF < 45 and Modality = CT")

    assert answer.exit_code == 0
    assert roots.cohorts.asked == [query_json(parse_text("LVEF < 45 and Modality = CT"))]


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ("en", "- LVEF is less than 45"),
        ("de", "- LVEF ist kleiner als 45"),
        ("text", "LVEF < 45\n"),
        ("json", '"less": 45'),
    ],
)
def test_a_query_is_said_without_a_warehouse(roots: FakeRoots, form: str, shown: str) -> None:
    answer = run(roots, "cohort", "say", "-", "--as", form, stdin="LVEF < 45")

    assert (answer.exit_code, shown in answer.output) == (0, True)


@pytest.mark.parametrize(
    "text", ["", "{", "LVEF << 3", '{"version": 1}', '{"version": 1, "where": {"attribute": "LVEF"}}']
)
def test_a_wrong_query_ends_before_the_warehouse_is_asked(
    roots: FakeRoots, where: list[str], tmp_path: Path, text: str
) -> None:
    (tmp_path / "wrong.json").write_text(text)

    answer = run(roots, "cohort", "count", str(tmp_path / "wrong.json"), *where)

    assert answer.exit_code == 2
    assert "Way out" in answer.output
    assert roots.cohorts.asked == []


def test_without_an_address_the_options_are_named(roots: FakeRoots, query: str) -> None:
    answer = run(roots, "cohort", "count", query)

    assert answer.exit_code == 2
    assert "--settings" in answer.output


def clinical(folder: Path, patients: list[str]) -> str:
    folder.mkdir()
    for name, columns in COLUMNS.items():
        rows: Any = patients if name == "patient" else []
        (folder / f"{name}.csv").write_text("\n".join([",".join(columns), *rows]) + "\n")
    return str(folder)


@pytest.mark.parametrize("command", [("load",), ("warehouse", "load")])
def test_load_tells_the_rows(
    roots: FakeRoots, where: list[str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    answer = run(roots, *command, clinical(tmp_path / "in", [f"{P1},F,1950"]), *where)

    assert (answer.exit_code, "1 patient rows loaded" in answer.output) == (0, True)
    assert roots.warehouse.rows("patient") == [{"patient": P1, "sex": "F", "birth_year": 1950}]


def test_load_sets_aside_what_is_no_pseudonym_and_ends_incomplete(
    roots: FakeRoots, where: list[str], tmp_path: Path
) -> None:
    answer = run(roots, "load", clinical(tmp_path / "in", [f"{P1},F,1950", "Mustermann,F,1950"]), *where)

    assert answer.exit_code == 7
    assert "patient.csv row 2 field patient: is not a pseudonym" in answer.output
    assert "Mustermann" not in answer.output
    assert len(roots.warehouse.rows("patient")) == 1


def test_load_of_a_folder_without_files_is_invalid(
    roots: FakeRoots, where: list[str], tmp_path: Path
) -> None:
    answer = run(roots, "load", str(tmp_path), *where)

    assert answer.exit_code == 2
    assert "patient.csv" in answer.output


def test_cohorts_are_saved_listed_and_deleted(roots: FakeRoots, tmp_path: Path) -> None:
    query, listed, secret = tmp_path / "query.json", tmp_path / "psn.txt", tmp_path / "secret"
    query.write_text(json.dumps(PAPER), encoding="utf-8")
    listed.write_text(f"{P1}\n\n", encoding="utf-8")
    secret.write_text(SECRET)
    secret.chmod(0o600)
    at = ["--url", "http://127.0.0.1:1", "--secret", str(secret)]

    for arguments in (
        ["save", "hf", str(query), "--shared"],
        ["save", "pilot-1", str(listed), "--patients"],
        ["delete", "hf"],
    ):
        assert CliRunner().invoke(cli, ["cohort", *arguments, *at], obj=cast("Roots", roots)).exit_code == 0
    shown = CliRunner().invoke(cli, ["cohort", "list", *at], obj=cast("Roots", roots))

    saved, *others = roots.cohorts.asked
    assert {**saved, "query": parse(saved["query"])} == {"name": "hf", "query": parse(PAPER), "shared": True}
    assert others == [{"name": "pilot-1", "patients": [P1], "shared": False}, {"deleted": "hf"}]
    assert "pilot-1" in shown.output
