"""What the obvious evaluator answers to small questions whose answer anyone can see."""

import re
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.testing.cohort_criteria import is_under
from p2d.testing.cohort_oracle import CohortOracle
from p2d.testing.cohort_questions import CAPTURING, NUMBERED, PATTERNS, PHRASES
from p2d.testing.cohort_rows import TEXTS
from p2d.testing.cohort_texts import compiled, text_holds
from p2d.testing.warehouse_rows import Row, uid
from p2d.warehouse.query import codes
from p2d.warehouse.query.nodes import Comparison, Criterion, Frame, Operator
from p2d.warehouse.query.parse import parse
from p2d.warehouse.query.phrases import next_number_pattern, phrase_pattern

Json = dict[str, Any]


def day(text: str) -> date:
    return date.fromisoformat(text)


def found(rows: dict[str, list[Row]], where: Json) -> list[str]:
    """Return the patients of the query, by the letters they are called in *rows*."""
    return CohortOracle(rows).patients(parse({"version": 2, "where": where}))


def facts(**values: list[tuple[str | None, float]]) -> dict[str, list[Row]]:
    """Return LVEF values with their days by patient."""
    rows: list[Row] = [
        {"patient": psn, "attribute": "LVEF", "date": day(on) if on else None, "number": number}
        for psn, listed in values.items()
        for on, number in listed
    ]
    return {"patient": [{"patient": psn, "birth_year": 1960} for psn in values], "fact": rows}


LVEF = facts(
    A=[("2020-01-01", 40), ("2020-02-01", 55)],
    B=[("2020-01-01", 55), ("2020-02-01", 40), (None, 60)],
    C=[(None, 40)],
    D=[],
)


@pytest.mark.parametrize(
    ("more", "patients"),
    [
        ({}, "ABC"),
        ({"reduce": "first"}, "AC"),
        ({"reduce": "last"}, "BC"),
        ({"reduce": "all"}, "C"),
        ({"reduce": "max"}, "C"),
        ({"reduce": "mean"}, "C"),
        ({"from": "2020-01-15"}, "B"),
        ({"times": {"at_most": 0}}, "D"),
        ({"times": {"at_least": 2}}, ""),
    ],
)
def test_reductions_periods_and_counts(more: Json, patients: str) -> None:
    assert "".join(found(LVEF, {"attribute": "LVEF", "less": 45, **more})) == patients


@pytest.mark.parametrize(
    ("count", "patients"),
    [
        ({"at_least": 2}, "AB"),
        ({"at_least": 2, "within_days": 31}, "AB"),
        ({"at_least": 2, "within_days": 30}, ""),
        ({"at_least": 2, "per": "year"}, "AB"),
        ({"at_least": 2, "per": "month"}, ""),
        ({"at_least": 1, "at_most": 1, "per": "month"}, "AB"),
    ],
)
def test_counts_within_days_and_calendar_units(count: Json, patients: str) -> None:
    where = {"same": "group", "where": {"attribute": "LVEF", "exists": True}, **count}

    assert "".join(found(LVEF, where)) == patients


LOW = {"event": {"attribute": "LVEF", "less": 45}}
HIGH = {"event": {"attribute": "LVEF", "at_least": 50}}


@pytest.mark.parametrize(
    ("event", "patients"),
    [
        (LOW, "AB"),
        ({**LOW, "pick": "first", "to": "2020-01-31"}, "A"),
        ({**LOW, "pick": 2}, ""),
        ({**LOW, "age": {"less": 61}}, "AB"),
        ({**HIGH, "after": LOW}, "A"),
        ({**HIGH, "after": LOW, "days": 30}, ""),
        ({**HIGH, "before": LOW, "days": [1, 31]}, "B"),
        ({**HIGH, "around": LOW, "days": 31}, "AB"),
        ({**LOW, "around": LOW, "days": 0}, "AB"),
    ],
)
def test_events(event: Json, patients: str) -> None:
    assert "".join(found(LVEF, event)) == patients


def test_an_open_stay_has_no_end() -> None:
    rows = facts(A=[("2020-02-01", 40)], B=[("2020-02-01", 40)], C=[("2020-02-01", 40)])
    rows["case"] = [
        {"patient": "A", "case": "a", "start": day("2020-01-01")},
        {"patient": "B", "case": "b", "start": day("2020-01-01"), "end": day("2020-01-31")},
        {"patient": "C", "case": "c"},
    ]

    assert found(rows, {**LOW, "during": {"event": {"all": []}}}) == ["A"]


