"""Queries written in Python: they read like the question and are checked where they are written."""

from datetime import date
from typing import Any

import pytest

from p2d.model.errors import InvalidRequest
from p2d.warehouse.query.builder import (
    all_of,
    any_of,
    attribute,
    branch,
    cohort,
    column,
    document,
    event,
    everything,
    none_of,
    patients,
    query,
    query_json,
    same,
    some,
)
from p2d.warehouse.query.building_blocks import Condition

CT = attribute("Modality") == "CT"
MR = attribute("Modality") == "MR"
CRP = attribute("CRP") > 100
CT_JSON = {"attribute": "Modality", "equals": "CT"}
MR_JSON = {"attribute": "Modality", "equals": "MR"}
CRP_JSON = {"attribute": "CRP", "greater": 100}


def where(condition: Condition) -> Any:
    return query_json(query(condition))["where"]


@pytest.mark.parametrize(
    ("condition", "node"),
    [
        (CT & MR & CRP, {"all": [CT_JSON, MR_JSON, CRP_JSON]}),
        (CT & (MR & CRP), {"all": [CT_JSON, MR_JSON, CRP_JSON]}),
        (CT | MR & CRP, {"any": [CT_JSON, {"all": [MR_JSON, CRP_JSON]}]}),
        (~CT, {"none": [CT_JSON]}),
        (all_of(CT), {"all": [CT_JSON]}),
        (any_of(CT, MR), {"any": [CT_JSON, MR_JSON]}),
        (none_of(CT, MR), {"none": [CT_JSON, MR_JSON]}),
        (some(2, CT, MR, CRP), {"n_of": [CT_JSON, MR_JSON, CRP_JSON], "least": 2}),
        (some(0, CT, MR, most=1), {"n_of": [CT_JSON, MR_JSON], "least": 0, "most": 1}),
        (everything(), {"all": []}),
        (same("series", CT), {"same": "series", "where": CT_JSON}),
        (
            same("study", CT, MR, at_least=3, within_days=365),
            {"same": "study", "where": {"all": [CT_JSON, MR_JSON]}, "at_least": 3, "within_days": 365},
        ),
        (attribute("sex").one_of("F", "D"), {"attribute": "sex", "in": ["F", "D"]}),
        (attribute("KVP").exists(), {"attribute": "KVP", "exists": True}),
        (attribute("KVP").missing(), {"attribute": "KVP", "exists": False}),
        (attribute("StudyDate") >= date(2020, 1, 1), {"attribute": "StudyDate", "at_least": "2020-01-01"}),
        (attribute("StudyDate") == date(2020, 1, 1), {"attribute": "StudyDate", "equals": "2020-01-01"}),
        (attribute("CRP").between(5, 10), {"attribute": "CRP", "between": [5, 10]}),
        (attribute("CRP") <= attribute("limit"), {"attribute": "CRP", "at_most": {"attribute": "limit"}}),
        (
            attribute("LVEF").last() < attribute("LVEF").first(),
            {
                "attribute": "LVEF",
                "less": {"attribute": "LVEF", "reduce": "first"},
                "reduce": "last",
            },
        ),
        (
            attribute("CRP") > (attribute("limit").max() + 1) * 2,
            {
                "attribute": "CRP",
                "greater": {"attribute": "limit", "reduce": "max", "factor": 2, "plus": 2},
            },
        ),
        (branch("ICD10").under("I00-I99"), {"branch": "ICD10", "under": "I00-I99"}),
        (
            attribute("LVEF").unit("%").last().dated("2020-01-01", date(2020, 12, 31)) < 45,
            {
                "attribute": "LVEF",
                "less": 45,
                "unit": "%",
                "reduce": "last",
                "from": "2020-01-01",
                "to": "2020-12-31",
            },
        ),
        *(
            (getattr(attribute("LVEF"), way)() < 45, {"attribute": "LVEF", "less": 45, "reduce": way})
            for way in ("first", "min", "max", "mean")
        ),
        (attribute("LVEF").every() < 45, {"attribute": "LVEF", "less": 45, "reduce": "all"}),
        (
            attribute("CRP").exists().times(3, per="year"),
            {"attribute": "CRP", "exists": True, "times": {"at_least": 3, "per": "year"}},
        ),
        (document("letter").contains("heart failure"), {"document": "letter", "contains": "heart failure"}),
        (
            document("letter").affirmed().phrase("pleural effusion"),
            {"document": "letter", "phrase": "pleural effusion", "affirmed": True},
        ),
        (
            document("letter").regex("nyha", ignore_case=True),
            {"document": "letter", "regex": "nyha", "ignore_case": True},
        ),
        (
            document("echo").regex(r"EF (\d+)").number < 45,
            {"document": "echo", "regex": r"EF (\d+)", "captured": {"less": 45}},
        ),
        (
            document("echo").next_number("LVEF").between(30, 45),
            {"document": "echo", "next_number": "LVEF", "captured": {"between": [30, 45]}},
        ),
        (event(CT, frame="study"), {"event": CT_JSON, "frame": "study"}),
        (
            event(CT).first().aged(less=18).dated("2020-01-01"),
            {"event": CT_JSON, "pick": "first", "age": {"less": 18}, "from": "2020-01-01"},
        ),
        (
            event(CT).last().after(event(MR).nth(2), days=30),
            {"event": CT_JSON, "pick": "last", "after": {"event": MR_JSON, "pick": 2}, "days": 30},
        ),
        (
            event(CT).before(event(MR), (1, None)),
            {"event": CT_JSON, "before": {"event": MR_JSON}, "days": [1, None]},
        ),
        (
            event(CT).after(event(MR), months=6),
            {"event": CT_JSON, "after": {"event": MR_JSON}, "months": 6},
        ),
        (
            event(CT).around(event(MR), years=(1, None)),
            {"event": CT_JSON, "around": {"event": MR_JSON}, "years": [1, None]},
        ),
        (event(CT).around(event(MR)), {"event": CT_JSON, "around": {"event": MR_JSON}}),
        (
            event(CT).during(event(everything(), frame="case")),
            {"event": CT_JSON, "during": {"event": {"all": []}, "frame": "case"}},
        ),
        (
            cohort("pilot") & ~patients(["P2", "P1"]),
            {"all": [{"cohort": "pilot"}, {"none": [{"patients": ["P1", "P2"]}]}]},
        ),
    ],
)
def test_a_condition_is_the_json_it_reads_like(condition: Condition, node: object) -> None:
    assert where(condition) == node


