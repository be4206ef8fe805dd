"""What the warehouse benchmark measures with: rows that may enter, and questions that compare."""

import collections
import statistics

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from measuring.summary import Verdict
from p2d.model.ids import has_valid_check
from p2d.warehouse.batch import Batch
from p2d.warehouse.check import check
from p2d.warehouse.query.parse import parse
from warehouse_bench.answers import Answers
from warehouse_bench.dataset import chunk_of, facts_of
from warehouse_bench.drawing import Weighted, children
from warehouse_bench.eav import eav
from warehouse_bench.engine_under_test import Again, Loaded
from warehouse_bench.measured import Measured
from warehouse_bench.names import pseudonyms
from warehouse_bench.questions import CHANGED, PAPER, Question, further
from warehouse_bench.report import judge, judge_growth
from warehouse_bench.spelling import DUCKDB, POSTGRESQL, SQLITE, Spelling
from warehouse_bench.wide import wide
from warehouse_bench.words import VOCABULARY, vocabulary

PATIENTS = 150


@pytest.fixture(scope="module")
def tables() -> dict[str, pa.Table]:
    return dict(chunk_of(1, 0, PATIENTS))


def test_every_generated_row_may_enter_the_warehouse(tables: dict[str, pa.Table]) -> None:
    check(Batch("b", "basic", "r", tables))


def test_the_same_seed_gives_the_same_rows_and_another_chunk_others(tables: dict[str, pa.Table]) -> None:
    again, other = chunk_of(1, 0, PATIENTS), chunk_of(1, 1, PATIENTS)

    assert all(again[name].equals(table) for name, table in tables.items())
    assert again["patient"]["patient"] != other["patient"]["patient"]


def test_pseudonyms_end_in_their_check_character_and_differ() -> None:
    found = pseudonyms(np.random.default_rng(3), "C", 500, 16).to_pylist()

    assert all(has_valid_check(text) and text[0] == "C" and len(text) == 18 for text in found)
    assert len(set(found)) == 500


def test_words_follow_zipf_in_a_vocabulary_of_more_than_fifty_thousand() -> None:
    words = vocabulary(1)

    assert len(set(words)) == VOCABULARY > 50_000
    drawn = Weighted(1 / np.arange(1, 101)).draw(np.random.default_rng(1), 100_000)
    counts = collections.Counter(drawn.tolist())
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.1)
    assert counts[0] / counts[49] == pytest.approx(50, rel=0.25)


def test_children_are_numbered_within_their_parents() -> None:
    parents, places = children(np.array([2, 0, 3]))

    assert parents.tolist() == [0, 0, 2, 2, 2]
    assert places.tolist() == [0, 1, 0, 1, 2]


def test_facts_are_values_keys_not_counted(tables: dict[str, pa.Table]) -> None:
    series = chunk_of(1, 0, PATIENTS)["series"]
    typed = series.select([name for name in series.schema.names if name[0].isupper()])

    assert facts_of("series", series) == sum(typed.num_rows - column.null_count for column in typed.columns)
    assert facts_of("document", tables["document"]) == 0


def test_the_hospital_has_the_proportions_that_the_questions_need() -> None:
    rows = chunk_of(2, 0, 2_000)

    letters = rows["document"].filter(pc.equal(rows["document"]["kind"], "discharge_letter"))
    assert 1_000 < statistics.fmean(map(len, letters["text"].to_pylist())) < 2_000
    assert 20 < rows["series"].num_rows / 2_000 < 30
    assert 0.01 < len(set(rows["instance"]["patient"].to_pylist())) / 2_000 <= 0.02
    assert 350 < sum(facts_of(name, table) for name, table in rows.items()) / 2_000 < 500


@pytest.mark.parametrize("spelling", [DUCKDB, POSTGRESQL, SQLITE], ids=lambda spelling: spelling.name)
def test_every_question_is_written_by_hand_for_tables_and_for_eav(spelling: Spelling) -> None:
    questions = (PAPER, CHANGED, *further(["P0"]))
    names = [question.name for question in questions]

    assert len(set(names)) == len(names) >= 22
    assert set(wide(spelling, ["P0"])) == set(eav(spelling, ["P0"])) == set(names)


@pytest.mark.parametrize("question", [PAPER, CHANGED, *further(["P0"])], ids=lambda question: question.name)
def test_every_question_is_one_of_the_cohort_language(question: Question) -> None:
    parse(question.document)


def test_a_way_that_names_other_patients_is_told() -> None:
    answers = Answers()

    answers.take("paper", "hand", lambda: [("A",), ("B",)])
    answers.take("paper", "eav", lambda: [("A",), ("C",)])

    assert answers.wrong == ["paper: eav gives 2 rows, others 2"]
    assert answers.found == {"paper": 2}


def test_the_first_round_is_compared_and_not_timed() -> None:
    answers = Answers()

    answers.take("paper", "hand", lambda: [("A",)], is_timed=False)

    assert answers.median("paper", "hand") is None
    assert answers.found == {"paper": 1}


def test_ratios_are_medians_of_the_rounds() -> None:
    answers = Answers(seconds={("q", "slow"): [2.0, 9.0, 4.0], ("q", "fast"): [1.0, 1.0, 1.0]})

    assert answers.ratio("q", "slow", "fast") == 4.0
    assert answers.ratio("q", "slow", "absent") is None


def measured(preview: float, facts: int = 84_000_000) -> Measured:
    seconds = {("paper", way): [preview] for way in ("preview", "compiled", "hand")}
    answers = Answers(seconds={**seconds, ("paper_changed", "cached"): [0.01]})
    loaded = Loaded(
        {"texts": 0, "facts": facts}, {"texts": 10, "facts": facts}, {"texts": 100.0, "facts": 84.0}
    )
    return Measured("duckdb", facts, 200_000, loaded, Again(200_000, 400_000), 10**9, answers)


def test_a_slow_preview_fails_at_full_size_and_only_informs_below() -> None:
    at_full_size, below = Verdict("warehouse"), Verdict("warehouse")

    judge(measured(preview=0.2), [PAPER], at_full_size, is_full=True)
    judge(measured(preview=0.2), [PAPER], below, is_full=False)

    assert not at_full_size.passed
    assert at_full_size.ratios["paper_preview"] == below.ratios["paper_preview"] == pytest.approx(0.6)
    assert below.passed
    assert not below.targets


def test_texts_are_no_facts_for_the_bulk_load_and_stand_beside_it() -> None:
    verdict = Verdict("warehouse")

    judge(measured(preview=0.1), [PAPER], verdict, is_full=True)

    assert verdict.passed
    assert verdict.ratios["bulk_load"] == pytest.approx(2.0)
    assert verdict.ratios["bulk_load_with_texts"] == pytest.approx(0.913, abs=0.001)


def test_growth_beyond_linear_fails() -> None:
    small, large = measured(preview=0.1, facts=8_400_000), measured(preview=3.0)
    verdict = Verdict("warehouse")

    judge_growth(small, large, [PAPER], verdict)

    assert verdict.ratios["growth_disk"] == pytest.approx(10)
    assert verdict.ratios["growth_questions_worst"] == pytest.approx(1 / 3)
    assert not verdict.passed
