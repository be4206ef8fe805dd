"""Picking images per series."""

from hypothesis import given
from hypothesis import strategies as st

from p2d.model.header import Element
from p2d.model.identified import IdentifiedHeader
from p2d.model.level import Choice, Level
from p2d.pacs.pick import pick


def header(series: str, uid: str, number: int | str | None) -> IdentifiedHeader:
    elements = {
        "0020000D": Element("0020000D", "UI", ("1.2",)),
        "0020000E": Element("0020000E", "UI", (series,)),
        "00080018": Element("00080018", "UI", (uid,)),
        "00200013": Element("00200013", "IS", () if number is None else (number,)),
    }
    return IdentifiedHeader(Level.INSTANCE, elements)


def uids(headers: list[IdentifiedHeader]) -> list[str]:
    return [one.sop_instance_uid for one in headers]


def test_the_order_is_number_then_uid_and_those_without_a_number_come_last() -> None:
    some = [header("1.2.1", uid, n) for uid, n in (("e", None), ("d", "x"), ("c", 10), ("b", 2), ("a", 10))]

    assert uids(pick(some, Choice.ALL)) == ["b", "a", "c", "d", "e"]
    assert uids(pick(some, Choice.FIRST)) == ["b"]
    assert uids(pick(some, Choice.MIDDLE)) == ["c"]


def test_each_series_is_picked_from_by_itself() -> None:
    some = [
        header("1.2.2", "c", 1),
        header("1.2.1", "a", 2),
        header("1.2.1", "b", 1),
        header("1.2.2", "d", 2),
    ]

    assert uids(pick(some, Choice.FIRST)) == ["c", "b"]
    assert uids(pick(some, Choice.MIDDLE)) == ["d", "a"]


def test_nothing_is_picked_from_nothing() -> None:
    assert pick([], Choice.MIDDLE) == []


instances = st.lists(
    st.tuples(
        st.sampled_from(["1.2.1", "1.2.2", "1.2.3"]),
        st.integers(0, 60).map(str),
        st.one_of(st.none(), st.integers(-5, 5)),
    ),
    unique_by=lambda one: one[1],
    max_size=30,
)


@given(instances, st.randoms(use_true_random=False))
def test_the_choice_does_not_depend_on_the_order_of_answers(
    some: list[tuple[str, str, int | None]], random: object
) -> None:
    headers = [header(*one) for one in some]
    shuffled = list(headers)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis gives a random.Random

    for choice in Choice:
        assert sorted(uids(pick(shuffled, choice))) == sorted(uids(pick(headers, choice)))


@given(instances)
def test_one_per_series_or_all_are_picked_and_repetition_changes_nothing(
    some: list[tuple[str, str, int | None]],
) -> None:
    headers = [header(*one) for one in some]
    series = {one[0] for one in some}

    assert len(pick(headers, Choice.FIRST)) == len(pick(headers, Choice.MIDDLE)) == len(series)
    assert sorted(uids(pick(headers + headers, Choice.ALL))) == sorted(one[1] for one in some)
