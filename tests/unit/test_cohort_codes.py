"""Ranges of codes as comparisons of whole texts: the ends are made so that both say the same."""

import sys

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from p2d.warehouse.query.codes import behind, code_range, is_under

TEXTS = st.text(min_size=1, max_size=4)
CLOSE = st.text(alphabet="I9:0\ud7ff\ue000\U0010ffff", min_size=1, max_size=4)


@given(code=TEXTS | CLOSE, low=TEXTS | CLOSE, high=TEXTS | CLOSE)
def test_a_code_lies_in_a_range_where_it_lies_between_the_lower_end_and_what_is_behind_the_upper(
    code: str, low: str, high: str
) -> None:
    node = f"{low}...{high}"
    ends = code_range(node)
    assume(ends is not None)
    assert ends
    end = behind(ends[1])

    assert is_under(code, node) == (ends[0] <= code and (end is None or code < end))


@pytest.mark.parametrize(
    ("end", "found"),
    [
        ("I99", "I9:"),
        ("\ud7ff", "\ue000"),
        ("I\U0010ffff", "J"),
        (chr(sys.maxunicode), None),
    ],
)
def test_what_is_behind_an_end_is_the_next_text_of_no_more_characters(end: str, found: str | None) -> None:
    assert behind(end) == found
