"""The page on the cohort language is true: queries parse, the truth table is what the warehouse answers."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from p2d.testing.warehouse_rows import Row, batch, patient_psn, uid
from p2d.warehouse.duckdb_engine import DuckDbWarehouse
from p2d.warehouse.query.examples import PAPER
from p2d.warehouse.query.nodes import Frame, Operator, Reduce
from p2d.warehouse.query.parse import parse

PAGE = (Path(__file__).parents[2] / "docs/reference/cohort-language.md").read_text(encoding="utf-8")
BLOCKS = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
TRUTHS = re.findall(r"^\| `(\{.*\})` \| ([A-E ]*) \|$", PAGE, re.MULTILINE)
SERIES = re.findall(r"^\| ([A-E]) \| ([A-Z]*) ?\| ([A-Za-z ]*?) ?\|$", PAGE, re.MULTILINE)
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
    query = parse({"version": 1, "where": json.loads(where)})

    found = warehouse.cohort(query)

    assert {LETTERS[n] for n in range(5) if patient_psn(n) in found} == set(expected.split())


def test_the_page_holds_its_tables() -> None:
    assert len(TRUTHS) == 12
    assert len(SERIES) == 6


def test_the_papers_query_is_the_one_shipped() -> None:
    assert parse(BLOCKS[0]) == parse(PAPER)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_query_of_the_page_parses(block: dict[str, object]) -> None:
    assert parse(parse(block).as_json()) == parse(block)


@pytest.mark.parametrize("word", [*Operator, *Reduce, *Frame])
def test_every_word_of_the_language_is_on_the_page(word: str) -> None:
    assert f"`{word}`" in PAGE
