"""The text form: every query reads back from it, mistakes are named by line and column, words complete."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.model.errors import InvalidRequest
from p2d.testing.query_strategies import queries
from p2d.warehouse.query.as_json import query_json
from p2d.warehouse.query.nodes import Query
from p2d.warehouse.query.text_form.completion import complete
from p2d.warehouse.query.text_form.cursor import Cursor
from p2d.warehouse.query.text_form.grammar import parse_text, read_query
from p2d.warehouse.query.text_form.vocabulary import Names
from p2d.warehouse.query.text_form.writer import WIDTH, as_text

NAMES = Names(
    attributes=frozenset({"LVEF", "Modality", "StudyDescription", "Tumor marker"}),
    branches=frozenset({"ICD10"}),
    documents=frozenset({"discharge_letter"}),
    cohorts=frozenset({"pilot 1"}),
    values=lambda name: ("CT", "MR") if name == "Modality" else (),
)
QUICK = (
    'LVEF < 45 and discharge_letter ~ "NYHA (III|IV)" '
    "and same series (Modality = CT and StudyDescription contains thorax)"
)


@given(queries())
def test_every_query_reads_back_from_its_text(query: Query) -> None:
    assert parse_text(as_text(query)) == query


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(QUICK.split() + list('()[]",')), max_size=12).map(" ".join)
)
def test_anything_is_a_query_or_an_invalid_request(source: str) -> None:
    try:
        query = parse_text(source)
    except InvalidRequest:
        return
    assert parse_text(as_text(query)) == query


def test_the_search_line_knows_documents_from_attributes() -> None:
    assert query_json(parse_text(QUICK, NAMES))["where"] == {
        "all": [
            {"attribute": "LVEF", "less": 45},
            {"document": "discharge_letter", "regex": "NYHA (III|IV)"},
            {
                "same": "series",
                "where": {
                    "all": [
                        {"attribute": "Modality", "equals": "CT"},
                        {"attribute": "StudyDescription", "contains": "thorax"},
                    ]
                },
            },
        ]
    }


@pytest.mark.parametrize(
    ("text", "node"),
    [
        (
            "a = 1 or b = 2 and c = 3",
            {
                "any": [
                    {"attribute": "a", "equals": 1},
                    {"all": [{"attribute": "b", "equals": 2}, {"attribute": "c", "equals": 3}]},
                ]
            },
        ),
        ("NOT a missing", {"none": [{"attribute": "a", "exists": False}]}),
        ('a = "1"', {"attribute": "a", "equals": "1"}),
        ('"a ""b""" in (1, x, "y z")', {"attribute": 'a "b"', "in": [1, "x", "y z"]}),
        (
            "last a < value of first a",
            {"attribute": "a", "less": {"attribute": "a", "reduce": "first"}, "reduce": "last"},
        ),
        (
            "a > value of max b times 2 plus -1.5 [mg/l]",
            {
                "attribute": "a",
                "greater": {"attribute": "b", "reduce": "max", "factor": 2, "plus": -1.5},
                "unit": "mg/l",
            },
        ),
        (
            'a > value of "plus" plus 3 at least 2 times',
            {"attribute": "a", "greater": {"attribute": "plus", "plus": 3}, "times": {"at_least": 2}},
        ),
        ("a < value of b [mg/l]", {"attribute": "a", "less": {"attribute": "b"}, "unit": "mg/l"}),
        (
            "every a between 1 and 2 from 2020-01-01",
            {"attribute": "a", "between": [1, 2], "reduce": "all", "from": "2020-01-01"},
        ),
        (
            "a > 3 at least 2 times within 30 days",
            {"attribute": "a", "greater": 3, "times": {"at_least": 2, "within_days": 30}},
        ),
        (
            'document d affirmed phrase "no lesion"',
            {"document": "d", "phrase": "no lesion", "affirmed": True},
        ),
        ("document d number after EF < 45", {"document": "d", "next_number": "EF", "captured": {"less": 45}}),
        (
            'document d number ~* "EF (\\d+)" between 1 and 2',
            {"document": "d", "regex": "EF (\\d+)", "ignore_case": True, "captured": {"between": [1, 2]}},
        ),
        ("branch ICD10 under (I00-I99, 5-35)", {"branch": "ICD10", "under": ["I00-I99", "5-35"]}),
        (
            "at least 2 of (a = 1, b = 1, cohort x)",
            {
                "n_of": [{"attribute": "a", "equals": 1}, {"attribute": "b", "equals": 1}, {"cohort": "x"}],
                "least": 2,
            },
        ),
        (
            "3 to 5 studies (a = 1) per year",
            {
                "same": "study",
                "where": {"attribute": "a", "equals": 1},
                "at_least": 3,
                "at_most": 5,
                "per": "year",
            },
        ),
        (
            "2nd event of study (a = 1) at age < 18",
            {"event": {"attribute": "a", "equals": 1}, "frame": "study", "pick": 2, "age": {"less": 18}},
        ),
        (
            "event (a = 1) -3 to 5 days after last event (b = 1)",
            {
                "event": {"attribute": "a", "equals": 1},
                "after": {"event": {"attribute": "b", "equals": 1}, "pick": "last"},
                "days": [-3, 5],
            },
        ),
        (
            "event (a = 1) at least 3 days before event (b = 1)",
            {
                "event": {"attribute": "a", "equals": 1},
                "before": {"event": {"attribute": "b", "equals": 1}},
                "days": [3, None],
            },
        ),
        (
            "event (a = 1) during event of case (everything)",
            {"event": {"attribute": "a", "equals": 1}, "during": {"event": {"all": []}, "frame": "case"}},
        ),
        ("patients (P1, P2) # pasted", {"patients": ["P1", "P2"]}),
    ],
)
def test_each_form_means_its_json(text: str, node: object) -> None:
    assert query_json(parse_text(text))["where"] == node


