"""A cost that grows with sizes, fitted to few measurements and summed over many."""

from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
_ROUNDS: Final = 8
_USUAL: Final = 1.345
"""Deviations, in units of the usual one, from which a measurement counts less (Huber)."""

_NORMAL_MAD: Final = 1.4826
"""The standard deviation of normal errors in units of their median absolute deviation."""


def fitted(sizes: FloatArray, values: FloatArray, all_sizes: FloatArray) -> float:
    """Return the sum over the rows of *all_sizes* of a constant and a multiple of each size.

    None of them is negative; they are fitted to *values*, measured at the rows of *sizes*: least squares of
    the relative errors, in which a measurement far off the others counts less (Huber's weights), so that one
    patient whom the archive kept waiting does not bend the plan.
    """
    rows = np.column_stack([np.ones(len(sizes)), sizes])
    least = max(float(np.median(values)) * 1e-3, 1e-9)
    weights = np.ones(len(rows))
    found = _not_negative(rows, values)
    for _ in range(_ROUNDS):
        expected = np.maximum(rows @ found, least)
        errors = (values - rows @ found) / expected
        usual = max(float(np.median(np.abs(errors))) * _NORMAL_MAD * _USUAL, 1e-9)
        weights = np.minimum(1.0, usual / np.maximum(np.abs(errors), 1e-9))
        scale = np.sqrt(weights) / expected
        found = _not_negative(rows * scale[:, None], values * scale)
    return float(found[0] * len(all_sizes) + (all_sizes @ found[1:]).sum())


def _not_negative(rows: FloatArray, values: FloatArray) -> FloatArray:
    """Return the factors of the columns, none negative, with the least squares of errors.

    Of few columns every choice of those that are not 0 is tried.
    """
    width = rows.shape[1]
    best, least = np.zeros(width), float(values @ values)
    for number in range(1, width + 1):
        for some in combinations(range(width), number):
            factors = np.linalg.lstsq(rows[:, some], values, rcond=None)[0]
            if (factors < 0).any():
                continue
            error = values - rows[:, some] @ factors
            if float(error @ error) < least:
                best, least = np.zeros(width), float(error @ error)
                best[list(some)] = factors
    return best
