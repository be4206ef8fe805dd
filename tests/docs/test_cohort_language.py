"""The page on the cohort language is true: queries parse, the truth table is what the warehouse answers."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from p2d.testing.warehouse_rows import Row, batch, patient_psn, uid
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.query.as_json import query_json
from p2d.warehouse.query.examples import PAPER
from p2d.warehouse.query.nodes import Frame, Operator, Order, Reduce
from p2d.warehouse.query.parse import parse
from p2d.warehouse.query.text_form.grammar import parse_text
from p2d.warehouse.query.text_form.vocabulary import COMPARISONS, REDUCTIONS
from p2d.warehouse.query.text_form.writer import as_text

PAGE = (Path(__file__).parents[2] / "docs/reference/cohort-language.md").read_text(encoding="utf-8")
BLOCKS = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
TRUTHS = re.findall(r"^\| `(\{.*\})` \| ([A-E ]*) \|$", PAGE, re.MULTILINE)
SERIES = re.findall(r"^\| ([A-E]) \| ([A-Z]*) ?\| ([A-Za-z ]*?) ?\|$", PAGE, re.MULTILINE)
FORMS = re.findall(r"^\|.* \| `(\{.*\})` \| `([^{].*)` \|$", PAGE, re.MULTILINE)
TEXT = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)[0]
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
LETTERS = "ABCDE"


@pytest.fixture(scope="module")
def warehouse() -> Any:
    made = DuckDbWarehouse(None)
    rows: dict[str, list[Row]] = {"patient": [], "study": [], "series": []}
    for number, letter in enumerate(LETTERS):
        psn = {"patient": patient_psn(number)}
        rows["patient"].append(psn)
        rows["study"].append({**psn, "study": uid(number)})
        listed = [s for s in SERIES if s[0] == letter and s[1]]
        rows["series"] += [
            {
                **psn,
                "study": uid(number),
                "series": uid(100 * number + i),
                "Modality": m,
                "SeriesDescription": d,
            }
            for i, (_, m, d) in enumerate(listed, 1)
        ]
    made.load(batch(rows))
    yield made
    made.close()


@pytest.mark.parametrize(("where", "expected"), TRUTHS)
def test_the_truth_table_is_what_the_warehouse_answers(
    warehouse: DuckDbWarehouse, where: str, expected: str
) -> None:
    query = parse({"version": 2, "where": json.loads(where)})

    found = warehouse.cohort(query)

    assert {LETTERS[n] for n in range(5) if patient_psn(n) in found} == set(expected.split())


def test_the_page_holds_its_tables() -> None:
    assert len(TRUTHS) == 16
    assert len(FORMS) == 48
    assert len(SERIES) == 6


def test_the_papers_query_is_the_one_shipped() -> None:
    assert parse(BLOCKS[0]) == parse(PAPER)


def test_the_papers_query_is_the_same_in_each_way_of_writing() -> None:
    (example,) = PYTHON
    made: dict[str, Any] = {}
    exec(example, made)  # noqa: S102 - the page's own example

    assert parse_text(TEXT) == parse(PAPER) == made["asked"]


@pytest.mark.parametrize(("node", "text"), FORMS)
def test_each_form_is_the_same_as_json_and_text(node: str, text: str) -> None:
    query = parse({"version": 2, "where": json.loads(node)})

    assert parse_text(text) == query
    assert parse(query_json(query)) == query
    assert as_text(query) == text


@pytest.mark.parametrize("word", [*COMPARISONS, *REDUCTIONS, *Order])
def test_every_word_of_the_text_form_is_on_the_page(word: str) -> None:
    assert word in PAGE


@pytest.mark.parametrize("block", BLOCKS)
def test_every_query_of_the_page_parses(block: dict[str, object]) -> None:
    assert parse(query_json(parse(block))) == parse(block)


@pytest.mark.parametrize("word", [*Operator, *Reduce, *Frame])
def test_every_word_of_the_language_is_on_the_page(word: str) -> None:
    assert f"`{word}`" in PAGE
