"""A cost fitted to few patients and summed over many."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.flows.gateway.plan.fitting import fitted

SIZES = np.array([(1, 1), (1, 3), (3, 7), (3, 17), (6, 37), (7, 72), (12, 143), (12, 150), (57, 150)], float)
ALL = np.array([(2, 20), (40, 150), (3, 3)], float)
factors = st.floats(0, 1e3, allow_nan=False)


def cost(constant: float, series: float, images: float, sizes: "np.ndarray[tuple[int, int]]") -> float:
    return float((constant + sizes @ np.array([series, images])).sum())


def total(values: "np.ndarray[tuple[int]]") -> float:
    return float(fitted(SIZES, values, len(ALL), ALL.sum(axis=0)))


@given(st.floats(0.01, 1e3), factors, factors)
def test_what_is_linear_is_found(constant: float, series: float, images: float) -> None:
    values = constant + SIZES @ np.array([series, images])

    assert total(values) == pytest.approx(cost(constant, series, images, ALL), rel=1e-3)


@pytest.mark.parametrize("place", range(len(SIZES) - 1))  # of the last one nobody else tells what series cost
def test_one_patient_who_waited_does_not_bend_it(place: int) -> None:
    values = 0.04 + SIZES @ np.array([0.002, 0.001])
    values[place] *= 5

    assert total(values) == pytest.approx(cost(0.04, 0.002, 0.001, ALL), rel=0.2)


@given(st.lists(st.floats(0, 1e4), min_size=len(SIZES), max_size=len(SIZES)))
def test_no_cost_is_negative(values: list[float]) -> None:
    assert total(np.array(values)) >= 0


@pytest.mark.parametrize("number", [1, 2])
def test_few_patients_are_enough_for_a_sum(number: int) -> None:
    sizes = np.array([(4, 100)] * number, float)

    assert float(fitted(sizes, np.full(number, 2.0), number, sizes.sum(axis=0))) == pytest.approx(
        2.0 * number, rel=1e-6
    )


def test_what_costs_nothing_sums_to_nothing() -> None:
    assert total(np.zeros(len(SIZES))) == 0


def test_several_samples_are_fitted_at_once() -> None:
    values = np.array([0.04 + SIZES @ np.array([0.002, 0.001]), 1 + SIZES @ np.array([0.0, 0.5])])
    totals = np.array([ALL.sum(axis=0)] * 2)

    found = fitted(np.array([SIZES] * 2), values, len(ALL), totals)

    assert found.tolist() == pytest.approx([total(values[0]), total(values[1])], rel=1e-6)
