"""Queries in words: nothing fails, all attributes are named, and what means otherwise reads otherwise."""

from string import Formatter

import pytest
from hypothesis import given

from p2d.testing.query_strategies import queries
from p2d.warehouse.query.nodes import (
    All,
    Any,
    AttributeRef,
    Criterion,
    Event,
    Frame,
    Node,
    NoneOf,
    Query,
    Reduce,
    Same,
    Some,
)
from p2d.warehouse.query.text_form.grammar import parse_text
from p2d.warehouse.query.words.english import ENGLISH
from p2d.warehouse.query.words.german import GERMAN
from p2d.warehouse.query.words.sentences import LANGUAGES, Language, node_words, query_words

CT_NOT_THORAX = "same series (Modality = CT and not SeriesDescription contains thorax)"


def names(node: Node) -> set[str]:
    match node:
        case Criterion():
            return {node.name, *(v.name for v in node.values if isinstance(v, AttributeRef))}
        case All(nodes) | Any(nodes) | NoneOf(nodes) | Some(nodes):
            return {name for inner in nodes for name in names(inner)}
        case Same(_, where):
            return names(where)
        case Event():
            related = set() if node.relation is None else names(node.relation.other)
            return names(node.where) | related
        case _:
            return set()


@given(queries())
def test_every_query_is_said_with_all_its_attributes(query: Query) -> None:
    for language in LANGUAGES:
        words = query_words(query, language)

        assert {name for name in names(query.where) if name not in words} == set()
        assert {c.attribute for c in query.columns if c.attribute not in words} == set()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a = 1 and b = 2", "a = 1 or b = 2"),
        ("not (a = 1 and b = 2)", "none of (a = 1, b = 2)"),
        ("a = 1 and (b = 2 or c = 3)", "a = 1 and b = 2 or c = 3"),
        (
            CT_NOT_THORAX,
            "same series (Modality = CT) and not same series (SeriesDescription contains thorax)",
        ),
        ("same series (a = 1 and b = 2)", "same study (a = 1 and b = 2)"),
        ("same series (a = 1 and b = 2)", "same series (a = 1) and same series (b = 2)"),
        ("same case (same series (a = 1))", "same case (everything) and same series (a = 1)"),
        ("not same series (a = 1)", "same series (not a = 1)"),
        ("at least 3 series (a = 1)", "at most 3 series (a = 1)"),
        ("at least 3 series (a = 1)", "3 to 3 series (a = 1)"),
        ("at least 3 series (a = 1) within 30 days", "at least 3 series (a = 1) per year"),
        ("at least 2 of (a = 1, b = 2, c = 3)", "at most 2 of (a = 1, b = 2, c = 3)"),
        ("a < 1", "a <= 1"),
        ("a = 1", 'a = "1"'),
        ("a < 1", "a < value of b"),
        ("a < value of b", "a < value of first b"),
        ("a < value of b", "a < value of b times 2"),
        ("a < value of b times 2", "a < value of b plus 2"),
        (
            "event (a = 1) within 3 days after event (b = 1)",
            "event (a = 1) within 3 months after event (b = 1)",
        ),
        (
            "event (a = 1) within 3 years after event (b = 1)",
            "event (a = 1) within 3 months after event (b = 1)",
        ),
        ("a = 1 show last b", "a = 1 show last 2 b"),
        ("a exists", "a missing"),
        ("a exists", "branch a exists"),
        ("a contains x", "document a contains x"),
        ('a contains "x y"', 'a phrase "x y"'),
        ("a ~ x", "a ~* x"),
        ("document a contains x", "document a affirmed contains x"),
        ('document a number ~ "x (\\d+)" < 3', 'document a number ~ "x (\\d+)" > 3'),
        ("document a number after x < 3", "document a number after y < 3"),
        ("a < 1", "every a < 1"),
        ("first a < 1", "last a < 1"),
        ("min a < 1", "mean a < 1"),
        ("a < 1 [mg]", "a < 1 [g]"),
        ("a < 1 from 2020-01-01", "a < 1 to 2020-01-01"),
        ("a < 1 at least 2 times", "a < 1"),
        ("event (a = 1)", "event of study (a = 1)"),
        ("first event (a = 1)", "1st event (a = 1)"),
        ("event (a = 1) at age < 18", "event (a = 1) at age > 18"),
        ("event (a = 1) after event (b = 1)", "event (a = 1) before event (b = 1)"),
        (
            "event (a = 1) within 3 days after event (b = 1)",
            "event (a = 1) at least 3 days after event (b = 1)",
        ),
        ("event (a = 1) within 3 days after event (b = 1)", "event (a = 1) 1 to 3 days after event (b = 1)"),
        ("event (a = 1) after event (b = 1)", "event (a = 1) after last event (b = 1)"),
        ("event (a = 1) around event of case (b = 1)", "event (a = 1) during event of case (b = 1)"),
        ("cohort a", "not cohort a"),
        ("patients (P1)", "patients (P1, P2)"),
        ("a = 1 show b", "a = 1 show first b"),
        ("a = 1", "a = 1 for each case"),
    ],
)
def test_what_means_something_else_reads_otherwise(language: Language, one: str, other: str) -> None:
    assert query_words(parse_text(one), language) != query_words(parse_text(other), language)


def test_none_says_how_far_it_reaches() -> None:
    outside = query_words(parse_text("not same series (Modality = MR)"), "en")
    inside = query_words(parse_text(CT_NOT_THORAX), "en")

    assert outside.splitlines()[1:] == [
        "- none of this, not even once for the patient:",
        "  - in one and the same series:",
        "    - Modality is “MR”",
    ]
    assert "  - none of this for this series itself (other series may be so):" in inside.splitlines()


def test_german_reads_like_german() -> None:
    query = parse_text(
        "last LVEF < 45.5 [%] and document l affirmed contains Pneumothorax and "
        "event of study (Modality = CT) from 2020-01-01 within 30 days after first event (CRP > 5) "
        "show sex, min LVEF for each study"
    )

    assert query_words(query, "de", labels={"LVEF": "Ejektionsfraktion"}).splitlines() == [
        "Eine Zeile für jede Untersuchung der Patienten, für die alles davon gilt:",
        "- der letzte Wert von LVEF (Ejektionsfraktion) ist kleiner als 45,5 (nur Werte in „%“)",
        "- der Text eines Dokuments l enthält jedes Wort von „Pneumothorax“ (außerhalb verneinter Stellen)",
        "- es geschah: eine Untersuchung, für die alles davon gilt:",
        "  - Modality ist „CT“",
        "  und für das Gefundene gilt alles davon:",
        "  - es liegt in der Zeit ab 01.01.2020",
        "  - es liegt höchstens 30 Tage nach Folgendem: der erste Eintrag nach Datum, für den alles davon gilt:",  # noqa: E501 - one line of the text
        "    - CRP ist größer als 5",
        "Gezeigt: letzter Wert von sex, kleinster Wert von LVEF (Ejektionsfraktion).",
    ]


def test_both_languages_say_the_same_things() -> None:
    places = [
        {name: {field for _, field, *_ in Formatter().parse(text) if field} for name, text in texts.items()}
        for texts in (ENGLISH.texts, GERMAN.texts)
    ]

    assert places[0] == places[1]
    assert set(ENGLISH.frames) == set(GERMAN.frames) == {*Frame, None}
    assert {f"column_{reduce}" for reduce in Reduce if reduce is not Reduce.ALL} <= set(GERMAN.texts)


def test_a_node_is_said_in_its_frame() -> None:
    node = parse_text("not Modality = CT").where

    assert node_words(node, "en", Frame.STUDY) != node_words(node, "en")
