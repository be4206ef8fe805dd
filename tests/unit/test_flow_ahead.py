"""What runs ahead keeps order, errors and bounds, and ends when it is left."""

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.flows.gateway.ahead import ahead, side_by_side


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


@given(items=st.lists(st.integers()), at_once=st.integers(1, 4))
def test_results_come_in_the_order_of_their_items(items: list[int], at_once: int) -> None:
    assert list(side_by_side(lambda item: item * 2, items, at_once)) == [item * 2 for item in items]


def test_as_many_items_are_worked_at_once_as_allowed() -> None:
    together = threading.Barrier(3, timeout=10)

    assert list(side_by_side(lambda _: together.wait() >= 0, range(3), 3)) == [True] * 3


@pytest.mark.parametrize("at_once", [1, 2])
def test_an_error_is_raised_in_the_place_of_its_result(at_once: int) -> None:
    def work(item: int) -> int:
        if item == 2:
            raise ValueError("broken")
        return item

    results = side_by_side(work, range(100), at_once)

    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="broken"):
        next(results)
