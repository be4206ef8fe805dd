"""What runs ahead keeps order, errors and bounds, and ends when it is left."""

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.flows.gateway.ahead import ahead


@given(items=st.lists(st.integers()), most=st.integers(1, 5))
def test_every_item_comes_once_and_in_order(items: list[int], most: int) -> None:
    assert list(ahead(items, most)) == items


def test_an_error_comes_after_the_items_before_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    items = ahead(source(), 4)

    assert next(items) == 1
    with pytest.raises(ValueError, match="broken"):
        next(items)


def test_the_source_stays_within_its_bound() -> None:
    made: list[int] = []
    waits = threading.Event()

    def source() -> Iterator[int]:
        for number in range(9):
            made.append(number)
            if number == 4:
                waits.set()
            yield number

    items = ahead(source(), 3)
    first = next(items)
    assert waits.wait(10)
    made_ahead = len(made)

    assert first == 0
    assert made_ahead == 5  # one taken, three ready, one waiting to be
    assert list(items) == list(range(1, 9))


def test_an_item_heavier_than_the_bound_passes_alone() -> None:
    assert list(ahead([5, 50, 5], 10, weight=lambda item: item)) == [5, 50, 5]


def test_leaving_early_closes_the_source_in_its_thread() -> None:
    ended: list[str] = []

    def source() -> Iterator[int]:
        try:
            for number in range(1000):  # noqa: UP028 - closed amid the loop
                yield number
        finally:
            ended.append(threading.current_thread().name)

    items = ahead(source(), 2)
    next(items)
    items.close()

    assert ended == ["ahead"]