def test_a_group_is_what_was_recorded_together() -> None:
    rows: dict[str, list[Row]] = {"patient": [{"patient": psn} for psn in "ABC"], "fact": []}
    for psn, group, value, limit in (
        ("A", 1, 20, 14),
        ("B", 2, 10, 14),
        ("B", 3, 20, 52),
        ("C", None, 20, 14),
    ):
        place = {"patient": psn, "document": uid(9), "group": group and uid(group)}
        rows["fact"] += [{**place, "attribute": "TROPONIN", "number": value}]
        rows["fact"] += [{**place, "attribute": "LIMIT", "number": limit}]
    above = {"attribute": "TROPONIN", "greater": {"attribute": "LIMIT"}}

    assert found(rows, {"same": "group", "where": above}) == ["A"]
    assert found(rows, above) == ["A", "B", "C"]


def imaging(*series: tuple[str, str, str | None, str]) -> dict[str, list[Row]]:
    """Return series as patient, Modality, SeriesDescription and study."""
    rows: dict[str, list[Row]] = {
        "patient": [{"patient": psn} for psn in dict.fromkeys(s[0] for s in series)],
        "study": [{"patient": p, "study": s} for p, s in dict.fromkeys((s[0], s[3]) for s in series)],
        "series": [],
    }
    for number, (patient, modality, description, study) in enumerate(series):
        place = {"patient": patient, "study": study, "series": uid(number)}
        rows["series"].append({**place, "Modality": modality, "SeriesDescription": description})
    return rows


SERIES = imaging(
    ("A", "CT", "Thorax nativ", "1"),
    ("B", "CT", "Head", "2"),
    ("B", "MR", "Thorax", "2"),
    ("C", "MR", "Head", "3"),
)
CT: Json = {"attribute": "Modality", "equals": "CT"}
THORAX: Json = {"attribute": "SeriesDescription", "contains": "thorax"}


@pytest.mark.parametrize(
    ("where", "patients"),
    [
        ({"all": [CT, THORAX]}, "A"),
        ({"n_of": [CT, THORAX], "least": 2}, "A"),
        ({"n_of": [CT, THORAX], "least": 2, "most": 2}, "AB"),
        ({"same": "study", "where": {"all": [CT, THORAX]}}, "AB"),
        ({"none": [CT]}, "C"),
        ({**CT, "times": {"at_most": 0}}, "C"),
        ({"same": "series", "where": {"none": [CT]}, "at_least": 1}, "BC"),
        ({**CT, "reduce": "all"}, "A"),
        ({"patients": ["A", "Z"]}, "A"),
        ({"all": []}, "ABC"),
    ],
)
def test_frames_of_images(where: Json, patients: str) -> None:
    assert "".join(found(SERIES, where)) == patients


def test_matching_documents_and_groups_are_those_that_speak_for_the_match() -> None:
    rows: dict[str, list[Row]] = {
        "patient": [{"patient": "A"}],
        "document": [
            {"patient": "A", "document": "d1", "kind": "letter", "text": "NYHA III"},
            {"patient": "A", "document": "d2", "kind": "letter", "text": "nothing"},
        ],
        "fact": [{"patient": "A", "document": "d2", "attribute": "LVEF", "number": 40}],
    }
    oracle = CohortOracle(rows)
    letters = parse({"version": 2, "where": {"document": "letter", "phrase": "nyha iii"}})
    everybody = parse({"version": 2, "where": {"all": []}})

    assert oracle.matching(letters, Frame.DOCUMENT) == [("A", "d1")]
    assert oracle.matching(everybody, Frame.DOCUMENT) == [("A", "d1"), ("A", "d2")]
    assert oracle.matching(letters, Frame.GROUP) == [("A", "d2", None)]


def holds(operator: Operator, sought: str, text: str, denied: str = "", **more: Any) -> bool:
    criterion = Criterion("document", "letter", operator, (sought,), affirmed=bool(denied), **more)
    return text_holds(criterion, text, lambda _: denied)


@pytest.mark.parametrize(
    ("sought", "text", "expected"),
    [
        ("NYHA II", "NYHA III", False),
        ("nyha iii", "Herzinsuffizienz (NYHA-III).", True),
        ("CT Thorax", "CT/THORAX:", True),
        ("CT Thorax", "CT des Thorax", False),
        ("Fuß", "Der Fuß.", True),
        ("Fuß", "Fußes", False),
        ("I50.1", "I50/1", True),
        ("erguss", "", False),
    ],
)
def test_phrases_are_whole_words_in_a_row(sought: str, text: str, expected: bool) -> None:
    assert holds(Operator.PHRASE, sought, text) is expected