def test_a_query_has_columns_and_a_level() -> None:
    made = query_json(query(CT, "sex", column("LVEF", "min"), level="study"))

    columns = [("sex", "last"), ("LVEF", "min")]
    assert made["columns"] == [{"attribute": name, "reduce": reduce} for name, reduce in columns]
    assert made["level"] == "study"


def test_a_column_may_show_several_values() -> None:
    made = query_json(query(CT, column("LVEF", "last", top=3)))

    assert made["columns"] == [{"attribute": "LVEF", "reduce": "last", "top": 3}]


@pytest.mark.parametrize("more", [{"days": 1, "months": 1}, {"weeks": 1}, {"months": (3, 1)}, {"years": -1}])
def test_a_distance_that_cannot_be_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        event(CT).after(event(MR), **more)


def test_what_python_would_decide_alone_is_refused() -> None:
    with pytest.raises(TypeError, match="between"):
        _ = CT and MR
    with pytest.raises(TypeError, match="between"):
        _ = 1 < attribute("CRP") < 2
    with pytest.raises(TypeError, match="~"):
        _ = attribute("CRP") != 1


def test_a_wrong_operand_is_refused_where_it_stands() -> None:
    with pytest.raises(InvalidRequest) as caught:
        _ = attribute("LVEF") < "often"

    assert caught.value.field == "LVEF.less"


def test_a_query_is_checked_as_a_whole() -> None:
    with pytest.raises(InvalidRequest, match="inside"):
        query(same("series", event(CT)))
