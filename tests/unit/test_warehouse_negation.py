"""What is negated in German and English clinical texts, and what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.warehouse.negation import MOST_WORDS, negated_passages, negated_text

NEUTRAL = ("Infiltrat", "rechts", "basal", "effusion", "left", "lung", "3,5", "Herz", "vergrößert", "mild")
CUES = ("kein", "keine", "ohne", "nicht", "no", "without", "denies")
sentences = st.lists(st.sampled_from(NEUTRAL), min_size=1, max_size=6).map(" ".join)
texts = st.lists(
    st.sampled_from(
        [*NEUTRAL, *CUES, "ausgeschlossen", "aber", "but", "ruled out", ".", ";", "\n", ",", "Z.n."]
    ),
    max_size=30,
).map(" ".join)


@pytest.mark.parametrize(
    ("text", "passages"),
    [
        ("Kein Pneumothorax.", ["Kein Pneumothorax"]),
        ("Kein Erguss, keine Stauung. Herz groß.", ["Kein Erguss, keine Stauung"]),
        ("Kein Infiltrat, aber Erguss links.", ["Kein Infiltrat"]),
        ("Ausschluss einer Lungenembolie.", ["Ausschluss einer Lungenembolie"]),
        ("Infiltrat rechts, Pneumothorax ausgeschlossen.", ["Pneumothorax ausgeschlossen"]),
        ("Ein Erguss ist nicht sicher nachweisbar.", ["Ein Erguss ist nicht sicher nachweisbar"]),
        ("Fieber: keines. Husten.", ["Fieber: keines"]),
        ("Dyspnoe wird verneint.", ["Dyspnoe wird verneint"]),
        ("Verneint Fieber; Husten seit gestern", ["Verneint Fieber"]),
        ("No effusion, pneumothorax or consolidation.", ["No effusion, pneumothorax or consolidation"]),
        ("Denies chest pain but reports dyspnea.", ["Denies chest pain"]),
        ("PE was ruled out. DVT present.", ["PE was ruled out"]),
        ("No fracture due to old age.", ["No fracture"]),
        ("Kein Erguss bei bekannter COPD", ["Kein Erguss"]),
        ("Kein Erguss\nPneumonie rechts", ["Kein Erguss"]),
        (
            "In der heutigen Untersuchung kein Hinweis auf\neine Lungenembolie.",
            ["kein Hinweis auf\neine Lungenembolie"],
        ),
        ("Kein Fieber am 3. Tag, Z.n. Sturz.", ["Kein Fieber am 3. Tag, Z.n. Sturz"]),
    ],
)
def test_a_cue_reaches_its_sentence(text: str, passages: list[str]) -> None:
    assert list(negated_passages(text)) == passages


@pytest.mark.parametrize(
    "text",
    [
        "Infiltrat rechts basal.",
        "Nicht nur Erguss, sondern Pneumonie.",
        "Kein Zweifel an der Diagnose.",
        "Lungenembolie kann nicht ausgeschlossen werden.",
        "Lungenembolie nicht auszuschließen.",
        "Keine Befundänderung des Infiltrats.",
        "No change of the effusion.",
        "Fracture cannot be ruled out.",
        "Nicht ohne Beschwerden.",
        "Keinath, Notaufnahme, Nortriptylin, ohnehin",
        "",
    ],
)
def test_what_only_looks_like_negation_is_none(text: str) -> None:
    assert negated_text(text) is None


@given(texts)
def test_passages_are_verbatim_disjoint_and_in_order(text: str) -> None:
    at = 0
    for passage in negated_passages(text):
        found = text.find(passage, at)
        assert found >= 0
        assert passage == passage.strip()
        at = found + len(passage)


@given(texts)
def test_case_does_not_matter(text: str) -> None:
    assert [p.upper() for p in negated_passages(text)] == list(negated_passages(text.upper()))


@given(sentences)
def test_without_a_cue_nothing_is_negated(text: str) -> None:
    assert negated_passages(f"{text}. {text}") == ()


@given(texts, sentences)
def test_a_sentence_before_changes_nothing(text: str, before: str) -> None:
    assert negated_passages(f"{before}. Ende!\n\n{text}") == negated_passages(text)


@given(st.sampled_from(CUES), st.lists(st.sampled_from(NEUTRAL[:6]), min_size=MOST_WORDS + 1, max_size=20))
def test_a_cue_reaches_so_many_words_at_most(cue: str, words: list[str]) -> None:
    assert negated_passages(" ".join([cue, *words])) == (" ".join([cue, *words[:MOST_WORDS]]),)