def test_a_long_list_of_pseudonyms_is_read_and_written() -> None:
    listed = [f"P{number:06}" for number in range(20_000)]

    query = parse_text(f"LVEF < 45 and patients ({', '.join(listed)})")

    assert query_json(query)["where"] == {"all": [{"attribute": "LVEF", "less": 45}, {"patients": listed}]}
    assert parse_text(as_text(query)) == query


def test_columns_and_level_follow_the_condition() -> None:
    query = query_json(parse_text("LVEF < 45 show sex, min LVEF, count Modality for each study"))

    columns = [("sex", "last"), ("LVEF", "min"), ("Modality", "count")]
    assert query["columns"] == [{"attribute": name, "reduce": reduce} for name, reduce in columns]
    assert query["level"] == "study"


def test_a_long_query_is_indented() -> None:
    source = (
        f"{QUICK} and not (cohort old or at least 3 of ({QUICK}, {QUICK}, LVEF < 30)) show sex for each case"
    )

    text = as_text(parse_text(source))

    assert max(len(line) for line in text.splitlines()) <= WIDTH
    assert text.splitlines()[:2] == ["LVEF < 45", 'and discharge_letter ~ "NYHA (III|IV)"']
    assert parse_text(text) == parse_text(source)


@pytest.mark.parametrize(
    ("source", "place", "problem", "remedy"),
    [
        ("", "line 1, column 1", "expected a condition", "quotes"),
        ("LVEF", "line 1, column 5", "expected =, <", "quotes"),
        ("LVEF less 4", "line 1, column 6", "expected =, <", "did you mean <?"),
        ("LVEF != 4", "line 1, column 6", "two meanings", "not (NAME = VALUE)"),
        ("LVEF < 4\nadn Modality = CT", "line 2, column 1", "expected and, or", "did you mean and?"),
        ("LVF < 4", "line 1, column 1", "no attribute", "did you mean LVEF?"),
        ("value exists", "line 1, column 1", "a condition", "quotes"),
        ("document letter exists", "line 1, column 10", "no document", "discharge_letter"),
        ("LVEF < value of Modalty", "line 1, column 17", "no attribute", "Modality"),
        ("LVEF exists show LVF", "line 1, column 18", "no attribute", "LVEF"),
        ("Modality contians x", "line 1, column 10", "contains", "did you mean contains?"),
        ("same seris (LVEF = 1)", "line 1, column 6", "series", "did you mean series?"),
        ("(LVEF < 1", "line 1, column 10", "expected )", "quotes"),
        ('LVEF = "x', "line 1, column 8", "quote", '"'),
        ("LVEF < often", "line 1, column 8", "is not a day", "YYYY-MM-DD"),
        ("at least 5 of (LVEF < 1)", "line 1, column 1", "whole number", "0 to 1"),
        ("not discharge_letter < 4", "line 1, column 24", "does not apply", "contains"),
        ("event of study (\n event (LVEF < 4))", "line 2, column 2", "inside", "same case"),
        ("(" * 200, "line 1, column 61", "deeper", "simplify"),
    ],
)
def test_a_mistake_is_named_by_line_and_column(source: str, place: str, problem: str, remedy: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_text(source, NAMES)

    assert (caught.value.field, problem in caught.value.problem, remedy in caught.value.remedy) == (
        place,
        True,
        True,
    ), caught.value


@pytest.mark.parametrize(
    ("source", "offered"),
    [
        ("", ["LVEF", '"Tumor marker"', "discharge_letter", "ICD10", "not", "same", "event", "first"]),
        ("LV", ["LVEF"]),
        ("mod", ["Modality"]),
        ("LVEF ", ["<", "between", "exists", "number", "affirmed"]),
        ("LVEF < 45 ", ["and", "or", "show", "for", "unit", "at", "from"]),
        ("Modality = ", ["CT", "MR", "value"]),
        ("Modality in (CT, M", ["MR"]),
        ("same s", ["series", "study", "case"]),
        ("at least 3 s", ["studies", "series", "cases"]),
        ("LVEF < 45 and d", ["discharge_letter", "document", "Modality"]),
        ('"tum', ['"Tumor marker"']),
        ("cohort ", ['"pilot 1"']),
        ("event (LVEF < 4) ", ["after", "within", "during", "from"]),
        ("LVEF < 4 show ", ["min", "LVEF"]),
    ],
)
def test_the_search_line_offers_what_may_come_next(source: str, offered: list[str]) -> None:
    found = complete(source, len(source), NAMES)

    assert set(offered) <= {c.text for c in found}


def test_a_completion_replaces_the_word_at_the_cursor() -> None:
    (found, *_) = complete("LVEF < 45 and mod and", 17, NAMES)

    assert (found.text, found.kind, found.start) == ("Modality", "attribute", 14)


@given(queries(), st.integers(0, 200))
def test_what_is_offered_may_stand_there(query: Query, cut: int) -> None:
    source = as_text(query)[:cut]

    for found in complete(source, len(source), Names()):
        begun = f"{source[: found.start]}{found.text}"
        try:
            read_query(Cursor(begun, None))
        except InvalidRequest as refused:
            line, column = (int(word.strip(",")) for word in refused.field.split()[1::2])
            offset = sum(len(text) + 1 for text in begun.split("\n")[: line - 1]) + column - 1
            assert offset > found.start, begun


def test_nothing_is_offered_behind_a_mistake() -> None:
    assert complete("LVEF < < ", 9, NAMES) == []
