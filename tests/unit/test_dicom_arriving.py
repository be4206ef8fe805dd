"""Walking data sets that are not whole: what is found agrees with the strict walk, and nothing is guessed."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.dicom.arriving import first_values, up_to_pixels
from p2d.dicom.walk import (
    BEGIN,
    END,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    IS_UNDEFINED,
    PIXELS,
    TAG,
    VALUE,
    Malformed,
    Syntax,
    spans,
)
from p2d.testing.datasets import ct
from p2d.testing.sender import content_of

SYNTAXES = {"1.2.840.10008.1.2": IMPLICIT_LITTLE, "1.2.840.10008.1.2.1": EXPLICIT_LITTLE}


def image(uid: str, *, undefined: bool = False) -> bytes:
    item = ct(PixelData=None, PatientID="nested")
    whole = ct(ReferencedImageSequence=[item])
    whole["ReferencedImageSequence"].is_undefined_length = undefined
    return content_of(whole, uid)


@pytest.mark.parametrize(("uid", "syntax"), SYNTAXES.items())
@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("last", [0x00080018, 0x00100020, 0xFFFFFFFF])
def test_first_values_are_those_of_the_strict_walk(
    uid: str, syntax: Syntax, last: int, *, undefined: bool
) -> None:
    content = image(uid, undefined=undefined)

    found = first_values(content, syntax, last)

    assert found == {
        span[TAG]: (span[VALUE], span[END])
        for span in spans(content, syntax)
        if span[TAG] <= last and not span[IS_UNDEFINED]
    }


@given(uid=st.sampled_from(sorted(SYNTAXES)), length=st.integers(0, 2000), undefined=st.booleans())
def test_a_walk_ends_at_the_pixels_or_where_bytes_are_missing(
    uid: str, length: int, *, undefined: bool
) -> None:
    syntax, content = SYNTAXES[uid], image(uid, undefined=undefined)
    elements = spans(content, syntax)
    pixels = next(span[BEGIN] for span in elements if span[TAG] in PIXELS)

    reached = up_to_pixels(memoryview(content)[:length], syntax)

    if length >= pixels + 8:
        assert (reached.position, reached.tag) == (pixels, 0x7FE00010)
    else:
        assert reached.tag == 0
        assert reached.position == max(span[BEGIN] for span in elements if span[BEGIN] <= length)
        assert reached.needed == 0 or length < reached.needed <= len(content) + 12


@given(st.binary(max_size=300), st.sampled_from(sorted(SYNTAXES)))
def test_hostile_bytes_raise_nothing_but_malformed(content: bytes, uid: str) -> None:
    for begin, end in first_values(content, SYNTAXES[uid], 0xFFFFFFFF).values():
        assert begin <= end <= len(content)
    with contextlib.suppress(Malformed):
        assert up_to_pixels(content, SYNTAXES[uid]).position <= len(content)
