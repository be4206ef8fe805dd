from hypothesis import given
from hypothesis import strategies as st

from p2d.pixels.box import Box, joined_lines, outside, without_covered

edges = st.integers(-3, 12)
boxes = st.builds(Box, edges, edges, edges, edges)


def pixels(box: Box) -> set[tuple[int, int]]:
    return {(x, y) for x in range(box.left, box.right) for y in range(box.top, box.bottom)}


@given(st.lists(boxes, max_size=4), st.integers(1, 9), st.integers(1, 9))
def test_outside_and_regions_are_the_whole_image_without_overlap(
    regions: list[Box], rows: int, columns: int
) -> None:
    beyond = outside(regions, rows, columns)

    inside = set().union(*(pixels(region.clipped(rows, columns)) for region in regions))
    parts = [pixels(box) for box in beyond]
    assert set().union(*parts) == pixels(Box(0, 0, columns, rows)) - inside
    assert sum(len(part) for part in parts) == len(set().union(*parts))


@given(st.lists(boxes, max_size=5))
def test_dropping_covered_boxes_loses_no_pixel(several: list[Box]) -> None:
    kept = without_covered(several)

    assert set().union(*map(pixels, kept)) == set().union(*map(pixels, several))
    assert set(kept) <= set(several)


@given(st.lists(boxes, max_size=5))
def test_joining_lines_loses_no_pixel(several: list[Box]) -> None:
    joined = joined_lines(several, 2.5)

    assert set().union(*map(pixels, several)) <= set().union(*map(pixels, joined))


def test_the_words_of_a_line_are_joined_and_those_of_two_lines_are_not() -> None:
    first, second, below = Box(0, 0, 30, 10), Box(45, 1, 80, 11), Box(0, 14, 30, 24)

    assert joined_lines([first, second, below], 2.5) == (Box(0, 0, 80, 11), below)


@given(boxes, st.integers(1, 9), st.integers(1, 9))
def test_clipping_keeps_exactly_what_is_in_the_image(box: Box, rows: int, columns: int) -> None:
    assert pixels(box.clipped(rows, columns)) == pixels(box) & pixels(Box(0, 0, columns, rows))
