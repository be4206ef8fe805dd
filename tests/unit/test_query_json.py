"""Version 2 of the language as JSON: every query round-trips, mistakes are named by their place."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from p2d.model.errors import InvalidRequest
from p2d.testing.query_strategies import queries
from p2d.warehouse.query.as_json import query_json
from p2d.warehouse.query.examples import PAPER
from p2d.warehouse.query.json_schema import schema
from p2d.warehouse.query.nodes import Event, Frame, Order, Query
from p2d.warehouse.query.number_group import check_number_group
from p2d.warehouse.query.parse import parse

CT = {"attribute": "Modality", "equals": "CT"}
LETTER = {"document": "letter", "regex": "x"}
ECHO = {"document": "echo", "regex": r"EF (\d+)"}
CRP = {"attribute": "CRP", "greater": 100}
EVENT = {"event": CT}
VALIDATOR = Draft202012Validator(schema())


def where(node: object) -> dict[str, object]:
    return {"version": 2, "where": node}


@given(queries())
def test_every_query_reads_back_from_its_json(query: Query) -> None:
    assert parse(json.loads(json.dumps(query_json(query)))) == query


@given(queries())
def test_the_schema_admits_every_query(query: Query) -> None:
    VALIDATOR.validate(query_json(query))


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize(
    ("node", "field"),
    [
        ({"all": [CT, {"any": []}]}, "where.all[1].any"),
        ({"n_of": [CT], "least": 2}, "where.least"),
        ({"n_of": [CT, CT], "least": 2, "most": 1}, "where.most"),
        ({"n_of": [CT], "least": 0}, "where.least"),
        ({"same": "series", "where": CT, "at_least": 3, "at_most": 2}, "where.at_most"),
        ({"same": "series", "where": CT, "at_least": 0}, "where.at_least"),
        ({"same": "series", "where": CT, "at_least": 1.5}, "where.at_least"),
        ({"same": "series", "where": CT, "within_days": 30, "at_most": 2}, "where"),
        ({"same": "series", "where": CT, "per": "week"}, "where.per"),
        ({"same": "patient", "where": CT, "per": "year"}, "where"),
        ({"same": "series", "where": EVENT}, "where.where"),
        ({"same": "case", "where": {"same": "series", "where": EVENT}}, "where.where.where"),
        ({"event": {"any": [CT, EVENT]}}, "where.event.any[1]"),
        ({"event": CT, "frame": "patient"}, "where.frame"),
        ({"event": {"all": []}}, "where.frame"),
        ({"event": CT, "pick": 0}, "where.pick"),
        ({"event": CT, "pick": "third"}, "where.pick"),
        ({"event": CT, "from": "2020-01-02", "to": "2020-01-01"}, "where.to"),
        ({"event": CT, "from": "2020"}, "where.from"),
        ({"event": CT, "age": {"less": "18"}}, "where.age.less"),
        ({"event": CT, "age": {"less": 18, "greater": 3}}, "where.age"),
        ({"event": CT, "after": CT}, "where.after"),
        ({"event": CT, "after": EVENT, "before": EVENT}, "where"),
        ({"event": CT, "after": EVENT, "days": [5, 3]}, "where.days"),
        ({"event": CT, "after": EVENT, "days": [1, 2, 3]}, "where.days"),
        ({"event": CT, "after": EVENT, "days": -1}, "where.days"),
        ({"event": CT, "around": EVENT, "days": [-1, 1]}, "where.days[0]"),
        ({"event": CT, "days": 3}, "where.days"),
        ({"event": CT, "during": {"event": CT, "frame": "study"}}, "where.during.frame"),
        ({"event": CT, "during": EVENT, "days": 3}, "where.days"),
        ({"patients": []}, "where.patients"),
        ({"patients": ["P1", "Anna Muster"]}, "where.patients[1]"),
        ({"patients": ["P1", 7]}, "where.patients[1]"),
        ({"patients": ["P1"] * 100_001}, "where.patients"),
        ({"cohort": " x"}, "where.cohort"),
        ({"cohort": "a/b"}, "where.cohort"),
        ({**CRP, "times": {"at_least": 2}, "reduce": "last"}, "where.times"),
        ({**CRP, "times": {}}, "where.times"),
        ({**CRP, "times": {"least": 2}}, "where.times"),
        ({"attribute": "CRP", "exists": False, "times": {"at_least": 2}}, "where.times"),
        ({"attribute": "CRP", "exists": True, "reduce": "last"}, "where.reduce"),
        ({**CRP, "reduce": "count"}, "where.reduce"),
        ({"attribute": "CRP", "contains": "x", "reduce": "max"}, "where.reduce"),
        ({"attribute": "CRP", "less": "2020-01-01", "reduce": "mean"}, "where.reduce"),
        ({**CRP, "affirmed": True}, "where.affirmed"),
        ({"document": "letter", "exists": True, "affirmed": True}, "where.affirmed"),
        ({**CRP, "captured": {"less": 3}}, "where.captured"),
        ({**LETTER, "captured": {"less": 3}}, "where.regex"),
        ({"document": "letter", "next_number": "EF"}, "where.captured"),
        ({**ECHO, "captured": {"between": [3, 2]}}, "where.captured.between"),
        ({**ECHO, "captured": {"in": [3]}}, "where.captured"),
        ({"document": "letter", "contains": "-"}, "where.contains"),
        ({"document": "letter", "phrase": " . "}, "where.phrase"),
        ({"attribute": "ICD10", "under": "I99-I00"}, "where.under[0]"),
        ({"attribute": "ICD10", "under": ["I21", 4]}, "where.under[1]"),
        ({"attribute": "CRP", "less": {"attribute": "A", "unit": "x"}}, "where.less"),
        ({"attribute": "CRP", "less": {"branch": "A"}}, "where.less"),
        ({"branch": "Labor"}, "where"),
        ({"branch": "Labor", "attribute": "CRP", "exists": True}, "where"),
    ],
)
def test_a_mistake_is_named_by_its_place(node: object, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(where(node))

    assert caught.value.field == field
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("node", "same"),
    [
        ({"same": "series", "where": CT, "at_most": 2}, {"at_least": 0, "at_most": 2}),
        ({"same": "series", "where": CT, "per": "year"}, {"at_least": 1, "per": "year"}),
        ({"n_of": [CT, LETTER], "most": 1}, {"least": 0, "most": 1}),
        ({"event": CT, "during": EVENT}, {"during": {"event": CT, "frame": "case"}}),
        ({"event": CT, "after": EVENT, "days": [0, 30]}, {"days": 30}),
        ({"attribute": "ICD10", "under": ["I21"]}, {"under": "I21"}),
    ],
)
def test_what_is_left_out_has_its_obvious_meaning(node: object, same: dict[str, object]) -> None:
    written = query_json(parse(where(node)))["where"]

    assert isinstance(written, dict)
    assert written.items() >= same.items()


def test_a_document_of_version_1_means_the_same() -> None:
    assert parse({**PAPER, "version": 1}) == parse({**PAPER, "version": 2})


def test_events_stand_at_the_outside_and_in_a_case() -> None:
    inside = {"same": "case", "where": {"none": [{"n_of": [EVENT, CT], "least": 1}]}}

    assert parse(where({"any": [inside, EVENT, {"event": CT, "around": {**EVENT, "after": EVENT}}]}))


def test_a_list_of_patients_is_not_shown() -> None:
    assert "P4711" not in repr(parse(where({"patients": ["P4711"]})))


@pytest.mark.parametrize(
    "pattern",
    [
        r"EF (\d+)",
        r"(\d{1,3}(?:[.,]\d+)?) mm",
        r"a[(](-?[0-9]+,[0-9]{2})",
        r"(?:EF|LVEF):? ([+-]?\d+[.,]?\d*) ?%",
        r"x\((1\d)",
    ],
)
def test_a_group_of_digits_captures_a_number(pattern: str) -> None:
    assert check_number_group(pattern, "regex") == pattern


@given(st.data())
@pytest.mark.parametrize(
    "form", [r"[+-]?\d+[.,]?\d*", r"\d{1,3}(?:[.,]\d+)?", r"-?[0-9]+,[0-9]{2}", r"\+?\d+"]
)
def test_what_a_number_group_matches_is_a_number(form: str, data: st.DataObject) -> None:
    check_number_group(f"x ({form})", "regex")

    text = data.draw(st.from_regex(form, fullmatch=True))

    assert isinstance(float(text.replace(",", ".")), float)


@pytest.mark.parametrize(
    "pattern",
    [
        "EF",
        r"(\d+)(\d+)",
        r"(?P<n>\d+)",
        r"(\d*)",
        r"(\d+)?",
        r"(\d+)*",
        r"(?:x(\d+))",
        r"(\d+)|x",
        r"(\w+)",
        r"(\d+|x)",
        r"((?:\d+))",
        r"(\d+[.]+)",
    ],
)
def test_a_group_that_may_be_no_number_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidRequest):
        check_number_group(pattern, "regex")


def _objects(source: object) -> list[dict[str, Any]]:
    own = [source] if isinstance(source, dict) else []
    inner = source.values() if isinstance(source, dict) else source if isinstance(source, list) else ()
    return own + [found for item in inner for found in _objects(item)]


def _unknown_field(found: dict[str, Any]) -> None:
    found["sql"] = "DROP TABLE patient"


def _null(found: dict[str, Any]) -> None:
    name = min(found)
    found[name] = None


def _emptied(found: dict[str, Any]) -> None:
    found.clear()


def _second_form(found: dict[str, Any]) -> None:
    found.update({"cohort": "x", "patients": ["P1"]})


@given(queries(), st.sampled_from([_unknown_field, _null, _emptied, _second_form]), st.data())
def test_what_is_no_query_is_refused_by_reader_and_schema_alike(
    query: Query, spoil: Callable[[dict[str, Any]], None], data: st.DataObject
) -> None:
    document = json.loads(json.dumps(query_json(query)))
    spoil(data.draw(st.sampled_from(_objects(document))))

    with pytest.raises(InvalidRequest):
        parse(document)
    assert not VALIDATOR.is_valid(document)


def test_frames_and_orders_are_those_of_the_schema() -> None:
    defined = schema()["$defs"]

    assert defined["frame"]["enum"] == list(Frame)
    assert set(Order) < set(defined["event"]["properties"])
    assert parse(where(EVENT)).where == Event(None, parse(where(CT)).where)
