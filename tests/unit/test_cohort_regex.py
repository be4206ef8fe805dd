"""Patterns as other engines spell them, what they may cost, and the letters they cannot do without."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.model.errors import InvalidRequest
from p2d.warehouse.query.pattern import check_pattern
from p2d.warehouse.query.regex_spelling import spell_java, spell_postgres
from p2d.warehouse.query.regex_words import pieces_of, required_pieces

ATOMS = st.sampled_from(
    ["a", "N", "ä", "7", " ", ".", r"\d", r"\w", r"\s", "[a-c]", "[^x]", r"\.", "-", r"\n"]
)
REPEATS = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,3}"])
PIECES = st.tuples(ATOMS, REPEATS).map("".join)
SEQUENCES = st.lists(PIECES, min_size=1, max_size=5).map("".join)
PATTERNS = st.lists(SEQUENCES, min_size=1, max_size=3).map(lambda parts: f"({'|'.join(parts)})")
TEXTS = st.text(st.sampled_from("aNä7 .\n-xbcZ_"), max_size=12)


def test_word_boundaries_and_line_ends_are_written_out_for_postgresql() -> None:
    assert spell_postgres(r"NYHA (III|IV)\b") == "NYHA (III|IV)(?![0-9A-Z_a-z])"
    assert spell_postgres(r"\bEF$") == r"(?<![0-9A-Z_a-z])EF\Z"
    assert spell_postgres("a.b") == r"a[^\u000a]b"


def test_the_end_of_a_text_is_no_line_end_for_java() -> None:
    assert spell_java("x$") == r"x\z"


@given(pattern=PATTERNS, text=TEXTS)
def test_a_pattern_spelt_anew_finds_the_same(pattern: str, text: str) -> None:
    spelt = spell_java(pattern).replace(r"\z", r"\Z")

    assert bool(re.search(spelt, text)) == bool(re.search(pattern, text, re.ASCII))


@given(pattern=PATTERNS, text=TEXTS)
def test_what_matches_holds_a_piece_of_every_set_in_one_of_its_words(pattern: str, text: str) -> None:
    if not re.search(pattern, text, re.ASCII):
        return

    words = re.findall(r"\w+", text.lower())

    for pieces in required_pieces(pattern):
        assert any(piece in word for piece in pieces for word in words)


def test_the_index_of_words_is_asked_for_the_letters_of_a_pattern() -> None:
    assert required_pieces(r"NYHA[- ]*(Klasse )?(III|IV)\b") == (frozenset({"nyha"}),)
    assert required_pieces(r"(?:Rundherd|Läsion)\D{0,9}(\d+)") == (frozenset({"rundherd", "läsion"}),)
    assert required_pieces("[Tt]horax.*nativ") == (frozenset({"thorax"}), frozenset({"nativ"}))
    assert required_pieces(r"I\d\d") == ()


def test_words_give_the_pieces_between_their_punctuation() -> None:
    assert pieces_of("I50.1 Thorax/Abdomen") == (
        frozenset({"i50"}),
        frozenset({"thorax"}),
        frozenset({"abdomen"}),
    )


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(a+)+", "what is itself repeated"),
        ("(a|ab)*x", "begin alike"),
        ("(a?)*", "what is itself repeated"),
        (".*a.*b.*c.*d", "wide repeats"),
        ("((a{100}){100}){2}", "repetitions inside each other"),
        ("a{256}", "more than 255"),
    ],
)
def test_a_pattern_that_could_take_for_ever_is_refused(pattern: str, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        check_pattern(pattern, "regex")


@pytest.mark.parametrize(
    "pattern", [r"NYHA[- ]*(Klasse )?(III|IV)\b", r"(?:\d\d )*mm", "[Tt]horax.*nativ.*mit", "(ab|cd)*e"]
)
def test_a_pattern_of_everyday_is_not(pattern: str) -> None:
    assert check_pattern(pattern, "regex") == pattern