@pytest.mark.parametrize(
    ("sought", "text", "number"),
    [
        ("LVEF", "LVEF: 45 %", 45),
        ("LVEF", "LVEF 30,5", 30.5),
        ("LVEF", "LVEF45%", 45),
        ("LVEF", "LVEF-45", 45),
        ("LVEF", "LVEF - 45", 45),
        ("T-Score", "T-Score: -2,5", -2.5),
        ("T-Score", "T-Score -2.5.", -2.5),
        ("LVEF", "LVEF " + "x" * 18 + " 45", 45),
        ("LVEF", "LVEF " + "x" * 19 + " 45", None),
        ("LVEF", "LVEFs 45", None),
        ("LVEF", "LVEF --5", None),
        ("LVEF", "LVEF im Verlauf: keine Angabe", None),
    ],
)
def test_the_number_behind_the_words(sought: str, text: str, number: float | None) -> None:
    every = Comparison(Operator.BETWEEN, (-1000.0, 1000.0))
    same = Comparison(Operator.EQUALS, (0.0 if number is None else float(number),))

    assert holds(Operator.NEXT_NUMBER, sought, text, captured=every) is (number is not None)
    assert number is None or holds(Operator.NEXT_NUMBER, sought, text, captured=same)


@pytest.mark.parametrize(
    ("text", "denied", "expected"),
    [
        ("Kein Erguss.", "Kein Erguss", False),
        ("Kein Erguss. Erguss rechts.", "Kein Erguss", True),
        ("Weder Erguss noch Erguss", "Erguss noch Erguss", False),
    ],
)
def test_affirmed_occurrences_are_more_than_the_negated_ones(text: str, denied: str, expected: bool) -> None:
    for operator in (Operator.CONTAINS, Operator.PHRASE, Operator.REGEX):
        assert holds(operator, "Erguss", text, denied) is expected


PIECES = st.sampled_from(
    (
        *("lvef", "LVEF", "EF", "nyha", "II", "Erguss", "kein", "T-Score", "ß", "µg", "45", "30,5", "1.2.3"),
        *("4mm", " ", "  ", "-", "--", ":", ", ", "\n", "_", "\u00d7", "…", "²", "x" * 17, ""),
    )
)
WRITTEN = st.lists(PIECES, max_size=12).map("".join) | st.sampled_from(TEXTS)
SOUGHT = st.sampled_from([*PHRASES, *NUMBERED, "EF", "lvef 45", "ß", "µg", "erguss erguss", "T Score"])


@given(sought=SOUGHT, text=WRITTEN)
def test_the_pattern_of_a_phrase_finds_what_reading_finds(sought: str, text: str) -> None:
    matches = re.findall(phrase_pattern(sought), text, re.IGNORECASE)

    assert bool(matches) is holds(Operator.PHRASE, sought, text)
    assert not holds(Operator.PHRASE, sought, text, denied=f"|{text}")


@given(sought=SOUGHT, text=WRITTEN, bound=st.sampled_from([-5.0, 0.0, 4.0, 30.5, 45.0]))
def test_the_pattern_of_a_next_number_finds_what_reading_finds(sought: str, text: str, bound: float) -> None:
    matches = re.findall(next_number_pattern(sought), text, re.IGNORECASE)
    numbers = [float(match.replace(",", ".")) for match in matches]
    wanted = Comparison(Operator.AT_LEAST, (bound,))

    is_found = holds(Operator.NEXT_NUMBER, sought, text, captured=wanted)

    assert is_found is any(number >= bound for number in numbers)


@pytest.mark.parametrize("pattern", [*PATTERNS, *CAPTURING, r"[\w.]+\s\B", r"[]\d]$", r"[^\S]\W\D"])
def test_patterns_are_spelled_for_python(pattern: str) -> None:
    criterion = Criterion("document", "letter", Operator.REGEX, (pattern,))

    for text in TEXTS:
        plain = re.search(pattern, text, re.ASCII)
        assert (compiled(criterion).search(text) is None) is (plain is None)
    assert compiled(Criterion("document", "letter", Operator.REGEX, ("x$",))).search("x\n") is None


@pytest.mark.parametrize(
    ("code", "node", "expected"),
    [
        ("I50.1", "I5", True),
        ("I50.1", "I00-I99", True),
        ("I99.8", "I00-I99", True),
        ("J00", "I00-I99", False),
        ("5-372.01", "5-35...5-37", True),
        ("5-38", "5-35...5-37", False),
        ("5-351", "5-35", True),
        ("i50", "I50", False),
    ],
)
def test_codes_below_a_node(code: str, node: str, expected: bool) -> None:
    assert is_under(code, node) is codes.is_under(code, node) is expected
