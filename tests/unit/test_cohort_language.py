"""Reading queries: mistakes are named by their place, and imaging criteria find their frame."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.model.errors import InvalidRequest
from p2d.warehouse.duckdb.dialect import DuckDbDialect
from p2d.warehouse.query.as_json import node_json, query_json
from p2d.warehouse.query.attributes import Attribute, Catalogue, Source, resolve
from p2d.warehouse.query.compile import Compiler
from p2d.warehouse.query.frames import place
from p2d.warehouse.query.nodes import Frame
from p2d.warehouse.query.parse import parse
from p2d.warehouse.query.pattern import check_pattern

CT = {"attribute": "Modality", "equals": "CT"}
THORAX = {"attribute": "StudyDescription", "contains": "thorax"}
LVEF = {"attribute": "LVEF", "less": 45}
CATALOGUE = Catalogue(
    {"LVEF": Attribute("LVEF", Source.FACT, Frame.PATIENT, units=frozenset({"%", ""}), has_number=True)},
    {"KVP": Attribute("KVP", Source.HEADER, Frame.SERIES, has_number=True)},
    frozenset({"discharge_letter"}),
)


def where(node: object) -> dict[str, object]:
    return {"version": 1, "where": node}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ([], "query"),
        ({"where": LVEF}, "version"),
        ({"version": 3, "where": LVEF}, "version"),
        ({"version": True, "where": LVEF}, "version"),
        ({"version": 1}, "where"),
        ({"version": 1, "where": LVEF, "limit": 5}, "query"),
        (where("LVEF"), "where"),
        (where({}), "where"),
        (where({"any": []}), "where.any"),
        (where({"all": [LVEF, {"any": [3]}]}), "where.all[1].any[0]"),
        (where({"all": [LVEF], "any": [LVEF]}), "where"),
        (where({"same": "hospital", "where": LVEF}), "where.same"),
        (where({"same": "series"}), "where.where"),
        (where({"attribute": "LVEF"}), "where"),
        (where({"attribute": "LVEF", "less": 1, "greater": 0}), "where"),
        (where({"attribute": "LVEF", "document": "x", "less": 1}), "where"),
        (where({"attribute": "LVEF", "less": "often"}), "where.less"),
        (where({"attribute": "LVEF", "less": "2020-02-31"}), "where.less"),
        (where({"attribute": "LVEF", "less": True}), "where.less"),
        (where({"attribute": "LVEF", "less": float("nan")}), "where.less"),
        (where({"attribute": "LVEF", "between": [1]}), "where.between"),
        (where({"attribute": "LVEF", "between": [2, 1]}), "where.between"),
        (where({"attribute": "LVEF", "between": [1, "2020-01-01"]}), "where.between"),
        (where({"attribute": "LVEF", "in": []}), "where.in"),
        (where({"attribute": "LVEF", "in": [[]]}), "where.in[0]"),
        (where({"attribute": "LVEF", "exists": "yes"}), "where.exists"),
        (where({"attribute": "LVEF", "contains": "  "}), "where.contains"),
        (where({"attribute": "LVEF", "equals": 1, "ignore_case": True}), "where.ignore_case"),
        (where({"attribute": "LVEF", "exists": True, "unit": "%"}), "where.unit"),
        (where({"document": "x", "less": 4}), "where.less"),
        (where({"document": "x", "regex": "("}), "where.regex"),
        (where({"attribute": "LVEF", "less": {"attribute": "BNP", "reduce": "all"}}), "where.less.reduce"),
        (where({"attribute": "LVEF", "less": {"attribute": "BNP", "reduce": "count"}}), "where.less.reduce"),
        (where({"attribute": "LVEF", "less": {"attribute": "BNP", "factor": "2"}}), "where.less.factor"),
        (where({"attribute": "LVEF", "less": {"attribute": "BNP", "plus": None}}), "where.less.plus"),
        (where({"event": LVEF, "months": 3}), "where.months"),
        (where({"event": LVEF, "after": {"event": LVEF}, "months": 3, "days": 1}), "where.months"),
        (where({"event": LVEF, "after": {"event": LVEF}, "years": 251}), "where.years"),
        (where({"event": LVEF, "after": {"event": LVEF}, "months": [3, 1]}), "where.months"),
        (
            where({"event": LVEF, "during": {"event": LVEF, "frame": "case"}, "years": 1}),
            "where.years",
        ),
        ({**where(LVEF), "columns": [{"attribute": "LVEF", "top": 0}]}, "columns[0].top"),
        ({**where(LVEF), "columns": [{"attribute": "LVEF", "top": 101}]}, "columns[0].top"),
        ({**where(LVEF), "columns": [{"attribute": "LVEF", "reduce": "mean", "top": 2}]}, "columns[0].top"),
        ({**where(LVEF), "level": "hospital"}, "level"),
        ({**where(LVEF), "columns": [{"attribute": "LVEF", "reduce": "all"}]}, "columns[0].reduce"),
        ({**where(LVEF), "columns": ["LVEF", "LVEF"]}, "columns"),
    ],
)
def test_a_mistake_is_named_by_its_place(query: object, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(query)

    assert caught.value.field == field
    assert caught.value.remedy


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["all", "any", "none", "same", "where", "attribute", "less"]), inner
        )
    ),
    max_leaves=8,
)


@given(json_values)
def test_anything_is_a_query_or_an_invalid_request(source: object) -> None:
    try:
        query = parse(where(source))
    except InvalidRequest:
        return
    assert parse(query_json(query)) == query


def test_a_query_too_deep_or_too_large_is_refused() -> None:
    deep: dict[str, object] = LVEF
    for _ in range(30):
        deep = {"all": [deep]}

    for node in (deep, {"any": [{"any": [LVEF] * 150}, {"any": [LVEF] * 150}]}):
        with pytest.raises(InvalidRequest, match="deeper"):
            parse(where(node))


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?=a)",
        r"(?<!a)b",
        r"(a)\1",
        r"(?P<n>a)(?P=n)",
        r"a++",
        r"(?>a)",
        r"(?i)a",
        r"\p{L}",
        r"a{2000}",
        "a" * 501,
        "",
    ],
)
def test_patterns_that_engines_read_differently_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidRequest):
        check_pattern(pattern, "regex")


@pytest.mark.parametrize("pattern", [r"NYHA[- ]*(III|IV)\b", r"a\\1", r"(?:a|b){2,3}", r"[^.]*x?", "Schädel"])
def test_plain_patterns_pass(pattern: str) -> None:
    assert check_pattern(pattern, "regex") == pattern


@pytest.mark.parametrize(
    ("node", "field", "remedy"),
    [
        ({"attribute": "LVEFF", "less": 4}, "where.attribute", "LVEF"),
        ({"all": [{"attribute": "modality", "equals": "CT"}]}, "where.all[0].attribute", "Modality"),
        ({"none": [{"document": "discharge", "exists": True}]}, "where.none[0].document", "discharge_letter"),
        ({"attribute": "LVEF", "less": 4, "unit": "ml"}, "where.unit", "%"),
        ({"attribute": "xyzzy", "exists": True}, "where.attribute", "/attributes"),
    ],
)
def test_unknown_names_come_with_close_matches(node: object, field: str, remedy: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        resolve(parse(where(node)), CATALOGUE)

    assert caught.value.field == field
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("node", "placed"),
    [
        (CT, {"same": "series", "where": CT}),
        (THORAX, {"same": "study", "where": THORAX}),
        ({"all": [CT, THORAX]}, {"same": "series", "where": {"all": [CT, THORAX]}}),
        (
            {"all": [CT, LVEF, THORAX]},
            {"all": [LVEF, {"same": "series", "where": {"all": [CT, THORAX]}}]},
        ),
        (
            {"all": [LVEF, CT, {"any": [THORAX, CT]}]},
            {"all": [LVEF, {"same": "series", "where": {"all": [CT, {"any": [THORAX, CT]}]}}]},
        ),
        (
            {"all": [CT, {"none": [THORAX]}]},
            {"all": [{"none": [{"same": "study", "where": THORAX}]}, {"same": "series", "where": CT}]},
        ),
        ({"any": [LVEF, CT]}, {"any": [LVEF, {"same": "series", "where": CT}]}),
        (
            {"same": "study", "where": {"all": [CT, THORAX]}},
            {"same": "study", "where": {"all": [CT, THORAX]}},
        ),
        ({"same": "case", "where": CT}, {"same": "case", "where": {"same": "series", "where": CT}}),
    ],
)
def test_imaging_criteria_find_their_frame(node: object, placed: object) -> None:
    query = parse(where(node))

    assert node_json(place(query.where, Frame.PATIENT, CATALOGUE)) == placed


@pytest.mark.parametrize(
    "criterion",
    [
        {"attribute": "Modality", "less": 4},
        {"attribute": "Modality", "equals": 4},
        {"attribute": "birth_year", "contains": "x"},
        {"attribute": "birth_year", "less": "2020-01-01"},
        {"attribute": "StudyDate", "equals": "yesterday"},
        {"attribute": "StudyDate", "less": 4},
    ],
)
def test_operators_fit_the_type_of_the_attribute(criterion: dict[str, object]) -> None:
    node = place(parse(where(criterion)).where, Frame.PATIENT, CATALOGUE)

    with pytest.raises(InvalidRequest, match="does not apply"):
        Compiler(CATALOGUE, DuckDbDialect()).keys(node, Frame.PATIENT)


@given(text=st.text(min_size=1, max_size=30), operator=st.sampled_from(["equals", "contains"]))
def test_no_text_of_the_user_stands_in_the_sql(text: str, operator: str) -> None:
    marked = f"zq9{text}"
    try:
        query = parse(
            where(
                {
                    "all": [
                        {"attribute": "LVEF", operator: marked},
                        {"attribute": "Modality", operator: marked},
                    ]
                }
            )
        )
    except InvalidRequest:
        return
    compiler = Compiler(CATALOGUE, DuckDbDialect())

    sql = compiler.keys(place(query.where, Frame.PATIENT, CATALOGUE), Frame.PATIENT).sql("duckdb")

    assert "zq9" not in sql
    assert "zq9" in "".join(str(value) for value in compiler.parameters.values())
