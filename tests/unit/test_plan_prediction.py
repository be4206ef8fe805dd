"""A plan's arithmetic: what it predicts for samples whose truth is known."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.flows.gateway.plan.prediction import APPROACHES, Counted, Pace, Timed, predict
from p2d.settings.governor import Limits, Windows

BASIC_FIRST, BASIC_ALL, EXTENDED_FIRST, EXTENDED_ALL = APPROACHES
counts = st.builds(
    lambda studies, more, images: Counted(studies, studies + more, studies + more + images),
    st.integers(1, 9),
    st.integers(0, 20),
    st.integers(0, 3000),
)


def timed(counted: Counted, *, constant: float, per_image: float, octets: int = 0) -> Timed:
    return Timed(counted, constant + per_image * counted.images, 1, octets * counted.images)


def test_a_census_has_the_archives_own_totals_without_an_interval() -> None:
    counted = [Counted(1, 2, 30), Counted(2, 5, 700), Counted(0, 0, 0)]
    timings = [timed(one, constant=0.1, per_image=0.01, octets=1000) for one in counted[:2]]

    made = predict(EXTENDED_ALL, 3, counted, timings, Pace())

    assert (made.moved.estimate, made.moved.low, made.moved.high) == (730, 730, 730)
    assert made.octets.estimate == 730_000
    assert predict(EXTENDED_FIRST, 3, counted, timings, Pace()).moved.estimate == 7
    assert predict(BASIC_ALL, 3, counted, timings, Pace()).moved.estimate == 0


@given(st.lists(counts, min_size=2, max_size=30), st.floats(0, 2), st.floats(0, 1))
def test_time_that_is_linear_is_found_exactly(
    counted: list[Counted], constant: float, per_image: float
) -> None:
    timings = [timed(one, constant=constant, per_image=per_image) for one in counted]

    made = predict(BASIC_ALL, len(counted), counted, timings, Pace())

    true = sum(one.seconds for one in timings) / 3600
    assert made.hours.estimate == pytest.approx(true, rel=1e-6, abs=1e-9)


@given(st.lists(counts, min_size=1, max_size=20), st.lists(st.floats(0, 9), min_size=1, max_size=8))
def test_no_prediction_is_negative_or_outside_its_interval(
    counted: list[Counted], seconds: list[float]
) -> None:
    timings = [Timed(counted[0], one, 2, 10) for one in seconds]

    for approach in APPROACHES:
        made = predict(approach, 10 * len(counted), counted, timings, Pace(60, 100, 1e6, 40))
        for interval in (made.rows, made.moved, made.octets, made.queries, made.hours, made.days):
            assert 0 <= interval.low <= interval.estimate <= interval.high


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    dice = random.Random(7)  # noqa: S311 - a repeatable population
    population = [Counted(1, 3, int(dice.lognormvariate(3, 1.2)) + 3) for _ in range(3000)]
    truth = sum(one.images for one in population)
    held = 0
    for _ in range(40):
        sample = dice.sample(population, 150)
        timings = [timed(one, constant=0.1, per_image=0.01) for one in sample[:8]]
        moved = predict(EXTENDED_ALL, len(population), sample, timings, Pace()).moved
        held += moved.low <= truth <= moved.high

    assert held >= 30


def test_limits_stretch_the_hours_and_windows_the_days() -> None:
    counted = [Counted(1, 1, 6000)]
    timings = [timed(counted[0], constant=0, per_image=0.001, octets=100)]

    free = predict(EXTENDED_ALL, 1, counted, timings, Pace())
    slow = predict(EXTENDED_ALL, 1, counted, timings, Pace(images_per_minute=100, hours_per_week=42))

    assert free.hours.estimate == pytest.approx(6 / 3600)
    assert slow.hours.estimate == pytest.approx(1)
    assert slow.days.estimate == pytest.approx(1 / 6)


def test_octets_per_second_and_queries_are_limits_too() -> None:
    counted = [Counted(10, 10, 10)]
    timings = [Timed(counted[0], 0.0, 120, 72_000)]

    assert predict(EXTENDED_ALL, 1, counted, timings, Pace(octets_per_second=10)).hours.estimate == 2
    limited = predict(BASIC_ALL, 1, counted, timings, Pace(queries_per_minute=2))
    assert limited.hours.estimate == pytest.approx(1)


def test_nothing_is_predicted_from_nothing() -> None:
    with pytest.raises(ValueError, match="needs counted and timed"):
        predict(BASIC_FIRST, 1, [], [], Pace())


def test_the_pace_is_that_of_the_archives_limits_and_bulk_windows() -> None:
    limits = Limits(queries_per_minute=30, images_per_minute=90, megabytes_per_second=2)
    windows = Windows(bulk=("mon-fri 19:00-06:30", "fri 20:00-22:00", "sun 00:00-24:00"), time_zone="UTC")

    pace = Pace.of(limits, windows)

    assert pace == Pace(30, 90, 2e6, 5 * 11.5 + 24)
    assert Pace.of(Limits(), Windows()).hours_per_week == 168
