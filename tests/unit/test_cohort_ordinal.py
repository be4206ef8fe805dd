"""Ordinal comparison: an order that the query states, in JSON, in the text form and in the builder."""

import operator
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.model.errors import InvalidRequest
from p2d.warehouse.query.builder import attribute
from p2d.warehouse.query.nodes import Criterion, Operator
from p2d.warehouse.query.parse import parse
from p2d.warehouse.query.text_form.grammar import parse_text

ORDER = ["none", "mild", "moderate", "severe"]
COMPARED: dict[str, Callable[[int, int], bool]] = {
    "less": operator.lt,
    "at_most": operator.le,
    "greater": operator.gt,
    "at_least": operator.ge,
}


def where(document: dict[str, object]) -> object:
    return parse({"version": 2, "level": "patient", "where": document}).where


def asked(**fields: object) -> object:
    return where({"attribute": "Severity", **fields})


@given(
    order=st.lists(st.text("abcdefgh", min_size=1, max_size=3), min_size=2, max_size=8, unique=True),
    name=st.sampled_from(sorted(COMPARED)),
    data=st.data(),
)
def test_it_is_the_list_of_what_compares_so_by_place(
    order: list[str], name: str, data: st.DataObject
) -> None:
    value = data.draw(st.sampled_from(order))
    expected = [one for i, one in enumerate(order) if COMPARED[name](i, order.index(value))]
    fields = {name: value, "order": order}

    if not expected:
        with pytest.raises(InvalidRequest, match="no value is there"):
            asked(**fields)
        return
    assert asked(**fields) == asked(**{"in": expected})


def test_between_holds_both_bounds() -> None:
    found = asked(between=["mild", "severe"], order=ORDER)

    assert isinstance(found, Criterion)
    assert (found.operator, found.values) == (Operator.IN, ("mild", "moderate", "severe"))


def test_it_goes_with_what_else_a_criterion_says() -> None:
    more = {"reduce": "last", "from": "2020-01-01"}

    assert asked(at_least="moderate", order=ORDER, **more) == asked(**{"in": ORDER[2:]}, **more)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"at_least": "moderate", "order": ["none"]}, "order"),
        ({"at_least": "moderate", "order": ["none", "none"]}, "order"),
        ({"at_least": "grave", "order": ORDER}, "at_least"),
        ({"at_least": 3, "order": ORDER}, "at_least"),
        ({"equals": "mild", "order": ORDER}, "order"),
        ({"between": ["severe", "mild"], "order": ORDER}, "between"),
        ({"at_least": "mild", "order": ORDER, "reduce": "max"}, "reduce"),
        ({"at_least": "mild", "less": "severe", "order": ORDER}, ""),
    ],
)
def test_what_is_no_ordinal_comparison_is_refused(fields: dict[str, object], place: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        asked(**fields)

    assert place in error.value.field


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("Severity >= moderate of (none, mild, moderate, severe)", {"at_least": "moderate"}),
        (
            "Severity between mild and moderate of (none, mild, moderate, severe)",
            {"between": ["mild", "moderate"]},
        ),
        ('last Severity < "severe" of (none, mild, moderate, severe)', {"less": "severe", "reduce": "last"}),
    ],
)
def test_the_text_form_says_the_same(text: str, fields: dict[str, object]) -> None:
    assert parse_text(text).where == asked(**fields, order=ORDER)


@pytest.mark.parametrize(
    ("text", "value", "order"),
    [
        ("ECOG >= 2 of (0, 1, 2, 3, 4)", "2", ["0", "1", "2", "3", "4"]),
        ("BIRADS >= 4a of (1, 2, 3, 4a, 4b)", "4a", ["1", "2", "3", "4a", "4b"]),
    ],
)
def test_places_may_be_numbers(text: str, value: str, order: list[str]) -> None:
    expected: dict[str, object] = {"attribute": text.split(maxsplit=1)[0], "at_least": value, "order": order}

    assert parse_text(text).where == where(expected)


def test_the_builder_says_the_same() -> None:
    built = attribute("Severity").ordered(*ORDER) >= "moderate"

    assert built.node == asked(at_least="moderate", order=ORDER)
