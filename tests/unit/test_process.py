"""What serving processes set for themselves."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from p2d.main.process import collect_seldom
from p2d.model.ids import Pseudonym


class Node:
    """Something that can be in a cycle."""

    def __init__(self) -> None:
        self.other: object = None


@pytest.fixture(autouse=True)
def _own_collector() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def collections() -> int:
    """Return how often the collector has looked at anything."""
    return sum(generation["collections"] for generation in gc.get_stats())


def test_an_answer_of_many_pseudonyms_is_not_looked_at_over_and_over() -> None:
    collect_seldom()
    before = collections()

    answer = tuple(Pseudonym(f"P{number}") for number in range(90_000))

    assert len(answer) == 90_000
    assert collections() - before <= 1


def test_cycles_are_collected_all_the_same() -> None:
    collect_seldom()
    one, other = Node(), Node()
    one.other, other.other = other, one
    seen = weakref.ref(one)
    del one, other

    kept = [Node() for _ in range(200_000)]

    assert seen() is None
    assert kept
