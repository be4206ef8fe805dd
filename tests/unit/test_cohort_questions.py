"""The random questions reach every part of the language, and few of their answers are trivial."""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any as Untyped

from hypothesis import given, settings

from p2d.testing.cohort_oracle import CohortOracle
from p2d.testing.cohort_questions import ALL_BRANCHES, question, questions
from p2d.testing.cohort_rows import BRANCHES, PATIENTS, random_rows
from p2d.warehouse.query.as_json import query_json
from p2d.warehouse.query.nodes import (
    All,
    Any,
    AttributeRef,
    Criterion,
    Event,
    Frame,
    Node,
    NoneOf,
    Operator,
    Order,
    Patients,
    Query,
    Reduce,
    Same,
    Some,
)
from p2d.warehouse.query.parse import parse

LEVELS = (Frame.PATIENT, Frame.CASE, Frame.STUDY, Frame.SERIES, Frame.INSTANCE)


@cache
def oracle(seed: int) -> CohortOracle:
    return CohortOracle(random_rows(seed), BRANCHES)


def forms(node: Node) -> Iterator[object]:
    yield type(node)
    match node:
        case All(nodes) | Any(nodes) | NoneOf(nodes) | Some(nodes):
            for inner in nodes:
                yield from forms(inner)
        case Same(frame, where, count):
            yield f"same {frame}"
            yield "same, counted" if count else "same"
            yield from forms(where)
        case Event():
            yield f"pick {node.pick}"
            for part in ("frame", "period", "age", "relation"):
                yield f"event {part} {getattr(node, part) is not None}"
            yield from forms(node.where)
            if node.relation:
                yield node.relation.order
                yield from forms(node.relation.other)
        case Criterion():
            yield from forms_of_criterion(node)


def forms_of_criterion(criterion: Criterion) -> Iterator[object]:
    yield from (criterion.subject, criterion.operator, criterion.reduce)
    if any(isinstance(value, AttributeRef) for value in criterion.values):
        yield AttributeRef
    parts = ("unit", "times", "period", "captured", "affirmed", "ignore_case")
    yield from (part for part in parts if getattr(criterion, part))
    if criterion.times:
        yield "within" if criterion.times.within_days is not None else f"per {criterion.times.per}"


EXPECTED: set[Untyped] = {
    *(All, Any, NoneOf, Some, Same, Event, Patients, Criterion, AttributeRef),
    *Operator,
    *(reduce for reduce in Reduce if reduce is not Reduce.COUNT),
    *Order,
    *(f"same {frame}" for frame in Frame),
    *("attribute", "branch", "document", "unit", "times", "period", "captured", "affirmed", "ignore_case"),
    *("within", "per year", "per month", "per None", "same, counted", "same"),
    *("pick any", "pick first", "pick last", "pick 1", "pick 2", "pick 3"),
    *(f"event {part} {there}" for part in ("frame", "period", "age", "relation") for there in (True, False)),
}


def test_questions_reach_every_form_and_few_answers_are_trivial() -> None:
    found: Counter[object] = Counter()
    sizes: Counter[str] = Counter()

    for seed in range(500):
        query = question(seed, LEVELS, ALL_BRANCHES)
        found.update(set(forms(query.where)))
        answer = len(oracle(seed % 8).patients(query))
        sizes[{0: "nobody", len(PATIENTS): "everybody"}.get(answer, "some")] += 1

    assert EXPECTED - set(found) == set()
    assert sizes["some"] >= 0.3 * sizes.total(), sizes


@given(query=questions(LEVELS, ALL_BRANCHES))
@settings(max_examples=200, deadline=None)
def test_parse_reads_every_question(query: Query) -> None:
    assert parse(query_json(query)) == query


def test_the_evaluator_makes_a_table_at_every_level() -> None:
    for seed in range(100):
        query = question(seed, tuple(Frame), ALL_BRANCHES)
        counts = oracle(seed % 8).counts(query)

        table = oracle(seed % 8).table(query)

        assert len(table) == counts[query.level]
        assert all(len(row) >= 1 + len(query.columns) for row in table)
